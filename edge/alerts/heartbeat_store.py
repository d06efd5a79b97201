"""The heartbeat's number and time, kept in kiosk.db across restarts."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from edge.alerts import outbox_changes

if TYPE_CHECKING:
    from edge.alerts.database import Database

_NAME = "heartbeat"


class HeartbeatStore:
    """How many heartbeats there were, and when the last one was."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def last(self) -> tuple[int, datetime | None]:
        """Number and time of the last one; 0 and None before the first. :raises OutboxError: not readable."""
        with self._database.reading() as db:
            row = db.execute("SELECT value, note FROM counters WHERE name = ?", (_NAME,)).fetchone()
        if row is None:
            return 0, None
        try:
            at = datetime.fromisoformat(str(row[1]))
        except ValueError:
            return int(row[0]), None
        return int(row[0]), at if at.tzinfo is not None else None

    def beaten(self, at: datetime) -> None:
        """There was one more. :raises OutboxError: not stored."""
        with self._database.transaction() as db:
            outbox_changes.count(db, _NAME, 1, text=at.isoformat())
