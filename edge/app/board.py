"""What the health endpoint answers: facts gathered by one slow thread, verdicts made from memory."""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.alerts.outbox_rows import BY_HAND
from edge.errors import KioskError
from edge.health.checks import (
    CameraFacts,
    DiskFacts,
    GpioFacts,
    InferenceFacts,
    MachineFacts,
    OutboxFacts,
    check_camera,
    check_clock,
    check_disk,
    check_frame_age,
    check_gpio,
    check_inference,
    check_mail,
    check_memory,
    check_model,
    check_outbox,
    check_temperature,
)
from edge.health.interface import Check, Report, Status
from edge.health.machine import read_disk, read_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edge.alerts.incident_store import IncidentStore
    from edge.alerts.interface import Indicator
    from edge.alerts.outbox import Outbox
    from edge.alerts.outbox_rows import OutboxStats
    from edge.alerts.worker import DeliveryWorker
    from edge.alerts.writer import WriterWorker
    from edge.app.maintenance import MaintenanceKeeper
    from edge.cameras.interface import Camera
    from edge.clock import Clock
    from edge.pipeline import Pipeline
    from edge.suppressions import Suppression
    from edge.types import Incident

_REFRESH_S = 2.0
_HONEST_S = 15.0  # a look at a slow disk, and the pause after it
_STUCK_S = 30.0  # the slowest honest turn of the loop is far below
_RECENT = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What the configuration promises: seconds without a frame per camera, frames per second per camera."""

    lost_after_s: dict[str, float]
    max_fps: dict[str, float]


class Board:
    """Implements ``edge.health.interface.HealthSource``.

    :param delivery: None: mail is switched off, the outbox only collects.
    :param resting_rules: rules that are on but have no class in this model, with the classes they lack.
    :param troubles: what else a technician must know, in words, one sentence each.
    :param driver: of the outputs, as configured.
    :param input_faults: switches that cannot be read, and why.
    :param refused: recipients that the mail server does not take, and its words.
    :param more_checks: further lines of the report, from memory.
    :param on_status: told the verdict every few seconds; for the status light.
    """

    def __init__(
        self,
        *,
        kiosk: str,
        version: str,
        model: str,
        state_dir: Path,
        pipeline: Pipeline,
        cameras: Sequence[Camera],
        limits: Limits,
        outbox: Outbox,
        writer: WriterWorker,
        delivery: DeliveryWorker | None,
        incident_store: IncidentStore,
        indicator: Indicator,
        clock: Clock,
        on_status: Callable[[Status], None],
        resting_rules: Mapping[str, Sequence[str]] | None = None,
        maintenance: MaintenanceKeeper | None = None,
        troubles: Callable[[], Sequence[str]] = tuple,
        more_checks: Callable[[], Sequence[Check]] = tuple,
        driver: str = "gpiozero",
        input_faults: Callable[[], Mapping[str, str]] = dict,
        refused: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        self._refused = refused
        self._driver = driver
        self._input_faults = input_faults
        self._more_checks = more_checks
        self._troubles = troubles
        self._on_status = on_status
        self.resting = dict(resting_rules or {})
        self._maintenance = maintenance
        self._kiosk = kiosk
        self._version = version
        self.model = model
        self._state_dir = state_dir
        self._pipeline = pipeline
        self._cameras = {c.name: c for c in cameras}
        self._limits = limits
        self._outbox = outbox
        self._writer = writer
        self._delivery = delivery
        self._incident_store = incident_store
        self._indicator = indicator
        self._clock = clock
        self._started_s = clock.monotonic_s()
        self._given_up_before = _given_up(outbox.stats())
        self._machine = MachineFacts()
        self._disk = DiskFacts(str(state_dir), None, None)
        self._recent: list[Incident] = []
        self.summary = "starting"  # how the box is, in one line
        self.due_s = self._started_s + _HONEST_S  # monotonic: the thread moves again by then unless it hangs
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._gather, name="board", daemon=True)

    def start(self) -> None:
        """Gather once, then every few seconds in a thread of its own."""
        self.refresh()
        self._thread.start()

    def stop(self) -> None:
        """Gather no more."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(_REFRESH_S)

    def refresh(self) -> None:
        """Ask the machine and the disk; only ever from one thread, never from a request."""
        self._machine = read_machine()
        self._disk = read_disk(self._state_dir)
        with contextlib.suppress(KioskError):  # the outbox's own check tells about a failing database
            self._outbox.look()
            self._recent = self._incident_store.recent(_RECENT)
        report = self.report()
        self.summary = _summary(report)
        self._on_status(report.status)

    @property
    def machine(self) -> MachineFacts:
        """As of the last look."""
        return self._machine

    @property
    def disk(self) -> DiskFacts:
        """As of the last look."""
        return self._disk

    def begun(self) -> bool:
        """Whether a picture was judged, or it is known that no camera gives one."""
        return self._pipeline.vitals.frames_judged > 0 or all(
            camera.status().state in ("lost", "ended") for camera in self._cameras.values()
        )

    def live(self) -> tuple[bool, str]:
        still_s = self._clock.monotonic_s() - max(self._pipeline.vitals.turn_mono_s, self._started_s)
        return (True, "") if still_s < _STUCK_S else (False, f"the pipeline has not moved for {still_s:.0f} s")

    def ready(self) -> tuple[bool, str]:
        for name, camera in self._cameras.items():
            age_s = self._frame_age_s(name)
            if camera.status().state == "ended":
                return False, f'camera "{name}": the video is over'
            if age_s is None:
                return False, f'camera "{name}": no picture was judged yet'
            if age_s > self._limits.lost_after_s[name]:
                return False, f'camera "{name}": the newest judged picture is {age_s:.0f} s old'
        return True, ""

    def report(self) -> Report:
        vitals = self._pipeline.vitals
        judging = vitals.frames_judged > 0
        inference = InferenceFacts(
            self.model,
            duration_ms=1000 * vitals.inference_s if judging else None,
            budget_ms=1000 / sum(self._limits.max_fps.values()),
            whole_ms=1000 * vitals.step_s if judging else None,
        )
        cameras = [self._camera_facts(name) for name in self._cameras]
        outbox = self._outbox_facts()
        checks = [
            *(check_camera(facts) for facts in cameras),
            *(self._age_check(facts) for facts in cameras),
            check_model(inference),
            check_inference(inference),
            check_outbox(outbox),
            self._mail_check(outbox),
            self._store_check(),
            self._gpio_check(),
            check_disk(self._disk),
            check_memory(self._machine),
            check_temperature(self._machine),
            check_clock(synchronised=self._clock.synchronised()),
            *([self._maintenance.check()] if self._maintenance else []),
            *self._more_checks(),
        ]
        return Report(tuple(checks), self._details())

    def _age_check(self, facts: CameraFacts) -> Check:
        if facts.state == "ended":  # nothing more will come, and the camera's own check says so
            return Check(f"frame_age:{facts.name}", Status.PASS, "the video is over")
        limit_s = self._limits.lost_after_s[facts.name]
        return check_frame_age(facts, warn_after_s=limit_s / 4, fail_after_s=limit_s)

    def _mail_check(self, facts: OutboxFacts) -> Check:
        if self._delivery is None:
            return Check("mail", Status.WARN, "mail is switched off ([email] enabled): nobody is told about incidents")
        return check_mail(facts)

    def _store_check(self) -> Check:
        words = "; ".join(self._troubles())
        return Check("storage", Status.WARN if words else Status.PASS, words)

    def _gpio_check(self) -> Check:
        error = self._pipeline.vitals.indicator_error
        inputs = tuple(f"input {name} cannot be read: {why}" for name, why in self._input_faults().items())
        on = tuple(name for name, level in self._indicator.levels().items() if level)
        return check_gpio(GpioFacts(self._driver, on, error, inputs))

    def _camera_facts(self, name: str) -> CameraFacts:
        status = self._cameras[name].status()
        return CameraFacts(name, status.state, status.detail, self._frame_age_s(name))

    def _frame_age_s(self, name: str) -> float | None:
        captured = self._pipeline.vitals.captured_mono_s.get(name)
        return None if captured is None else max(0.0, self._clock.monotonic_s() - captured)

    def _outbox_facts(self) -> OutboxFacts:
        stats, writer = self._outbox.stats(), self._writer.stats()
        age_s = None
        if stats.last_success_utc is not None:
            age_s = max(0.0, (self._clock.utc_now() - stats.last_success_utc).total_seconds())
        return OutboxFacts(
            waiting=stats.waiting + writer.unstored,
            oldest_age_s=stats.oldest_s,
            dropped=_given_up(stats) - self._given_up_before + writer.uncounted,
            refused=stats.held,
            last_success_age_s=age_s,
            last_error=stats.last_error.partition("\n")[0],  # the hint behind it is for the log
            error=writer.last_error if writer.unstored else "",
            refused_recipients=dict(self._refused()),
        )

    def _details(self) -> dict[str, Any]:
        vitals, incidents, stats = self._pipeline.vitals, self._pipeline.incidents, self._outbox.stats()
        return {
            "kiosk": self._kiosk,
            "version": self._version,
            "model": self.model,
            "uptime_s": round(self._clock.monotonic_s() - self._started_s, 1),
            "frames_judged": vitals.frames_judged,
            "inference_ms": round(1000 * vitals.inference_s, 2),
            "step_ms": round(1000 * vitals.step_s, 2),
            "cameras": {name: self._camera_details(camera) for name, camera in self._cameras.items()},
            "incidents": {
                "open": [_incident(i) for i in incidents.open_incidents],
                "recent": [_incident(i) for i in self._recent],
                "opened": {f"{rule}/{severity}": n for (rule, severity), n in list(incidents.opened_total.items())},
                "suppressed": dict(incidents.suppressed_total),
                "lately suppressed": {str(s.number): _suppression(s) for s in incidents.suppressions[-_RECENT:]},
            },
            "outbox": {
                "waiting": stats.waiting,
                "held": stats.held,
                "delivered": stats.delivered,
                "dropped": stats.dropped,
                "oldest_s": round(stats.oldest_s, 1),
                "last_success": stats.last_success_utc.isoformat() if stats.last_success_utc else None,
            },
            "outputs": self._indicator.levels(),
            "maintenance": self._maintenance.details() if self._maintenance else {"on": False},
            "rules without a class in this model": {name: list(lacks) for name, lacks in self.resting.items()},
        }

    def _camera_details(self, camera: Camera) -> dict[str, Any]:
        status, age_s = camera.status(), self._frame_age_s(camera.name)
        return {
            "state": status.state,
            "frames": status.frames,
            "dropped": status.dropped,
            "restarts": status.restarts,
            "frame_age_s": None if age_s is None else round(age_s, 2),
        }

    def _gather(self) -> None:
        while not self._clock.wait(self._stop, _REFRESH_S):
            self.due_s = self._clock.monotonic_s() + _HONEST_S
            self.refresh()


