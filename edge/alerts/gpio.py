"""The local alarm: siren, lamps and a status light on GPIO pins, driven from the open incidents alone."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gpiozero import DigitalOutputDevice

from edge.alerts.pins import open_pin_factory
from edge.errors import IndicatorError, KioskError
from edge.types import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from edge.clock import Clock
    from edge.types import Incident

__all__ = ["STATUS_PATTERNS", "GpioIndicator", "NoIndicator", "OutputSpec", "Status", "open_pin_factory"]

log = logging.getLogger(__name__)

Pattern = Literal["steady", "blink", "beep"]
Status = Literal["booting", "healthy", "fault", "maintenance", "off"]

# On and off, in seconds, of the status light; off 0: steady.
STATUS_PATTERNS: dict[str, tuple[float, float]] = {
    "healthy": (1.0, 0.0),
    "booting": (0.1, 0.9),
    "maintenance": (1.0, 1.0),
    "fault": (0.15, 0.15),
    "off": (0.0, 1.0),
}
TICK_S = 0.05


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """One output line and what drives it.

    ``pin``: BCM number. ``on_s``/``off_s``: rhythm of blink and beep, seconds. ``max_on_s``: longest sounding per
    incident, seconds, 0: as long as it is open. An incident drives the output when its severity is in ``severities``,
    and ``rules`` is empty or names its rule. Critical incidents are silent by default: a robbery often is, by policy.
    ``silent_rules``: rules that never drive it, whatever the severity. ``sounds``: an acknowledgement silences it.
    ``role`` "status": not an alarm at all, but the light that :meth:`GpioIndicator.set_status` drives.
    """

    pin: int
    active_high: bool = True
    pattern: Pattern = "steady"
    on_s: float = 0.5
    off_s: float = 0.5
    max_on_s: float = 0.0
    severities: frozenset[Severity] = frozenset({Severity.HIGH})
    rules: frozenset[str] = frozenset()
    role: Literal["alarm", "status"] = "alarm"
    sounds: bool = True
    silent_rules: frozenset[str] = frozenset()

    def driven_by(self, incident: Incident) -> bool:
        """Whether this incident is one for this output."""
        return (
            self.role == "alarm"
            and incident.severity in self.severities
            and (not self.rules or incident.rule in self.rules)
            and incident.rule not in self.silent_rules
        )


class NoIndicator:
    """No local alarm, because the configuration says so."""

    def show(self, open_incidents: Collection[Incident], *, now_s: float) -> None:
        """Nothing to drive."""

    def levels(self) -> dict[str, bool]:
        """No outputs."""
        return {}

    def set_status(self, status: Status) -> None:
        """Nothing to drive."""

    def acknowledge(self) -> None:
        """Nothing to silence."""

    def test(self, outputs: Collection[str] | None, *, seconds: float) -> list[str]:
        """Nothing to try."""
        del outputs, seconds
        return []

    def close(self) -> None:
        """Nothing to switch off."""


class GpioIndicator:
    """Drives output lines through gpiozero.

    ``show`` decides what is on; with a ``clock`` a thread of its own beats the rhythm and ends an output after its
    ``max_on_s`` even when the pipeline hangs. Without one (a replay, whose time is the clip's) only ``show`` does.

    :param outputs: name and specification of each line.
    :param pin_factory: from :func:`open_pin_factory`.
    :param on_change: told when an output starts or ends, not at every blink; called from ``show`` or the thread.
    :raises IndicatorError: a pin does not exist, is taken, or may not be used.
    """

    def __init__(
        self,
        outputs: Mapping[str, OutputSpec],
        *,
        pin_factory: Any,
        clock: Clock | None = None,
        on_change: Callable[[str, bool], None] | None = None,
    ) -> None:
        self._specs = dict(outputs)
        self._clock = clock
        self._on_change = on_change
        self._lock = threading.RLock()
        self._devices: dict[str, Any] = {}
        self._pins_on: dict[str, bool] = dict.fromkeys(self._specs, False)
        self._active: dict[str, bool] = dict.fromkeys(self._specs, False)
        self._since_s: dict[str, float] = {}  # phase of the rhythm
        self._started_s: dict[tuple[str, str], float] = {}  # (output, incident) -> when it began to drive it
        self._seen: set[str] = set()
        self._acknowledged: set[str] = set()
        self._test_until_s: dict[str, float] = {}
        self._status: Status = "booting"
        self._closed = False
        self._faults: dict[str, IndicatorError] = {}  # outputs that could not be switched, until they can
        self._logged = ""  # the fault that the log has been told
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        try:
            for name, spec in self._specs.items():
                self._devices[name] = _open(name, spec, pin_factory)
            if clock is not None:
                self._beat(clock.monotonic_s())
        except IndicatorError:
            self.close()
            raise
        if clock is not None:
            self._thread = threading.Thread(target=self._run, args=(clock,), name="indicator", daemon=True)
            self._thread.start()

    def show(self, open_incidents: Collection[Incident], *, now_s: float) -> None:
        """See :class:`edge.alerts.interface.Indicator`."""
        with self._lock:
            if self._closed:
                return
            driving: dict[tuple[str, str], float] = {}
            for incident in open_incidents:
                for name, spec in self._specs.items():
                    if not spec.driven_by(incident):
                        continue
                    key = (name, incident.incident_id)
                    # An incident that this object meets for the first time began when it was opened: after a restart
                    # an old one does not sound again. One that escalated into this output begins now.
                    first = now_s if incident.incident_id in self._seen else min(incident.opened_mono_s, now_s)
                    driving[key] = self._started_s.get(key, first)
            self._started_s = driving
            self._seen = {incident.incident_id for incident in open_incidents}
            self._acknowledged &= self._seen
            try:
                self._beat(now_s)
            finally:
                self._wake.set()

    def levels(self) -> dict[str, bool]:
        """Each output and whether it is active; an output that blinks is active all the time."""
        with self._lock:
            return dict(self._active)

    def acknowledge(self) -> None:
        """Somebody is there: what sounds for the incidents open now is silent; lamps stay, a new incident sounds."""
        with self._lock:
            self._acknowledged = set(self._seen)
        self._wake.set()
        log.warning(
            f"the alarm was acknowledged: {len(self._acknowledged)} open incidents",
            extra={"kg": {"event": "acknowledged", "incidents": sorted(self._acknowledged)}},
        )

    def test(self, outputs: Collection[str] | None, *, seconds: float) -> list[str]:
        """Drive these outputs in their own rhythm for so long, whatever is open; returns which.

        :param outputs: names; None: all but status lights. A name that is none of ours raises KeyError.
        :param seconds: then, at the latest, they follow the incidents again, even if the caller is gone.
        """
        with self._lock:
            names = [n for n, s in self._specs.items() if s.role == "alarm"] if outputs is None else list(outputs)
            unknown = sorted(set(names) - set(self._specs))
            if unknown:
                raise KeyError(unknown[0])
            now_s = self._clock.monotonic_s() if self._clock else 0.0
            self._test_until_s.update(dict.fromkeys(names, now_s + seconds))
        self._wake.set()
        log.warning(
            f"outputs are tried for {seconds:g} s: {', '.join(names) or 'there are none'}",
            extra={"kg": {"event": "output_test", "outputs": names, "seconds": seconds}},
        )
        return names

    def set_status(self, status: Status) -> None:
        """Choose the pattern of the outputs whose role is "status". :raises IndicatorError: as :meth:`show`."""
        with self._lock:
            if status != self._status:
                self._status = status
                for name, spec in self._specs.items():
                    if spec.role == "status":
                        self._since_s.pop(name, None)
        self._wake.set()

    def close(self) -> None:
        """Switch everything off and give the pins back; may be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for name, device in self._devices.items():
                try:
                    device.off()
                    device.close()
                except Exception as error:  # the other outputs must go off all the same
                    log.exception(
                        f"output {name} cannot be switched off",
                        extra={"kg": {"event": "output_fault", "output": name, "error": str(error)}},
                    )
                self._pins_on[name] = False
                self._note(name, active=False)
        self._wake.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(timeout=1.0)

    def _run(self, clock: Clock) -> None:
        """Keep the rhythm and the limits, whatever the pipeline does."""
        while True:
            self._wake.clear()
            with self._lock:  # looked at after the clearing, so that no close() is missed
                if self._closed:
                    return
                try:
                    self._beat(clock.monotonic_s())
                except IndicatorError as error:
                    if self._logged != error.message:
                        log.error(  # noqa: TRY400 - the message says it all
                            error.message, extra={"kg": {"event": "output_fault", "error": error.message}}
                        )
                    self._logged = error.message
                else:
                    self._logged = ""
                idle = not any(self._active.values())
            clock.wait(self._wake, 1.0 if idle else TICK_S)

    def _beat(self, now_s: float) -> None:
        """Bring every pin to what it must be now; then tell of one that could not be. Called with the lock held."""
        for name, spec in self._specs.items():
            if spec.role == "status":
                active, (on_s, off_s) = self._status != "off", STATUS_PATTERNS[self._status]
            else:
                active = any(
                    spec.max_on_s <= 0 or now_s - start < spec.max_on_s
                    for (output, incident), start in self._started_s.items()
                    if output == name and not (spec.sounds and incident in self._acknowledged)
                )
                active |= now_s < self._test_until_s.get(name, 0.0)
                on_s, off_s = (1.0, 0.0) if spec.pattern == "steady" else (spec.on_s, spec.off_s)
            if active:
                since_s = self._since_s.setdefault(name, now_s)
                on = off_s <= 0 or (now_s - since_s) % (on_s + off_s) < on_s
            else:
                self._since_s.pop(name, None)
                on = False
            try:
                self._write(name, on=on)
                self._note(name, active=active)
            except IndicatorError as error:
                self._faults[name] = error
        if self._faults:
            fault = next(iter(self._faults.values()))
            raise IndicatorError(fault.message, hint=fault.hint)  # a new one: each raising adds to what one holds on to

    def _write(self, name: str, *, on: bool) -> None:
        if self._pins_on[name] == on:
            return
        try:
            self._devices[name].value = on
        except Exception as error:
            raise IndicatorError(
                f"output {name} (pin GPIO{self._specs[name].pin}) cannot be switched: {error}",
                hint="Check the wiring and the service's log; a restart opens the pins anew.",
            ) from error
        self._pins_on[name] = on
        self._faults.pop(name, None)

    def _note(self, name: str, *, active: bool) -> None:
        if self._active[name] == active:
            return
        self._active[name] = active
        log.info(
            f"output {name} {'on' if active else 'off'}",
            extra={"kg": {"event": "output", "name": name, "pin": self._specs[name].pin, "on": active}},
        )
        if self._on_change is not None:
            self._on_change(name, active)


def _open(name: str, spec: OutputSpec, pin_factory: Any) -> Any:
    try:
        return DigitalOutputDevice(spec.pin, active_high=spec.active_high, initial_value=False, pin_factory=pin_factory)
    except Exception as error:
        if isinstance(error, KioskError):
            raise
        raise IndicatorError(
            f"output {name}: pin GPIO{spec.pin} cannot be opened: {error}",
            hint="Is the pin on the header, used by no other output or program (gpioinfo shows who), "
            "and the service's user in group gpio?",
        ) from error
