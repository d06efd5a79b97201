"""What every page of the technician's side has: head, bar, foot; and small pieces of HTML."""

from __future__ import annotations

from datetime import datetime, timedelta
from html import escape
from typing import Any

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
REFRESH_S = 5
_PLACES = (("/", "Overview"), ("/zones", "Zones"), ("/walk-test", "Walk test"))
_MARKS = {"critical": "\u25c6", "high": "\u25b2", "low": "\u25cf", "info": "\u25cb"}


def page(
    title: str,
    body: str,
    *,
    here: str,
    head: tuple[str, str] = ("", ""),
    signed_in: bool,
    columns: bool = False,
    refresh: bool = False,
    scripts: tuple[str, ...] = ("/page.js",),
    foot: str = "",
) -> str:
    """A whole page.

    :param here: its path, marked in the navigation.
    :param head: the kiosk's name and its site.
    :param columns: two of them where there is room.
    :param refresh: without scripts it loads itself again every ``REFRESH_S`` seconds.
    """
    links = "".join(
        f'<a href="{path}"{" aria-current=page" if path == here else ""}>{name}</a>' for path, name in _PLACES
    )
    door = (
        '<form method="post" action="/logout"><button>Log out</button></form>'
        if signed_in
        else f'<a href="/login?next={escape(here)}">Log in</a>'
    )
    again = f'<noscript><meta http-equiv="refresh" content="{REFRESH_S}"></noscript>' if refresh else ""
    code = "".join(f'<script src="{path}" defer></script>' for path in scripts)
    where = " \u00b7 ".join(escape(part) for part in head if part)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="/icon.svg">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/page.css">{again}</head><body>'
        '<a class="skip" href="#main">To the content</a>'
        f'<header class="bar"><a class="brand" href="/"><img src="/icon.svg" alt="" width="21" height="21">Kiosk Guard</a><span class="where">{where}</span>'
        f'<nav aria-label="Pages">{links}{door}</nav></header>'
        '<div class="lost" id="lost" role="alert"></div><div class="lost clock" id="clock" role="status"></div>'
        f'<main id="main"{" class=two" if columns else ""}>{body}</main>'
        f"<footer>{foot}</footer>{code}</body></html>"
    )


def card(name: str, title: str, inner: str, *, live: bool = False, after: str = "", wide: bool = False) -> str:
    """A section with a heading; ``live``: the script brings it up to date, but not what comes ``after``."""
    return (
        f'<section class="card{" wide" if wide else ""}" aria-labelledby="{name}-h"><h2 id="{name}-h">{escape(title)}</h2>'
        f'<div id="{name}"{" data-live" if live else ""}>{inner}</div>{after}</section>'
    )


def severity_tag(severity: str) -> str:
    """The severity in words, with a mark of its own: no meaning by colour alone."""
    mark = _MARKS.get(severity, "\u25cb")
    return f'<span class="tag {escape(severity)}">{mark} {escape(severity)}</span>'


def when(stamp: Any, now: datetime) -> str:
    """A time in ISO 8601 as people say it: "3 min ago", with the time itself behind it."""
    try:
        at = datetime.fromisoformat(str(stamp))
        age = now - at
    except (ValueError, TypeError):
        return "never" if not stamp else escape(str(stamp))
    exact = f"{at:%H:%M:%S} UTC" if abs(age) < timedelta(hours=20) else f"{at:%Y-%m-%d %H:%M} UTC"
    return f'<time datetime="{escape(str(stamp))}">{exact}, {ago(age.total_seconds())}</time>'


def clock_words(now: datetime) -> str:
    """The box's own time; the script holds it against the clock of the phone."""
    return f'<time id="now" datetime="{now:%Y-%m-%dT%H:%M:%SZ}">{now:%Y-%m-%d %H:%M:%S} UTC</time>'


def ago(seconds: float) -> str:
    """In one unit.

    >>> ago(3), ago(200), ago(9000), ago(200000)
    ('just now', '3 min ago', '2 h ago', '2 d ago')
    """
    if seconds < 60:
        return "just now"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min ago"
    return f"{int(seconds // 3600)} h ago" if seconds < 172_800 else f"{int(seconds // 86_400)} d ago"


def options(values: Any, chosen: Any) -> str:
    """<option>s of (value, words)."""
    return "".join(
        f'<option value="{escape(str(v))}"{" selected" if v == chosen else ""}>{escape(str(words))}</option>'
        for v, words in values
    )
