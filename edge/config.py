"""One TOML file, one pydantic model a table. Every fault is reported at once, with file, key, value and what is allowed.

Only ``edge.app`` and ``edge.cli`` read this; components get plain keyword arguments.
"""

from __future__ import annotations

import ipaddress
import re
import sys
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from edge.errors import ConfigError
from edge.types import Severity, ZoneKind

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

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
    def _one_line(cls, value: str) -> str:
        if re.search(r"[\x00-\x1f\x7f]", value):
            raise ValueError("one line without control characters")
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

    @model_validator(mode="after")
    def _in_order(self) -> LoiteringTable:
        if self.escalate_s < self.dwell_s:
            raise ValueError(f"escalate_s ({self.escalate_s:g}) must not be less than dwell_s ({self.dwell_s:g})")
        return self


class RestrictedAreaTable(_Rule):
    """A person on the service side."""

    severity: SeverityName = "high"
    dwell_s: Seconds = 1.0


class CrowdingTable(_Rule):
    """Too many people at once."""

    max_persons: Annotated[int, Field(ge=1, le=100)] = 4
    dwell_s: Seconds = 10.0


class ObjectTable(_Rule):
    """An object that has no business in a lobby."""

    severity: SeverityName = "critical"
    classes: Annotated[list[OneLine], Field(min_length=1)]
    min_score: Score = 0.5
    seen_s: Seconds = 0.6
    window_s: PositiveSeconds = 3.0
    near_person: bool = True


class Rules(_Table):
    """What counts as unusual."""

    loitering: LoiteringTable = LoiteringTable()
    restricted_area: RestrictedAreaTable = RestrictedAreaTable()
    crowding: CrowdingTable = CrowdingTable()
    objects: dict[Name, ObjectTable] = {"knife": ObjectTable(classes=["knife"])}

    @field_validator("objects")
    @classmethod
    def _own_names(cls, value: dict[str, ObjectTable]) -> dict[str, ObjectTable]:
        taken = {"loitering", "restricted_area", "crowding", "camera_lost"} & set(value)
        if taken:
            raise ValueError(f"{', '.join(sorted(taken))}: the name of a built-in rule; choose another")
        return value


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
    severities: list[SeverityName] = ["low", "high", "critical"]
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
    timeout_s: Annotated[float, Field(ge=1, le=300)] = 30.0

    @model_validator(mode="after")
    def _complete(self) -> Email:
        if not self.enabled:
            return self
        lacking = [k for k in ("host", "sender", "recipients") if not getattr(self, k)]
        if lacking:
            raise ValueError(f"enabled = true needs {', '.join(lacking)}")
        wrong = [a for a in (self.sender, *self.recipients) if not re.fullmatch(r"[^@\s<>,;]+@[^@\s<>,;]+", a)]
        if wrong:
            raise ValueError(f"not a mail address: {', '.join(map(repr, wrong))}")
        if self.user and self.security == "none" and not _loopback(self.host):
            raise ValueError('user with security = "none" would send the password in clear; use "starttls" or "tls"')
        return self


class OutboxTable(_Table):
    """The store between an alert and its delivery."""

    max_items: Annotated[int, Field(ge=10, le=1_000_000)] = 10_000


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
    incidents: IncidentsTable = IncidentsTable()
    outputs: Outputs = Outputs()
    email: Email = Email()
    outbox: OutboxTable = OutboxTable()
    evidence: EvidenceTable = EvidenceTable()
    health: Health = Health()
    state: State = State()
    log: Log = Log()


class _ZonesFile(_Table):
    zones: list[ZoneTable] = []


