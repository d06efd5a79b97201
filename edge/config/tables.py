"""What may stand in the configuration file: one pydantic model a table, units in the keys, an unknown key is an error."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import Field, field_validator, model_validator

from edge.cameras.source import Kind, parse_source
from edge.config.alert_tables import Email, EvidenceTable, Inputs, OutboxTable, Outputs
from edge.config.fields import HostName, Name, OneLine, PositiveSeconds, Score, Seconds, Table
from edge.config.rule_tables import OpeningHoursTable, Rules
from edge.hosts import is_loopback
from edge.types import ZoneKind


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


_PICTURES_IN_TIME = 2  # a camera is judged by the age of its pictures


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

    @model_validator(mode="after")
    def _can_be_watched(self) -> CameraTable:
        if self.max_fps * self.fresh_timeout_s < _PICTURES_IN_TIME:
            raise ValueError(
                f"max_fps and fresh_timeout_s that leave time for {_PICTURES_IN_TIME} pictures: with max_fps = {self.max_fps:g} "
                f"no fewer than {_PICTURES_IN_TIME / self.max_fps:g} s, or the camera is reconnected for ever"
            )
        if self.password_file and not self.user and parse_source(self.source).kind in (Kind.RTSP, Kind.HTTP):
            raise ValueError("a user beside password_file: without one the password is not used")
        return self


class Model(Table):
    """Which weights, and how they run."""

    path: str = ""
    threads: Annotated[int, Field(ge=0, le=16)] = 0
    providers: Annotated[list[OneLine], Field(min_length=1, max_length=8)] = ["CPUExecutionProvider"]
    still_every_s: Annotated[float, Field(ge=0, le=10)] = 2.0
    closer_every_s: Annotated[float, Field(ge=0, le=10)] = 0.4
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
    confirm_s: Seconds = 0.15
    remember_s: Seconds = 3.0
    exit_remember_s: Seconds = 0.7


class IncidentsTable(Table):
    """How observations become incidents."""

    close_after_s: PositiveSeconds = 5.0
    cooldown_s: Seconds = 120.0


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
        return not is_loopback(self.host)

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
