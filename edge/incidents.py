"""From "true now" to "this happened": opening, escalation, closing, cooldown. The only place that decides these.

Takes observations from rules and from any other source (a camera watchdog, later inputs and health) alike. One
incident lives per (camera, rule, zone).
"""

from __future__ import annotations

import queue
import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge.suppressions import Suppression, Suppressions
from edge.types import ChangeKind, Incident, IncidentChange, Observation, Severity, Withheld

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from datetime import datetime

Key = tuple[str, str, str]

_RESTORE_S = 60.0  # after a restart a condition has this long to be seen again
_MOST_LATELY = 200
_GAP_S = 2.0  # between two frames; a longer gap is time in which nobody looked

COOLDOWN = "cooldown"
MAINTENANCE = "maintenance"


@dataclass(slots=True)
class _Open:
    incident: Incident
    last_s: float
    last_utc: datetime
    grace_s: float
    unwatched_s: float = 0.0  # since then
    restored: bool = False
    told: Severity | None = None  # of the alerts that are on disk, the worst

    def seen(self, t_mono_s: float, t_utc: datetime) -> None:
        self.last_s, self.last_utc, self.unwatched_s = t_mono_s, t_utc, 0.0


class Incidents:
    """All incidents of one box.

    :param new_id: makes incident ids, unique for ever.
    :param close_after_s: an incident closes when its condition was not seen for this long, although somebody looked.
    :param cooldown_s: after an incident whose alert was queued has closed, the same rule and zone stays quiet for
        this long, unless the new severity is higher.
    :param close_after_by_rule: exceptions to ``close_after_s``.
    :param never_silenced: rules that are told also while :meth:`silence` holds, but at most as "low": nobody is alarmed,
        and when the silence is over what still holds grows worse.
    """

    def __init__(
        self,
        *,
        new_id: Callable[[], str],
        close_after_s: float,
        cooldown_s: float,
        close_after_by_rule: Mapping[str, float] | None = None,
        never_silenced: Collection[str] = (),
    ) -> None:
        self._new_id = new_id
        self._close_after_s = close_after_s
        self._cooldown_s = cooldown_s
        self._by_rule = dict(close_after_by_rule or {})
        self._never_silenced = frozenset(never_silenced)
        self._open: dict[Key, _Open] = {}
        # Lately closed ones, of which an alert may not be on disk yet: key, quiet until.
        self._lately: dict[str, tuple[Key, float]] = {}
        self._quiet: dict[Key, tuple[float, Severity]] = {}  # until, severity that was told
        self._acknowledged: queue.SimpleQueue[tuple[str, Severity]] = queue.SimpleQueue()
        self._to_end: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
        self._forget_cooldowns = threading.Event()
        self._ending: dict[str, str] = {}  # incident id -> why
        self._suppressions = Suppressions()
        self._looked_s: dict[str, float] = {}  # camera -> when it was last looked at
        self._silenced = ""
        self.opened_total: Counter[tuple[str, str]] = Counter()

    def update(
        self,
        camera: str,
        observations: Sequence[Observation | Withheld],
        *,
        t_mono_s: float,
        t_utc: datetime,
        blind: bool = False,
        always: bool = False,
    ) -> list[IncidentChange]:
        """Take all that is true now for one camera; returns what changed, in order.

        ``blind``: there was no picture to look at, so that nothing else of this camera may be called over.
        ``always``: neither :meth:`silence` nor a cooldown holds these back (somebody presses the panic button).
        """
        self._take_acknowledgements()
        self._count_unwatched(camera, t_mono_s, blind=blind)
        changes = self._end_what_is_to_end(camera, t_mono_s, t_utc)
        silenced = "" if always else self._silenced
        if silenced:
            observations = self._still_told(observations, silenced, t_mono_s, t_utc)
            mine = [key for key in self._open if key[0] == camera and key[1] not in self._never_silenced]
            changes += [self._end(key, silenced, t_mono_s, t_utc) for key in mine]
        for observation in observations:
            if isinstance(observation, Withheld):
                self._suppressions.note(observation.observation, observation.reason, t_mono_s, t_utc)
                if not observation.harmless:
                    self._doubt(observation.observation, t_mono_s, t_utc)
                continue
            if always:
                self._quiet.pop((observation.camera, observation.rule, observation.zone), None)
            change = self._observe(observation, t_mono_s, t_utc)
            if change:
                changes.append(change)
        for key, open_ in [] if blind else list(self._open.items()):
            if key[0] == camera and t_mono_s - open_.last_s - open_.unwatched_s > open_.grace_s:
                reason = "interrupted by a restart" if open_.restored else "condition ended"
                changes.append(self._close(key, reason, t_mono_s, t_utc))
        return changes

    def end(self, incident_ids: Iterable[str], reason: str) -> None:
        """Close these, if they are open, at their camera's next update; any thread.

        No cooldown follows: what is then still true opens as if it had just begun.
        """
        for incident_id in incident_ids:
            self._to_end.put((incident_id, reason))

    def forget_cooldowns(self) -> None:
        """From the next update on nothing is held back because of what happened before; any thread."""
        self._forget_cooldowns.set()

    def silence(self, reason: str) -> None:
        """From the next update on nothing opens, and what is open closes, for this reason; "" ends it. Any thread.

        Except for ``never_silenced``.

        What is then still true opens as if it had just begun.
        """
        self._silenced = reason

    def alert_queued(self, incident_id: str, severity: Severity) -> None:
        """An alert of this incident, of that severity, is safe on disk; from any thread. Only then does a cooldown follow."""
        self._acknowledged.put((incident_id, severity))

    def restore(
        self, incidents: Iterable[Incident], *, sources: Collection[str], t_mono_s: float, t_utc: datetime
    ) -> list[IncidentChange]:
        """Take over incidents that were open before a restart: each goes on if seen again within 60 s of looking.

        :param sources: cameras, and what stands in the place of a camera's name, that there are. What another one saw is over:
            nobody would ever say so.
        """
        changes = []
        for incident in incidents:
            key = (incident.camera, incident.rule, incident.zone)
            self._open[key] = _Open(incident, t_mono_s, t_utc, _RESTORE_S, restored=True, told=incident.severity)
            self._looked_s.setdefault(incident.camera, t_mono_s)  # until its first frame nobody looks
            if incident.camera not in sources:
                changes.append(self._close(key, f"{incident.camera} is not configured any more", t_mono_s, t_utc))
        return changes

    def finish(self, *, reason: str, t_mono_s: float, t_utc: datetime) -> list[IncidentChange]:
        """Close everything: the source is over."""
        self._take_acknowledgements()
        return [self._close(key, reason, t_mono_s, t_utc) for key in list(self._open)]

    @property
    def open_incidents(self) -> tuple[Incident, ...]:
        return tuple(o.incident for o in list(self._open.values()))

    @property
    def suppressions(self) -> tuple[Suppression, ...]:
        """The latest suppressed observations, in the order in which they began."""
        return self._suppressions.latest

    @property
    def suppressed_total(self) -> Counter[str]:
        """How many there were since the start, by reason."""
        return self._suppressions.total

    def _count_unwatched(self, camera: str, t_mono_s: float, *, blind: bool) -> None:
        """What nobody could see is not over for that: a camera that hangs ends nothing."""
        gap_s = t_mono_s - self._looked_s.get(camera, t_mono_s)
        self._looked_s[camera] = t_mono_s
        unwatched_s = gap_s if blind else gap_s - _GAP_S
        if unwatched_s > 0:
            for key, open_ in self._open.items():
                if key[0] == camera:
                    open_.unwatched_s += unwatched_s

    def _still_told(
        self, observations: Sequence[Observation | Withheld], reason: str, t_mono_s: float, t_utc: datetime
    ) -> list[Observation | Withheld]:
        """What is told although the rules are silent; the rest is recorded as suppressed."""
        told: list[Observation | Withheld] = []
        for one in observations:
            if isinstance(one, Observation) and one.rule in self._never_silenced:
                told.append(replace(one, severity=min(one.severity, Severity.LOW)))
            else:
                self._suppressions.note(_seen(one), reason, t_mono_s, t_utc)
        return told

    def _observe(self, seen: Observation, t_mono_s: float, t_utc: datetime) -> IncidentChange | None:
        key = (seen.camera, seen.rule, seen.zone)
        open_ = self._open.get(key)
        if open_ is None:
            return self._maybe_open(key, seen, t_mono_s, t_utc)
        open_.seen(t_mono_s, t_utc)
        open_.grace_s, open_.restored = self._by_rule.get(seen.rule, self._close_after_s), False
        incident = open_.incident
        worse = seen.severity > incident.severity
        if worse or (seen.severity, seen.value) > (incident.peak.severity, incident.peak.value):
            open_.incident = replace(incident, peak=seen, severity=max(seen.severity, incident.severity))
        return IncidentChange(ChangeKind.ESCALATED, open_.incident, t_mono_s, t_utc) if worse else None

    def _doubt(self, seen: Observation, t_mono_s: float, t_utc: datetime) -> None:
        """What nobody can vouch for opens nothing; nor can anybody vouch that what is open is over."""
        open_ = self._open.get((seen.camera, seen.rule, seen.zone))
        if open_ is not None:
            open_.seen(t_mono_s, t_utc)

    def _maybe_open(self, key: Key, seen: Observation, t_mono_s: float, t_utc: datetime) -> IncidentChange | None:
        until, severity = self._quiet.get(key, (t_mono_s, Severity.INFO))
        if t_mono_s < until and seen.severity <= severity:
            self._suppressions.note(seen, COOLDOWN, t_mono_s, t_utc)
            return None
        self._quiet.pop(key, None)
        incident = Incident(
            incident_id=self._new_id(),
            camera=seen.camera,
            rule=seen.rule,
            zone=seen.zone,
            severity=seen.severity,
            opened_utc=t_utc,
            opened_mono_s=t_mono_s,
            closed_utc=None,
            closed_mono_s=None,
            peak=seen,
        )
        grace = self._by_rule.get(seen.rule, self._close_after_s)
        self._open[key] = _Open(incident, t_mono_s, t_utc, grace)
        self.opened_total[(seen.rule, seen.severity.label)] += 1
        return IncidentChange(ChangeKind.OPENED, incident, t_mono_s, t_utc)

    def _close(self, key: Key, reason: str, t_mono_s: float, t_utc: datetime) -> IncidentChange:
        open_ = self._open.pop(key)
        # It ended when its condition was last seen, not when we had waited long enough to believe it.
        closed = replace(open_.incident, closed_utc=open_.last_utc, closed_mono_s=open_.last_s, close_reason=reason)
        until = t_mono_s + self._cooldown_s
        if open_.told is not None:
            self._quiet[key] = (until, open_.told)
        self._lately[closed.incident_id] = (key, until)
        while len(self._lately) > _MOST_LATELY:
            del self._lately[next(iter(self._lately))]
        return IncidentChange(ChangeKind.CLOSED, closed, t_mono_s, t_utc)

    def _end(self, key: Key, reason: str, t_mono_s: float, t_utc: datetime) -> IncidentChange:
        """Close it although its condition may hold: no cooldown follows."""
        change = self._close(key, reason, t_mono_s, t_utc)
        self._quiet.pop(key, None)
        self._lately.pop(change.incident.incident_id, None)
        return change

    def _end_what_is_to_end(self, camera: str, t_mono_s: float, t_utc: datetime) -> list[IncidentChange]:
        while not self._to_end.empty():  # this thread is the only reader
            incident_id, reason = self._to_end.get_nowait()
            self._ending[incident_id] = reason
        if self._forget_cooldowns.is_set():
            self._forget_cooldowns.clear()
            self._quiet.clear()
            self._lately.clear()
        if not self._ending:
            return []
        mine = [k for k, o in self._open.items() if k[0] == camera and o.incident.incident_id in self._ending]
        changes = [self._end(key, self._ending[self._open[key].incident.incident_id], t_mono_s, t_utc) for key in mine]
        still = {o.incident.incident_id for o in self._open.values()}
        self._ending = {i: why for i, why in self._ending.items() if i in still}
        return changes

    def _take_acknowledgements(self) -> None:
        while not self._acknowledged.empty():  # this thread is the only reader
            incident_id, severity = self._acknowledged.get_nowait()
            if incident_id in self._lately:
                key, until = self._lately[incident_id]
                # A later one's alert may have been quicker to the disk; of one's own the worst counts.
                self._quiet[key] = max(self._quiet.get(key, (until, severity)), (until, severity))
            for open_ in self._open.values():
                if open_.incident.incident_id == incident_id:
                    open_.told = severity if open_.told is None else max(open_.told, severity)


def _seen(what: Observation | Withheld) -> Observation:
    return what.observation if isinstance(what, Withheld) else what
