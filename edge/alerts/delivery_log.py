"""What the log says about deliveries: one place for the words and the fields."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.alerts.outbox_rows import Entry
    from edge.errors import ChannelError, OutboxError
    from edge.types import Alert

log = logging.getLogger("edge.alerts.worker")


def delivered(alert: Alert, channel: str, *, waited_s: float, attempts: int) -> None:
    """The channel took it, at this attempt."""
    log.info(
        f"alert {alert.alert_id} delivered by {channel}",
        extra={
            "kg": {
                "event": "alert_delivered",
                "alert_id": alert.alert_id,
                "incident_id": alert.incident_id,
                "severity": alert.severity.label,
                "channel": channel,
                "waited_s": round(waited_s, 1) if math.isfinite(waited_s) else None,
                "attempts": attempts,
            }
        },
    )


def refused(entry: Entry, channel: str, error: ChannelError, *, permanent: bool, next_s: float) -> None:
    """The channel did not take it; ``next_s``: seconds until it is tried again."""
    log.warning(
        f"alert {entry.alert_id} not delivered by {channel}: {error.message}",
        extra={
            "kg": {
                "event": "alert_refused" if permanent else "alert_delayed",
                "alert_id": entry.alert_id,
                "channel": channel,
                "error": error.message,
                "hint": error.hint,
                "attempts": entry.attempts + 1,
                "next_s": round(next_s, 1),
                "channel_wide": error.channel_wide,
            }
        },
    )


def not_noted(alert_id: str, error: OutboxError) -> None:
    """How it went could not be stored."""
    log.error(
        f"how alert {alert_id} stands is remembered in memory only: {error.message}",
        extra={"kg": {"event": "outbox_trouble", "alert_id": alert_id, "error": error.message}},
    )
