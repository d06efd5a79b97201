"""Maintenance periods in kiosk.db: begun and ended by a command or by themselves, kept over restarts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

    from edge.alerts.database import Database
    from edge.clock import Clock

ENDED_BY_ITSELF = "its time was over"
REPLACED = "another period was begun"
_KEEP = 500
_COLUMNS = "number, minutes, reason, boot_id, began_mono_s, began_utc, ended_utc, end_reason, told_begin, told_end"


@dataclass(frozen=True, slots=True)
class Period:
    """One stay in maintenance mode. ``ended_utc`` is None while it lasts; ``told_*``: the mail about it is queued."""

    number: int
    minutes: float
    reason: str
    boot_id: str
    began_mono_s: float
    began_utc: datetime
    ended_utc: datetime | None
    end_reason: str
    told_begin: bool
    told_end: bool


class MaintenanceStore:
    """Reads and writes the periods; of several that were begun, the newest counts.

    Within one boot a period is measured on the monotonic clock: setting the wall clock changes nothing. After a
    reboot it goes by the wall clock, and never lasts longer than its stated time from then on.

    :param boot_id: this boot's identifier.
    """

    def __init__(self, database: Database, *, clock: Clock, boot_id: str) -> None:
        self._database = database
        self._clock = clock
        self._boot_id = boot_id

    def begin(self, *, minutes: float, reason: str) -> Period:
        """Begin a period now; one that is running ends. :raises OutboxError: not stored."""
        now_utc = self._clock.utc_now().isoformat()
        with self._database.transaction() as db:
            db.execute(
                "UPDATE maintenance SET ended_utc = ?, end_reason = ? WHERE ended_utc IS NULL", (now_utc, REPLACED)
            )
            row = db.execute(
                "INSERT INTO maintenance (minutes, reason, boot_id, began_mono_s, began_utc) VALUES (?, ?, ?, ?, ?)",
                (minutes, reason, self._boot_id, self._clock.monotonic_s(), now_utc),
            )
            number = row.lastrowid
            db.execute("DELETE FROM maintenance WHERE number <= ?", ((number or 0) - _KEEP,))
            found = self._load(db, "WHERE number = ?", (number,))
        return found[0]

    def end(self, *, reason: str) -> Period | None:
        """End the running period; None: there is none. :raises OutboxError: not stored."""
        running = self.running()
        if running is None:
            return None
        with self._database.transaction() as db:
            db.execute(
                "UPDATE maintenance SET ended_utc = ?, end_reason = ? WHERE number = ? AND ended_utc IS NULL",
                (self._clock.utc_now().isoformat(), reason, running.number),
            )
            found = self._load(db, "WHERE number = ?", (running.number,))
        return found[0]

    def running(self) -> Period | None:
        """The period that was begun and not ended, even if its time is over. :raises OutboxError: cannot be read."""
        with self._database.reading() as db:
            found = self._load(db, "WHERE ended_utc IS NULL ORDER BY number DESC LIMIT 1", ())
        return found[0] if found else None

    def remaining_s(self, period: Period) -> float:
        """Seconds that a running period has left; 0 or less: its time is over."""
        whole_s = 60 * period.minutes
        if period.boot_id == self._boot_id != "":
            return whole_s - (self._clock.monotonic_s() - period.began_mono_s)
        ends = period.began_utc + timedelta(seconds=whole_s)
        return min(whole_s, (ends - self._clock.utc_now()).total_seconds())

    def adopt(self, period: Period) -> None:
        """Put a period of an earlier boot into this boot's terms. :raises OutboxError: not stored."""
        if period.boot_id == self._boot_id != "":
            return
        began_s = self._clock.monotonic_s() - (60 * period.minutes - self.remaining_s(period))
        with self._database.transaction() as db:
            db.execute(
                "UPDATE maintenance SET boot_id = ?, began_mono_s = ? WHERE number = ?",
                (self._boot_id, began_s, period.number),
            )

    def untold(self) -> list[Period]:
        """Periods about whose begin or end no mail is queued yet, oldest first. :raises OutboxError: cannot be read."""
        with self._database.reading() as db:
            condition = "WHERE told_begin = 0 OR (ended_utc IS NOT NULL AND told_end = 0) ORDER BY number"
            return self._load(db, condition, ())

    def mark_told(self, period: Period) -> None:
        """The mails about what is known of this period are queued. :raises OutboxError: not stored."""
        with self._database.transaction() as db:
            db.execute(
                "UPDATE maintenance SET told_begin = 1, told_end = ? WHERE number = ?",
                (int(period.ended_utc is not None), period.number),
            )

    def since(self, utc: datetime) -> list[Period]:
        """Periods that lasted beyond ``utc``, oldest first. :raises OutboxError: cannot be read."""
        with self._database.reading() as db:
            return self._load(db, "WHERE ended_utc IS NULL OR ended_utc >= ? ORDER BY number", (utc.isoformat(),))

    @staticmethod
    def _load(db: sqlite3.Connection, condition: str, values: tuple[object, ...]) -> list[Period]:
        rows = db.execute(
            f"SELECT {_COLUMNS} FROM maintenance {condition}",  # noqa: S608 - constants of this class
            values,
        ).fetchall()
        return [
            Period(
                number=int(row[0]),
                minutes=float(row[1]),
                reason=str(row[2]),
                boot_id=str(row[3]),
                began_mono_s=float(row[4]),
                began_utc=datetime.fromisoformat(row[5]),
                ended_utc=None if row[6] is None else datetime.fromisoformat(row[6]),
                end_reason=str(row[7]),
                told_begin=bool(row[8]),
                told_end=bool(row[9]),
            )
            for row in rows
        ]
