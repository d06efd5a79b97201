"""Blind time in kiosk.db: seconds per reason, the last sign of life, and the gaps that it shows after a start."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from edge.alerts.database import Database
    from edge.clock import Clock

POWER, STOPPED, UPGRADE = "power", "stopped", "upgrade"
_KEEP = 200
_COLUMNS = (
    "number, reason, from_utc, from_synced, until_utc, until_synced, until_boot_id, until_mono_s, seconds, clean, told"
)


@dataclass(frozen=True, slots=True)
class Gap:
    """A time without the service, found when it started.

    ``from_utc``: the last sign of life; ``until_utc``: the start, by the clock of then; ``*_synced``: whether that clock
    was right. ``seconds`` is None while nobody knows how long it was. ``clean``: the service had been told to stop.
    """

    number: int
    reason: str
    from_utc: datetime
    from_synced: bool
    until_utc: datetime
    until_synced: bool
    until_boot_id: str
    until_mono_s: float
    seconds: float | None
    clean: bool
    told: bool


class BlindStore:
    """Reads and writes them. Each write is one transaction, synced: call it a few times an hour.

    :param boot_id: this boot's identifier; "" if unknown, then every start counts as that of another boot.
    """

    def __init__(self, database: Database, *, clock: Clock, boot_id: str) -> None:
        self._database = database
        self._clock = clock
        self._boot_id = boot_id

    def totals(self) -> dict[str, float]:
        """Seconds per reason, since the first start of all. :raises OutboxError: cannot be read."""
        with self._database.reading() as db:
            return {str(reason): float(s) for reason, s in db.execute("SELECT reason, seconds FROM blind_seconds")}

    def begin(self, *, version: str) -> Gap | None:
        """The service starts: note the gap since the last sign of life, if there was one, and give a sign.

        :param version: of this software; another one than before means that the gap was an upgrade's.
        :raises OutboxError: not stored.
        """
        with self._database.transaction() as db:
            last = db.execute("SELECT boot_id, mono_s, utc, synced, clean, version FROM alive").fetchone()
            number = None if last is None else self._note_gap(db, last, version)
            self._sign(db, clean=False, version=version)
            found = [] if number is None else self._load(db, "WHERE number = ?", (number,))
        return found[0] if found else None

    def save(self, seconds: Mapping[str, float], *, clean: bool, version: str) -> None:
        """Add to the totals, and give a sign of life. ``clean``: it is the last one. :raises OutboxError: not stored."""
        with self._database.transaction() as db:
            for reason, more in seconds.items():
                self._add(db, reason, more)
            self._sign(db, clean=clean, version=version)

    def open_gaps(self) -> list[Gap]:
        """Gaps that were not told or whose length is not known yet, oldest first. :raises OutboxError: cannot be read."""
        with self._database.reading() as db:
            return self._load(db, "WHERE told = 0 OR seconds IS NULL ORDER BY number", ())

    def since(self, utc: datetime) -> list[Gap]:
        """Gaps that ended after ``utc``, oldest first. :raises OutboxError: cannot be read."""
        with self._database.reading() as db:
            return self._load(db, "WHERE until_utc >= ? ORDER BY number", (utc.isoformat(),))

    def settle(self, gap: Gap) -> Gap:
        """Work out how long it was, now that the clock may be right; unchanged where it cannot be told.

        :raises OutboxError: not stored.
        """
        if gap.seconds is not None or not gap.from_synced:
            return gap
        until, sure = gap.until_utc, gap.until_synced
        if not sure and gap.until_boot_id == self._boot_id != "" and self._clock.synchronised():
            ago_s = self._clock.monotonic_s() - gap.until_mono_s
            until, sure = self._clock.utc_now() - timedelta(seconds=ago_s), True
        seconds = (until - gap.from_utc).total_seconds()
        if not sure or seconds < 0:
            return gap
        with self._database.transaction() as db:
            db.execute(
                "UPDATE gaps SET until_utc = ?, until_synced = 1, seconds = ? WHERE number = ? AND seconds IS NULL",
                (until.isoformat(), seconds, gap.number),
            )
            self._add(db, gap.reason, seconds)
            found = self._load(db, "WHERE number = ?", (gap.number,))
        return found[0]

    def mark_told(self, gap: Gap) -> None:
        """The mail about it is queued, or none is due. :raises OutboxError: not stored."""
        with self._database.transaction() as db:
            db.execute("UPDATE gaps SET told = 1 WHERE number = ?", (gap.number,))

    def _note_gap(self, db: sqlite3.Connection, last: tuple[object, ...], version: str) -> int | None:
        boot, mono_s, utc, synced, clean, before = last
        same_boot = boot == self._boot_id != ""
        without_notice = POWER if not clean and not same_boot else STOPPED
        reason = UPGRADE if version != before else without_notice
        now_utc, now_s, now_synced = self._clock.utc_now(), self._clock.monotonic_s(), self._clock.synchronised()
        seconds: float | None = None
        if same_boot:
            seconds = max(0.0, now_s - float(str(mono_s)))
        elif synced and now_synced:
            seconds = (now_utc - datetime.fromisoformat(str(utc))).total_seconds()
            seconds = seconds if seconds >= 0 else None
        if seconds is not None:
            self._add(db, reason, seconds)
        row = db.execute(
            "INSERT INTO gaps (reason, from_utc, from_synced, until_utc, until_synced, until_boot_id, until_mono_s,"
            " seconds, clean, told) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 0)",
            (reason, utc, synced, now_utc.isoformat(), int(now_synced), self._boot_id, now_s, seconds, clean),
        )
        number = row.lastrowid
        db.execute("DELETE FROM gaps WHERE number <= ?", ((number or 0) - _KEEP,))
        return number

    def _sign(self, db: sqlite3.Connection, *, clean: bool, version: str) -> None:
        db.execute(
            "INSERT OR REPLACE INTO alive (id, boot_id, mono_s, utc, synced, clean, version) VALUES (1, ?, ?, ?, ?, ?, ?)",
            (
                self._boot_id,
                self._clock.monotonic_s(),
                self._clock.utc_now().isoformat(),
                int(self._clock.synchronised()),
                int(clean),
                version,
            ),
        )

    @staticmethod
    def _add(db: sqlite3.Connection, reason: str, seconds: float) -> None:
        db.execute(
            "INSERT INTO blind_seconds (reason, seconds) VALUES (?, ?)"
            " ON CONFLICT (reason) DO UPDATE SET seconds = seconds + excluded.seconds",
            (reason, seconds),
        )

    @staticmethod
    def _load(db: sqlite3.Connection, condition: str, values: tuple[object, ...]) -> list[Gap]:
        rows = db.execute(f"SELECT {_COLUMNS} FROM gaps {condition}", values).fetchall()  # noqa: S608 - constants of this class
        return [
            Gap(
                number=int(row[0]),
                reason=str(row[1]),
                from_utc=datetime.fromisoformat(row[2]),
                from_synced=bool(row[3]),
                until_utc=datetime.fromisoformat(row[4]),
                until_synced=bool(row[5]),
                until_boot_id=str(row[6]),
                until_mono_s=float(row[7]),
                seconds=None if row[8] is None else float(row[8]),
                clean=bool(row[9]),
                told=bool(row[10]),
            )
            for row in rows
        ]