def _given_up(stats: OutboxStats) -> int:
    """Alerts that nobody gave up on purpose."""
    return sum(count for reason, count in stats.dropped_by.items() if reason != BY_HAND)


def _summary(report: Report) -> str:
    wrong = "; ".join(f"{check.name}: {check.output}" for check in report.checks if check.status is report.status)
    return {Status.PASS: "guards", Status.WARN: f"guards, but {wrong}", Status.FAIL: f"FAIL: {wrong}"}[report.status]


def _suppression(one: Suppression) -> str:
    where = f" in {one.zone}" if one.zone else ""
    times = "once" if one.count == 1 else f"{one.count} times until {one.t_utc:%H:%M:%S}"
    return f"{one.since_utc:%Y-%m-%d %H:%M:%S} {one.camera}: {one.rule}{where} ({one.severity.label}): {one.reason}, {times}"


def _incident(incident: Incident) -> dict[str, Any]:
    return {
        "id": incident.incident_id,
        "camera": incident.camera,
        "rule": incident.rule,
        "zone": incident.zone,
        "severity": incident.severity.label,
        "opened": incident.opened_utc.isoformat(timespec="milliseconds"),
        "closed": incident.closed_utc.isoformat(timespec="milliseconds") if incident.closed_utc else None,
        "what": f"{incident.peak.what} {incident.peak.value:.3g} {incident.peak.unit}, limit {incident.peak.threshold:.3g}",
    }
