"""A flood of mails becomes a digest: nobody reads sixty alike, and a mailbox has limits of its own. Never critical ones."""

from __future__ import annotations

import logging
import secrets
from collections import Counter, deque
from typing import TYPE_CHECKING

from edge.alerts.clock_set import put_right
from edge.alerts.mail_words import rule_title
from edge.types import Alert, Severity

if TYPE_CHECKING:
    from collections.abc import Container, Sequence

    from edge.alerts.outbox import Outbox
    from edge.clock import Clock

log = logging.getLogger(__name__)

WINDOW_S = 3600.0
FEWEST = 2  # one alone is mailed as it is
MOST_ROWS = 100
_FOLD_MOST = 5_000
_OF_INCIDENTS = frozenset({"opened", "escalated", "closed", "sheet"})


class FloodGate:
    """At most ``per_hour`` mails about incidents in any hour; what is beyond waits for the next digest.

    :param per_hour: 0: no limit.
    :param digest_s: seconds from the first mail that had to wait until the digest.
    """

    def __init__(self, *, per_hour: int, digest_s: float, clock: Clock) -> None:
        self._per_hour = per_hour
        self._digest_s = digest_s
        self._clock = clock
        self._sent_s: deque[float] = deque()
        self._waiting_since_s: float | None = None
        self._one_may_pass = False

    def lets_pass(self, alert: Alert) -> bool:
        """Whether this one may go now; one that may not begins the wait for a digest."""
        if self._per_hour <= 0 or not foldable(alert):
            return True
        if self._one_may_pass:
            self._one_may_pass = False
            return True
        now_s = self._clock.monotonic_s()
        while self._sent_s and self._sent_s[0] <= now_s - WINDOW_S:
            self._sent_s.popleft()
        if len(self._sent_s) < self._per_hour and self._waiting_since_s is None:
            return True
        if self._waiting_since_s is None:
            self._waiting_since_s = now_s
        return False

    def sent(self, alert: Alert) -> None:
        """One was delivered."""
        if self._per_hour > 0 and foldable(alert):
            self._sent_s.append(self._clock.monotonic_s())

    def digest_in_s(self) -> float | None:
        """Seconds until the digest is due, 0: now; None: nothing waits for one."""
        if self._waiting_since_s is None:
            return None
        return max(0.0, self._waiting_since_s + self._digest_s - self._clock.monotonic_s())

    def digested(self, *, left: int = 0) -> None:
        """The digest is in the outbox, or too few waited for one; ``left``: those few, which go as they are."""
        self._waiting_since_s = None
        self._one_may_pass = left > 0


def foldable(alert: Alert) -> bool:
    """Whether an alert may go into a digest: one about an incident, and not a critical one."""
    return alert.severity < Severity.CRITICAL and alert.kind in _OF_INCIDENTS


def digest_of(alerts: Sequence[Alert], *, clock: Clock, boot_id: str, software: str) -> Alert:
    """One alert that lists others; the worst decides its severity.

    :param alerts: at least one, oldest first.
    """
    alerts = [put_right(a, clock=clock, boot_id=boot_id) for a in alerts]
    now = clock.utc_now()
    worst = max(a.severity for a in alerts)
    incidents = {a.incident_id for a in alerts}
    by_rule = Counter(a.rule for a in {(a.incident_id): a for a in alerts}.values())
    rows = [("In all", ", ".join(f"{count} x {rule_title(rule)}" for rule, count in by_rule.most_common()))]
    for alert in alerts[:MOST_ROWS]:
        zone = f" in {alert.zone}" if alert.zone else ""
        peak = f": {alert.what} {alert.value:.3g} {alert.unit}" if alert.what else ""
        rows.append(
            (
                f"{alert.created_utc:%d %b %H:%M:%S} UTC",
                f"{alert.kind}, {alert.severity.label}: {rule_title(alert.rule)}{zone}, camera {alert.camera}{peak} ({alert.incident_id})",
            )
        )
    if len(alerts) > MOST_ROWS:
        rows.append(("And", f"{len(alerts) - MOST_ROWS} more, listed on the kiosk (kiosk-guard outbox list --all)"))
    return Alert(
        alert_id=f"digest-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}",
        kind="digest",
        incident_id="",
        severity=worst,
        camera="",
        rule="digest",
        zone="",
        opened_utc=min(a.opened_utc for a in alerts),
        closed_utc=None,
        created_utc=now,
        created_mono_s=clock.monotonic_s(),
        boot_id=boot_id,
        clock_synced=clock.synchronised(),
        what=f"{len(incidents)} incidents",
        value=float(len(alerts)),
        threshold=0.0,
        unit="",
        model=alerts[-1].model,
        software=software,
        extra=tuple(rows),
    )


def fold_waiting(outbox: Outbox, flood: FloodGate, *, but: Container[str], clock: Clock) -> None:
    """Put all that wait for it into one digest.

    :param but: alerts of which it is not known on disk how they stand.
    :raises OutboxError: not stored; they wait on.
    """
    found = [
        e.alert
        for e in outbox.due(limit=_FOLD_MOST, in_order=False)
        if e.alert is not None and foldable(e.alert) and e.alert_id not in but
    ]
    if len(found) >= FEWEST:
        newest = found[-1]
        digest = digest_of(found, clock=clock, boot_id=outbox.boot_id, software=newest.software)
        outbox.fold([a.alert_id for a in found], digest)
        log.warning(
            f"{len(found)} mails beyond the limit become one digest",
            extra={"kg": {"event": "alerts_folded", "count": len(found), "alert_id": digest.alert_id}},
        )
        found = []
    flood.digested(left=len(found))
