"""The mail that says "I am there", so that silence means something."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from edge import __version__
from edge.alerts.identity import safe_id
from edge.alerts.mail_words import duration
from edge.alerts.schedule import remaining_s
from edge.health.interface import Status
from edge.types import Alert, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.alerts.heartbeat_store import HeartbeatStore
    from edge.alerts.outbox import Outbox
    from edge.clock import Clock
    from edge.health.interface import Report

FIRST_S = 60.0  # after a start: by then the box knows how it is


class Heartbeat:
    """Puts a heartbeat into the outbox at every interval, by monotonic time within a boot, by the wall clock across boots.

    :param interval_s: 0: never.
    :param report: the box's health.
    :param log_head: number and hash of the incident log's last record; 0 and "" if there is none.
    :param also: further lines, label and text.
    """

    def __init__(
        self,
        *,
        outbox: Outbox,
        store: HeartbeatStore,
        enqueue: Callable[[Alert], None],
        report: Callable[[], Report],
        interval_s: float,
        clock: Clock,
        boot_id: str,
        kiosk: str,
        model: str,
        log_head: Callable[[], tuple[int, str]] = lambda: (0, ""),
        also: Callable[[], Sequence[tuple[str, str]]] = tuple,
    ) -> None:
        self._outbox = outbox
        self._store = store
        self._enqueue = enqueue
        self._report = report
        self._interval_s = interval_s
        self._clock = clock
        self._boot_id = boot_id
        self._kiosk = kiosk
        self.model = model
        self._log_head = log_head
        self._also = also
        self._started_s = clock.monotonic_s()
        self._next_s: float | None = None

    def beat_if_due(self) -> bool:
        """Whether it was due, and is in the outbox now. :raises OutboxError: not stored; it is due still."""
        now_s = self._clock.monotonic_s()
        if self._interval_s <= 0:
            return False
        if self._next_s is None:
            self._next_s = self._first_s()
        if now_s < self._next_s:
            return False
        number, _ = self._store.last()
        # The mail first: a kill in between sends a number twice, the other order would leave one out, which means alarm.
        self._enqueue(self._alert(number + 1))
        self._store.beaten(self._clock.utc_now())
        self._next_s = now_s + self._interval_s
        return True

    def _first_s(self) -> float:
        _, at = self._store.last()
        wait_s = FIRST_S
        if at is not None:
            due = at + timedelta(seconds=self._interval_s)
            left_s = remaining_s(next_utc=due, delay_s=self._interval_s, now_utc=self._clock.utc_now())
            wait_s = max(FIRST_S, left_s)
        return self._started_s + wait_s

    def _alert(self, number: int) -> Alert:
        now, report, stats = self._clock.utc_now(), self._report(), self._outbox.stats()
        log_seq, log_head = self._log_head()
        wrong = [c for c in report.checks if c.status is not Status.PASS]
        rows = [
            ("Number", f"{number}; the next one in {duration(self._interval_s)}"),
            ("Health", report.status.label),
            *((f"{c.status.label.capitalize()}: {c.name}", c.output) for c in wrong),
            ("Running for", duration(self._clock.monotonic_s() - self._started_s)),
            ("Alerts waiting", f"{stats.waiting}, and {stats.held} refused for good"),
            ("Alerts so far", f"{stats.delivered} delivered, {stats.dropped} dropped, {stats.corrupt} damaged"),
            *self._also(),
        ]
        return Alert(
            alert_id=safe_id(f"heartbeat-{self._kiosk}-{number}-{now:%Y%m%d-%H%M%S}"),
            kind="heartbeat",
            incident_id="",
            severity=Severity.INFO,
            camera="",
            rule="heartbeat",
            zone="",
            opened_utc=now,
            closed_utc=None,
            created_utc=now,
            created_mono_s=self._clock.monotonic_s(),
            boot_id=self._boot_id,
            clock_synced=self._clock.synchronised(),
            what=f"{number}, health: {report.status.label}",
            value=float(number),
            threshold=0.0,
            unit="",
            model=self.model,
            software=f"kiosk-guard {__version__}",
            extra=tuple(rows),
            log_seq=log_seq,
            log_head=log_head,
        )
