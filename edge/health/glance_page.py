"""The overview: does the box see, decide, alarm, and reach the desk; and what a technician may do about it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from edge.health.interface import Report, Status
from edge.health.layout import ago, card, options, page, severity_tag, when
from edge.health.page import MARKS, check_line, check_title, headline, unit_sign

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_MAX_REASONS = 4
_FIRST = 4  # incidents shown at once
_VERDICTS = (("true", "True"), ("false", "False"), ("test", "Test"))
_MINUTES = ((15, "15 min"), (30, "30 min"), (60, "1 h"), (120, "2 h"), (240, "4 h"), (480, "8 h"))


def render_glance(
    report: Report,
    *,
    ready: tuple[bool, str],
    glance: Mapping[str, Any] | None,
    trouble: str,
    signed_in: bool,
    version: str,
    now: datetime,
) -> str:
    """The page as HTML.

    :param glance: as from ``Acts.glance``; None: it could not be had, because of ``trouble``.
    :param signed_in: pictures and acts are shown.
    """
    possible = glance["possible"] if glance else {}
    status, state = _state(report, ready, possible)
    left, right = [], []
    if glance:
        act = _mail_act(possible) if signed_in and possible["mail"] else ""
        left = [*(_camera(name, facts, glance, signed_in) for name, facts in glance["cameras"].items())]
        left += [
            _acts(possible, withheld=any(c.get("withheld") for c in glance["cameras"].values()))
            if signed_in
            else _invitation(),
            card("mail", "Mail", _mail(report, now), live=True, after=act),
        ]
        right = [
            card("incidents", "Incidents", _incidents(glance["incidents"], signed_in, now), live=True),
            card("suppressed", "Seen, but not told", _suppressed(glance["suppressed"], now), live=True),
        ]
    elif trouble:
        left = [card("trouble", "More cannot be shown", f"<p>{escape(trouble)}</p>")]
    checks = card("checks", "Checks", _checks(report), live=True)
    box = card("box", "This box", _box(report, version), live=True)
    columns = [left or [checks], right or [box]] + ([[checks], [box]] if left and right else [])
    body = f'<div class="wide" id="state" data-live>{state}</div>' + "".join(
        f'<div class="column">{"".join(column)}</div>' for column in columns
    )
    return page(
        f"{MARKS[status]} - Kiosk Guard",
        body,
        here="/",
        head=(str(possible.get("kiosk", report.details.get("kiosk", ""))), str(possible.get("site", ""))),
        signed_in=signed_in,
        columns=True,
        refresh=True,
        foot=f"{escape(now.strftime('%Y-%m-%d %H:%M:%S'))} UTC, version {escape(version or 'unknown')}; "
        '<a href="/health">as JSON</a>',
    )


def _state(report: Report, ready: tuple[bool, str], possible: Mapping[str, Any]) -> tuple[Status, str]:
    status, words, reasons = headline(report, ready, most=_MAX_REASONS)
    if ready[0] and possible.get("maintenance", {}).get("on"):
        words = "In maintenance: the rules are silent"
    elif ready[0] and possible.get("walk_test", {}).get("on"):
        words = "Walk test: the desk gets no alarm"
    said = "".join(f"<li>{escape(reason)}</li>" for reason in reasons or ["It sees, decides, and can tell the desk."])
    mark = MARKS[status][0]
    return status, (
        f'<section class="state {status.label}" aria-label="state"><strong><span aria-hidden="true">{mark}</span> '
        f"{escape(words)}</strong><ul>{said}</ul></section>"
    )


def _camera(name: str, facts: Mapping[str, Any], glance: Mapping[str, Any], signed_in: bool) -> str:  # noqa: FBT001
    shown = escape(name)
    if signed_in:
        picture = (
            f'<div class="view"><img src="/live/{shown}.jpg" data-live-src="/live/{shown}.jpg" width="960" height="540" '
            f'alt="Live picture of camera {shown}, with boxes, zones and dwell times"><p class="note" hidden></p></div>'
        )
    else:
        picture = '<div class="view"><p class="note">Log in to see the picture.</p></div>'
    fps, age = facts.get("fps"), facts.get("frame_age_s")
    withheld = "<li><b>pictures are withheld</b>: the camera was turned</li>" if facts.get("withheld") else ""
    line = (
        f'<ul class="facts" id="camera-{shown}" data-live><li><b>{_figure(fps)}</b> frames/s</li>'
        f"<li>picture <b>{_figure(age)}</b> s old</li><li>inference <b>{_figure(glance.get('inference_ms'))}</b> ms</li>"
        f"<li>{escape(str(facts.get('state', '')))}</li>{withheld}</ul>"
    )
    return (
        f'<section class="card" aria-label="Camera {shown}"><h2>Camera {shown}</h2><figure>{picture}'
        f"<figcaption>{line}</figcaption></figure></section>"
    )


def _incidents(incidents: list[Mapping[str, Any]], signed_in: bool, now: datetime) -> str:  # noqa: FBT001
    if not incidents:
        return '<p class="soft">None yet.</p>'
    rows = [_incident(one, signed_in, now) for one in incidents]
    shown = f'<ul class="rows">{"".join(rows[:_FIRST])}</ul>'
    more = f'<ul class="rows">{"".join(rows[_FIRST:])}</ul>'
    return shown + (
        f"<details><summary>{len(rows) - _FIRST} earlier ones</summary>{more}</details>" if rows[_FIRST:] else ""
    )


def _incident(one: Mapping[str, Any], signed_in: bool, now: datetime) -> str:  # noqa: FBT001
    link = f"/incident/{escape(one['id'])}"
    role = one["pictures"][0] if one["pictures"] else ""
    if role and signed_in:
        thumb = (
            f'<a class="thumb" href="{link}"><img src="/incidents/{escape(one["id"])}/picture?role={role}&amp;small" '
            f'alt="Picture of {escape(one["title"])}" width="120" height="68"></a>'
        )
    else:
        thumb = f'<span class="thumb">{"log in" if role else "no picture"}</span>'
    where = " in ".join(escape(part) for part in (one["title"], one["zone"]) if part)
    test = ' <span class="tag info">\u2691 TEST</span>' if one["test"] else ""
    return (
        f'<li class="incident">{thumb}<h3><a href="{link}">{where}</a></h3>'
        f'<div class="row">{severity_tag(one["severity"])}{test}<span>{"over" if one["closed"] else "open"}</span></div>'
        f'<div class="small">{when(one["opened"], now)}: {escape(one["what"])}</div>'
        f'<div class="small soft">{escape(one["told"])}</div>{verdict_buttons(one) if signed_in else ""}</li>'
    )


def verdict_buttons(one: Mapping[str, Any]) -> str:
    """What the desk says of an incident."""
    buttons = "".join(
        f'<button type="button" data-verdict="{value}" data-incident="{escape(one["id"])}" '
        f'aria-pressed="{"true" if one["verdict"] == value else "false"}">{words}</button>'
        for value, words in _VERDICTS
    )
    return f'<div class="row script small" role="group" aria-label="Verdict on {escape(one["title"])}"><span class="soft">Alarm was</span>{buttons}</div>'


def _suppressed(suppressed: list[Mapping[str, Any]], now: datetime) -> str:
    if not suppressed:
        return '<p class="soft">Nothing was held back.</p>'
    rows = "".join(
        f"<li><b>{escape(one['title'])}</b>{' in ' + escape(one['zone']) if one['zone'] else ''}: "
        f"{escape(one['reason'])}<div class='small soft'>{when(one['since'], now)}, "
        f"{'once' if one['count'] == 1 else str(one['count']) + ' times'}</div></li>"
        for one in suppressed[:8]
    )
    return f'<ul class="rows">{rows}</ul>'


def _acts(possible: Mapping[str, Any], *, withheld: bool) -> str:
    maintenance = possible["maintenance"]
    outputs = ", ".join(possible["outputs"]) or "none configured"
    if maintenance["on"]:
        silence = (
            '<form data-act="maintenance" data-on="false"><p>Maintenance: '
            f"{escape(maintenance['reason'])}, {max(1, round(maintenance['remaining_s'] / 60))} min left.</p>"
            '<button class="key">End maintenance</button><output role="status"></output></form>'
        )
    else:
        silence = (
            '<details><summary>Maintenance</summary><form data-act="maintenance" data-on="true">'
            '<p class="soft">The rules are silent, the desk is told so.</p><label for="minutes">For how long</label>'
            f'<select id="minutes" name="minutes">{options(_MINUTES, 30)}</select>'
            '<label for="reason">What for (the desk reads it)</label>'
            '<input id="reason" name="reason" maxlength="120" required autocomplete="off">'
            '<p><button class="risky">Begin maintenance</button></p><output role="status"></output></form></details>'
        )
    if withheld:
        silence += (
            '<form data-act="confirm-masks"><p>A camera was turned: its pictures are withheld until somebody has seen to it '
            "that the privacy masks lie where they should. Look at the live picture right after.</p>"
            '<button class="risky">The camera is back, release the pictures</button><output role="status"></output></form>'
        )
    disabled = "" if possible["outputs"] else " disabled"
    inner = (
        '<p class="plainly">Acts need JavaScript; reading does not.</p><div class="script">'
        f'<form data-act="test-alarm"><p class="soft">Outputs: {escape(outputs)}</p><button{disabled}>Test siren and lamp, '
        '3 s</button><output role="status"></output></form>'
        '<form data-act="acknowledge"><p><button>Acknowledge: silence what sounds now</button></p>'
        '<output role="status"></output></form>'
        f'<div id="maintenance" data-live>{silence}</div>'
        '<details><summary>Support bundle</summary><p class="soft">Log, configuration without secrets, health, versions; '
        'no pictures.</p><a class="button" href="/acts/support-bundle" download>Download</a></details></div>'
    )
    return card("acts", "Try it", inner)


def _invitation() -> str:
    return card(
        "acts",
        "Try it",
        '<p>With the token from the label you see pictures and can act.</p><a class="button key" '
        'href="/login?next=/">Log in</a>',
    )


def _mail(report: Report, now: datetime) -> str:
    outbox = report.details.get("outbox", {})
    check = next((c for c in report.checks if c.name == "mail"), None)
    waiting, held = outbox.get("waiting", "?"), outbox.get("held", 0)
    words = (
        f'<p class="{"good" if check.status is Status.PASS else "bad"}">{MARKS[check.status][0]} ' if check else "<p>"
    )
    words += escape(check.output or "the mail server takes our mails") if check else ""
    last = outbox.get("last_success")
    return (
        f'{words}</p><ul class="facts"><li>last success <b>{when(last, now) if last else "none yet"}</b></li>'
        f"<li><b>{escape(str(waiting))}</b> waiting</li><li><b>{escape(str(held))}</b> refused for good</li>"
        f"<li><b>{escape(str(outbox.get('dropped', 0)))}</b> given up</li></ul>"
    )


def _mail_act(possible: Mapping[str, Any]) -> str:
    who = ", ".join(possible["recipients"])
    return (
        f'<form data-act="test-mail" class="script"><p><button>Send a test mail</button></p><p class="small soft">to '
        f'{escape(who)}</p><output role="status"></output></form>'
    )


def _checks(report: Report) -> str:
    rows = "".join(check_line(c) for c in sorted(report.checks, key=lambda check: -check.status))
    return f'<ul class="rows">{rows}</ul>'


def _box(report: Report, version: str) -> str:
    details = report.details
    found = {c.name: c for c in report.checks}
    rows = [("Model", str(details.get("model", "unknown"))), ("Software", f"kiosk-guard {version or 'unknown'}")]
    rows += [
        (check_title(name), f"{c.observed} {unit_sign(c.unit)}".strip() if c.observed is not None else c.output or "?")
        for name in ("disk", "memory", "temperature", "clock")
        if (c := found.get(name))
    ]
    uptime = details.get("uptime_s")
    if isinstance(uptime, int | float):
        rows.append(("Running since", ago(float(uptime))))
    resting = details.get("rules without a class in this model") or {}
    rows += [(f"Rule {name} rests", f"the model knows no {', '.join(lacks)}") for name, lacks in resting.items()]
    return f"<table>{''.join(f'<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>' for k, v in rows)}</table>"


def _figure(value: Any) -> str:
    return "-" if value is None else escape(str(value))
