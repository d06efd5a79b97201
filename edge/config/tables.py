"""What may stand in the configuration file: one pydantic model a table, units in the keys, an unknown key is an error."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator, model_validator

from edge.cameras.source import parse_source
from edge.config.fields import HostName, Name, OneLine, PositiveSeconds, Score, Seconds, SeverityName, Table
from edge.config.rule_tables import OpeningHoursTable, Rules
from edge.types import Severity, ZoneKind


class Kiosk(Table):
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


class CameraTable(Table):
    """One camera."""

    name: Name
    source: Annotated[str, Field(min_length=1, max_length=1000)]
    max_fps: Annotated[float, Field(gt=0, le=60)] = 5.0
    loop: bool = False
    user: OneLine = ""
    password_file: str = ""
    fresh_timeout_s: PositiveSeconds = 5.0
    lost_after_s: PositiveSeconds = 20.0
    pin_pad_in_view: bool = True

    @field_validator("source")
    @classmethod
    def _names_a_camera(cls, value: str) -> str:
        parse_source(value)  # raises a ValueError that says what is allowed, without repeating any password
        return value


class Model(Table):
    """Which weights, and how they run."""

    path: str = ""
    threads: Annotated[int, Field(ge=0, le=16)] = 0
    providers: Annotated[list[OneLine], Field(min_length=1, max_length=8)] = ["CPUExecutionProvider"]
    still_every_s: Annotated[float, Field(ge=0, le=10)] = 2.0
    trusted_keys: Annotated[str, Field(min_length=1)] = "/etc/kiosk-guard/keys"
    trial_min: Annotated[float, Field(ge=1, le=1440)] = 15.0
    fetch_url: OneLine = ""
    fetch_ca_file: str = ""
    fetch_max_mb: Annotated[float, Field(ge=1, le=600)] = 100.0

    @field_validator("fetch_url")
    @classmethod
    def _encrypted(cls, value: str) -> str:
        if value and not value.startswith("https://"):
            raise ValueError("an https:// address")
        return value


class SceneTable(Table):
    """Where further zones are kept."""

    zones_file: str = ""


class _PolygonTable(Table):
    camera: Name
    name: Name
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


class ZoneTable(_PolygonTable):
    """One polygon in one camera's picture."""

    kind: Literal["lobby", "machine", "restricted", "door", "ignore"]

    @property
    def zone_kind(self) -> ZoneKind:
        return ZoneKind(self.kind)


class MaskTable(_PolygonTable):
    """A part of one camera's picture that nobody is to see."""

    kind: Literal["never_stored", "never_seen"]


class Track(Table):
    """How people are followed."""

    new_score: Score = 0.45
    confirm_s: Seconds = 0.25
    remember_s: Seconds = 3.0
    exit_remember_s: Seconds = 0.7


class IncidentsTable(Table):
    """How observations become incidents."""

    close_after_s: PositiveSeconds = 5.0
    cooldown_s: Seconds = 120.0


class OutputLine(Table):
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
    sounds: bool = True


class Outputs(Table):
    """The local alarm."""

    driver: Literal["none", "mock", "gpiozero", "jetson"] = "none"
    by_rule: dict[Name, Literal["audible", "lamp", "silent"]] = {}
    lines: dict[Name, OutputLine] = {}

    def silent_rules(self, *, sounds: bool) -> frozenset[str]:
        """Rules that never drive such a line."""
        never = {"lamp", "silent"} if sounds else {"silent"}
        return frozenset(rule for rule, how in self.by_rule.items() if how in never)

    @model_validator(mode="after")
    def _distinct(self) -> Outputs:
        pins = [line.pin for line in self.lines.values()]
        twice = sorted({p for p in pins if pins.count(p) > 1})
        if twice:
            raise ValueError(f"each pin once; used twice: {', '.join(map(str, twice))}")
        return self


class InputLine(Table):
    """One input pin and what it means."""

    pin: Annotated[int, Field(ge=0, le=1000)]
    role: Literal["tamper", "panic", "maintenance", "acknowledge"]
    pull: Literal["up", "down", "none"] = "up"
    active_high: bool = False
    debounce_s: Annotated[float, Field(ge=0, le=10)] = 0.05


