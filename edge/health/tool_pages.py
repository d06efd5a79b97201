"""The other pages: drawing zones, the walk test, one incident."""

from __future__ import annotations

import json
from html import escape
from typing import TYPE_CHECKING, Any

from edge.health.glance_page import verdict_buttons
from edge.health.layout import card, options, page, severity_tag, when

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

KINDS = {
    "restricted": "Restricted: only staff",
    "lobby": "Lobby: where customers are",
    "machine": "Machine: where customers use it",
    "door": "Door: where people come and go",
    "ignore": "Ignore: nobody counts there",
    "never_stored": "Privacy mask: never stored or shown",
    "never_seen": "Privacy mask: not even analysed",
}
_WALK_MINUTES = ((5, "5 min"), (10, "10 min"), (20, "20 min"), (30, "30 min"), (60, "1 h"))
_ROLES = {
    "annotated": "What it saw",
    "closeup": "From near",
    "clean": "The picture itself",
    "sheet": "Before and after",
}


def render_zones(zones: Mapping[str, Any], *, camera: str, head: tuple[str, str], now: datetime) -> str:
    """Zones and masks of one camera, to be drawn on its live picture.

    :param zones: as from ``Acts.zones``.
    :param head: the kiosk's name and its site.
    """
    shown = escape(camera)
    cameras = zones["cameras"]
    choice = "".join(
        f'<a class="button" href="/zones?camera={escape(c)}"{" aria-current=true" if c == camera else ""}>{escape(c)}</a>'
        for c in cameras
    )
    choice = f'<div class="row" role="group" aria-label="Camera">{choice}</div>' if len(cameras) > 1 else ""
    drawing = (
        f'<div class="drawing" id="drawing"><img src="/live/{shown}.jpg?plain" data-live-src="/live/{shown}.jpg?plain" '
        f'alt="Live picture of camera {shown}"><svg id="shapes" aria-label="Zones and masks" role="group"></svg><p class="note small" role="status" hidden></p></div>'
        '<p id="hint" role="status" class="small">Choose "New", then tap the corners on the picture, one after the '
        "other.</p>"
        '<div class="row script"><button type="button" id="new" class="key">New</button><button type="button" id="corner">'
        'Add corner</button><button type="button" id="undo">Undo</button><button type="button" id="remove" '
        'class="risky">Delete</button></div>'
        '<div class="script" id="properties" hidden><label for="kind">What it is</label><select id="kind">'
        f"{options(KINDS.items(), '')}</select>"
        '<label for="name">Name</label><input id="name" maxlength="40" pattern="[A-Za-z0-9_\\-]+" autocomplete="off" '
        'aria-describedby="name-rule"><p id="name-rule" class="small soft">letters, digits, - and _</p></div>'
        '<p class="row script"><button type="button" id="save" class="key" disabled>Save and use</button></p>'
        '<output id="saved" role="status"></output>'
    )
    if not zones["editable"]:
        drawing = f'<p class="bad">{escape(zones["why"])}</p>' + drawing
    rows = [*zones["fixed"]["zones"], *zones["fixed"]["masks"], *zones["zones"], *zones["masks"]]
    listed = "".join(
        f"<tr><td>{escape(z['name'])}</td><td>{escape(KINDS.get(z['kind'], z['kind']))}</td>"
        f"<td>{len(z['polygon'])} corners</td></tr>"
        for z in rows
        if z["camera"] == camera
    )
    table = f'<table id="list"><tr><th>Name</th><th>What it is</th><th></th></tr>{listed}</table>' if listed else ""
    versions = "".join(
        f'<li class="row"><span>{_version_in_words(v, now)}</span>'
        + (
            '<span class="soft">in use</span>'
            if number == 0
            else f'<button type="button" class="script" data-restore="{escape(v["version"])}">Use again</button>'
        )
        + "</li>"
        for number, v in enumerate(zones["versions"])
    )
    state = json.dumps({**zones, "camera": camera, "words": KINDS}).replace("<", "\\u003c")
    body = (
        f'<div class="column">{choice}{card("draw", f"Zones of camera {camera}", drawing)}</div><div class="column">'
        + card(
            "shapes-list",
            "Zones and masks in use",
            table or '<p class="soft">None: the whole picture is the lobby.</p>',
        )
        + card("versions", "Earlier versions", f'<ul class="rows">{versions}</ul>' if versions else "<p>None yet.</p>")
        + '<section class="card"><h2>Worth knowing</h2><p>A person is where their feet are: draw zones on the floor. A '
        "privacy mask over the PIN pad is black in every picture that leaves the camera. Corners can be moved with "
        "the arrow keys and removed with Delete.</p></section></div>"
        f'<script type="application/json" id="zones-state">{state}</script>'
    )
    return page(
        f"Zones - {camera}",
        body,
        here="/zones",
        signed_in=True,
        columns=True,
        scripts=("/page.js", "/zones.js"),
        head=head,
    )


