"""The mail of an alert: text and HTML side by side, the annotated picture inline, the clean one attached."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.header import Header
from email.headerregistry import HeaderRegistry, MessageIDHeader, UnstructuredHeader
from email.message import EmailMessage, MIMEPart
from email.policy import SMTP
from email.utils import format_datetime
from html import escape
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, cast

from edge.alerts.identity import message_id, opening_alert_id
from edge.alerts.mail_words import describe, is_urgent, one_line
from edge.types import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from email.policy import Policy
    from pathlib import Path

    from edge.alerts.mail_words import Moment, Site, Words
    from edge.types import Alert, EvidenceRef

_UNIT = re.compile(r"(?<=\d) (?=(?:s|min|h|d|UTC)\b)")  # a number and its unit stay on one line
# Outlook on Windows draws with Word's engine, which knows no max-width: it gets a table of fixed width around all. It breaks
# no long word either: a hash is set small enough for its column. Nor does it know padding of a div, or "background".
_OUTLOOK = (
    '<!--[if mso]><table role="presentation" width="600" cellpadding="0" cellspacing="0"><tr><td><![endif]-->',
    "<!--[if mso]></td></tr></table><![endif]-->",
)
_OUTLOOK_DPI = (  # else a screen set to 125 % stretches the picture and not the table
    "<!--[if mso]><xml><o:OfficeDocumentSettings><o:PixelsPerInch>96</o:PixelsPerInch>"
    "</o:OfficeDocumentSettings></xml><![endif]-->"
)
_LONG_WORD = re.compile(r"\S{45,}")
# Python knows Message-ID as a name that must stay whole, but not these: it would break a long one up into encoded words, and no
# mail program then finds the thread, or the picture that the text shows.
_HEADERS = HeaderRegistry()


class _Text(UnstructuredHeader):
    """Python encodes such a line word by word, and mail programs leave out the spaces between two words that are encoded."""

    name: str

    def fold(self, *, policy: Policy) -> str:
        if str(self).isascii():
            return str(super().fold(policy=policy))  # type: ignore[misc]  # the registry puts the class below it that can
        coded = Header(str(self), "utf-8", maxlinelen=76, header_name=self.name).encode(linesep=policy.linesep)
        return f"{self.name}: {coded}{policy.linesep}"


for _name in ("In-Reply-To", "References", "Content-ID"):
    _HEADERS.map_to_type(_name, MessageIDHeader)  # type: ignore[arg-type]  # its stub wants a base class that it has not
for _name in ("Subject", "Thread-Topic"):
    _HEADERS.map_to_type(_name, _Text)  # type: ignore[arg-type]  # as above
_POLICY = SMTP.clone(header_factory=_HEADERS)
# Dark enough for white text on a phone in the sun (contrast above 4.5).
_COLOURS = {
    Severity.CRITICAL: "#b00020",
    Severity.HIGH: "#b34700",
    Severity.LOW: "#1f5fa8",
    Severity.INFO: "#4a5560",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture's record and its bytes."""

    ref: EvidenceRef
    data: bytes


def compose(
    alert: Alert,
    pictures: Sequence[Picture],
    *,
    site: Site,
    moment: Moment,
    sender: str,
    recipients: Sequence[str],
    domain: str,
    date: datetime,
) -> EmailMessage:
    """The whole message, all its lines 7-bit.

    :param pictures: those that go along; what ``alert.evidence`` names beyond them is told as missing.
    :param domain: right side of the Message-ID.
    :param date: when the mail is written, timezone-aware.
    """
    words = describe(alert, site=site, moment=moment, missing_pictures=len(alert.evidence) - len(pictures))
    message = EmailMessage(policy=_POLICY)
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = words.subject
    message["Date"] = format_datetime(date)
    message["Message-ID"] = message_id(alert.alert_id, domain)
    opening = opening_alert_id(alert.incident_id)
    if alert.incident_id and alert.alert_id != opening and alert.kind != "test":
        message["In-Reply-To"] = message_id(opening, domain)
        message["References"] = message_id(opening, domain)
    message["Thread-Topic"] = words.topic  # Exchange groups by it: the subject changes from step to step
    message["Auto-Submitted"] = "auto-generated"  # no out-of-office replies, please
    message["X-Kiosk-Guard"] = one_line(f"{alert.kind} {alert.severity.label} {alert.incident_id}")
    if is_urgent(alert):
        message["Importance"] = "high"
        message["X-Priority"] = "1"
    inline = next((p for p in pictures if p.ref.role in {"annotated", "sheet"}), None)
    near = next((p for p in pictures if p.ref.role == "closeup"), None) if inline else None
    message.set_content(_text(words), cte="quoted-printable")
    cid = f"<annotated.{message['Message-ID'][1:]}" if inline else ""
    near_cid = f"<closeup.{message['Message-ID'][1:]}" if near else ""
    message.add_alternative(
        _html(words, alert.severity, cid.strip("<>"), near_cid.strip("<>")), subtype="html", cte="quoted-printable"
    )
    if inline is not None:
        html = cast("list[MIMEPart]", message.get_payload())[1]
        html.add_related(
            inline.data, "image", "jpeg", cid=cid, disposition="inline", filename=_file_name(alert, inline.ref)
        )
        if near is not None:
            html.add_related(
                near.data, "image", "jpeg", cid=near_cid, disposition="inline", filename=_file_name(alert, near.ref)
            )
    for picture in pictures:
        if picture is not inline and picture is not near:
            kind, _, form = picture.ref.media_type.partition("/")
            message.add_attachment(picture.data, kind, form, filename=_file_name(alert, picture.ref))
    return message


