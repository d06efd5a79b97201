"""OpenGL in software: a still room lit once, light by light, and what moves drawn into it frame by frame."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from export.scenes import shaders
from export.scenes.errors import RendererUnavailable
from export.scenes.light import MAX_LIGHTS, MAX_SHADOWS, Light
from export.scenes.mesh import COLUMNS, POSITION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.types import F32, I64, U8
    from export.scenes.view import View

_SAMPLES = 4
_SHADOW_PX = 1024
TAG_SCALE = 2
"""Masks of who is where are drawn at this multiple of the picture's size."""


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that moves. ``vertices`` (V, COLUMNS); ``faces`` (F, 3), or None: every three vertices a triangle."""

    vertices: F32
    faces: I64 | None = None


@dataclass(frozen=True, slots=True)
class Lamps:
    """How bright everything is at a moment. ``gain``: one per light; ``bounced``: the light that comes from all sides."""

    gain: tuple[float, ...]
    bounced: float


class Renderer:
    """Draws one room. Creating it starts an OpenGL context; use it in one thread of one process.

    :raises RendererUnavailable: moderngl or Mesa's EGL is missing.
    """

    def __init__(self, *, width: int = 640, height: int = 360) -> None:
        self.width, self.height = width, height
        try:
            gl: Any = importlib.import_module("moderngl")
            self._gl = gl
            self._ctx: Any = gl.create_context(standalone=True, backend="egl")
        except Exception as error:
            raise RendererUnavailable(
                f"No OpenGL context could be made: {error}",
                hint="Install the extra (pip install 'kiosk-guard[scenes]') and Mesa (apt-get install libegl1 libgl1-mesa-dri).",
            ) from error
        ctx = self._ctx
        self._pixel = ctx.program(shaders.VERTEX, shaders.sized(shaders.PER_PIXEL))
        self._vertex = ctx.program(shaders.sized(shaders.PER_VERTEX), shaders.PLAIN)
        self._where = ctx.program(shaders.VERTEX, shaders.WHERE)
        self._depth = ctx.program(shaders.DEPTH_VERTEX, shaders.DEPTH)
        self._tag = ctx.program(shaders.TAG_VERTEX, shaders.TAG)
        self._compose = ctx.program(shaders.QUAD, shaders.sized(shaders.COMPOSE))
        self._quad = ctx.simple_vertex_array(
            self._compose, ctx.buffer(np.array([-1, -1, 3, -1, -1, 3], np.float32).tobytes()), "at"
        )
        size = (width, height)
        self._still = self._multisampled(size)
        self._canvas = self._multisampled(size)
        self._plain = ctx.framebuffer([ctx.texture(size, 4, dtype="f2")])
        self._places = ctx.texture(size, 4, dtype="f4")
        self._places.filter = (gl.NEAREST, gl.NEAREST)
        self._layers = ctx.texture_array((*size, MAX_SHADOWS + 1), 4, dtype="f2")
        self._layers.filter = (gl.NEAREST, gl.NEAREST)
        big = (width * TAG_SCALE, height * TAG_SCALE)
        self._tags = ctx.framebuffer([ctx.renderbuffer(big, 1, dtype="f1")], ctx.depth_renderbuffer(big))
        self._tags_still = ctx.framebuffer([ctx.renderbuffer(big, 1, dtype="f1")], ctx.depth_renderbuffer(big))
        self._maps = {kind: [self._shadow_map() for _ in range(MAX_SHADOWS)] for kind in ("still", "moving")}
        self._indices: dict[int, tuple[I64, Any]] = {}
        ctx.enable(gl.DEPTH_TEST)
        ctx.disable(gl.CULL_FACE)

    def _multisampled(self, size: tuple[int, int]) -> Any:
        ctx = self._ctx
        return ctx.framebuffer(
            [ctx.renderbuffer(size, 4, samples=_SAMPLES, dtype="f2")], ctx.depth_renderbuffer(size, samples=_SAMPLES)
        )

    def _shadow_map(self) -> tuple[Any, Any]:
        texture = self._ctx.depth_texture((_SHADOW_PX, _SHADOW_PX))
        texture.compare_func = ""
        texture.filter = (self._gl.NEAREST, self._gl.NEAREST)
        texture.repeat_x = texture.repeat_y = False
        return texture, self._ctx.framebuffer([], texture)

    def room(self, still: F32, lights: Sequence[Light], view: View) -> None:
        """Light the still room for this view; every ``frame`` afterwards is drawn into it.

        :param still: the room's triangles (3T, COLUMNS).
        :raises ValueError: more lights, or more lights with shadows, than the shader has room for.
        """
        throwing = [i for i, light in enumerate(lights) if light.spread > 0]
        if len(lights) > MAX_LIGHTS or len(throwing) > MAX_SHADOWS:
            raise ValueError(
                f"{len(lights)} lights, {len(throwing)} with shadows: at most {MAX_LIGHTS} and {MAX_SHADOWS}"
            )
        self._lights, self._throwing = list(lights), throwing
        self._matrix = view.matrix.T.astype("f4").tobytes()
        self._mixed: Lamps | None = None
        buffer = self._ctx.buffer(np.ascontiguousarray(still, np.float32).tobytes())
        self._set_lights(view)
        self._draw_shadows("still", [(buffer, None)])
        self._bind_maps(self._pixel)
        self._pixel["which"].value = 1
        self._pixel["view"].write(self._matrix)
        self._lit: list[F32] = []
        for layer in [*range(len(lights)), MAX_LIGHTS]:
            self._still.use()
            self._still.clear()
            self._pixel["only"].value = layer
            self._draw(self._pixel, buffer, None)
            self._ctx.copy_framebuffer(self._plain, self._still)
            raw = np.frombuffer(self._plain.read(components=4, dtype="f2"), np.float16)
            self._lit.append(raw.reshape(self.height, self.width, 4).astype(np.float32))
        places = self._ctx.framebuffer([self._places], self._ctx.depth_renderbuffer((self.width, self.height)))
        places.use()
        places.clear()
        self._where["view"].write(self._matrix)
        self._draw(self._where, buffer, None)
        places.release()
        self._tags_still.use()
        self._tags_still.clear()
        self._tag["view"].write(self._matrix)
        self._ctx.fbo = self._tags_still
        self._tags_still.color_mask = (False, False, False, False)
        self._draw(self._tag, buffer, None)
        self._tags_still.color_mask = (True, True, True, True)
        buffer.release()

    def frame(self, things: Sequence[Thing], lamps: Lamps, blobs: Sequence[tuple[float, float, float, float]]) -> F32:
        """The picture in linear light, float32 (H, W, 3) RGB.

        ``blobs``: soft contact shadows on the floor: x, y, radius (metres), strength 0..1.
        """
        drawn = [self._upload(t) for t in things]
        self._draw_shadows("moving", drawn)
        self._mix(lamps)
        self._ctx.copy_framebuffer(self._canvas, self._still)
        self._canvas.use()
        self._ctx.disable(self._gl.DEPTH_TEST)
        self._layers.use(4)
        self._places.use(5)
        compose = self._compose
        compose["layers"].value, compose["where_map"].value = 4, 5
        compose["moving"].value = len(self._throwing) if drawn else 0
        few = list(blobs)[:12]
        compose["blobs"].value = len(few)
        compose["blob"].value = [tuple(b) for b in few] + [(0.0, 0.0, 1.0, 0.0)] * (12 - len(few))
        self._bind_maps(compose)
        self._quad.render()
        self._ctx.enable(self._gl.DEPTH_TEST)
        for program in (self._pixel, self._vertex):
            program["only"].value, program["which"].value = -1, 3
            program["gain"].value = [*lamps.gain, *[0.0] * (MAX_LIGHTS - len(lamps.gain))]
            program["bounced"].value = lamps.bounced
            program["view"].write(self._matrix)
            self._bind_maps(program)
        for buffer, index in drawn:
            self._draw(self._pixel if index is None else self._vertex, buffer, index)
        self._ctx.copy_framebuffer(self._plain, self._canvas)
        raw = np.frombuffer(self._plain.read(components=3, dtype="f2"), np.float16)
        for buffer, _ in drawn:
            buffer.release()
        return raw.reshape(self.height, self.width, 3)[::-1].astype(np.float32)

    def tags(self, things: Sequence[Thing], *, behind_room: bool = True) -> U8:
        """Which tag is foremost at each pixel, uint8 at ``TAG_SCALE`` times the size, 0: none.

        ``behind_room`` False leaves out what the room hides.
        """
        if behind_room:
            self._ctx.copy_framebuffer(self._tags, self._tags_still)
            self._tags.use()
        else:
            self._tags.use()
            self._tags.clear()
        self._tag["view"].write(self._matrix)
        for thing in things:
            buffer, index = self._upload(thing)
            self._draw(self._tag, buffer, index)
            buffer.release()
        raw = np.frombuffer(self._tags.read(components=1, dtype="f1"), np.uint8)
        return raw.reshape(self.height * TAG_SCALE, self.width * TAG_SCALE)[::-1]

    def close(self) -> None:
        self._ctx.release()

    def _upload(self, thing: Thing) -> tuple[Any, Any]:
        buffer = self._ctx.buffer(np.ascontiguousarray(thing.vertices, np.float32).tobytes())
        if thing.faces is None:
            return buffer, None
        key = id(thing.faces)
        if key not in self._indices:
            self._indices[key] = (thing.faces, self._ctx.buffer(thing.faces.astype("i4").tobytes()))
        return buffer, self._indices[key][1]

    def _draw(self, program: Any, buffer: Any, index: Any) -> None:
        fields = (("at", "3f"), ("normal", "3f"), ("colour", "3f"), ("rest", "3f"), ("material", "1f"), ("tag", "1f"))
        layout = " ".join(size if name in program else f"{4 * int(size[0])}x" for name, size in fields)
        names = [name for name, _ in fields if name in program]
        array = self._ctx.vertex_array(program, [(buffer, layout, *names)], index)
        array.render()
        array.release()

    def _draw_shadows(self, kind: str, drawn: Sequence[tuple[Any, Any]]) -> None:
        for slot, light in enumerate(self._throwing):
            _, target = self._maps[kind][slot]
            target.use()
            target.clear(depth=1.0)
            self._depth["view"].write(self._lights[light].matrix.T.astype("f4").tobytes())
            for buffer, index in drawn:
                self._draw(self._depth, buffer, index)

    def _bind_maps(self, program: Any) -> None:
        for base, kind in ((0, "still"), (MAX_SHADOWS, "moving")):
            for slot, (texture, _) in enumerate(self._maps[kind]):
                texture.use(base + slot)
            if f"{kind}_map" in program:
                program[f"{kind}_map"].value = list(range(base, base + MAX_SHADOWS))

    def _set_lights(self, view: View) -> None:
        lights, spare = self._lights, MAX_LIGHTS - len(self._lights)
        cones = []
        for li in lights:
            ahead = np.array(li.target) - np.array(li.position)
            ahead = ahead / np.linalg.norm(ahead)
            cones.append((*map(float, ahead), li.cone))
        for p in (self._pixel, self._vertex):
            p["eye"].value = view.eye
            p["light_at"].value = [li.position for li in lights] + [(0.0, 0.0, 9.0)] * spare
            p["light_colour"].value = [tuple(c * li.intensity for c in li.colour) for li in lights] + [
                (0.0, 0.0, 0.0)
            ] * spare
            p["falloff"].value = [li.falloff for li in lights] + [(1.0, 1.0)] * spare
            p["cone"].value = cones + [(0.0, 0.0, -1.0, 0.0)] * spare
            p["shadow_of"].value = [self._throwing.index(i) if i in self._throwing else -1 for i in range(MAX_LIGHTS)]
        views = [lights[i].matrix for i in self._throwing] + [np.eye(4)] * (MAX_SHADOWS - len(self._throwing))
        ranges = [(lights[i].near, lights[i].far) for i in self._throwing] + [(0.1, 1.0)] * (
            MAX_SHADOWS - len(self._throwing)
        )
        for program in (self._pixel, self._vertex, self._compose):
            program["shadow_view"].write(np.stack([m.T for m in views]).astype("f4").tobytes())
            program["shadow_range"].value = ranges

    def _mix(self, lamps: Lamps) -> None:
        """Sum the still room's lights at their brightness; done again only when a lamp changes."""
        if lamps == self._mixed:
            return
        self._mixed = lamps
        base = self._lit[-1] * lamps.bounced
        for i, gain in enumerate(lamps.gain):
            if i not in self._throwing and gain > 0:
                base = base + self._lit[i] * gain
        layers = [base, *(self._lit[i] * lamps.gain[i] for i in self._throwing)]
        layers += [np.zeros_like(base)] * (MAX_SHADOWS + 1 - len(layers))
        self._layers.write(np.stack(layers).astype(np.float16).tobytes())


def floor_blob(vertices: F32, strength: float = 0.5) -> tuple[float, float, float, float]:
    """A soft contact shadow under something: x, y, radius, strength, from what is near the floor."""
    low = vertices[:, POSITION]
    low = low[low[:, 2] < 0.25]
    if len(low) == 0 or vertices.shape[1] != COLUMNS:
        return 0.0, 0.0, 1.0, 0.0
    centre = (low[:, :2].min(0) + low[:, :2].max(0)) / 2
    reach = float(np.clip(np.linalg.norm(low[:, :2] - centre, axis=1).max() + 0.12, 0.25, 0.9))
    return float(centre[0]), float(centre[1]), reach, strength
