"""GLSL: one lighting model, used once for the still room (light by light) and every frame for what moves."""

from __future__ import annotations

from export.scenes.light import MAX_LIGHTS, MAX_SHADOWS

VERTEX = """#version 330
uniform mat4 view;
in vec3 at; in vec3 normal; in vec3 colour; in vec3 rest; in float material; in float tag;
out vec3 P; out vec3 N; out vec3 C; out vec3 R; flat out int M; flat out int T;
void main() { P = at; N = normal; C = colour; R = rest; M = int(material + .5); T = int(tag + .5); gl_Position = view * vec4(at, 1.); }
"""

_HEAD = """#version 330
#define NL LIGHTS
#define NS SHADOWS
#define TAPS 9
"""

_SHADOW = """
uniform sampler2D still_map[NS]; uniform sampler2D moving_map[NS]; uniform mat4 shadow_view[NS]; uniform vec2 shadow_range[NS];
float lookup(sampler2D map, vec3 u, float bias) {
#if TAPS == 1
  return textureLod(map, u.xy, 0.).r + bias < u.z ? 0. : 1.;
#else
  float lit = 0.; vec2 t = 1.6 / vec2(textureSize(map, 0));
  for (int i = -1; i <= 1; i++) for (int j = -1; j <= 1; j++) lit += textureLod(map, u.xy + vec2(i, j) * t, 0.).r + bias < u.z ? 0. : 1.;
  return lit / 9.;
#endif
}
// which: 1 the still room's shadows, 2 those of what moves, 3 both
float shadow(int k, vec3 p, int which) {
  vec4 q = shadow_view[k] * vec4(p, 1.);
  if (q.w <= 0.) return 1.;
  vec3 u = q.xyz / q.w * .5 + .5;
  if (u.x < 0. || u.y < 0. || u.x > 1. || u.y > 1.) return 1.;
  float n = shadow_range[k].x, f = shadow_range[k].y;
  float bias = .03 * f * n / ((f - n) * q.w * q.w) * max(1., q.w * .12);
  float lit = 1.;
  if (k == 0) { if ((which & 1) != 0) lit = min(lit, lookup(still_map[0], u, bias)); if ((which & 2) != 0) lit = min(lit, lookup(moving_map[0], u, bias)); }
  else { if ((which & 1) != 0) lit = min(lit, lookup(still_map[1], u, bias)); if ((which & 2) != 0) lit = min(lit, lookup(moving_map[1], u, bias)); }
  return lit;
}
"""

_NOISE = """
float hash(vec3 p) { p = fract(p * .3183099 + .1); p *= 17.; return fract(p.x * p.y * p.z * (p.x + p.y + p.z)); }
float noise(vec3 x) { vec3 i = floor(x), f = fract(x); f = f * f * (3. - 2. * f);
  return mix(mix(mix(hash(i), hash(i + vec3(1, 0, 0)), f.x), mix(hash(i + vec3(0, 1, 0)), hash(i + vec3(1, 1, 0)), f.x), f.y),
             mix(mix(hash(i + vec3(0, 0, 1)), hash(i + vec3(1, 0, 1)), f.x), mix(hash(i + vec3(0, 1, 1)), hash(i + vec3(1, 1, 1)), f.x), f.y), f.z); }
float cloud(vec3 x) { return .57 * noise(x) + .29 * noise(x * 2.1) + .14 * noise(x * 4.3); }
"""

