"""The running service and its model: takes a newly installed one between two frames, tries it, and takes it back."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from edge import __version__
from edge.alerts.identity import alert_id
from edge.errors import DetectorError, KioskError
from edge.health.interface import Check, Status
from edge.models.store import MAX_STARTS, ModelStore, StoreBusy
from edge.models.switches import SHIPPED, Switch
from edge.models.trial import Pulse, Trial
from edge.types import Alert, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from edge.app.present_model import PresentModel
    from edge.clock import Clock
    from edge.detect.interface import Detector

log = logging.getLogger(__name__)

RULE = "model"  # in the mail
_EVERY_S = 2.0
_PATIENCE_S = 5.0


def open_model(store: ModelStore, load: Callable[[str], Detector]) -> tuple[Detector, str]:
    """The model to begin with, and its name in the store.

    One that cannot be loaded, or with which the service went down too often on trial, is given up for the one before;
    at the end stands the shipped one.

    :param load: builds the detector of an installed model, ``SHIPPED`` included.
    :raises DetectorError: not even the shipped one can be loaded.
    """
    while True:
        name, latest = store.current(), store.latest()
        fault = latest.reason if latest and latest.state == "failed" else ""  # a power cut in the middle of a way back
        if latest and latest.state == "trial":
            if latest.starts >= MAX_STARTS:
                fault = f"the service went down {latest.starts} times while it was on trial"
            else:
                with store.changing(patience_s=_PATIENCE_S):
                    store.amend(latest.but(starts=latest.starts + 1))
        if not fault:
            try:
                return load(name), name
            except DetectorError as error:
                if name == SHIPPED:
                    raise
                fault = error.message.splitlines()[0]
        log.error(
            f"the installed model {name} is given up: {fault}",
            extra={"kg": {"event": "model_given_up", "model": name, "why": fault}},
        )
        with store.changing(patience_s=_PATIENCE_S):
            store.give_up(fault)


def ended_in_order(store: ModelStore) -> None:
    """The service ends, and not by a crash: that is no fault of a model on trial."""
    try:
        latest = store.latest()
        if latest and latest.state == "trial" and latest.starts:
            with store.changing(patience_s=_PATIENCE_S):
                store.amend(latest.but(starts=latest.starts - 1))
    except KioskError as error:
        log.warning(f"the model's trial: {error.message}", extra={"kg": {"event": "model_unknown"}})


class ModelWatch:
    """Follows ``current`` in the store.

    :param present: the detector that the box holds on to.
    :param name: the model in it, as the store names it.
    :param load: builds the detector of an installed model.
    :param exchanged: told after every exchange: rules and labels follow.
    :param pulse: what the trial is judged by.
    :param enqueue: stores a mail; raises ``OutboxError``, then it is tried again.
    :param record: adds to the incident log; raises ``StateError``.
    """

    def __init__(
        self,
        *,
        store: ModelStore,
        present: PresentModel,
        name: str,
        load: Callable[[str], Detector],
        exchanged: Callable[[], None],
        pulse: Callable[[], Pulse],
        enqueue: Callable[[Alert], None],
        record: Callable[[str, Mapping[str, Any]], object],
        trial_s: float,
        clock: Clock,
        boot_id: str,
    ) -> None:
        self._store = store
        self._present = present
        self._name = name
        self._load = load
        self._exchanged = exchanged
        self._pulse = pulse
        self._enqueue = enqueue
        self._record = record
        self._trial_s = trial_s
        self._clock = clock
        self._boot_id = boot_id
        self._since: datetime = clock.utc_now()
        self._trial: Trial | None = None
        self._last: Switch | None = None
        self._fault = ""
        self._error = ""
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look once, then every few seconds in a thread of its own."""
        self._last = self._store.latest()
        if self._last and self._last.state == "trial":
            self._begin_trial(slow_before=False)
        self._present.rescue = self._rescue
        self.look()
        self._thread = threading.Thread(target=self._run, name="model", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_PATIENCE_S)

    def look(self) -> None:
        """One look at store and pulse. Never raises: what fails is logged once and tried again."""
        with self._lock:
            try:
                self._look()
            except StoreBusy:
                return  # a command is at it, and in a moment it is not
            except KioskError as error:
                if error.message != self._error:
                    log.error(  # noqa: TRY400 - the message says it all
                        f"models: {error.message}", extra={"kg": {"event": "model_unknown", "error": error.message}}
                    )
                self._error = error.message
            else:
                self._error = ""

    def check(self) -> Check:
        """For health: which model runs, and since when; that it is on trial, or that one was given up."""
        trial, last = self._trial, self._last
        if self._error:
            return Check("installed_model", Status.WARN, self._error)
        since = f"{self._present.model} since {self._since:%Y-%m-%d %H:%M:%S} UTC"
        if trial is not None:
            left_min = trial.left_s(self._clock.monotonic_s()) / 60
            return Check("installed_model", Status.PASS, f"{since}; on trial for {left_min:.0f} min more", self._word())
        if last is not None and last.failed:
            return Check("installed_model", Status.WARN, f"{last.failed} was given up: {last.why}", self._word())
        return Check("installed_model", Status.PASS, since, self._word())

    def _look(self) -> None:
        if self._fault:  # the model failed on a frame, and the one before has taken over already
            self._give_up(self._fault)
            self._fault = ""
        current = self._store.current()
        if current != self._name:
            self._follow(current)
        elif self._trial is not None:
            verdict = self._trial.look(self._clock.monotonic_s(), self._pulse())
            if verdict.fault:
                self._give_up(verdict.fault)
                self._follow(self._store.current())
            elif verdict.over:
                self._passed()
        self._last = self._store.latest()
        self._tell()

    def _follow(self, name: str) -> None:
        """Take the model that is current now. One that cannot be loaded is given up; the old one runs meanwhile."""
        if name == self._name:
            return
        try:
            detector = self._load(name)
        except KioskError as error:
            self._give_up(error.message.splitlines()[0])
            if self._store.current() != name:
                self._follow(self._store.current())
            return
        latest = self._store.latest()
        slow_before = self._pulse().slow
        self._exchange(detector, name)
        self._trial = None
        if latest and latest.to == name and latest.state == "trial":
            self._begin_trial(slow_before=slow_before)

    def _exchange(self, detector: Detector, name: str) -> None:
        before = self._present.model
        self._present.take(detector)
        self._name = name
        self._since = self._clock.utc_now()
        self._exchanged()
        log.warning(
            f"model {detector.model} runs now, {before} until now",
            extra={
                "kg": {"event": "model_exchanged", "model": detector.model, "before": before, "folder": self._word()}
            },
        )

    def _begin_trial(self, *, slow_before: bool) -> None:
        self._trial = Trial(
            began_s=self._clock.monotonic_s(),
            trial_s=self._trial_s,
            frames=self._pulse().frames,
            slow_before=slow_before,
        )

    def _passed(self) -> None:
        latest = self._store.latest()
        if latest and latest.to == self._name and latest.state == "trial":
            with self._store.changing():
                self._store.amend(latest.but(state="good", starts=0))
        self._trial = None
        log.info(f"model {self._present.model} has proved itself", extra={"kg": {"event": "model_proved"}})

    def _give_up(self, why: str) -> None:
        with self._store.changing(patience_s=_PATIENCE_S):
            failed = self._store.give_up(why).failed
        self._trial = None
        log.error(
            f"model {failed} is given up: {why}", extra={"kg": {"event": "model_given_up", "model": failed, "why": why}}
        )

    def _rescue(self, error: DetectorError) -> bool:
        """In the pipeline's thread: the model on trial failed on a frame. The one before judges that frame."""
        with self._lock:
            if self._trial is None or self._fault:
                return False
            for name in dict.fromkeys((self._store.way_back(), SHIPPED)):
                try:
                    detector = self._load(name)
                except KioskError:  # the next one may do
                    continue
                self._fault = error.message.splitlines()[0]
                self._trial = None
                self._exchange(detector, name)
                return True
            return False

    def _tell(self) -> None:
        """The mails that are due about models that were given up, those of an earlier run included."""
        for switch in self._store.switches():
            if not switch.told:
                self._record(
                    "model", {"action": "given up", "model": switch.failed, "why": switch.why, "to": switch.to}
                )
                self._enqueue(self._alert(switch))
                with self._store.changing():
                    self._store.amend(switch.but(told=True))

    def _alert(self, switch: Switch) -> Alert:
        incident_id, now = f"model-{switch.number}-{switch.utc}", self._clock.utc_now()
        return Alert(
            alert_id=alert_id(incident_id, "opened", Severity.LOW),
            kind="opened",
            incident_id=incident_id,
            severity=Severity.LOW,
            camera="",
            rule=RULE,
            zone="",
            opened_utc=now,
            closed_utc=None,
            created_utc=now,
            created_mono_s=self._clock.monotonic_s(),
            boot_id=self._boot_id,
            clock_synced=self._clock.synchronised(),
            what=f"model given up: {switch.failed}",
            value=1.0,
            threshold=0.0,
            unit="",
            model=self._present.model,
            software=f"kiosk-guard {__version__}",
            extra=(("Given up", switch.failed), ("Because", switch.why), ("Runs now", self._present.model)),
        )

    def _word(self) -> str:
        return self._name or "shipped"

    def _run(self) -> None:
        while not self._clock.wait(self._stop, _EVERY_S):
            self.look()
