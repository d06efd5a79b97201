"""Whether the configuration's file still says what the service works with."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from edge.errors import KioskError
from edge.health.checks import ConfigFacts, check_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.health.interface import Check


class ConfigWatch:
    """Looks at the file every few seconds, and reads it only when it has changed.

    :param path: the file as it was when this is built is the one in use.
    :param try_load: reads and checks the file; raises a ``KioskError`` that names its faults.
    """

    def __init__(self, path: Path, *, try_load: Callable[[], object]) -> None:
        self._path = path
        self._try_load = try_load
        self._stat = self._signature()
        self._in_use = self._digest()
        self._facts = ConfigFacts(str(path))

    def look(self) -> None:
        """Waits for the disk: for a thread that may."""
        now = self._signature()
        if now == self._stat:
            return
        self._stat = now
        faults = ""
        try:
            self._try_load()
        except KioskError as error:
            faults = " ".join(str(error).split())
        self._facts = ConfigFacts(str(self._path), changed=self._digest() != self._in_use, faults=faults)

    def check(self) -> Check:
        """As of the last look."""
        return check_config(self._facts)

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            stat = self._path.stat()
        except OSError:
            return None
        return stat.st_ino, stat.st_mtime_ns, stat.st_size

    def _digest(self) -> bytes:
        try:
            return hashlib.sha256(self._path.read_bytes()).digest()
        except OSError:
            return b""
