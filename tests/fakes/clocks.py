"""A clock that tests move by hand."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta, timezone

START_UTC = datetime(2026, 3, 1, 2, 0, 0, tzinfo=timezone.utc)


class FakeClock:
    """Implements edge.clock.Clock; time passes only through ``advance`` and ``wait``. Safe to share between threads.

    :param mono_s: first monotonic time, seconds.
    :param utc: first wall-clock time.
    :param synced: what ``synchronised`` answers.
    """

    def __init__(self, *, mono_s: float = 1000.0, utc: datetime = START_UTC, synced: bool = True) -> None:
        self._lock = threading.Lock()
        self._mono_s = mono_s
        self._utc = utc
        self.synced = synced
        self.waits: list[float] = []

    def monotonic_s(self) -> float:
        with self._lock:
            return self._mono_s

    def utc_now(self) -> datetime:
        with self._lock:
            return self._utc

    def synchronised(self) -> bool:
        return self.synced

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Returns at once: the time asked for has passed, unless the event is set already."""
        if event.is_set():
            return True
        self.waits.append(timeout_s)
        self.advance(timeout_s)
        return event.is_set()

    def advance(self, seconds: float) -> None:
        """Let time pass, on both clocks."""
        if seconds < 0:
            raise ValueError("monotonic time does not run backwards; step_wall() moves the wall clock alone")
        with self._lock:
            self._mono_s += seconds
            self._utc += timedelta(seconds=seconds)

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock forward or back (NTP answered); monotonic time stands still."""
        with self._lock:
            self._utc += timedelta(seconds=seconds)

    def reboot(self, *, mono_s: float = 5.0) -> None:
        """Monotonic time starts again, as after a power cut; the wall clock goes on."""
        with self._lock:
            self._mono_s = mono_s
