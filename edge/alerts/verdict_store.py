"""What the desk said of incidents: true, false, or a test; in kiosk.db, counted."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.alerts.database import Database
    from edge.clock import Clock


class VerdictStore:
    """One verdict an incident; the last one counts.

    :raises OutboxError: the database cannot be read.
    """

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._lock = threading.Lock()
        with database.reading() as db:
            rows = db.execute("SELECT rule, verdict, COUNT(*) FROM verdicts GROUP BY rule, verdict").fetchall()
        self._counts: Counter[tuple[str, str]] = Counter({(str(r), str(v)): int(n) for r, v, n in rows})

    def give(self, incident_id: str, verdict: str, *, rule: str, who: str) -> None:
        """Store it; "" takes it back. :raises OutboxError: not stored."""
        with self._lock:
            with self._database.transaction() as db:
                before = db.execute(
                    "SELECT rule, verdict FROM verdicts WHERE incident_id = ?", (incident_id,)
                ).fetchone()
                if verdict:
                    db.execute(
                        "INSERT INTO verdicts (incident_id, rule, verdict, who, at_utc) VALUES (?, ?, ?, ?, ?)"
                        " ON CONFLICT (incident_id) DO UPDATE SET verdict = excluded.verdict, who = excluded.who,"
                        " at_utc = excluded.at_utc",
                        (incident_id, rule, verdict, who, self._clock.utc_now().isoformat()),
                    )
                else:
                    db.execute("DELETE FROM verdicts WHERE incident_id = ?", (incident_id,))
            if before is not None:
                self._counts[str(before[0]), str(before[1])] -= 1
            if verdict:
                self._counts[rule if before is None else str(before[0]), verdict] += 1

    def of(self, incident_ids: Collection[str]) -> dict[str, str]:
        """The verdicts on these incidents, where there is one. :raises OutboxError: cannot be read."""
        ids = list(incident_ids)
        with self._database.reading() as db:
            marks = ", ".join("?" * len(ids))
            rows = db.execute(
                f"SELECT incident_id, verdict FROM verdicts WHERE incident_id IN ({marks})",  # noqa: S608 - marks only
                ids,
            ).fetchall()
        return {str(i): str(v) for i, v in rows}

    def counts(self) -> dict[tuple[str, str], int]:
        """(rule, verdict) -> how many incidents; from memory."""
        with self._lock:
            return {key: n for key, n in self._counts.items() if n}
