"""Suppressed observations in kiosk.db, so that "why was there no alert?" has an answer after a restart too."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from edge.suppressions import Suppression
from edge.types import Observation, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.alerts.database import Database

_TRIM_BEYOND = 100  # rows are trimmed by the hundred, to spare the card


class SuppressionStore:
    """The suppressions' memory.

    :param run: names this start of the service: suppressions are numbered from 1 at each start.
    :param keep: how many are kept.
    :param again_s: a suppression that goes on is written again when it is this much longer, seconds of the wall clock.
    """

    def __init__(self, database: Database, *, run: str = "", keep: int = 2_000, again_s: float = 60.0) -> None:
        self._database = database
        self._run = run
        self._keep = keep
        self._again_s = again_s
        self._written: dict[int, Suppression] = {}

    def save(self, suppressions: Iterable[Suppression], *, all_of_them: bool = False) -> int:
        """Write what is new, or has grown for a while (``all_of_them``: at all); returns how many were written.

        :raises OutboxError: nothing was stored; the next call tries again.
        """
        now = list(suppressions)
        due = [s for s in now if self._is_due(s, all_of_them=all_of_them)]
        if not due:
            return 0
        with self._database.transaction() as db:
            db.executemany(
                "INSERT INTO suppressions (run, number, camera, rule, zone, severity, reason, since_utc, last_utc,"
                " count, what, value, threshold, unit) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
                " ON CONFLICT (run, number) DO UPDATE SET severity = excluded.severity, last_utc = excluded.last_utc,"
                " count = excluded.count, what = excluded.what, value = excluded.value,"
                " threshold = excluded.threshold, unit = excluded.unit",
                [self._row(s) for s in due],
            )
            (kept,) = db.execute("SELECT COUNT(*) FROM suppressions").fetchone()
            if kept > self._keep + _TRIM_BEYOND:
                db.execute(
                    "DELETE FROM suppressions WHERE seq <="
                    " (SELECT seq FROM suppressions ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                    (self._keep,),
                )
        known = {s.number for s in now}
        self._written = {n: s for n, s in self._written.items() if n in known} | {s.number: s for s in due}
        return len(due)

    def since(self, utc: datetime, *, limit: int = 500) -> list[Suppression]:
        """Those that were still going on at ``utc`` or later, in the order in which they began; the newest ``limit``.

        :raises OutboxError: the database cannot be read.
        """
        with self._database.reading() as db:
            rows = db.execute(
                "SELECT number, camera, rule, zone, severity, reason, since_utc, last_utc, count, what, value,"
                " threshold, unit FROM suppressions WHERE last_utc >= ? ORDER BY seq DESC LIMIT ?",
                (utc.isoformat(), limit),
            ).fetchall()
        return [_suppression(row) for row in reversed(rows)]

    def _is_due(self, one: Suppression, *, all_of_them: bool) -> bool:
        known = self._written.get(one.number)
        if known is None:
            return True
        grown_s = abs((one.t_utc - known.t_utc).total_seconds())
        return one.severity != known.severity or (one.count != known.count and (all_of_them or grown_s > self._again_s))

    def _row(self, one: Suppression) -> tuple[object, ...]:
        return (
            self._run,
            one.number,
            one.camera,
            one.rule,
            one.zone,
            one.severity.label,
            one.reason,
            one.since_utc.isoformat(),
            one.t_utc.isoformat(),
            one.count,
            one.peak.what,
            float(one.peak.value),
            float(one.peak.threshold),
            one.peak.unit,
        )


def _suppression(row: tuple[object, ...]) -> Suppression:
    number, camera, rule, zone, severity, reason, since, last, count, what, value, threshold, unit = row
    level = Severity.of(str(severity))
    peak = Observation(
        camera=str(camera),
        rule=str(rule),
        zone=str(zone),
        severity=level,
        track_ids=(),
        t_mono_s=0.0,
        what=str(what),
        value=float(str(value)),
        threshold=float(str(threshold)),
        unit=str(unit),
    )
    return Suppression(
        number=int(str(number)),
        camera=peak.camera,
        rule=peak.rule,
        zone=peak.zone,
        severity=level,
        reason=str(reason),
        since_utc=datetime.fromisoformat(str(since)),
        t_utc=datetime.fromisoformat(str(last)),
        count=int(str(count)),
        peak=peak,
    )