_SURFACE = (
    """
uniform vec3 eye; uniform int only; uniform int which;  // only: -1 all lights, 0.. that light, NL the bounced light
uniform vec3 light_at[NL]; uniform vec3 light_colour[NL]; uniform vec2 falloff[NL]; uniform int shadow_of[NL]; uniform vec4 cone[NL];
uniform float gain[NL]; uniform float bounced;
"""
    + _SHADOW
    + _NOISE
    + """
vec3 lit(vec3 P, vec3 N, vec3 C, vec3 R, int M, int T) {
  vec3 n = normalize(N), v = normalize(eye - P), c = C; float shine = .04, gloss = 16.;
  if (dot(n, v) < 0. && M > 3) n = -n;
  if (M < 4) {  // bodies: the folds of cloth come as a slope in R, their pattern in the colour
    n = normalize(n - R); shine = M == 1 ? .01 : M == 2 ? .08 : M == 3 ? .12 : .04; gloss = M == 2 ? 24. : 12.; }
  else if (M == 4) {  // tiles, 45 cm
    vec2 t = P.xy / .45, f = abs(fract(t) - .5); float grout = smoothstep(.47, .495, max(f.x, f.y));
    c *= (.88 + .14 * hash(vec3(floor(t), 3.))) * (.85 + .3 * cloud(P * 6.)); c = mix(c, c * .55, grout); shine = .2; gloss = 30.; }
  else if (M == 5) { c *= (.90 + .20 * cloud(P * 1.7)) * (.97 + .06 * noise(P * 60.)); c = mix(c, vec3(.20, .19, .18), smoothstep(.11, .10, P.z)); }
  else if (M == 8) { c *= .75 + .5 * noise(P * 45.) * cloud(P * 3.); shine = .06; }
  else if (M == 9) { vec2 w = vec2(P.x + P.y, P.z) / vec2(.5, .24); w.x += .5 * mod(floor(w.y), 2.); vec2 f = abs(fract(w) - .5);
    c *= (.84 + .28 * hash(vec3(floor(w), 5.))) * (.88 + .24 * cloud(P * 9.)); c = mix(c, c * .72, smoothstep(.44, .49, max(f.x - .02, f.y))); }
  else { shine = .3; gloss = 40.; c *= .96 + .08 * noise(P * 20.); }
  if (M == 7) return C * (only == -1 ? gain[T] : (only == T ? 1. : 0.));
  vec3 sum = vec3(0.);
  if (only == -1 || only == NL) sum += c * (only == -1 ? bounced : 1.) * mix(.62, 1., n.z * .5 + .5);
  for (int i = 0; i < NL; i++) {
    if (only != -1 && only != i) continue;
    float level = only == -1 ? gain[i] : 1.; if (level <= 0.) continue;
    vec3 l = light_at[i] - P; float d2 = dot(l, l); l /= sqrt(d2);
    if (cone[i].w > 0.) { float along = dot(-l, cone[i].xyz), wide = sqrt(max(0., 1. - along * along)) / max(along, .01); level *= along > 0. ? smoothstep(cone[i].w, .7 * cone[i].w, wide) : 0.; }
    float nl = max(dot(n, l), 0.); if (nl <= 0. || level <= 0.) continue;
    float clear = shadow_of[i] >= 0 ? shadow(shadow_of[i], P + .03 * normalize(N), which) : 1.;
    vec3 h = normalize(l + v);
    sum += light_colour[i] * level * clear / (falloff[i].x + falloff[i].y * d2) * (c * nl + shine * pow(max(dot(n, h), 0.), gloss));
  }
  return sum;
}
"""
)

PER_PIXEL = (
    _HEAD
    + "in vec3 P; in vec3 N; in vec3 C; in vec3 R; flat in int M; flat in int T; out vec4 o;\n"
    + _SURFACE
    + """
void main() { o = vec4(lit(P, N, C, R, M, T), 1.); }
"""
)

# Bodies have more vertices than pixels: lighting the vertices is many times cheaper in software.
PER_VERTEX = (
    _HEAD.replace("TAPS 9", "TAPS 1")
    + """uniform mat4 view;
in vec3 at; in vec3 normal; in vec3 colour; in vec3 rest; in float material; in float tag; out vec3 L;
"""
    + _SURFACE
    + """
void main() { L = lit(at, normal, colour, rest, int(material + .5), 0); gl_Position = view * vec4(at, 1.); }
"""
)
PLAIN = "#version 330\nin vec3 L; out vec4 o;\nvoid main() { o = vec4(L, 1.); }"

WHERE = """#version 330
in vec3 P; in vec3 N; flat in int M; out vec4 o;
void main() { o = vec4(P, N.z > .7 && P.z < .06 ? 1. : 0.); }
"""

QUAD = """#version 330
in vec2 at; out vec2 uv; void main() { uv = at * .5 + .5; gl_Position = vec4(at, 0., 1.); }
"""

# layers: the bounced light and the lights without shadows, each with its brightness in it; then each light with shadows.
COMPOSE = (
    _HEAD
    + """
uniform sampler2D where_map; uniform sampler2DArray layers; uniform int moving;
uniform vec4 blob[12]; uniform int blobs;
in vec2 uv; out vec4 o;
"""
    + _SHADOW
    + """
void main() {
  ivec2 at = ivec2(gl_FragCoord.xy);
  vec4 w = texelFetch(where_map, at, 0); vec3 p = w.xyz;
  float dim = 1.;
  if (w.w > .5) for (int i = 0; i < blobs; i++) { vec2 d = (p.xy - blob[i].xy) / blob[i].z; float d2 = dot(d, d); if (d2 < 6.) dim *= 1. - blob[i].w * exp(-d2); }
  vec3 sum = texelFetch(layers, ivec3(at, 0), 0).rgb * dim;
  for (int k = 0; k < NS; k++)
    sum += texelFetch(layers, ivec3(at, k + 1), 0).rgb * (moving > k ? shadow(k, p, 2) : 1.);
  o = vec4(sum, 1.);
}
"""
)

DEPTH_VERTEX = "#version 330\nuniform mat4 view; in vec3 at; void main() { gl_Position = view * vec4(at, 1.); }"
DEPTH = "#version 330\nvoid main() {}"
TAG_VERTEX = """#version 330
uniform mat4 view; in vec3 at; in float tag; flat out float T; void main() { T = tag; gl_Position = view * vec4(at, 1.); }
"""
TAG = "#version 330\nflat in float T; out vec4 o; void main() { o = vec4(T / 255., 0., 0., 1.); }"


def sized(source: str) -> str:
    """The source with the numbers of lights and shadow maps filled in."""
    return source.replace("LIGHTS", str(MAX_LIGHTS)).replace("SHADOWS", str(MAX_SHADOWS))
