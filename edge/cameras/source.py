"""The one string that names a camera, taken apart; and the same string with its secrets taken out."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from edge.cameras import geometry
from edge.errors import EX_CONFIG, CameraError

ALLOWED = (
    "allowed: a video file (file:PATH or PATH), a V4L2 device (v4l2:0 or /dev/video0), "
    "a Raspberry Pi camera (rpicam:0,1280x720@10), "
    "rtsp://HOST/PATH, rtsps://..., http://... or https://..."
)
_MASK = "***"
_URL_KINDS = ("rtsp", "rtsps", "http", "https")
_MAX_LENGTH = 2048
# Names of URL parameters whose values are no secret and help a technician; every other value is masked, because
# makers put user and password into queries and even into paths (user=admin&password=x&channel=1).
_HARMLESS = frozenset(
    [
        "channel",
        "ch",
        "chn",
        "chid",
        "subtype",
        "stream",
        "streamtype",
        "profile",
        "resolution",
        "width",
        "height",
        "size",
        "fps",
        "framerate",
        "codec",
        "videocodec",
        "transportmode",
        "unicast",
        "multicast",
        "proto",
        "trackid",
        "track",
        "id",
        "camera",
        "cam",
        "quality",
        "compression",
        "action",
        "cmd",
    ]
)
_PARAMETER = re.compile(r"(?P<key>[A-Za-z][A-Za-z0-9]*)=(?P<value>.*?)(?=[&;/?#]|_[A-Za-z]+=|$)")
_URL_IN_TEXT = re.compile(r"\b(?:rtsps?|https?|tcp|tls)://[^\s'\"<>]+", re.IGNORECASE)


class SourceMalformed(CameraError, ValueError):  # noqa: N818 - reads as the fact it states
    """The source string names no camera. Also a ``ValueError``, so that a configuration reader can report it."""

    exit_code = EX_CONFIG


class Kind(str, Enum):
    """How a source is read."""

    FILE = "file"
    V4L2 = "v4l2"
    RTSP = "rtsp"
    HTTP = "http"
    RPICAM = "rpicam"


@dataclass(frozen=True, slots=True)
class Source:
    """Where frames come from.

    ``target`` is what is opened: a path, ``/dev/videoN``, ``CAMERA,WIDTHxHEIGHT@FPS`` of a Raspberry Pi's camera, or the
    URL with its credentials (never log it);
    ``label`` is the same for people, without secrets.
    """

    kind: Kind
    target: str = field(repr=False)
    label: str

    @property
    def live(self) -> bool:
        """Whether it goes on for ever: its end is a loss."""
        return self.kind is not Kind.FILE

    @property
    def place(self) -> str:
        """The host and port of a URL, else the label."""
        if self.kind in (Kind.RTSP, Kind.HTTP):
            return urlsplit(self.label).netloc.rpartition("@")[2]
        return self.label

    def scrub(self, text: str) -> str:
        """``text`` (an error of a library, say) without this source's secrets or any URL's credentials."""
        text = _URL_IN_TEXT.sub(lambda found: redact(found.group()), text)
        for secret in _secrets_of(self.target) if self.kind in (Kind.RTSP, Kind.HTTP) else ():
            text = text.replace(secret, _MASK)
        return text


def parse_source(text: str, *, user: str = "", password: str = "") -> Source:
    """Read a source string.

    :param text: see ``ALLOWED``; a bare number is a V4L2 index; a relative path is taken from the current directory.
    :param user: with ``password``, from a credential store; goes into the URL in place of any that it holds.
    :raises SourceMalformed: it is none of these.
    """
    text = text.strip()
    if not text or len(text) > _MAX_LENGTH or not text.isprintable():
        raise SourceMalformed(
            f"a camera source must be 1 to {_MAX_LENGTH} printable characters, got {len(text)}", hint=ALLOWED
        )
    scheme, colon, rest = text.partition(":")
    scheme = scheme.lower()
    if (text.isascii() and text.isdigit()) or text.startswith("/dev/"):
        return _device(text)
    if colon and scheme == "v4l2":
        return _device(rest)
    if colon and scheme == "rpicam":
        return _rpicam(rest)
    if colon and scheme == "file":
        return _file(rest.removeprefix("//"))
    if colon and scheme in _URL_KINDS:
        return _url(text, user, password)
    if "://" in text:
        raise SourceMalformed(f'camera source "{redact(text)}": {scheme}:// is not supported', hint=ALLOWED)
    return _file(text)


def redact(text: str) -> str:
    """A source string fit for logs: no user, no password, no unknown parameter's value. Anything but a URL is unchanged."""
    if "://" not in text:
        return text
    head, _, tail = text.partition("://")
    # The last "@" decides, wherever it is: a password may hold an unescaped "/", "?" or "@". A path with an "@" of its
    # own loses its host here, which is only a pity.
    userinfo, at, rest = tail.rpartition("@")
    del userinfo
    return f"{head}://{_MASK + at if at else ''}{_PARAMETER.sub(_masked, rest)}"


def _masked(found: re.Match[str]) -> str:
    key, value = found.group("key"), found.group("value")
    return f"{key}={value if key.lower() in _HARMLESS or not value else _MASK}"


def _secrets_of(url: str) -> list[str]:
    """The strings of a URL that must not be seen, longest first; short ones would mask half of every sentence."""
    parts = urlsplit(url)
    userinfo = parts.netloc.rpartition("@")[0]
    password = userinfo.partition(":")[2]
    values = [m.group("value") for m in _PARAMETER.finditer(f"{parts.path}?{parts.query}") if _masked(m) != m.group()]
    found = {s for raw in (userinfo, password, *values) for s in (raw, unquote(raw)) if len(s) >= 4}
    return sorted(found, key=len, reverse=True)


def _file(path: str) -> Source:
    if not path:
        raise SourceMalformed('camera source "file:" names no file', hint=ALLOWED)
    return Source(Kind.FILE, str(Path(path).expanduser().absolute()), path)


def _device(name: str) -> Source:
    name = name.strip()
    if name.isascii() and name.isdigit() and int(name) < 256:
        name = f"/dev/video{int(name)}"
    if not name.startswith("/dev/") or ".." in name.split("/"):
        raise SourceMalformed(
            f'camera source "v4l2:{name}" is no V4L2 device',
            hint="allowed: v4l2:0 to v4l2:255, /dev/videoN, or a link under /dev/v4l/by-id/, which survives replugging",
        )
    return Source(Kind.V4L2, name, name)


def _rpicam(text: str) -> Source:
    found = geometry.parse_geometry(text)
    if found is None:
        raise SourceMalformed(f'camera source "rpicam:{text}" is no Raspberry Pi camera', hint=geometry.ALLOWED)
    return Source(Kind.RPICAM, str(found), f"rpicam:{found}")


def _url(text: str, user: str, password: str) -> Source:
    shown = redact(text)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise SourceMalformed(
            f'camera source "{shown}" is no valid URL',
            hint="allowed: rtsp://USER:PASSWORD@HOST:PORT/PATH; write @ : / ? in a password as %40 %3A %2F %3F",
        ) from error
    if not host or port == 0:
        raise SourceMalformed(f'camera source "{shown}" names no host', hint=ALLOWED)
    if user:
        authority = f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.netloc.rpartition('@')[2]}"
        text = urlunsplit(parts._replace(netloc=authority))
    kind = Kind.RTSP if parts.scheme.lower() in ("rtsp", "rtsps") else Kind.HTTP
    return Source(kind, text, redact(text))
