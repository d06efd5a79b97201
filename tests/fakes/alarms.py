"""Alerts and incidents with sensible contents."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import numpy as np

from edge.alerts.identity import alert_id
from edge.types import (
    Alert,
    ChangeKind,
    EvidenceRef,
    Frame,
    Incident,
    IncidentChange,
    Observation,
    Severity,
)

UTC = datetime(2026, 3, 1, 2, 0, 0, tzinfo=timezone.utc)
BOOT = "boot-1"


def make_alert(incident_id: str = "inc-1", **changes: Any) -> Alert:
    kind = changes.pop("kind", "opened")
    severity = changes.pop("severity", Severity.HIGH)
    facts: dict[str, Any] = {
        "alert_id": alert_id(incident_id, kind, severity),
        "kind": kind,
        "incident_id": incident_id,
        "severity": severity,
        "camera": "lobby",
        "rule": "loitering",
        "zone": "service corner",
        "opened_utc": UTC,
        "closed_utc": None,
        "created_utc": UTC,
        "created_mono_s": 1000.0,
        "boot_id": BOOT,
        "clock_synced": True,
        "what": "one person has stayed for",
        "value": 41.2,
        "threshold": 30.0,
        "unit": "s",
        "model": "yolov8n-coco 1",
        "software": "kiosk-guard 0.1.0",
    }
    return Alert(**(facts | changes))


def make_incident(
    incident_id: str = "inc-1",
    *,
    severity: Severity = Severity.HIGH,
    rule: str = "loitering",
    opened_s: float = 1000.0,
    closed: bool = False,
) -> Incident:
    peak = Observation(
        "lobby", rule, "corner", severity, (3, 7), opened_s, "one person has stayed for", 41.2, 30.0, "s"
    )
    return Incident(
        incident_id=incident_id,
        camera="lobby",
        rule=rule,
        zone="corner",
        severity=severity,
        opened_utc=UTC,
        opened_mono_s=opened_s,
        closed_utc=UTC if closed else None,
        closed_mono_s=opened_s if closed else None,
        peak=peak,
        close_reason="over" if closed else "",
    )


def make_change(incident: Incident | None = None, kind: ChangeKind = ChangeKind.OPENED) -> IncidentChange:
    incident = incident or make_incident()
    return IncidentChange(kind, incident, incident.opened_mono_s, incident.opened_utc)


def make_frame(*, width: int = 160, height: int = 90, seed: int = 0) -> Frame:
    """A picture of random 10 px squares, which JPEG keeps nearly as they are."""
    squares = np.random.default_rng(seed).integers(0, 255, (height // 10, width // 10, 3), dtype=np.uint8)
    image = squares.repeat(10, axis=0).repeat(10, axis=1)
    return Frame(image, seed, 1000.0, UTC, "lobby")


def make_ref(role: str = "annotated", path: str = "2026-03-01/inc-1/annotated-1.jpg") -> EvidenceRef:
    return EvidenceRef(role, path, "image/jpeg", "0" * 64, 100)
