"""Incidents as a technician sees them: what happened, what the desk was told, which pictures there are."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from edge.alerts.mail_words import title
from edge.app.commissioning import smaller
from edge.errors import KioskError
from edge.health.acts import VERDICTS, ActRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.alerts.incident_store import IncidentStore
    from edge.alerts.outbox import Outbox
    from edge.alerts.outbox_rows import Entry
    from edge.alerts.verdict_store import VerdictStore
    from edge.alerts.viewing import PictureDesk
    from edge.clock import Clock
    from edge.suppressions import Suppression
    from edge.types import Incident

ROLES = ("annotated", "closeup", "clean", "sheet")
_SMALL_WIDTH = 240
_SMALL_KEPT = 64
_FRESH_S = 1.5  # several who look at the page share one look at the card


class IncidentViews:
    """Reads the stores; counts nothing, changes nothing but verdicts.

    :param evidence: the folder of the pictures.
    """

    def __init__(
        self,
        *,
        store: IncidentStore,
        outbox: Outbox,
        verdicts: VerdictStore,
        desk: PictureDesk,
        evidence: Path,
        clock: Clock,
    ) -> None:
        self._store = store
        self._outbox = outbox
        self._verdicts = verdicts
        self._desk = desk
        self._evidence = evidence
        self._clock = clock
        self._lock = threading.Lock()
        self._looked: tuple[float, int, list[dict[str, Any]]] = (-1e9, 0, [])
        self._small: OrderedDict[str, bytes] = OrderedDict()

    def latest(self, limit: int) -> list[dict[str, Any]]:
        """As ``Acts.incidents``. :raises OutboxError: the database cannot be read."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            at_s, had, known = self._looked
            if now_s - at_s > _FRESH_S or had != limit:
                known = self._described(self._store.recent(limit))
                self._looked = (now_s, limit, known)
            return known

    def one(self, incident_id: str) -> dict[str, Any]:
        """As ``Acts.incident``. :raises ActRefused: unknown."""
        return self._described([self._known(incident_id)])[0]

    def verdict(self, incident_id: str, verdict: str, *, who: str) -> dict[str, Any]:
        """Store what somebody says of it. :raises ActRefused: unknown, or no verdict."""
        if verdict not in {*VERDICTS, ""}:
            raise ActRefused(
                f"verdict {verdict[:20]!r}", hint=f'allowed: {", ".join(VERDICTS)}, or "" to take it back', status=400
            )
        self._verdicts.give(incident_id, verdict, rule=self._known(incident_id).rule, who=who)
        with self._lock:
            self._looked = (-1e9, 0, [])
        return {"incident_id": incident_id, "verdict": verdict}

    def picture(self, incident_id: str, *, role: str, small: bool, who: str) -> bytes:
        """A picture as JPEG; one that is not small is on record as viewed. :raises ActRefused: there is none."""
        if role not in ROLES:
            raise ActRefused(f"role {role[:20]!r}", hint=f"allowed: {', '.join(ROLES)}", status=400)
        paths = [p for p in self._desk.pictures_of(incident_id) if _role(p) == role]
        if not paths:
            raise ActRefused(
                f"incident {incident_id[:80]!r} has no {role} picture",
                hint="It may have been removed by age, or the camera gave none.",
                status=404,
            )
        first = min(paths, key=self._stored_at)  # the opening's; one of the end shows an empty lobby
        return self._thumbnail(first) if small else self._desk.read(incident_id, first, who=who)

    def _thumbnail(self, path: str) -> bytes:
        with self._lock:
            known = self._small.get(path)
        if known is None:
            try:
                known = smaller((self._evidence / path).read_bytes(), _SMALL_WIDTH)
            except OSError as error:
                raise ActRefused(f"{path} cannot be read: {error.strerror}", status=404) from None
            with self._lock:
                self._small[path] = known
                while len(self._small) > _SMALL_KEPT:
                    self._small.popitem(last=False)
        return known

    def _stored_at(self, path: str) -> float:
        try:
            return (self._evidence / path).stat().st_mtime
        except OSError:
            return math.inf

    def _known(self, incident_id: str) -> Incident:
        found = self._store.get(incident_id)
        if found is None:
            raise ActRefused(
                f"there is no incident {incident_id[:80]!r}",
                hint="Mails and `kiosk-guard why` name incidents.",
                status=404,
            )
        return found

    def _described(self, incidents: Sequence[Incident]) -> list[dict[str, Any]]:
        verdicts = self._verdicts.of([i.incident_id for i in incidents])
        mails = self._outbox.about(i.incident_id for i in incidents)
        return [self._description(i, verdicts.get(i.incident_id, ""), mails[i.incident_id]) for i in incidents]

    def _description(self, incident: Incident, verdict: str, mails: Sequence[Entry]) -> dict[str, Any]:
        peak = incident.peak
        try:
            roles = {_role(path) for path in self._desk.pictures_of(incident.incident_id)}
        except (OSError, KioskError):
            roles = set()
        return {
            "id": incident.incident_id,
            "camera": incident.camera,
            "rule": incident.rule,
            "title": title(incident.rule),
            "zone": incident.zone,
            "severity": incident.severity.label,
            "opened": incident.opened_utc.isoformat(timespec="seconds"),
            "closed": incident.closed_utc.isoformat(timespec="seconds") if incident.closed_utc else None,
            "what": f"{peak.what} {peak.value:.3g} {peak.unit}, limit {peak.threshold:.3g}",
            "close_reason": incident.close_reason,
            "test": verdict == "test",
            "verdict": verdict,
            "pictures": [role for role in ROLES if role in roles],
            "told": "; ".join(_mail(m) for m in mails) or "no mail on record",
        }


def suppressed(latest: Callable[[], Sequence[Suppression]], limit: int) -> list[dict[str, Any]]:
    """Why there was no alert, newest first."""
    return [
        {
            "since": one.since_utc.isoformat(timespec="seconds"),
            "camera": one.camera,
            "rule": one.rule,
            "title": title(one.rule),
            "zone": one.zone,
            "severity": one.severity.label,
            "reason": one.reason,
            "count": one.count,
        }
        for one in reversed(list(latest())[-limit:])
    ]


def _role(path: str) -> str:
    return path.rpartition("/")[2].partition("-")[0]


def _mail(entry: Entry) -> str:
    step = entry.alert.kind if entry.alert else "damaged"
    if entry.delivered_utc is not None:
        return f"mail ({step}) delivered {entry.delivered_utc:%H:%M:%S} UTC"
    return f"mail ({step}) {entry.state}" + (f": {entry.last_error.partition(chr(10))[0]}" if entry.last_error else "")
