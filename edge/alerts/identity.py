"""Names of alerts and mails that follow from the incident alone, so that a second attempt is recognisable."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.types import Severity

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
MAX_ID_LENGTH = 200


def alert_id(incident_id: str, kind: str, severity: Severity) -> str:
    """The idempotency key of one step of an incident: made twice, it is the same.

    >>> from edge.types import Severity
    >>> alert_id("20260301-020000-1f3a", "opened", Severity.HIGH)
    '20260301-020000-1f3a.opened'
    """
    name = _UNSAFE.sub("_", incident_id)
    # An incident opens once and closes once, but may escalate to each higher severity.
    return f"{name}.{kind}-{severity.label}" if kind == "escalated" else f"{name}.{kind}"


def opening_alert_id(incident_id: str) -> str:
    """The alert that opened the incident: the head of its mail thread."""
    return f"{_UNSAFE.sub('_', incident_id)}.opened"


def message_id(of_alert: str, domain: str) -> str:
    """RFC 5322 Message-ID of an alert."""
    return f"<{_UNSAFE.sub('_', of_alert)}@{domain}>"


def safe_id(text: str) -> str:
    """An alert id from anything.

    >>> safe_id("heartbeat-kiosk 7-1")
    'heartbeat-kiosk_7-1'
    """
    return _UNSAFE.sub("_", text)[:MAX_ID_LENGTH]


def is_valid_id(text: str) -> bool:
    """Whether an alert id can be stored and stand in a Message-ID as it is."""
    return 0 < len(text) <= MAX_ID_LENGTH and _UNSAFE.search(text) is None