def read_pictures(alert: Alert, paths: Sequence[Path], *, max_bytes: int) -> list[Picture]:
    """The pictures that can be read and fit, annotated ones first; a path belongs to the record whose path it ends in.

    :param max_bytes: bound on their size together, as they travel (base64 adds a third).
    """
    found: list[Picture] = []
    left = max_bytes
    for ref in sorted(
        alert.evidence, key=lambda r: (r.role != "annotated", r.role != "closeup", r.role != "clean", r.role == "clip")
    ):  # a film goes first to go
        parts = PurePosixPath(ref.path).parts
        path = next((p for p in paths if p.parts[-len(parts) :] == parts), None)
        if path is None:
            continue
        try:
            data = path.read_bytes()
        except OSError:
            continue
        travelling = len(data) * 4 // 3 + len(data) // 57 * 2
        if travelling <= left:
            left -= travelling
            found.append(Picture(ref, data))
    return found


def _file_name(alert: Alert, ref: EvidenceRef) -> str:
    suffix = PurePosixPath(ref.path).suffix
    return f"{opening_alert_id(alert.incident_id).removesuffix('.opened')}-{one_line(ref.role)}{suffix}"


def _text(words: Words) -> str:
    width = max(len(label) for label, _ in words.rows)
    lines = [words.title.upper(), words.place, ""]
    if words.lead:
        lines += [words.lead, ""]
    lines += [f"! {warning}" for warning in words.warnings]
    if words.warnings:
        lines.append("")
    lines += [f"{label + ':':<{width + 2}}{text}" for label, text in words.rows]
    lines += ["", "-- ", "Sent by Kiosk Guard. Pictures show people: treat them as your rules demand."]
    return "\n".join(lines) + "\n"


def _html(words: Words, severity: Severity, cid: str, near_cid: str) -> str:
    """Tables and inline style: Outlook knows nothing else; one column, so that a phone need not zoom."""
    colour = _COLOURS[severity]
    font = "font-family:Arial,Helvetica,sans-serif"
    warnings = "".join(
        f'<tr><td bgcolor="#fff4d6" style="padding:10px 16px;background-color:#fff4d6;color:#5c4300;{font};'
        f'font-size:15px;line-height:21px">'
        f"{escape(warning)}</td></tr>"
        for warning in words.warnings
    )
    picture = "".join(
        f'<tr><td style="padding:0"><img src="cid:{escape(shown)}" alt="{alt}" width="600"'
        ' style="display:block;width:100%;max-width:600px;height:auto;border:0"></td></tr>'
        for shown, alt in ((cid, "The moment, with what was seen marked"), (near_cid, "What was seen, from near"))
        if shown
    )
    rows = "".join(
        f'<tr><td valign="top" width="110" style="padding:7px 8px 7px 16px;border-top:1px solid #e6e8eb;color:#5a6570;'
        f'{font};font-size:14px;line-height:20px">{escape(label)}</td>'
        f'<td valign="top" style="padding:7px 16px 7px 0;border-top:1px solid #e6e8eb;color:#111820;{font};'
        f'font-size:{11 if _LONG_WORD.search(text) else 15}px;line-height:20px;word-break:break-word">{_UNIT.sub("&nbsp;", escape(text))}</td></tr>'
        for label, text in words.rows
    )
    lead = "".join(
        f'<div style="font-size:15px;line-height:21px;margin-top:4px">{escape(line)}</div>'
        for line in (words.place, words.lead)
        if line
    )
    return (
        '<!DOCTYPE html><html lang="en" xmlns:o="urn:schemas-microsoft-com:office:office"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(words.subject)}</title>{_OUTLOOK_DPI}</head>"
        '<body bgcolor="#eef0f2" style="margin:0;padding:0;background-color:#eef0f2">'
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" bgcolor="#eef0f2">'
        f'<tr><td align="center" style="padding:8px">{_OUTLOOK[0]}'
        '<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" bgcolor="#ffffff"'
        ' style="max-width:600px;background-color:#ffffff">'
        f'<tr><td bgcolor="{colour}" style="padding:14px 16px;background-color:{colour};color:#ffffff;{font}">'
        f'<div style="font-size:21px;line-height:27px;font-weight:bold">{escape(words.title)}</div>{lead}</td></tr>'
        f"{warnings}{picture}"
        '<tr><td style="padding:0"><table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0">'
        f"{rows}</table></td></tr>"
        f'<tr><td style="padding:12px 16px;border-top:1px solid #e6e8eb;color:#5a6570;{font};font-size:12px;'
        'line-height:17px">Sent by Kiosk Guard. Pictures show people: treat them as your rules demand.</td></tr>'
        f"</table>{_OUTLOOK[1]}</td></tr></table></body></html>\n"
    )
