"""An alert in words: what, where, when, how sure. Plain text pieces that the mail's two forms share."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from edge.types import Severity

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

    from edge.types import Alert

# Title and explanation of the rules that ship; any other rule speaks through its name.
RULE_WORDS: dict[str, tuple[str, str]] = {
    "loitering": ("Loitering", "Somebody has stayed longer than customers do."),
    "restricted_area": ("Person in restricted area", "Somebody is where only staff may be."),
    "crowding": ("Too many people", "More people are inside, or nearer to whoever uses the machine, than should be."),
    "camera_lost": ("Camera lost", "The camera gives no picture: this place is not being watched."),
    "camera_tamper": (
        "Camera tampered with",
        "The camera is covered, blinded or moved: this place is not being watched.",
    ),
    "machine_tampering": ("Rough work at the machine", "Somebody handles the machine as its use does not need."),
    "assault": ("Struggle", "Two people seem to fight, or one seems to attack the other."),
    "closed_hours": ("Person inside out of hours", "Somebody is inside while the lobby is closed."),
    "person_down": ("Person on the floor", "Somebody lies on the floor and may need help."),
    "firearm": ("Firearm seen", "The picture shows what looks like a firearm."),
    "knife": ("Knife seen", "The picture shows what looks like a knife."),
    "tool": ("Tool at the machine", "Somebody holds what looks like a tool where it has no business."),
    "face_cover": ("Covered face", "Somebody inside wears what hides the face."),
    "helmet": ("Helmet kept on", "Somebody inside keeps a helmet on."),
    "maintenance": ("Maintenance mode", "The rules are silent for a while: nothing that happens here is told."),
    "walk_test": ("Walk test", "A technician tries the rules: what they fire on is recorded, and not told."),
    "dark": ("The kiosk was dark", "It ended without notice: until it came back, this place was not being watched."),
    "model": ("Model given up", "A new model did not do well here: the one before it guards again."),
    "panic": ("Panic button", "Somebody at the site pressed the panic button."),
    "enclosure_tamper": ("Kiosk opened", "The enclosure of this kiosk's computer is open."),
    "heartbeat": ("Heartbeat", "This kiosk says that it is there. When this mail stays away, look after the kiosk."),
    "digest": (
        "Many incidents",
        "More came than are mailed one by one; each is listed here, pictures are on the kiosk.",
    ),
    "test": ("Test mail", "Somebody asked this kiosk for a test mail. Nothing happened at the site."),
}


def title(rule: str) -> str:
    """The rule's name for people, as the mails have it."""
    return RULE_WORDS[rule][0] if rule in RULE_WORDS else rule.replace("_", " ").capitalize()


