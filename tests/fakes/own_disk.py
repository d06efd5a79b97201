"""A small ext4 of our own, which may be frozen or filled."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def mounted_disk(work: Path, *, size_mib: int = 64) -> Iterator[Path]:
    """Mounted while the block lasts; the test is skipped where that is not allowed. No block is kept back for root."""
    image, folder = work / "disk.img", work / "disk"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(size_mib * 1024**2)
    try:
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(image)], check=True, capture_output=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(folder)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system of our own may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> int:
    """Write a file until the disk does not take one more byte; returns its bytes."""
    size = 0
    with path.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        for chunk in (1024**2, 4096, 1):
            with contextlib.suppress(OSError):
                while True:
                    size += file.write(b"\0" * chunk)
    os.sync()
    return size
