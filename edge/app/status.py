"""``kiosk-guard status``: the health report in some lines; and what the files tell while no service runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.alerts.mail_words import duration
from edge.app.state import state_path
from edge.errors import KioskError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.config import Config

Line = tuple[str, str, str, str]  # verdict ("" none), name, words, figure


def service_status(report: dict[str, Any]) -> Iterator[Line]:
    """From the health report (application/health+json) of the running service."""
    details = report.get("details", {})
    verdict = str(report.get("status", "fail"))
    words = {"pass": "guards", "warn": "guards, but see below", "fail": "does not guard as it should"}
    yield verdict, str(details.get("kiosk", "kiosk")), words.get(verdict, verdict), ""
    for name, entries in report.get("checks", {}).items():
        for entry in entries:
            figure = entry.get("observedValue")
            unit = str(entry.get("observedUnit", ""))
            shown = "" if figure is None else f"{figure} {unit}".strip()
            yield str(entry.get("status", "")), name, str(entry.get("output", "")), shown
    if "uptime_s" in details:
        up = duration(float(details["uptime_s"]))
        yield "", "runs for", f"{up}, {details.get('frames_judged', 0)} frames judged", str(details.get("model", ""))
    several = len(details.get("cameras") or {}) > 1
    for incident in (details.get("incidents") or {}).get("open", []):
        where = f" in {incident['zone']}" if incident.get("zone") else ""
        where += f" of {incident['camera']}" if several and incident.get("camera") else ""
        yield "warn", "open incident", f"{incident['rule']}{where}: {incident['what']}", str(incident["opened"])


def file_status(config: Config, config_path: Path) -> Iterator[Line]:
    """What can be read without a service: what waits for the mail server, and what was open."""
    from edge.alerts.look import OutboxLook  # noqa: PLC0415 - the database library, only here

    folder = state_path(config, config_path)
    try:
        stats = OutboxLook(folder).stats()
    except KioskError as error:
        yield "warn", "outbox", error.message, ""
        return
    last = stats.last_success_utc
    words = (
        f"{stats.waiting + stats.held} alerts wait; last delivered: {last:%Y-%m-%d %H:%M} UTC"
        if last
        else (f"{stats.waiting + stats.held} alerts wait; none was delivered yet")
    )
    yield ("warn" if stats.waiting + stats.held else "pass"), "outbox", words, ""
