"""Space kept back on the disk for the day on which something else has filled it: alerts are stored all the same."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)

RESERVE_NAME = "reserve"
RESERVE_BYTES = 4 * 1024**2  # a new database with its log, and some thousand alerts without pictures


class Reserve:
    """A file that is there for its size.

    :param leave_bytes: free space that must be left beside it when it is made.
    """

    def __init__(self, folder: Path, *, size_bytes: int = RESERVE_BYTES, leave_bytes: int = 64 * 1024**2) -> None:
        self._path = folder / RESERVE_NAME
        self._size_bytes = size_bytes
        self._leave_bytes = leave_bytes

    def keep(self) -> None:
        """Make it, unless it is there or the disk is nearly full; that it cannot be made is no trouble by itself."""
        with contextlib.suppress(OSError):
            if self._path.exists() and self._path.stat().st_size == self._size_bytes:
                return
            if shutil.disk_usage(self._path.parent).free < self._size_bytes + self._leave_bytes:
                return
            try:
                with self._path.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, self._size_bytes)  # takes the room and writes nothing
            except OSError:
                self._path.unlink(missing_ok=True)

    def release(self) -> bool:
        """Give its room to whoever needs it; False: there was none."""
        try:
            self._path.unlink()
        except OSError:
            return False
        log.error(
            f"the disk is full: {self._size_bytes // 1024**2} MiB that were kept back are used for alerts",
            extra={"kg": {"event": "reserve_released", "bytes": self._size_bytes}},
        )
        return True
