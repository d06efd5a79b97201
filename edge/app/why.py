"""``kiosk-guard why``: what happened, what was held back and why, from the state files; the service need not run."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from edge.alerts.blind_store import BlindStore
from edge.alerts.database import DATABASE_NAME, open_database
from edge.alerts.incident_store import IncidentStore
from edge.alerts.mail_words import duration
from edge.alerts.maintenance_store import MaintenanceStore
from edge.alerts.outbox import Outbox
from edge.alerts.suppression_store import SuppressionStore
from edge.app.build import bundle_manifest, resting_rules
from edge.clock import SystemClock, boot_id
from edge.config import Config, resolve
from edge.errors import BadArgument, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.alerts.blind_store import Gap
    from edge.alerts.maintenance_store import Period
    from edge.alerts.outbox_rows import Entry
    from edge.clock import Clock
    from edge.suppressions import Suppression
    from edge.types import Incident, Observation

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_MORE_THAN_KEPT = 10_000


def why(config: Config, config_path: Path, *, since: str, clock: Clock | None = None) -> list[str]:
    """Lines for people, in the order of time; last, which rules cannot alarm at all.

    :param since: "90m", "12h", "3d", or a time in UTC.
    :raises KioskError: ``since`` is neither, or there is no state to read.
    """
    clock = clock or SystemClock()
    begin = parse_since(since, clock.utc_now())
    folder = resolve(config_path, config.state.dir)
    if not (folder / DATABASE_NAME).exists():
        raise StateError(
            f"there is no {folder / DATABASE_NAME}",
            hint="The service has not run with this configuration yet; name the right file with --config.",
        )
    database = open_database(folder, clock=clock)
    try:
        boot = boot_id()
        outbox = Outbox(database, clock=clock, boot_id=boot, adopt_schedules=False)
        recent = IncidentStore(database, clock=clock, boot_id=boot).recent(_MORE_THAN_KEPT)
        incidents = [i for i in recent if (i.closed_utc or clock.utc_now()) >= begin]
        mails = outbox.about(i.incident_id for i in incidents)
        withheld = SuppressionStore(database).since(begin, limit=_MORE_THAN_KEPT)
        only = config.cameras[0].name if len(config.cameras) == 1 else ""
        dated = [(i.opened_utc, _incident_line(i, mails[i.incident_id], only)) for i in incidents]
        dated += [(s.since_utc, _suppression_line(s, only)) for s in withheld]
        dated += [
            (p.began_utc, _maintenance_line(p))
            for p in MaintenanceStore(database, clock=clock, boot_id=boot).since(begin)
        ]
        dated += [(g.from_utc, _gap_line(g)) for g in BlindStore(database, clock=clock, boot_id=boot).since(begin)]
    finally:
        database.close()
    lines = [f"{when:%Y-%m-%d %H:%M:%S}  {text}" for when, text in sorted(dated, key=lambda d: d[0])]
    return [
        *(lines or [f"nothing was seen or held back since {begin:%Y-%m-%d %H:%M:%S} UTC"]),
        *_rules(config, config_path),
    ]


def parse_since(text: str, now: datetime) -> datetime:
    """The moment meant. :raises BadArgument: neither a duration nor a time."""
    match = _AGO.fullmatch(text.strip())
    try:
        if match:
            return now - timedelta(seconds=float(match[1]) * _SECONDS[match[2]])
        when = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    except (ValueError, OverflowError):
        raise BadArgument(
            f"why: --since {text!r}: not a time", hint='allowed: "90m", "12h", "3d", or "2026-03-01 02:00" (UTC)'
        ) from None
    return when if when.tzinfo else when.replace(tzinfo=timezone.utc)


def _incident_line(incident: Incident, mails: list[Entry], only: str) -> str:
    end = f"until {incident.closed_utc:%H:%M:%S} ({incident.close_reason})" if incident.closed_utc else "still open"
    told = ", ".join(_mail(m) for m in mails) or "no mail on record"
    return f"incident    {_where(incident.peak, only)} ({incident.severity.label}), {end}: {_evidence(incident.peak)}; number {incident.incident_id}; {told}"


def _mail(entry: Entry) -> str:
    step = entry.alert_id.partition(".")[2]
    if entry.delivered_utc is not None:
        return f"mail ({step}) delivered {entry.delivered_utc:%H:%M:%S}"
    return f"mail ({step}) {entry.state}" + (f": {entry.last_error.partition(chr(10))[0]}" if entry.last_error else "")


def _suppression_line(one: Suppression, only: str) -> str:
    times = "once" if one.count == 1 else f"{one.count} times until {one.t_utc:%H:%M:%S}"
    return f"suppressed  {_where(one.peak, only)} ({one.severity.label}), {times}: {one.reason}; {_evidence(one.peak)}"


def _maintenance_line(period: Period) -> str:
    end = f"until {period.ended_utc:%H:%M:%S} ({period.end_reason})" if period.ended_utc else "running"
    return f"maintenance {period.minutes:g} min, {end}: {period.reason}"


def _gap_line(gap: Gap) -> str:
    lasted = "nobody knows for how long" if gap.seconds is None else duration(gap.seconds)
    notice = "told to stop" if gap.clean else "without notice"
    return f"not running {lasted}, until {gap.until_utc:%H:%M:%S} ({gap.reason}, {notice})"


def _where(seen: Observation, only: str) -> str:
    """:param only: the only camera, which need not be named; "": there are several."""
    zone = f" in {seen.zone}" if seen.zone else ""
    return f"{seen.rule}{zone}" if seen.camera == only else f"{seen.rule}{zone} of {seen.camera}"


def _evidence(seen: Observation) -> str:
    return f"{seen.what} {seen.value:.3g} {seen.unit}, limit {seen.threshold:.3g}"


def _rules(config: Config, config_path: Path) -> Iterator[str]:
    tables = [(name, getattr(config.rules, name)) for name in type(config.rules).model_fields if name != "objects"]
    off = [name for name, table in tables if not table.enabled]
    if off:
        yield f"rules that are off: {', '.join(off)}"
    model = bundle_manifest(config, config_path)
    for name, lacks in resting_rules(config, model.classes, model.map_name).items():
        yield f"rule {name} rests: the model knows no {', '.join(lacks)}"