_STAGES = {
    "opened": "",
    "escalated": "Escalated: ",
    "closed": "Closed: ",
    "sheet": "Pictures: ",
    "test": "",
    "digest": "",
    "heartbeat": "",
}
LATE_S = 60.0  # a mail that waited longer says so
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class Site:
    """Where the kiosk stands: what the desk reads in every mail. ``timezone`` is the local time of the site."""

    site: str
    kiosk: str
    address: str
    timezone: tzinfo


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known about time when a mail is written.

    ``waited_s``: seconds since the alert was made, not a number: unknown. ``shift``: to be added to the alert's times,
    because the clock was set between the event and now; zero if they stand. ``trusted``: whether the times then are right.
    """

    waited_s: float = 0.0
    shift: timedelta = timedelta(0)
    trusted: bool = True


@dataclass(frozen=True, slots=True)
class Words:
    """The mail's content.

    ``place``: where and when in one line; ``rows``: label and text; ``warnings``: sentences not to be overlooked.
    """

    subject: str
    topic: str
    title: str
    lead: str
    place: str
    rows: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def rule_title(rule: str) -> str:
    """What a rule is called in a mail."""
    return RULE_WORDS[rule][0] if rule in RULE_WORDS else one_line(rule).replace("_", " ").capitalize()


def describe(
    alert: Alert,
    *,
    site: Site,
    moment: Moment,
    missing_pictures: int = 0,
) -> Words:
    """Put an alert into words; every field is reduced to one clean line."""
    rule = alert.kind if alert.kind in {"test", "heartbeat", "digest"} else alert.rule
    title, lead = rule_title(rule), RULE_WORDS.get(rule, ("", ""))[1]
    place = ", ".join(p for p in (one_line(alert.zone), one_line(site.site), one_line(site.kiosk)) if p)
    opened = alert.opened_utc + moment.shift
    at = opened.astimezone(site.timezone).strftime("%H:%M")
    topic = f"{title}: {place}"
    if alert.kind == "test":
        subject = f"Test mail from {place or 'a kiosk'}"
    elif alert.kind in {"heartbeat", "digest"}:
        count = one_line(alert.what)
        subject = topic = f"{title}: {place}" + (f": {count}" if count else "")
    else:
        stage = _STAGES.get(alert.kind, f"{one_line(alert.kind).capitalize()}: ")
        subject = f"[{alert.severity.label.upper()}] {stage}{topic}, {at}"
    return Words(
        subject=subject,
        topic=topic,
        title=_STAGES.get(alert.kind, "") + title,
        lead={"closed": "It is over.", "sheet": "Pictures from before to after it began, in order."}.get(
            alert.kind, lead
        ),
        place=f"{place}, {at}" if place else at,
        rows=tuple((label, text) for label, text in _rows(alert, site, moment, opened) if text),
        warnings=tuple(_warnings(alert, moment, missing_pictures)),
    )


def _rows(alert: Alert, site: Site, moment: Moment, opened: datetime) -> list[tuple[str, str]]:
    rows = [
        ("Severity", alert.severity.label),
        ("Peak" if alert.kind == "closed" else "Evidence", evidence_sentence(alert)),
        ("Site", one_line(site.site)),
        ("Address", one_line(site.address)),
        ("Kiosk", one_line(site.kiosk)),
        ("Camera", one_line(alert.camera)),
        ("Zone", one_line(alert.zone)),
        ("Began", local_time(opened, site.timezone)),
        ("Began (UTC)", utc_time(opened)),
    ]
    if alert.closed_utc is not None:
        lasted = alert.closed_utc - alert.opened_utc
        rows += [
            ("Ended", local_time(alert.closed_utc + moment.shift, site.timezone)),
            ("Lasted", duration(lasted / timedelta(seconds=1))),
        ]
    if moment.shift:
        clock = "set after the event; the times here are corrected"
    elif moment.trusted:
        clock = "synchronised"
    else:
        clock = "not synchronised; the times may be wrong"
    rows += [
        ("Kiosk's clock", clock),
        ("Waited", duration(moment.waited_s) if moment.waited_s > LATE_S else ""),
        ("Model", one_line(alert.model)),
        ("Software", one_line(alert.software)),
        ("Incident", one_line(alert.incident_id)),
        *((one_line(label), one_line(text)) for label, text in alert.extra),
        ("Incident log", f"{alert.log_seq}:{one_line(alert.log_head)}" if alert.log_head else ""),
    ]
    return rows


def _warnings(alert: Alert, moment: Moment, missing_pictures: int) -> list[str]:
    found: list[str] = []
    if moment.waited_s > LATE_S:
        found.append(f"This mail is late: it waited {duration(moment.waited_s)} to be delivered.")
    elif math.isnan(moment.waited_s):
        found.append("This mail is late: the kiosk was started anew meanwhile, and nobody knows how long it waited.")
    if not moment.trusted and not moment.shift:
        found.append("The kiosk's clock was not synchronised: the times in this mail may be wrong.")
    if missing_pictures:
        noun = "One picture is" if missing_pictures == 1 else f"{missing_pictures} pictures are"
        found.append(f"{noun} missing: lost, damaged, or too large to be sent.")
    if not alert.evidence and alert.kind in {"opened", "escalated"} and alert.severity > Severity.INFO:
        found.append("There is no picture of this moment.")
    return found


def evidence_sentence(alert: Alert) -> str:
    """How sure: the measured value against its limit.

    "one person has stayed for 41.2 s; the limit is 30 s".
    """
    if not alert.what or alert.kind in {"heartbeat", "digest"}:
        return ""
    what, unit = one_line(alert.what), one_line(alert.unit)
    value, limit = _number(alert.value, unit), _number(alert.threshold, unit)
    seen = f"{what} {value} {unit}" if unit == "s" else f"{value} {unit} {what}"
    # Where anything at all counts there is no limit to speak of.
    return f"{seen.strip()}; the limit is {limit} {unit}".strip() if alert.threshold else seen.strip()


def local_time(at: datetime, zone: tzinfo) -> str:
    """Sun 1 March 2026, 03:00:12 CET (UTC+01:00)."""
    local = at.astimezone(zone)
    offset = local.strftime("%z")
    offset = f"UTC{offset[:3]}:{offset[3:5]}"
    name = local.tzname() or ""
    # A zone without a name of its own is called by its offset.
    named = f"{name} ({offset})" if name and name[0] not in "+-" and not name.startswith("UTC") else offset
    return f"{local.strftime('%a')} {local.day} {local.strftime('%B %Y, %H:%M:%S')} {named}"


def utc_time(at: datetime) -> str:
    """2026-03-01 02:00:12 UTC."""
    return (at - (at.utcoffset() or timedelta(0))).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: float) -> str:
    """In words with two units at the most.

    >>> duration(42.3), duration(75), duration(11_520), duration(200_000)
    ('42 s', '1 min 15 s', '3 h 12 min', '2 d 7 h')
    """
    left = round(max(0.0, seconds)) if math.isfinite(seconds) else 0
    parts: list[str] = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0 s"


def one_line(text: str) -> str:
    """Without line breaks, control, direction-changing and unpaired characters; at most 200 characters."""
    return _CONTROL.sub(" ", text).strip()[:200]


def is_urgent(alert: Alert) -> bool:
    """Whether mail programs shall mark it."""
    return alert.severity is Severity.CRITICAL and alert.kind != "closed"


def _number(value: float, unit: str) -> str:
    if not math.isfinite(value):
        return "?"
    return f"{value:.2f}" if unit == "score" else f"{value:.1f}".removesuffix(".0")
