"""What may be said of alerts: the pins that sound and switch, the desk's mail, what is kept until it is sent."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edge.config.fields import Name, OneLine, PositiveSeconds, Seconds, SeverityName, Table
from edge.hosts import MAIL_ADDRESS_WANTED, is_loopback, is_mail_address
from edge.types import Severity


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
        wrong = [a for a in (self.sender, *self.everyone) if not is_mail_address(a)]
        if wrong:
            raise ValueError(f"not a mail address: {', '.join(map(repr, wrong))}; wanted: {MAIL_ADDRESS_WANTED}")
        if self.user and self.security == "none" and not is_loopback(self.host):
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
