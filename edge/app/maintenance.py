"""Maintenance mode: rules are silent for a stated time, health is not; begin and end are logged and mailed."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from edge import __version__
from edge.alerts.identity import alert_id
from edge.alerts.maintenance_store import ENDED_BY_ITSELF, MaintenanceStore, Period
from edge.errors import KioskError
from edge.health.interface import Check, Status
from edge.incidents import MAINTENANCE
from edge.types import Alert, Severity

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from edge.clock import Clock

log = logging.getLogger(__name__)

_EVERY_S = 1.0
SILENCED = MAINTENANCE


class MaintenanceKeeper:
    """Watches the store, where commands leave their wishes, and does what they ask.

    :param silence: tells the incidents; "" ends it.
    :param enqueue: stores a mail; raises ``OutboxError``, then it is tried again.
    :param model: the detector's name and version, for the mail.
    """

    def __init__(
        self,
        *,
        store: MaintenanceStore,
        silence: Callable[[str], None],
        enqueue: Callable[[Alert], None],
        clock: Clock,
        boot_id: str,
        model: str,
    ) -> None:
        self._store = store
        self._silence = silence
        self._enqueue = enqueue
        self._clock = clock
        self._boot_id = boot_id
        self.model = model
        self._on: Period | None = None
        self._error = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look once, before the first frame is judged, then start the thread."""
        self.look()
        self._thread = threading.Thread(target=self._run, name="maintenance", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(2.0)

    def look(self) -> None:
        """One look at the store. Never raises: what fails is logged once and tried again."""
        try:
            running = self._store.running()
            if running is not None:
                self._store.adopt(running)
                if self._store.remaining_s(running) <= 0:
                    self._store.end(reason=ENDED_BY_ITSELF)
                    running = None
            self._switch(running)
            for period in self._store.untold():
                self._tell(period)
        except KioskError as error:
            if error.message != self._error:
                log.error(  # noqa: TRY400 - the message says it all
                    f"maintenance mode: {error.message}",
                    extra={"kg": {"event": "maintenance_unknown", "error": error.message}},
                )
            self._error = error.message
            # A store that cannot be read must not keep the box silent for ever.
            if self._on is not None and self._store.remaining_s(self._on) <= 0:
                self._switch(None)
        else:
            self._error = ""

    def check(self) -> Check:
        """For health: a box in maintenance mode is not guarding."""
        on = self._on
        if on is None:
            return Check("maintenance", Status.PASS, "", "off")
        left = max(0.0, self._store.remaining_s(on)) / 60
        return Check(
            "maintenance",
            Status.WARN,
            f"the rules are silent for {left:.0f} min more: {on.reason}",
            round(left, 1),
            "min",
        )

    def details(self) -> dict[str, Any]:
        on = self._on
        if on is None:
            return {"on": False}
        left_s = max(0.0, self._store.remaining_s(on))
        return {"on": True, "reason": on.reason, "minutes": on.minutes, "remaining_s": round(left_s)}

    def _switch(self, running: Period | None) -> None:
        if (running and running.number) == (self._on and self._on.number):
            return
        self._on = running
        self._silence(SILENCED if running else "")
        if running:
            log.warning(
                f"maintenance mode for {running.minutes:g} min: {running.reason}; the rules are silent",
                extra={
                    "kg": {"event": "maintenance", "on": True, "minutes": running.minutes, "reason": running.reason}
                },
            )
        else:
            log.warning("maintenance mode is over; the rules hold", extra={"kg": {"event": "maintenance", "on": False}})

    def _tell(self, period: Period) -> None:
        if not period.told_begin:
            self._enqueue(self._alert(period, "opened"))
        if period.ended_utc is not None:
            self._enqueue(self._alert(period, "closed"))
        self._store.mark_told(period)

    def _alert(self, period: Period, kind: str) -> Alert:
        """Begin and end as one incident of its own, so that the mails hang together."""
        incident_id = f"maintenance-{period.began_utc:%Y%m%d-%H%M%S}-{period.number}"
        ended = period.ended_utc if kind == "closed" else None
        lasted = period.minutes if ended is None else self._lasted_min(period, ended)
        why = period.reason if ended is None else f"{period.reason}; it ended because {period.end_reason}"
        return Alert(
            alert_id=alert_id(incident_id, kind, Severity.INFO),
            kind=kind,
            incident_id=incident_id,
            severity=Severity.INFO,
            camera="",
            rule=MAINTENANCE,
            zone="",
            opened_utc=period.began_utc,
            closed_utc=ended,
            created_utc=self._clock.utc_now(),
            created_mono_s=self._clock.monotonic_s(),
            boot_id=self._boot_id,
            clock_synced=self._clock.synchronised(),
            what=f"of maintenance ({why})",
            value=round(lasted, 1),
            threshold=period.minutes,
            unit="min",
            model=self.model,
            software=f"kiosk-guard {__version__}",
        )

    def _lasted_min(self, period: Period, ended: datetime) -> float:
        """Minutes; what the wall clock says, unless it was set meanwhile."""
        lasted, most = (ended - period.began_utc).total_seconds() / 60, period.minutes
        if period.boot_id == self._boot_id != "":
            most = min(most, (self._clock.monotonic_s() - period.began_mono_s) / 60)
        return lasted if 0 <= lasted <= most else most

    def _run(self) -> None:
        while not self._clock.wait(self._stop, _EVERY_S):
            self.look()
