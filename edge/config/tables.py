"""What may stand in the configuration file: one pydantic model a table, units in the keys, an unknown key is an error."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from edge.cameras.source import parse_source
from edge.rules.opening_hours import parse_holiday, parse_span
from edge.types import Severity, ZoneKind

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,40}$")]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
SeverityName = Literal["info", "low", "high", "critical"]
OneLine = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Kiosk(_Table):
    """Which box this is: the desk reads it in every mail."""

    id: Name = "kiosk-1"
    site: OneLine = ""
    address: OneLine = ""
    timezone: OneLine = "UTC"

    @field_validator("timezone")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError('a name of the time zone database, such as "Europe/Berlin"')
        return value

    @property
    def zone_info(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class CameraTable(_Table):
    """One camera."""

    name: Name
    source: Annotated[str, Field(min_length=1, max_length=1000)]
    max_fps: Annotated[float, Field(gt=0, le=60)] = 5.0
    loop: bool = False
    user: OneLine = ""
    password_file: str = ""
    fresh_timeout_s: PositiveSeconds = 5.0
    lost_after_s: PositiveSeconds = 20.0

    @field_validator("source")
    @classmethod
    def _names_a_camera(cls, value: str) -> str:
        parse_source(value)  # raises a ValueError that says what is allowed, without repeating any password
        return value


class Model(_Table):
    """Which weights, and how they run."""

    path: str = ""
    threads: Annotated[int, Field(ge=1, le=16)] = 2


class SceneTable(_Table):
    """Where further zones are kept."""

    zones_file: str = ""


class ZoneTable(_Table):
    """One polygon in one camera's picture."""

    camera: Name
    name: Name
    kind: Literal["lobby", "machine", "restricted", "door", "ignore"]
    polygon: Annotated[
        list[Annotated[list[Score], Field(min_length=2, max_length=2)]], Field(min_length=3, max_length=64)
    ]

    @field_validator("polygon")
    @classmethod
    def _has_area(cls, value: list[list[float]]) -> list[list[float]]:
        doubled = sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(value, value[1:] + value[:1], strict=True))
        if abs(doubled) < 2e-4:
            raise ValueError("a polygon with an area (corners in order, not all on one line)")
        return value

    @property
    def zone_kind(self) -> ZoneKind:
        return ZoneKind(self.kind)


class Track(_Table):
    """How people are followed."""

    new_score: Score = 0.45
    confirm_s: Seconds = 0.25
    remember_s: Seconds = 3.0
    exit_remember_s: Seconds = 0.7


class _Rule(_Table):
    enabled: bool = True
    severity: SeverityName = "low"

    @property
    def level(self) -> Severity:
        return Severity.of(self.severity)


class LoiteringTable(_Rule):
    """One person stays too long."""

    dwell_s: PositiveSeconds = 120.0
    escalate_s: PositiveSeconds = 300.0
    escalated_severity: SeverityName = "high"
    machine_dwell_s: PositiveSeconds = 600.0
    window_s: PositiveSeconds = 1800.0
    window_dwell_s: PositiveSeconds = 240.0

    @model_validator(mode="after")
    def _in_order(self) -> LoiteringTable:
        if self.escalate_s < self.dwell_s:
            raise ValueError(f"escalate_s ({self.escalate_s:g}) must not be less than dwell_s ({self.dwell_s:g})")
        return self


class RestrictedAreaTable(_Rule):
    """A person on the service side."""

    severity: SeverityName = "high"
    dwell_s: Seconds = 1.0
    edge_margin: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] = 0.12


class CrowdingTable(_Rule):
    """Too many people at once."""

    max_persons: Annotated[int, Field(ge=1, le=100)] = 4
    dwell_s: Seconds = 10.0
    near_s: Seconds = 20.0
    reach: Annotated[float, Field(ge=0, le=3, allow_inf_nan=False)] = 0.45


class ClosedHoursTable(_Rule):
    """A person inside outside the opening hours."""

    severity: SeverityName = "high"
    dwell_s: Seconds = 3.0
    margin_s: Annotated[float, Field(ge=0, le=7200, allow_inf_nan=False)] = 300.0


class PersonDownTable(_Rule):
    """A person on the floor."""

    severity: SeverityName = "high"
    down_s: Seconds = 10.0
    low: Score = 0.65
    wide: Annotated[float, Field(gt=0, le=3, allow_inf_nan=False)] = 1.1


class SeenTable(_Rule):
    """What of a rule about a class of the model is the same for all of them. No classes: the rule's own name."""

    classes: list[OneLine] = []
    min_score: Score = 0.5
    seen_s: Seconds = 0.6
    window_s: PositiveSeconds = 3.0


