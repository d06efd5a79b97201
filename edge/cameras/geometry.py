"""Which Raspberry Pi camera, and how large and fast its pictures: the part of a source string behind ``rpicam:``."""

from __future__ import annotations

import re
from dataclasses import dataclass

PROGRAM = "rpicam-vid"
_FORM = re.compile(
    r"(?:(?P<camera>\d)(?=[,@]|$))?,?(?:(?P<width>\d{2,4})x(?P<height>\d{2,4}))?(?:@(?P<fps>\d{1,2}(?:\.\d)?))?"
)
# The picture's rows are padded in memory to what suits the hardware, and the pipe would carry the padding: a width that
# is a multiple of this needs none, on any board.
_WIDTH_STEP = 128
ALLOWED = (
    "allowed: rpicam:CAMERA,WIDTHxHEIGHT@FPS, each part may be left out (rpicam:0,1280x720@10); CAMERA 0 to 9, "
    f"WIDTH a multiple of {_WIDTH_STEP} from 256 to 4096, HEIGHT even from 144 to 3072, FPS 1 to 60"
)


@dataclass(frozen=True, slots=True)
class Geometry:
    """Camera number; width and height, px; frames per second."""

    camera: int = 0
    width: int = 1280
    height: int = 720
    fps: float = 10.0

    @property
    def frame_bytes(self) -> int:
        """Bytes of one picture as planar YUV 4:2:0."""
        return self.width * self.height * 3 // 2

    def __str__(self) -> str:
        return f"{self.camera},{self.width}x{self.height}@{self.fps:g}"


def parse_geometry(text: str) -> Geometry | None:
    """Read it; None: it is no such thing, or out of range (see ``ALLOWED``)."""
    found = _FORM.fullmatch(text.strip())
    if found is None or text.strip() == ",":
        return None
    given = {key: value for key, value in found.groupdict().items() if value is not None}
    whole = {key: int(value) for key, value in given.items() if key != "fps"}
    geometry = Geometry(**whole, fps=float(given.get("fps", Geometry().fps)))
    good = (
        256 <= geometry.width <= 4096
        and geometry.width % _WIDTH_STEP == 0
        and 144 <= geometry.height <= 3072
        and geometry.height % 2 == 0
        and 1.0 <= geometry.fps <= 60.0
    )
    return geometry if good else None
