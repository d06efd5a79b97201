"""Incidents, open and closed, in kiosk.db: a restart continues what was open, and "why" can look back."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from edge.alerts.alert_json import decode_incident, encode_incident

if TYPE_CHECKING:
    from typing import Any

    from edge.alerts.database import Database
    from edge.clock import Clock
    from edge.types import Incident, IncidentChange

log = logging.getLogger(__name__)


class IncidentStore:
    """The incidents' memory across restarts.

    :param boot_id: this boot's identifier; an incident's monotonic times compare only within it.
    :param keep_closed: closed incidents kept.
    """

    def __init__(self, database: Database, *, clock: Clock, boot_id: str, keep_closed: int = 5_000) -> None:
        self._database = database
        self._clock = clock
        self._boot_id = boot_id
        self._keep_closed = keep_closed

    def save(self, change: IncidentChange) -> None:
        """Store the incident as it stands after the change. :raises OutboxError: not stored."""
        incident = change.incident
        closed = incident.closed_utc is not None
        with self._database.transaction() as db:
            # One that is closed stays closed: a late "opened" must not bring it back.
            db.execute(
                "INSERT INTO incidents (incident_id, closed, payload, boot_id) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (incident_id) DO UPDATE SET closed = excluded.closed, payload = excluded.payload,"
                " boot_id = excluded.boot_id WHERE incidents.closed <= excluded.closed",
                (incident.incident_id, int(closed), encode_incident(incident), self._boot_id),
            )
            if closed:
                db.execute(
                    "DELETE FROM incidents WHERE closed = 1 AND seq <="
                    " (SELECT seq FROM incidents WHERE closed = 1 ORDER BY seq DESC LIMIT 1 OFFSET ?)",
                    (self._keep_closed,),
                )

    def load_open(self) -> list[Incident]:
        """Incidents open when the service last ran, oldest first, in this boot's monotonic terms.

        :raises OutboxError: the database cannot be read.
        """
        return self._load("WHERE closed = 0 ORDER BY seq", ())

    def recent(self, limit: int = 50) -> list[Incident]:
        """The latest incidents, newest first. :raises OutboxError: the database cannot be read."""
        return self._load("ORDER BY seq DESC LIMIT ?", (limit,))

    def get(self, incident_id: str) -> Incident | None:
        """One incident, None if unknown. :raises OutboxError: the database cannot be read."""
        found = self._load("WHERE incident_id = ?", (incident_id,))
        return found[0] if found else None

    def _load(self, condition: str, values: tuple[Any, ...]) -> list[Incident]:
        with self._database.reading() as db:
            rows = db.execute(
                f"SELECT seq, payload, boot_id FROM incidents {condition}",  # noqa: S608 - constants of this class
                values,
            ).fetchall()
        incidents: list[Incident] = []
        for seq, payload, boot_id in rows:
            try:
                incident = decode_incident(str(payload))
            except ValueError as error:
                log.error(  # noqa: TRY400 - the message says it all
                    f"a stored incident cannot be read and is left out: row {seq}: {error}",
                    extra={"kg": {"event": "incident_unreadable", "seq": seq, "error": str(error)}},
                )
                continue
            incidents.append(incident if boot_id == self._boot_id != "" else self._adopt(incident))
        return incidents

    def _adopt(self, incident: Incident) -> Incident:
        """An incident of an earlier boot, with monotonic times of this one, as well as the wall clock allows."""
        now_s, now_utc = self._clock.monotonic_s(), self._clock.utc_now()

        def mono(age: timedelta) -> float:
            return now_s - max(0.0, age / timedelta(seconds=1))

        opened_mono_s = mono(now_utc - incident.opened_utc)
        offset_s = opened_mono_s - incident.opened_mono_s
        return replace(
            incident,
            opened_mono_s=opened_mono_s,
            closed_mono_s=None if incident.closed_utc is None else mono(now_utc - incident.closed_utc),
            peak=replace(incident.peak, t_mono_s=incident.peak.t_mono_s + offset_s),
        )