class FirearmTable(SeenTable):
    """A firearm in somebody's hand."""

    severity: SeverityName = "critical"
    min_score: Score = 0.4
    score_s: Seconds = 0.4
    near_person: bool = True


class KnifeTable(SeenTable):
    """A knife in somebody's hand."""

    severity: SeverityName = "critical"
    score_s: Seconds = 0.4
    near_person: bool = True


class ToolTable(SeenTable):
    """A tool at the machine, or in the closed lobby."""

    severity: SeverityName = "high"
    seen_s: Seconds = 1.5
    window_s: PositiveSeconds = 5.0
    score_s: Seconds = 1.0
    near_person: bool = True
    reach: Annotated[float, Field(ge=0, le=3, allow_inf_nan=False)] = 0.3
    anywhere_without_machine: bool = True


class FaceCoverTable(SeenTable):
    """A covered face."""

    enabled: bool = False
    seen_s: Seconds = 5.0
    window_s: PositiveSeconds = 10.0


class HelmetTable(SeenTable):
    """A helmet that is kept on."""

    seen_s: Seconds = 5.0
    window_s: PositiveSeconds = 10.0


class ObjectTable(SeenTable):
    """Another object that has no business in a lobby."""

    severity: SeverityName = "critical"
    classes: Annotated[list[OneLine], Field(min_length=1)]
    score_s: Seconds = 0.0
    near_person: bool = True


class Rules(_Table):
    """What counts as unusual."""

    loitering: LoiteringTable = LoiteringTable()
    restricted_area: RestrictedAreaTable = RestrictedAreaTable()
    closed_hours: ClosedHoursTable = ClosedHoursTable()
    crowding: CrowdingTable = CrowdingTable()
    person_down: PersonDownTable = PersonDownTable()
    firearm: FirearmTable = FirearmTable()
    knife: KnifeTable = KnifeTable()
    tool: ToolTable = ToolTable()
    face_cover: FaceCoverTable = FaceCoverTable()
    helmet: HelmetTable = HelmetTable()
    objects: dict[Name, ObjectTable] = {}

    @field_validator("objects")
    @classmethod
    def _own_names(cls, value: dict[str, ObjectTable]) -> dict[str, ObjectTable]:
        taken = {*cls.model_fields, "camera_lost", "camera_tamper"} & set(value)
        if taken:
            raise ValueError(f"{', '.join(sorted(taken))}: the name of a built-in rule; choose another")
        return value

    @property
    def seen(self) -> dict[str, SeenTable]:
        """The built-in rules about a class of the model, by name."""
        return {
            "firearm": self.firearm,
            "knife": self.knife,
            "tool": self.tool,
            "face_cover": self.face_cover,
            "helmet": self.helmet,
        }


_ROUND_THE_CLOCK = ["00:00-24:00"]