def load(path: Path) -> Config:
    """Read and check a configuration file. Relative paths in it are taken from the file's own folder.

    :raises ConfigError: with every fault found, each naming file, key, value and what is allowed.
    """
    data = _read(path)
    cameras = [str(c.get("name")) for c in _tables(data.get("cameras"))]
    faults = _faults(Config, data, path) + _cross_faults(_tables(data.get("zones")), cameras, path)
    faults += [
        f'{path}: cameras: name "{n}": each name once' for n in sorted({n for n in cameras if cameras.count(n) > 1})
    ]
    zones: list[ZoneTable] = []
    named = _tables([data.get("scene")])
    zones_file = named[0].get("zones_file") if named else None
    if isinstance(zones_file, str) and zones_file:
        zones_path = resolve(path, zones_file)
        try:
            extra = _read(zones_path)
            faults += _faults(_ZonesFile, extra, zones_path)
            both = [*_tables(data.get("zones")), *_tables(extra.get("zones"))]
            faults += [
                f
                for f in _cross_faults(both, cameras, zones_path)
                if f"{path}{f[len(str(zones_path)) :]}" not in faults
            ]
            if not faults:
                zones = _ZonesFile.model_validate(extra).zones
        except ConfigError as error:
            faults.append(str(error))
    if faults:
        count = "1 fault" if len(faults) == 1 else f"{len(faults)} faults"
        raise ConfigError("\n".join([f"{path}: {count}:", *(f"  {line}" for line in faults)]))
    config = Config.model_validate(data)
    return config.model_copy(update={"zones": [*config.zones, *zones]})


def resolve(config_path: Path, value: str) -> Path:
    """A path as written in the configuration file: relative to that file's folder."""
    return config_path.parent / Path(value).expanduser()


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file",
            hint="Name the file with --config; firmware_config/kiosk-guard.toml shows every key.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def _tables(value: Any) -> list[dict[str, Any]]:
    """The tables in what should be a list of tables, whatever else is wrong with it."""
    return [t for t in value if isinstance(t, dict)] if isinstance(value, list) else []


def _faults(model: type[BaseModel], data: dict[str, Any], path: Path) -> list[str]:
    try:
        model.model_validate(data)
    except ValidationError as error:
        return [f"{path}: {_fault(e, model)}" for e in error.errors(include_url=False)]
    return []


def _cross_faults(zones: list[dict[str, Any]], cameras: list[str], path: Path) -> list[str]:
    """What no table can see by itself."""
    known = ", ".join(cameras) or "none configured"
    faults = [
        f"{path}: zones: zone {z.get('name')!r}: camera = {_short(z.get('camera'))}: allowed: {known}"
        for z in zones
        if "camera" in z and z["camera"] not in cameras
    ]
    keys = [(str(z.get("camera")), str(z.get("name"))) for z in zones]
    return faults + [
        f"{path}: zones: zone {n!r} of camera {c!r}: each name once"
        for c, n in sorted({k for k in keys if keys.count(k) > 1})
    ]


def _fault(error: Any, model: type[BaseModel]) -> str:
    key = ""
    for part in error["loc"]:
        key += f"[{part}]" if isinstance(part, int) else f".{part}" if key else str(part)
    value = error["input"]
    # A password in the wrong place must not reach a log; a camera's URL may hold one.
    hidden = re.search(r"pass|secret|token|source$", key, re.IGNORECASE) or isinstance(value, dict)
    shown = "" if hidden else f" = {_short(value)}"
    if error["type"] == "missing":
        return f"{key}: is missing; allowed: {_expected(error)}"
    if error["type"] == "extra_forbidden":
        return f"{key}{shown}: unknown key; allowed here: {', '.join(_siblings(model, error['loc'][:-1]))}"
    return f"{key or 'file'}{shown}: allowed: {_expected(error)}"


_PATTERNS = {
    r"^[A-Za-z0-9_-]{1,40}$": "1 to 40 letters, digits, - and _",
    r"^[^\x00-\x1f\x7f]*$": "one line without control characters",
}


def _expected(error: Any) -> str:
    message = str(error["msg"])
    for prefix in ("Value error, ", "Input should be "):
        message = message.removeprefix(prefix)
    if error["type"] == "string_pattern_mismatch":
        return _PATTERNS.get(error["ctx"]["pattern"], message)
    return {"Field required": "a value (this key has no default)"}.get(message, message)


def _siblings(model: type[BaseModel], loc: tuple[Any, ...]) -> list[str]:
    """The keys of the table that a fault's location names."""
    here: Any = model
    for part in loc:
        if isinstance(part, int):
            continue
        if isinstance(here, type) and issubclass(here, BaseModel) and part in here.model_fields:
            here = _table_in(here.model_fields[part].annotation)
    return sorted(here.model_fields) if isinstance(here, type) and issubclass(here, BaseModel) else []


def _table_in(annotation: Any) -> Any:
    """The table model inside ``list[Annotated[T, ...]]``, ``dict[str, T]`` or ``T`` itself."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in reversed(getattr(annotation, "__args__", ())):
        found = _table_in(inner)
        if found is not None:
            return found
    return None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