class Inputs(Table):
    """Switches and buttons."""

    maintenance_min: Annotated[float, Field(ge=1, le=1440)] = 240.0
    lines: dict[Name, InputLine] = {}


class Email(Table):
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


class OutboxTable(Table):
    """The store between an alert and its delivery."""

    max_items: Annotated[int, Field(ge=10, le=1_000_000)] = 10_000
    max_mb: Annotated[float, Field(ge=1, le=10_000)] = 64.0
    max_days: Annotated[float, Field(ge=0, le=3650)] = 0.0


class EvidenceTable(Table):
    """Stored pictures."""

    jpeg_quality: Annotated[int, Field(ge=30, le=100)] = 85
    max_days: Annotated[float, Field(gt=0, le=3650)] = 30.0
    max_mb: Annotated[float, Field(ge=10, le=1_000_000)] = 500.0
    contact_sheet: bool = True
    before_s: Annotated[float, Field(ge=0, le=60)] = 8.0
    after_s: Annotated[float, Field(ge=0, le=60)] = 8.0
    ring_mb: Annotated[float, Field(ge=0.5, le=200)] = 8.0
    clip: bool = False
    clip_fps: Annotated[float, Field(ge=1, le=10)] = 4.0
    clip_max_mb: Annotated[float, Field(ge=0.1, le=10)] = 2.0


class Health(Table):
    """The technician's endpoint."""

    enabled: bool = True
    host: OneLine = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8787
    names: list[HostName] = []
    tls: Literal["auto", "on", "off"] = "auto"
    cert_file: str = ""
    key_file: str = ""
    token_file: str = ""

    @field_validator("host")
    @classmethod
    def _an_address(cls, value: str) -> str:
        if value != "localhost":
            try:
                ipaddress.ip_address(value)
            except ValueError:
                raise ValueError(
                    "an address of this machine: 127.0.0.1 or ::1 (the box itself only), the service network's, "
                    "or 0.0.0.0 or :: (every network)"
                ) from None
        return value

    @model_validator(mode="after")
    def _certificate_and_key(self) -> Health:
        if bool(self.cert_file) != bool(self.key_file):
            raise ValueError("cert_file and key_file go together: name both, or none and a pair is made")
        return self

    @property
    def for_others(self) -> bool:
        """Whether another machine can ask: the token is needed for everything then."""
        return not _loopback(self.host)

    @property
    def encrypted(self) -> bool:
        return self.tls == "on" or (self.tls == "auto" and self.for_others)


class State(Table):
    """Where the box keeps what it must not forget."""

    dir: Annotated[str, Field(min_length=1)] = "/var/lib/kiosk-guard"


class Log(Table):
    """What is written to standard error."""

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Config(Table):
    """The whole file."""

    kiosk: Kiosk = Kiosk()
    cameras: Annotated[list[CameraTable], Field(min_length=1, max_length=8)]
    model: Model = Model()
    scene: SceneTable = SceneTable()
    zones: list[ZoneTable] = []
    masks: list[MaskTable] = []
    track: Track = Track()
    rules: Rules = Rules()
    opening_hours: OpeningHoursTable = OpeningHoursTable()
    incidents: IncidentsTable = IncidentsTable()
    outputs: Outputs = Outputs()
    inputs: Inputs = Inputs()
    email: Email = Email()
    outbox: OutboxTable = OutboxTable()
    evidence: EvidenceTable = EvidenceTable()
    health: Health = Health()
    state: State = State()
    log: Log = Log()

    @model_validator(mode="after")
    def _inputs_fit(self) -> Config:
        if self.inputs.lines and self.outputs.driver == "none":
            raise ValueError('inputs: lines need outputs.driver other than "none"')
        both = {line.pin for line in self.outputs.lines.values()} & {line.pin for line in self.inputs.lines.values()}
        pins = [line.pin for line in self.inputs.lines.values()]
        both |= {p for p in pins if pins.count(p) > 1}
        if both:
            raise ValueError(
                f"each pin once, inputs and outputs together; used twice: {', '.join(map(str, sorted(both)))}"
            )
        return self


class ZonesFile(Table):
    """A file with further zones and masks, written by hand or drawn on the page."""

    zones: list[ZoneTable] = []
    masks: list[MaskTable] = []


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
