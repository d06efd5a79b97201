"""Whether a video file was cut off: told by its container's own sizes, never by its frame count, which is often a guess."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

# What stands at the top of an MP4 or MOV file. Anything else may be rubbish at its end, which proves nothing.
_BOXES = frozenset({b"ftyp", b"moov", b"mdat", b"moof", b"free", b"skip", b"wide", b"uuid", b"sidx", b"mfra", b"udta"})


def missing_bytes(path: Path) -> int:
    """How many bytes the file says it has beyond its end; 0: none, or a container that does not tell for sure.

    :raises OSError: it cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF" and head[8:] == b"AVI ":
            return max(0, 8 + int.from_bytes(head[4:8], "little") - size)
        return _beyond(file, size) if head[4:8] in _BOXES else 0


def _beyond(file: BinaryIO, size: int) -> int:
    at = 0
    while at + 8 <= size:
        file.seek(at)
        head = file.read(16)
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            (length,) = struct.unpack(">Q", head[8:])
        if kind not in _BOXES or length < 8:  # 0: up to the end, wherever that is
            return 0
        at += length
    return max(0, at - size)
