"""What the health endpoint answers while the box cannot guard: every fault in words, and how delivery stands."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from edge.errors import (
    CameraError,
    ConfigError,
    DetectorError,
    HealthError,
    IndicatorError,
    KioskError,
    OutboxError,
    StateError,
)
from edge.health.checks import OutboxFacts, check_clock, check_disk, check_mail, check_memory, check_temperature
from edge.health.interface import Check, Report, Status
from edge.health.machine import read_disk, read_machine

if TYPE_CHECKING:
    from pathlib import Path

    from edge.alerts.outbox import Outbox
    from edge.clock import Clock

# Which line of the report a fault stands in; the first that fits.
_WHERE: tuple[tuple[type[KioskError], str], ...] = (
    (ConfigError, "config"),
    (DetectorError, "model"),
    (CameraError, "camera"),
    (IndicatorError, "gpio"),
    (StateError, "storage"),
    (OutboxError, "storage"),
    (HealthError, "health"),
)


def fault_checks(error: KioskError) -> tuple[Check, ...]:
    """One failed check for each fault that the error names."""
    name = next((name for kind, name in _WHERE if isinstance(error, kind)), "appliance")
    head, *faults = [line.strip() for line in error.message.splitlines() if line.strip()]
    hint = f". {error.hint}" if error.hint else ""
    if name == "model":
        hint += ". Correct [model] path in the configuration, or take it out and run: kiosk-guard model install"
    return tuple(Check(name, Status.FAIL, f"{fault}{hint}") for fault in faults or [head])


class FaultBoard:
    """Implements ``edge.health.interface.HealthSource`` for a box that does not guard.

    :param outbox: None: nothing is delivered, ``idle`` says why not.
    """

    def __init__(
        self,
        error: KioskError,
        *,
        kiosk: str,
        version: str,
        state_dir: Path,
        outbox: Outbox | None,
        idle: str,
        clock: Clock,
    ) -> None:
        self._faults = fault_checks(error)
        self._kiosk = kiosk
        self._version = version
        self._state_dir = state_dir
        self._outbox = outbox
        self._idle = idle
        self._clock = clock
        self._since = clock.utc_now()
        self._machine: tuple[Check, ...] = ()
        self.refresh()

    @property
    def words(self) -> str:
        """All faults, in one line."""
        return "; ".join(check.output for check in self._faults)

    def refresh(self) -> None:
        """Ask the machine and the disk; never from a request."""
        if self._outbox is not None:
            with contextlib.suppress(KioskError):
                self._outbox.look()
        machine = read_machine()
        disk = check_disk(read_disk(self._state_dir))
        self._machine = (disk, check_memory(machine), check_temperature(machine))

    def live(self) -> tuple[bool, str]:
        return True, ""

    def ready(self) -> tuple[bool, str]:
        return False, f"the box does not guard: {self.words}"

    def report(self) -> Report:
        checks = (
            *self._faults,
            self._mail_check(),
            *self._machine,
            check_clock(synchronised=self._clock.synchronised()),
        )
        return Report(checks, self._details())

    def _mail_check(self) -> Check:
        if self._outbox is None:
            return Check("mail", Status.WARN, f"what waits is not delivered: {self._idle}")
        stats = self._outbox.stats()
        age_s = None
        if stats.last_success_utc is not None:
            age_s = max(0.0, (self._clock.utc_now() - stats.last_success_utc).total_seconds())
        return check_mail(
            OutboxFacts(
                waiting=stats.waiting,
                oldest_age_s=stats.oldest_s,
                refused=stats.held,
                last_success_age_s=age_s,
                last_error=stats.last_error.partition("\n")[0],
            )
        )

    def _details(self) -> dict[str, Any]:
        waiting = None if self._outbox is None else self._outbox.stats().waiting
        return {
            "kiosk": self._kiosk,
            "version": self._version,
            "mode": "fault",
            "since": self._since.isoformat(timespec="seconds"),
            "faults": [check.output for check in self._faults],
            "outbox": {"waiting": waiting},
            "next": "the files are looked at every two seconds; the box goes on to guard once they are right",
        }
