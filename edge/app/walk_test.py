"""The walk test: somebody walks through the lobby and sees each rule fire, while the desk gets no alarm."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from edge import __version__
from edge.alerts.identity import alert_id
from edge.errors import KioskError
from edge.health.acts import ActRefused
from edge.health.interface import Check, Status
from edge.types import Alert, ChangeKind, IncidentChange, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from edge.alerts.incident_store import IncidentStore
    from edge.alerts.interface import Indicator
    from edge.alerts.verdict_store import VerdictStore
    from edge.clock import Clock
    from edge.incidents import Incidents
    from edge.types import EvidenceRef, Incident

log = logging.getLogger(__name__)

RULE = "walk_test"  # of the mails about it
TEST = "test"  # the verdict that its incidents get
MIN_MINUTES, MAX_MINUTES = 1.0, 60.0
# Who presses the button means it, whoever walks through the lobby.
ALWAYS_TOLD = frozenset({"panic"})
_BEGUN, _OVER = "a walk test began", "the walk test is over"


@dataclass(slots=True)
class Tick:
    """A rule that fired: the first incident that shows it, and how many there were."""

    incident_id: str
    first_utc: datetime
    zone: str
    severity: str
    what: str
    pictures: tuple[EvidenceRef, ...]
    fired: int = 1


@dataclass(slots=True)
class Walk:
    """One walk test. ``ended_utc`` None: it runs; ``until_s`` is monotonic."""

    number: str
    began_utc: datetime
    began_s: float
    until_s: float
    minutes: float
    siren: bool
    technician: str
    who: str
    ended_utc: datetime | None = None
    ticks: dict[str, Tick] = field(default_factory=dict)
    incidents: list[str] = field(default_factory=list)


class WalkTest:
    """Decides what is a test, for the siren, the mails and the page. Over at a restart: then everything is in earnest.

    An incident is a test if it opened while the test ran. What was open before is ended at its begin, and what is open
    at its end is ended then, so that whatever is still true opens anew: as a test, and then in earnest.

    :param rules: names of all rules that could fire; ``resting``: those that cannot, and why.
    :param verdicts: test incidents are marked there, so that the mark outlives the service.
    :param enqueue: stores the mails about begin and end; the desk must know that it hears nothing.
    :param write_record: makes the commissioning record of a walk that is over.
    """

    def __init__(
        self,
        *,
        incidents: Incidents,
        verdicts: VerdictStore,
        rules: Sequence[str],
        resting: Mapping[str, str],
        enqueue: Callable[[Alert], object],
        write_record: Callable[[Walk], object],
        clock: Clock,
        boot_id: str,
        model: str,
    ) -> None:
        self._incidents = incidents
        self._verdicts = verdicts
        self._rules = list(rules)
        self._resting = dict(resting)
        self._enqueue = enqueue
        self._write_record = write_record
        self._clock = clock
        self._boot_id = boot_id
        self.model = model
        self._lock = threading.RLock()
        self._walk: Walk | None = None  # the newest; replaced as a whole
        self._unrecorded: list[Walk] = []

    def begin(self, *, minutes: float, siren: bool, technician: str, who: str) -> None:
        """Begin; what is open now ends.

        :raises ActRefused: one is running, or the values are not right.
        :raises OutboxError: the desk cannot be told.
        """
        if not MIN_MINUTES <= minutes <= MAX_MINUTES:
            raise ActRefused(f"minutes = {minutes:g}", hint=f"allowed: {MIN_MINUTES:g} to {MAX_MINUTES:g}", status=400)
        now_s, now_utc = self._clock.monotonic_s(), self._clock.utc_now()
        with self._lock:
            if self._running() is not None:
                raise ActRefused("a walk test is running", hint="End it first, or wait until it is over.")
            walk = Walk(
                f"walk-{now_utc:%Y%m%d-%H%M%S}", now_utc, now_s, now_s + 60 * minutes, minutes, siren, technician, who
            )
            self._enqueue(self._alert(walk, "opened"))
            self._walk = walk
        before = [i.incident_id for i in self._incidents.open_incidents if i.rule not in ALWAYS_TOLD]
        self._incidents.end(before, _BEGUN)
        self._incidents.forget_cooldowns()
        log.warning(
            f"walk test for {minutes:g} min by {technician or who}: the desk gets no alarm",
            extra={"kg": {"event": "walk_test", "on": True, "minutes": minutes, "siren": siren, "who": who}},
        )

    def end(self) -> bool:
        """End it now; False: none is running. Its record is written soon after, by :meth:`chore`."""
        with self._lock:
            walk = self._walk
            if walk is None or walk.ended_utc is not None:
                return False
            walk.until_s = min(walk.until_s, self._clock.monotonic_s())
            walk.ended_utc = min(self._clock.utc_now(), walk.began_utc + timedelta(minutes=walk.minutes))
            self._unrecorded.append(walk)
        still_open = [i.incident_id for i in self._incidents.open_incidents if self.is_test(i)]
        self._incidents.end(still_open, _OVER)
        log.warning(
            f"walk test over: {len(walk.ticks)} of {len(self._rules)} rules fired; alarms are in earnest again",
            extra={"kg": {"event": "walk_test", "on": False, "fired": sorted(walk.ticks)}},
        )
        return True

    def chore(self) -> None:
        """End it when its time is over; tell and record what is over. :raises KioskError: tried again."""
        walk = self._walk
        if walk is not None and walk.ended_utc is None and self._clock.monotonic_s() >= walk.until_s:
            self.end()
        while self._unrecorded:
            over = self._unrecorded[0]
            self._enqueue(self._alert(over, "closed"))  # the same id: a second try stores it once
            self._write_record(over)
            del self._unrecorded[0]

    def is_test(self, incident: Incident) -> bool:
        """Whether this incident opened in the walk test that runs, or ran last."""
        walk = self._walk
        return (
            walk is not None
            and incident.rule not in ALWAYS_TOLD
            and walk.began_s <= incident.opened_mono_s <= walk.until_s
        )

    def mark(self, incident: Incident) -> dict[str, bool]:
        """What a test's record in the incident log has besides."""
        return {"test": True} if self.is_test(incident) else {}

    def leave_out(self, found: Sequence[Incident], store: IncidentStore) -> list[Incident]:
        """Of what was open when the service ended, what is no test; tests are over with the service that ran them.

        :raises OutboxError: the database cannot be read or written.
        """
        verdicts = self._verdicts.of([i.incident_id for i in found])
        now_s, now_utc = self._clock.monotonic_s(), self._clock.utc_now()
        earnest = []
        for incident in found:
            if verdicts.get(incident.incident_id) != TEST:
                earnest.append(incident)
                continue
            over = replace(incident, closed_utc=now_utc, closed_mono_s=now_s, close_reason=_OVER)
            store.save(IncidentChange(ChangeKind.CLOSED, over, now_s, now_utc))
        return earnest

    def gated(
        self, make_alert: Callable[[IncidentChange, tuple[EvidenceRef, ...]], Alert | None]
    ) -> Callable[[IncidentChange, tuple[EvidenceRef, ...]], Alert | None]:
        """What makes the desk's alerts, but for tests; those are ticked off. For the writer's thread."""

        def made(change: IncidentChange, evidence: tuple[EvidenceRef, ...]) -> Alert | None:
            self._tick(change, evidence)
            if not self.is_test(change.incident):
                return make_alert(change, evidence)
            if change.kind is not ChangeKind.CLOSED:
                try:
                    self._verdicts.give(change.incident.incident_id, TEST, rule=change.incident.rule, who="walk test")
                except KioskError as error:  # it is none the less a test
                    log.error(error.message, extra={"kg": {"event": "verdict_unstored"}})  # noqa: TRY400
            return None

        return made

    def quiet(self, indicator: Indicator) -> Indicator:
        """The local alarm, which tests drive only if that was asked for."""
        return _Quiet(indicator, self)

    @property
    def silent(self) -> bool:
        """Whether tests leave the outputs alone."""
        walk = self._walk
        return walk is not None and not walk.siren

    def state(self) -> dict[str, Any]:
        """As ``Acts.walk_test_state``, but for the record."""
        walk = self._walk
        running = self._running()
        ticks = walk.ticks if walk else {}
        return {
            "on": running is not None,
            "remaining_s": round(max(0.0, running.until_s - self._clock.monotonic_s())) if running else 0,
            "siren": walk.siren if walk else False,
            "technician": walk.technician if walk else "",
            "began": walk.began_utc.isoformat(timespec="seconds") if walk else "",
            "rules": [
                {
                    "rule": rule,
                    "fired": ticks[rule].fired if rule in ticks else 0,
                    "first": ticks[rule].first_utc.isoformat(timespec="seconds") if rule in ticks else None,
                    "incident_id": ticks[rule].incident_id if rule in ticks else "",
                    "resting": self._resting.get(rule, ""),
                }
                for rule in [*self._rules, *(r for r in ticks if r not in self._rules)]
            ],
        }

    def check(self) -> Check:
        """For health: meanwhile the desk is told nothing."""
        running = self._running()
        if running is None:
            return Check("walk_test", Status.PASS, "", "off")
        left = max(0.0, running.until_s - self._clock.monotonic_s()) / 60
        words = f"the desk gets no alarm for {left:.0f} min more, but from the panic button"
        return Check("walk_test", Status.WARN, words, round(left, 1), "min")

    def _running(self) -> Walk | None:
        walk = self._walk
        over = walk is None or walk.ended_utc is not None or self._clock.monotonic_s() >= walk.until_s
        return None if over else walk

    def _tick(self, change: IncidentChange, evidence: tuple[EvidenceRef, ...]) -> None:
        walk, incident = self._walk, change.incident
        if walk is None or not walk.began_s <= incident.opened_mono_s <= walk.until_s:
            return
        if change.kind is not ChangeKind.OPENED:
            return
        with self._lock:
            walk.incidents.append(incident.incident_id)
            known = walk.ticks.get(incident.rule)
            if known:
                known.fired += 1
                return
            peak = incident.peak
            walk.ticks[incident.rule] = Tick(
                incident.incident_id,
                incident.opened_utc,
                incident.zone,
                incident.severity.label,
                f"{peak.what} {peak.value:.3g} {peak.unit}, limit {peak.threshold:.3g}",
                evidence,
            )

    def _alert(self, walk: Walk, kind: str) -> Alert:
        ended = walk.ended_utc if kind == "closed" else None
        lasted = walk.minutes if ended is None else (ended - walk.began_utc).total_seconds() / 60
        fired = ", ".join(sorted(walk.ticks)) or "none"
        return Alert(
            alert_id=alert_id(walk.number, kind, Severity.INFO),
            kind=kind,
            incident_id=walk.number,
            severity=Severity.INFO,
            camera="",
            rule=RULE,
            zone="",
            opened_utc=walk.began_utc,
            closed_utc=ended,
            created_utc=self._clock.utc_now(),
            created_mono_s=self._clock.monotonic_s(),
            boot_id=self._boot_id,
            clock_synced=self._clock.synchronised(),
            what=f"of walk test by {walk.technician or walk.who}",
            value=round(lasted, 1),
            threshold=walk.minutes,
            unit="min",
            model=self.model,
            software=f"kiosk-guard {__version__}",
            extra=(("Rules that fired", fired),) if ended else (),
        )


class _Quiet:
    """Implements ``edge.alerts.interface.Indicator``: hides tests from it."""

    def __init__(self, indicator: Indicator, walk_test: WalkTest) -> None:
        self._indicator = indicator
        self._walk_test = walk_test

    def show(self, open_incidents: Collection[Incident], *, now_s: float) -> None:
        if self._walk_test.silent:
            open_incidents = [i for i in open_incidents if not self._walk_test.is_test(i)]
        self._indicator.show(open_incidents, now_s=now_s)

    def levels(self) -> dict[str, bool]:
        return self._indicator.levels()

    def close(self) -> None:
        self._indicator.close()
