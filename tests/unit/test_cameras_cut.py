"""A recording that was copied half is told; what is whole, or does not tell, never is."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from edge.cameras.cut import missing_bytes

CLIPS = sorted((Path(__file__).parents[1] / "clips").glob("*.mp4"))
DEMO = Path(__file__).parents[2] / "firmware_config" / "demo" / "lobby.mp4"


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(content), kind) + content


@pytest.mark.parametrize("clip", [*CLIPS[:5], DEMO], ids=lambda clip: clip.stem)
@pytest.mark.parametrize("lost", [0, 1, 5000])
def test_of_an_mp4_it_is_known_to_the_byte(clip: Path, lost: int, tmp_path: Path) -> None:
    content = clip.read_bytes()
    copy = tmp_path / clip.name
    copy.write_bytes(content[: len(content) - lost])
    assert missing_bytes(copy) == lost


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        (b"", 0),
        (b"no video", 0),
        (b"\x1a\x45\xdf\xa3 a webm file tells no size for sure", 0),
        (box(b"ftyp", b"isom") + struct.pack(">I4s", 0, b"mdat") + b"to the end", 0),
        (box(b"ftyp", b"isom") + box(b"mdat", b"x" * 40) + b"\xff\xff\xff\xffjunk behind it", 0),
        (box(b"ftyp", b"isom") + struct.pack(">I4sQ", 1, b"mdat", 5_000_000_000) + b"x" * 84, 4_999_999_900),
        (b"RIFF" + struct.pack("<I", 100) + b"AVI " + b"x" * 46, 50),
        (b"RIFF" + struct.pack("<I", 0) + b"AVI " + b"x" * 46, 0),
    ],
)
def test_what_the_container_says(content: bytes, missing: int, tmp_path: Path) -> None:
    clip = tmp_path / "clip"
    clip.write_bytes(content)
    assert missing_bytes(clip) == missing
