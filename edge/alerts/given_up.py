"""What the outbox gives up: its bounds, and the count of what went, which health shows and the next mail tells."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

from edge.alerts import outbox_changes as changes
from edge.alerts import outbox_rows as rows
from edge.alerts.outbox_rows import DELIVERED

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from edge.alerts.database import Database
    from edge.alerts.outbox_gauge import OutboxGauge
    from edge.clock import Clock

log = logging.getLogger(__name__)


class GivenUp:
    """Alerts that will not be delivered.

    :param gauge: brought up to date after each change.
    :param max_items: undelivered alerts kept at the most; beyond it the lowest severity goes first, then the oldest.
    :param max_bytes: the same bound on the alerts' text, in bytes.
    :param max_age_s: undelivered alerts older than this are dropped; 0: never. Measured on a synchronised clock only.
    """

    def __init__(
        self,
        database: Database,
        gauge: OutboxGauge,
        *,
        clock: Clock,
        max_items: int,
        max_bytes: int,
        max_age_s: float,
    ) -> None:
        self._database = database
        self._gauge = gauge
        self._clock = clock
        self._max_items = max_items
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s

    def make_room(self, db: sqlite3.Connection) -> list[str]:
        """Within the caller's transaction, until the bounds hold; returns the ids of what went."""
        return changes.make_room(db, max_items=self._max_items, max_bytes=self._max_bytes)

    @staticmethod
    def tell(alert_ids: Iterable[str]) -> None:
        """The log names what had to make room."""
        for gone in alert_ids:
            log.error(
                f"the outbox is full: alert {gone} was dropped",
                extra={"kg": {"event": "alert_dropped", "alert_id": gone, "reason": "outbox full"}},
            )

    def expire(self) -> int:
        """Drop undelivered alerts older than ``max_age_s``; returns how many. :raises OutboxError: not stored."""
        # A clock that was never set proves no age: after a power cut everything would look 50 years old, or fresh.
        if self._max_age_s <= 0 or not self._clock.synchronised():
            return 0
        before = (self._clock.utc_now() - timedelta(seconds=self._max_age_s)).isoformat()
        with self._database.transaction() as db:
            done = db.execute(
                "DELETE FROM outbox WHERE state != ? AND stored_synced = 1 AND stored_utc < ?", (DELIVERED, before)
            ).rowcount
            if done:
                changes.count_dropped(db, done, rows.TOO_OLD)
                self._gauge.read(db)
        if done:
            log.error(
                f"{done} undelivered alerts grew too old and were dropped",
                extra={"kg": {"event": "alert_dropped", "count": done, "reason": "too old"}},
            )
        return done

    def untold(self) -> int:
        """Alerts that were dropped and that no mail has told yet. :raises OutboxError: the database cannot be read."""
        with self._database.reading() as db:
            return max(0, rows.counted(db, "dropped") - rows.counted(db, "dropped_told"))

    def never_stored(self, number: int) -> None:
        """So many never got here: the disk was too slow, or took nothing for too long. :raises OutboxError: not counted."""
        with self._database.transaction() as db:
            changes.count_dropped(db, number, rows.NEVER_STORED)
            self._gauge.read(db)

    def told(self, number: int) -> None:
        """A mail has told so many. :raises OutboxError: not stored; they are told again."""
        with self._database.transaction() as db:
            changes.count(db, "dropped_told", number)
