"""The overview: does the box see, decide, alarm, and reach the desk; and what a technician may do about it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from edge.health.acts_card import acts_card, invitation, retry_act, test_mail_act
from edge.health.interface import Report, Status
from edge.health.layout import ago, card, clock_words, page, severity_tag, when
from edge.health.page import MARKS, check_line, check_title, headline, unit_sign

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

_MAX_REASONS = 4
_FIRST = 4  # incidents shown at once
_VERDICTS = (("true", "True"), ("false", "False"), ("test", "Test"))


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
        can_mail = signed_in and possible["mail"]
        left = [*(_camera(name, facts, glance, signed_in) for name, facts in glance["cameras"].items())]
        left += [
            acts_card(possible, glance["cameras"].values()) if signed_in else invitation(),
            card(
                "mail",
                "Mail",
                _mail(report, now, can_act=can_mail),
                live=True,
                after=test_mail_act(possible) if can_mail else "",
            ),
        ]
        right = [
            card("incidents", "Incidents", _incidents(glance, signed_in, now), live=True),
            card("suppressed", "Seen, but not told", _suppressed(glance, now), live=True),
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
        foot=f'{clock_words(now)}, version {escape(version or "unknown")}; <a href="/health">as JSON</a>',
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
    withheld = "<li><b>pictures are withheld</b>: the camera was moved</li>" if facts.get("withheld") else ""
    line = (
        f'<ul class="facts" id="camera-{shown}" data-live><li><b>{_figure(fps)}</b> frames/s</li>'
        f"<li>picture <b>{_figure(age)}</b> s old</li><li>inference <b>{_figure(glance.get('inference_ms'))}</b> ms</li>"
        f"<li>{escape(str(facts.get('state', '')))}</li>{withheld}</ul>"
    )
    return (
        f'<section class="card" aria-label="Camera {shown}"><h2>Camera {shown}</h2><figure>{picture}'
        f"<figcaption>{line}</figcaption></figure></section>"
    )


def _incidents(glance: Mapping[str, Any], signed_in: bool, now: datetime) -> str:  # noqa: FBT001
    if not glance["incidents"]:
        return '<p class="soft">None yet.</p>'
    several = len(glance["cameras"]) > 1
    rows = [_incident(one, signed_in, now, one["camera"] if several else "") for one in glance["incidents"]]
    shown = f'<ul class="rows">{"".join(rows[:_FIRST])}</ul>'
    more = f'<ul class="rows">{"".join(rows[_FIRST:])}</ul>'
    return shown + (
        f"<details><summary>{len(rows) - _FIRST} earlier ones</summary>{more}</details>" if rows[_FIRST:] else ""
    )


def _incident(one: Mapping[str, Any], signed_in: bool, now: datetime, camera: str) -> str:  # noqa: FBT001
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
    where += f" of {escape(camera)}" if camera else ""
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


def _suppressed(glance: Mapping[str, Any], now: datetime) -> str:
    suppressed = glance["suppressed"]
    if not suppressed:
        return '<p class="soft">Nothing was held back.</p>'
    several = len(glance["cameras"]) > 1
    rows = "".join(
        f"<li><b>{escape(one['title'])}</b>{' in ' + escape(one['zone']) if one['zone'] else ''}"
        f"{' of ' + escape(one['camera']) if several else ''}: "
        f"{escape(one['reason'])}<div class='small soft'>{when(one['since'], now)}, "
        f"{'once' if one['count'] == 1 else str(one['count']) + ' times'}</div></li>"
        for one in suppressed[:8]
    )
    return f'<ul class="rows">{rows}</ul>'


def _mail(report: Report, now: datetime, *, can_act: bool) -> str:
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
        f"{retry_act() if can_act and (held or waiting not in (0, '?')) else ''}"
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
