"""The outbox's counts in memory, so that health never waits for the disk."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from edge.alerts import outbox_rows as rows
from edge.alerts.outbox_rows import OutboxStats

if TYPE_CHECKING:
    import sqlite3

    from edge.clock import Clock


class OutboxGauge:
    """Read after each change, inside its transaction; answers from any thread.

    :param boot_id: this boot's identifier; monotonic times compare only within it.
    """

    def __init__(self, *, clock: Clock, boot_id: str) -> None:
        self._clock = clock
        self._boot_id = boot_id
        self._lock = threading.Lock()
        self._stats = OutboxStats()
        self._oldest_mono_s: float | None = None
        self._version = -1

    def look(self, db: sqlite3.Connection) -> None:
        """Bring the counts up to date if another process has changed the database; costs next to nothing if none has."""
        (version,) = db.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self.read(db)
            self._version = version  # a change in between is seen by the next look

    def read(self, db: sqlite3.Connection) -> None:
        """Bring the counts up to date."""
        stats, oldest = rows.stats(db)
        oldest_mono_s = None
        if oldest is not None:
            stored_utc, stored_boot_id, stored_mono_s = oldest
            age_s = (self._clock.utc_now() - stored_utc) / timedelta(seconds=1)
            here = stored_boot_id == self._boot_id != ""
            oldest_mono_s = stored_mono_s if here else self._clock.monotonic_s() - max(0.0, age_s)
        with self._lock:
            self._stats, self._oldest_mono_s = stats, oldest_mono_s

    def stats(self) -> OutboxStats:
        """As of the last reading; the age as of now."""
        with self._lock:
            stats, oldest = self._stats, self._oldest_mono_s
        if oldest is None:
            return stats
        return replace(stats, oldest_s=max(0.0, self._clock.monotonic_s() - oldest))