def _version_in_words(version: Mapping[str, Any], now: datetime) -> str:
    zones, masks = version["zones"], version["masks"]
    if not version["saved"] and not zones and not masks:
        return "at first: nothing drawn"
    by = f" by {escape(version['by'])}" if version["by"] else ""
    return f"{when(version['saved'], now) if version['saved'] else 'written by hand'}: {zones} zones, {masks} masks{by}"


def render_walk_test(
    state: Mapping[str, Any], records: Sequence[Mapping[str, Any]], *, head: tuple[str, str], now: datetime
) -> str:
    """Begin it, watch the rules fire, end it, take the record along."""
    if state["on"]:
        begin = (
            '<p><b class="bad">\u2691 A walk test is running.</b> The desk gets no alarm; the panic button still counts.</p>'
            f"<p><b>{max(1, round(state['remaining_s'] / 60))} min</b> left, outputs "
            f"{'sound' if state['siren'] else 'stay silent'}.</p>"
            '<form data-act="walk-test" data-on="false" data-reload><button class="key">End it and write the record'
            '</button><output role="status"></output></form>'
        )
    else:
        begin = (
            "<p>Walk through the lobby and make each rule fire. Meanwhile incidents are marked TEST and the desk gets no "
            "alarm; it is told that you test. At the end there is a record to keep.</p>"
            '<form data-act="walk-test" data-on="true" data-reload class="script"><label for="technician">Your name</label>'
            '<input id="technician" name="technician" required maxlength="80" autocomplete="name"><label for="minutes">'
            f'For how long</label><select id="minutes" name="minutes">{options(_WALK_MINUTES, 10)}</select>'
            '<label class="inline"><input type="checkbox" name="siren">Siren and lamp as in earnest</label>'
            '<p><button class="key">Begin the walk test</button></p><output role="status"></output></form>'
        )
    rows = "".join(_rule(r, now) for r in state["rules"])
    fired = sum(bool(r["fired"]) for r in state["rules"])
    able = sum(not r["resting"] for r in state["rules"])
    kept = "".join(
        f'<li><a href="/acts/walk-test/records/{escape(r["id"])}.html" download>{escape(r["id"])}</a>'
        f'<div class="small soft">{escape(r["technician"])}, {r["fired"]} of {r["rules"]} rules fired, '
        f"{when(r['ended'], now)}</div></li>"
        for r in records
    )
    body = (
        f'<div class="column">{card("walk", "Walk test", begin, live=True)}'
        + card(
            "kept", "Records", f'<ul class="rows">{kept}</ul>' if kept else '<p class="soft">None yet.</p>', live=True
        )
        + "</div>"
        + card("rules", "Rules", f"<p>{fired} of {able} fired.</p><ul class='rows'>{rows}</ul>", live=True)
    )
    return page(
        "Walk test - Kiosk Guard", body, here="/walk-test", signed_in=True, columns=True, refresh=True, head=head
    )


def render_incident(one: Mapping[str, Any], *, head: tuple[str, str], now: datetime) -> str:
    """All about one incident, with its pictures; that they were looked at is on record."""
    where = " in ".join(escape(part) for part in (one["title"], one["zone"]) if part)
    test = ' <span class="tag info">\u2691 TEST</span>' if one["test"] else ""
    rows = {
        "Began": when(one["opened"], now),
        "Ended": f"{when(one['closed'], now)}: {escape(one['close_reason'])}" if one["closed"] else "it is still open",
        "Seen": escape(one["what"]),
        "Camera": escape(one["camera"]),
        "Told": escape(one["told"]),
        "Number": escape(one["id"]),
    }
    facts = "".join(f"<tr><td>{label}</td><td>{text}</td></tr>" for label, text in rows.items())
    pictures = "".join(
        f'<figure class="card"><img src="/incidents/{escape(one["id"])}/picture?role={role}" alt="{words} of '
        f'{escape(one["title"])}"><figcaption class="soft">{words}</figcaption></figure>'
        for role, words in _ROLES.items()
        if role in one["pictures"]
    )
    body = (
        f'<div class="column">{pictures or "<p>There is no picture of it (any more).</p>"}</div><div class="column">'
        f'<section class="card"><h1>{where}</h1><div class="row">{severity_tag(one["severity"])}{test}</div>'
        f"<table>{facts}</table></section>"
        + card("verdict", "Verdict", f"<p>What was it?</p>{verdict_buttons(one)}<output role='status'></output>")
        + '<p class="small soft">That you looked at these pictures is in the incident log.</p></div>'
    )
    return page(f"{one['title']} - Kiosk Guard", body, here="/incident", signed_in=True, columns=True, head=head)


def _rule(rule: Mapping[str, Any], now: datetime) -> str:
    if rule["fired"]:
        times = "once" if rule["fired"] == 1 else f"{rule['fired']} times, first"
        mark, words, status = "\u2713 fired", f"{times} {when(rule['first'], now)}", "pass"
    elif rule["resting"]:
        mark, words, status = "\u2013 rests", escape(rule["resting"]), "off"
    else:
        mark, words, status = "\u25cb not yet", "", "off"
    return (
        f'<li class="check {status}"><span class="mark">{mark}</span><span class="name">{escape(rule["title"])}</span>'
        f'<span class="why small soft">{words}</span></li>'
    )
