"""The technician's page, as one string: no scripts, nothing from elsewhere, all text escaped."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import TYPE_CHECKING, Any

from edge.health.interface import Check, Report, Status

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

REFRESH_S = 5
_MAX_DETAIL_ROWS = 200
_MAX_DEPTH = 5

STYLE = """
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--text:#16191d;--soft:#57606a;--line:#d5dae0;
--pass:#1a7f37;--warn:#8a5a00;--fail:#b3261e;--on:#fff}
@media(prefers-color-scheme:dark){:root{--bg:#0f1215;--card:#191e23;--text:#e8ebee;--soft:#a3adb7;--line:#323a42;
--pass:#57c271;--warn:#e3b341;--fail:#ff8a80;--on:#0f1215}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--text);font:16px/1.45 system-ui,sans-serif}
main{max-width:46rem;margin:0 auto;padding:1rem}
h1{font-size:1rem;font-weight:600;color:var(--soft);margin:0 0 .75rem}
h2{font-size:1rem;margin:1.5rem 0 .5rem}
.state{border-radius:.75rem;padding:1rem 1.1rem;color:var(--on)}
.state strong{display:block;font-size:1.6rem;line-height:1.2}.state p{margin:.4rem 0 0;overflow-wrap:anywhere}
.state.pass{background:var(--pass)}.state.warn{background:var(--warn)}.state.fail{background:var(--fail)}
ul,dl{list-style:none;margin:0;padding:0;background:var(--card);border:1px solid var(--line);border-radius:.75rem}
li,dl>div{display:flex;flex-wrap:wrap;gap:.1rem .75rem;padding:.6rem .9rem;border-top:1px solid var(--line)}
li:first-child,dl>div:first-child{border-top:0}
.mark{font-weight:700;min-width:4.2rem}
.pass .mark{color:var(--pass)}.warn .mark{color:var(--warn)}.fail .mark{color:var(--fail)}
.state .mark{color:inherit}
.name{flex:1;overflow-wrap:anywhere}.value,dd{color:var(--soft);font-variant-numeric:tabular-nums}
.why{flex-basis:100%;overflow-wrap:anywhere}
dt{flex:1;overflow-wrap:anywhere}dd{margin:0;overflow-wrap:anywhere;text-align:right}
footer{color:var(--soft);font-size:.875rem;margin:1.25rem 0}
a{color:inherit}
"""
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()

MARKS = {Status.PASS: "\u2713 pass", Status.WARN: "\u25b2 warn", Status.FAIL: "\u2715 fail"}
_STATES = {Status.PASS: "Guarding", Status.WARN: "Guarding, needs attention", Status.FAIL: "Guarding, but impaired"}
_NOT_READY = "Not guarding"
_UNSEEING = "A camera does not see"
_TITLES = {"frame_age": "Picture age", "gpio": "GPIO"}
_MAX_REASONS = 3


def render(report: Report, *, ready: tuple[bool, str], version: str, now: datetime, refresh: bool = True) -> str:
    """The page as HTML.

    :param ready: as from ``HealthSource.ready``.
    :param now: the time to print, UTC.
    :param refresh: load again every ``REFRESH_S`` seconds.
    """
    status, state, reasons = headline(report, ready)
    said = "".join(f"<p>{escape(reason)}</p>" for reason in reasons or ["all checks pass"])
    checks = sorted(report.checks, key=lambda check: -check.status)
    meta = f'<meta http-equiv="refresh" content="{REFRESH_S}">' if refresh else ""
    again = '<a href="/?still">stop refreshing</a>' if refresh else '<a href="/">refresh by itself</a>'
    bundle = '; <a href="/acts/support-bundle">support bundle</a>' if report.details.get("mode") == "fault" else ""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1">{meta}'
        f"<title>{MARKS[status]} - Kiosk Guard</title><style>{STYLE}</style></head><body><main>"
        f'<h1>Kiosk Guard</h1><section class="state {status.label}" aria-label="state">'
        f"<strong>{MARKS[status][0]} {state}</strong>{said}</section>"
        f"<h2>Checks</h2><ul>{''.join(check_line(check) for check in checks)}</ul>"
        f"{_details(report.details)}"
        f"<footer>{escape(now.strftime('%Y-%m-%d %H:%M:%S'))} UTC, version {escape(version or 'unknown')}; {again}; "
        f'<a href="/health">as JSON</a>{bundle}</footer></main></body></html>'
    )


def headline(report: Report, ready: tuple[bool, str], *, most: int = _MAX_REASONS) -> tuple[Status, str, list[str]]:
    """How the box is: its verdict, that in words, and at ``most`` so many reasons."""
    is_ready, why_not = ready
    status = report.status if is_ready else Status.FAIL
    told = [c for c in report.checks if c.status == status != Status.PASS]
    lost = {c.name.partition(":")[2] for c in told if c.name.startswith("camera:")}
    told = [c for c in told if c.name.partition(":")[::2] not in {("frame_age", camera) for camera in lost}]
    # One line for one trouble: a check that says why the box is not ready also says what to do.
    explained = any(c.name.startswith(("camera:", "frame_age:")) or (c.output and c.output in why_not) for c in told)
    reasons = [] if is_ready or not why_not or explained else [why_not]
    reasons += [f"{check_title(c.name)}: {c.output}" for c in told]
    warned = sum(c.status is Status.WARN for c in report.checks) if status is Status.FAIL else 0
    if len(reasons) > most:
        reasons[most:] = [f"and {len(reasons) - most} more, below"]
    elif warned:
        reasons.append(f"and {warned} {'warning' if warned == 1 else 'warnings'}, below")
    if not is_ready:
        return status, _NOT_READY, reasons
    unseeing = any(c.name.startswith("view:") and c.status is Status.FAIL for c in told)
    return status, _UNSEEING if unseeing else _STATES[status], reasons


def check_line(check: Check) -> str:
    """One check as a list item."""
    value = "" if check.observed is None else f"{check.observed} {unit_sign(check.unit)}".strip()
    why = f'<span class="why">{escape(check.output)}</span>' if check.output else ""
    return (
        f'<li class="check {check.status.label}"><span class="mark">{MARKS[check.status]}</span>'
        f'<span class="name">{escape(check_title(check.name))}</span><span class="value">{escape(value)}</span>{why}</li>'
    )


def check_title(name: str) -> str:
    """The check's name for people: "frame_age:lobby" is "Picture age lobby"."""
    kind, _, which = name.partition(":")
    return f"{_TITLES.get(kind) or (kind[:1].upper() + kind[1:]).replace('_', ' ')} {which}".strip()


def unit_sign(unit: str) -> str:
    """UCUM's "Cel" as people write it."""
    return "\u00b0C" if unit == "Cel" else unit


def _details(details: dict[str, Any]) -> str:
    rows: list[str] = []
    shown = {key: value for key, value in details.items() if key != "faults"}  # the checks have them
    for key, value in _flat(shown, "", 0):
        if len(rows) >= _MAX_DETAIL_ROWS:
            break
        rows.append(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>")
    return f"<h2>Details</h2><dl>{''.join(rows)}</dl>" if rows else ""


def _flat(value: Any, path: str, depth: int) -> Iterable[tuple[str, str]]:
    """Nested details as lines: ("camera lobby frames", "1200")."""
    if depth < _MAX_DEPTH and isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{path} {key}".strip(), depth + 1)
    elif depth < _MAX_DEPTH and isinstance(value, list | tuple) and any(isinstance(v, dict | list) for v in value):
        for number, inner in enumerate(value, 1):
            yield from _flat(inner, f"{path} {number}".strip(), depth + 1)
    elif isinstance(value, list | tuple):
        yield path, ", ".join(str(v) for v in value) or "none"
    elif isinstance(value, bool):
        yield path, "yes" if value else "no"
    else:
        yield path, str(value)[:500] if value not in (None, "", {}) else "none"
