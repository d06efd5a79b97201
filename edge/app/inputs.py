"""What a switch or button does: raise, silence or switch what its name says, and be on record."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from edge.errors import KioskError
from edge.types import Observation, Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.alerts.gpio import GpioIndicator, NoIndicator
    from edge.alerts.incident_log import IncidentLog
    from edge.alerts.inputs import Role
    from edge.clock import Clock
    from edge.incidents import Incidents
    from edge.types import IncidentChange

log = logging.getLogger(__name__)

PANIC, TAMPER = "panic", "enclosure_tamper"
ENCLOSURE, BUTTON = "enclosure", "panic-button"  # in the place of a camera's name
PANIC_HOLD_S = 10.0  # a button that was let go still counts so long: one press, one incident
_MOST_UNRECORDED = 500


class InputActions:
    """Takes the inputs' changes, from their thread; tells the incidents, from the pipeline's; records, from the writer's.

    :param maintain: switches maintenance mode on or off; may wait for a disk.
    """

    def __init__(
        self,
        *,
        incidents: Incidents,
        indicator: GpioIndicator | NoIndicator,
        maintain: Callable[[bool], object],
        incident_log: IncidentLog,
        clock: Clock,
    ) -> None:
        self._incidents = incidents
        self._indicator = indicator
        self._maintain = maintain
        self._incident_log = incident_log
        self._clock = clock
        self._lock = threading.Lock()
        self._tamper: dict[str, float] = {}  # input -> opened at
        self._panic: dict[str, tuple[float, float]] = {}  # input -> pressed at, counts until
        self._unrecorded: list[dict[str, object]] = []
        self._key: bool | None = None

    def changed(self, name: str, role: Role, on: bool) -> None:  # noqa: FBT001 - a callback
        """An input changed; never blocks."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            if role == "tamper":
                if on:
                    self._tamper[name] = now_s
                else:
                    self._tamper.pop(name, None)
            elif role == "panic" and on:
                began_s = self._panic.get(name, (now_s, 0.0))[0]
                self._panic[name] = (began_s, now_s + PANIC_HOLD_S)
            elif role == "maintenance":
                self._key = on
            self._unrecorded.append({"input": name, "role": role, "on": on, "at": self._clock.utc_now().isoformat()})
            del self._unrecorded[:-_MOST_UNRECORDED]
        if role == "acknowledge" and on:
            self._indicator.acknowledge()

    def observe(self) -> list[IncidentChange]:
        """What is true now goes to the incidents; called from the pipeline's loop, at every turn."""
        now_s, now_utc = self._clock.monotonic_s(), self._clock.utc_now()
        with self._lock:
            for name in [n for n, (_, until_s) in self._panic.items() if now_s > until_s]:
                del self._panic[name]
            panic = [
                _observation((BUTTON, PANIC, name), Severity.CRITICAL, now_s, "panic button pressed", now_s - began_s)
                for name, (began_s, _) in self._panic.items()
            ]
            tamper = [
                _observation((ENCLOSURE, TAMPER, name), Severity.HIGH, now_s, "enclosure open for", now_s - began_s)
                for name, began_s in self._tamper.items()
            ]
        # Somebody who presses the button means it, maintenance or not; a technician opens the enclosure by trade.
        return [
            *self._incidents.update(BUTTON, panic, t_mono_s=now_s, t_utc=now_utc, always=True),
            *self._incidents.update(ENCLOSURE, tamper, t_mono_s=now_s, t_utc=now_utc),
        ]

    def chore(self) -> None:
        """What may wait for a disk: maintenance mode, and the record. :raises KioskError: tried again."""
        with self._lock:
            key, self._key = self._key, None
        if key is not None:
            try:
                self._maintain(key)
            except KioskError:
                with self._lock:
                    self._key = key if self._key is None else self._key
                raise
        while True:
            with self._lock:
                record = self._unrecorded[0] if self._unrecorded else None
            if record is None:
                return
            self._incident_log.append("input", record)
            with self._lock:
                if self._unrecorded and self._unrecorded[0] is record:
                    del self._unrecorded[0]


def _observation(
    where: tuple[str, str, str], severity: Severity, now_s: float, what: str, lasted_s: float
) -> Observation:
    """:param where: camera's place, rule, and the input's name as the zone."""
    return Observation(*where, severity, (), now_s, what, lasted_s, 0.0, "s")