class OpeningHoursTable(_Table):
    """When the lobby is open, in the site's local time."""

    monday: list[str] = _ROUND_THE_CLOCK
    tuesday: list[str] = _ROUND_THE_CLOCK
    wednesday: list[str] = _ROUND_THE_CLOCK
    thursday: list[str] = _ROUND_THE_CLOCK
    friday: list[str] = _ROUND_THE_CLOCK
    saturday: list[str] = _ROUND_THE_CLOCK
    sunday: list[str] = _ROUND_THE_CLOCK
    holidays: Annotated[list[str], Field(max_length=400)] = []
    on_holidays: list[str] = []

    @field_validator("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "on_holidays")
    @classmethod
    def _spans(cls, value: list[str]) -> list[str]:
        for text in value:
            parse_span(text)
        return value

    @field_validator("holidays")
    @classmethod
    def _days(cls, value: list[str]) -> list[str]:
        for text in value:
            parse_holiday(text)
        return value

    @property
    def week(self) -> list[list[str]]:
        """The days' spans, Monday first."""
        return [self.monday, self.tuesday, self.wednesday, self.thursday, self.friday, self.saturday, self.sunday]


class IncidentsTable(_Table):
    """How observations become incidents."""

    close_after_s: PositiveSeconds = 5.0
    cooldown_s: Seconds = 120.0


class OutputLine(_Table):
    """One output pin and what drives it."""

    pin: Annotated[int, Field(ge=0, le=1000)]
    active_high: bool = True
    pattern: Literal["steady", "blink", "beep"] = "steady"
    on_s: PositiveSeconds = 0.5
    off_s: PositiveSeconds = 0.5
    max_on_s: Seconds = 0.0
    role: Literal["alarm", "status"] = "alarm"
    severities: list[SeverityName] = ["low", "high"]
    rules: list[Name] = []


class Outputs(_Table):
    """The local alarm."""

    driver: Literal["none", "mock", "gpiozero"] = "none"
    lines: dict[Name, OutputLine] = {}

    @model_validator(mode="after")
    def _distinct(self) -> Outputs:
        pins = [line.pin for line in self.lines.values()]
        twice = sorted({p for p in pins if pins.count(p) > 1})
        if twice:
            raise ValueError(f"each pin once; used twice: {', '.join(map(str, twice))}")
        return self


class Email(_Table):
    """The security desk's mail."""

    enabled: bool = False
    host: OneLine = ""
    port: Annotated[int, Field(ge=1, le=65535)] = 587
    security: Literal["starttls", "tls", "none"] = "starttls"
    user: OneLine = ""
    password_file: str = ""
    ca_file: str = ""
    sender: OneLine = ""
    recipients: list[OneLine] = []
    recipients_high: list[OneLine] = []
    recipients_critical: list[OneLine] = []
    closed_mails: Literal["none", "info", "low", "high", "critical"] = "high"
    max_per_hour: Annotated[int, Field(ge=0, le=10_000)] = 60
    digest_s: Annotated[float, Field(ge=10, le=86_400)] = 600.0
    heartbeat_h: Annotated[float, Field(ge=0, le=744)] = 24.0
    timeout_s: Annotated[float, Field(ge=1, le=300)] = 30.0

    @model_validator(mode="after")
    def _complete(self) -> Email:
        if not self.enabled:
            return self
        lacking = [k for k in ("host", "sender", "recipients") if not getattr(self, k)]
        if lacking:
            raise ValueError(f"enabled = true needs {', '.join(lacking)}")
        wrong = [a for a in (self.sender, *self.everyone) if not re.fullmatch(r"[^@\s<>,;]+@[^@\s<>,;]+", a)]
        if wrong:
            raise ValueError(f"not a mail address: {', '.join(map(repr, wrong))}")
        if self.user and self.security == "none" and not _loopback(self.host):
            raise ValueError('user with security = "none" would send the password in clear; use "starttls" or "tls"')
        return self

    @property
    def everyone(self) -> list[str]:
        """All addresses, each once."""
        return list(dict.fromkeys([*self.recipients, *self.recipients_high, *self.recipients_critical]))

    @property
    def by_severity(self) -> dict[Severity, list[str]]:
        """Addresses by the least severity that they are told."""
        return {
            Severity.INFO: self.recipients,
            Severity.HIGH: self.recipients_high,
            Severity.CRITICAL: self.recipients_critical,
        }

    @property
    def closed_from(self) -> Severity | None:
        """The least severity of incidents whose end is told."""
        return None if self.closed_mails == "none" else Severity.of(self.closed_mails)


class OutboxTable(_Table):
    """The store between an alert and its delivery."""

    max_items: Annotated[int, Field(ge=10, le=1_000_000)] = 10_000
    max_mb: Annotated[float, Field(ge=1, le=10_000)] = 64.0
    max_days: Annotated[float, Field(ge=0, le=3650)] = 0.0


class EvidenceTable(_Table):
    """Stored pictures."""

    jpeg_quality: Annotated[int, Field(ge=30, le=100)] = 85
    max_days: Annotated[float, Field(gt=0, le=3650)] = 30.0
    max_mb: Annotated[float, Field(ge=10, le=1_000_000)] = 500.0


class Health(_Table):
    """The technician's endpoint."""

    enabled: bool = True
    host: OneLine = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8787

    @field_validator("host")
    @classmethod
    def _local(cls, value: str) -> str:
        if not _loopback(value):
            raise ValueError(
                "a loopback address (127.0.0.1, ::1): access from the network needs the token, not built yet"
            )
        return value


class State(_Table):
    """Where the box keeps what it must not forget."""

    dir: Annotated[str, Field(min_length=1)] = "/var/lib/kiosk-guard"


class Log(_Table):
    """What is written to standard error."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(_Table):
    """The whole file."""

    kiosk: Kiosk = Kiosk()
    cameras: Annotated[list[CameraTable], Field(min_length=1, max_length=8)]
    model: Model = Model()
    scene: SceneTable = SceneTable()
    zones: list[ZoneTable] = []
    track: Track = Track()
    rules: Rules = Rules()
    opening_hours: OpeningHoursTable = OpeningHoursTable()
    incidents: IncidentsTable = IncidentsTable()
    outputs: Outputs = Outputs()
    email: Email = Email()
    outbox: OutboxTable = OutboxTable()
    evidence: EvidenceTable = EvidenceTable()
    health: Health = Health()
    state: State = State()
    log: Log = Log()


class ZonesFile(_Table):
    """A file with further zones, written by hand or drawn on the page."""

    zones: list[ZoneTable] = []


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
