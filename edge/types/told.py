"""What is told: what rules say of a scene, the incidents that come of it, and the alerts that go out."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime


class Severity(IntEnum):
    """How bad, and therefore how loud; the order is the meaning."""

    INFO = 0
    LOW = 1
    HIGH = 2
    CRITICAL = 3

    @property
    def label(self) -> str:
        return self.name.lower()

    @classmethod
    def of(cls, label: str) -> Severity:
        """The severity with that lower-case name; raises KeyError."""
        return cls[label.upper()]


@dataclass(frozen=True, slots=True)
class Observation:
    """A rule holds now, with this evidence: ``value`` against ``threshold`` in ``unit``.

    ``what`` says in plain words what is measured ("in the lobby"), so that "dwell 41.2 s of 30 s" explains itself.
    ``zone`` is empty where the whole picture counts.
    """

    camera: str
    rule: str
    zone: str
    severity: Severity
    track_ids: tuple[int, ...]
    t_mono_s: float
    what: str
    value: float
    threshold: float
    unit: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """What a rule sees but cannot vouch for, and why (``reason``): recorded as suppressed; it opens no incident, and ends none.

    ``harmless``: it is known to be nothing, so that an open incident may end: it would hide the next one.
    """

    observation: Observation
    reason: str
    harmless: bool = False


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing that happened, from its opening to its end.

    ``opened_mono_s``/``closed_mono_s`` are the capture times that the UTC records belong to (one boot only);
    ``peak`` is the observation with the highest severity, then value. ``close_reason`` is empty while open.
    """

    incident_id: str
    camera: str
    rule: str
    zone: str
    severity: Severity
    opened_utc: datetime
    opened_mono_s: float
    closed_utc: datetime | None
    closed_mono_s: float | None
    peak: Observation
    close_reason: str = ""


class ChangeKind(str, Enum):
    """What became of an incident."""

    OPENED = "opened"
    ESCALATED = "escalated"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """One step in an incident's life, as it stands after the step."""

    kind: ChangeKind
    incident: Incident
    t_mono_s: float
    t_utc: datetime


@dataclass(frozen=True, slots=True)
class EvidenceRef:
    """A stored picture. ``path`` is relative to the evidence folder; ``sha256`` in hex; ``role``: annotated, closeup, clean ..."""

    role: str
    path: str
    media_type: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Alert:
    """What the desk is to be told, as facts; the channel renders it when it is sent.

    ``alert_id`` is the idempotency key: a second delivery carries the same Message-ID. ``boot_id`` with
    ``created_mono_s`` allows to correct ``created_utc`` once the clock is known. ``extra``: further lines for the mail,
    label and text. ``log_seq``/``log_head``: the incident log's last record when the alert was made; 0 and "": none.
    """

    alert_id: str
    kind: str  # opened, escalated, closed, sheet, digest, heartbeat, test
    incident_id: str
    severity: Severity
    camera: str
    rule: str
    zone: str
    opened_utc: datetime
    closed_utc: datetime | None
    created_utc: datetime
    created_mono_s: float
    boot_id: str
    clock_synced: bool
    what: str
    value: float
    threshold: float
    unit: str
    model: str
    software: str
    evidence: tuple[EvidenceRef, ...] = field(default=())
    extra: tuple[tuple[str, str], ...] = field(default=())
    log_seq: int = 0
    log_head: str = ""
