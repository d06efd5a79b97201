"""``kiosk-guard replay``: the same pipeline over a file, as fast as it goes, with nothing sent and nothing stored."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from edge.app.build import PERSON, build_detector, build_incidents, build_line
from edge.app.film import Film
from edge.cameras.cut import missing_bytes
from edge.cameras.file import EPOCH, VideoFile
from edge.clock import SystemClock
from edge.errors import BadArgument, CameraEnded, KioskError, StateError
from edge.pipeline import Pipeline
from edge.types import ChangeKind

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo
    from pathlib import Path

    from edge.config import Config
    from edge.types import IncidentChange


@dataclass(frozen=True, slots=True)
class Summary:
    """What a replay cost. ``cpu_s`` is of the whole process, all threads; ``missing_bytes``: so much of the clip was cut off."""

    frames_read: int
    frames_judged: int
    clip_s: float
    wall_s: float
    cpu_s: float
    opened: int
    missing_bytes: int = 0


def replay(
    clip: Path,
    config: Config,
    config_path: Path,
    *,
    camera: str = "",
    video: Path | None = None,
    at: str = "",
    emit: Callable[[IncidentChange], None],
) -> Summary:
    """Judge a clip; ``emit`` gets each incident change as it happens.

    :param camera: whose zones and rate count; empty: the first camera of the configuration.
    :param video: also write an annotated video here (.webm, .mp4, .avi).
    :param at: when the recording began, for the opening hours, in the site's local time unless it names another; empty: nobody
        knows, and it is judged as if that was at the beginning of 1970.
    :raises SourceNotFound, SourceInvalid: the clip cannot be read.
    :raises KioskError: no such camera, no such time, or a video file that cannot be written.
    """
    table = next((c for c in config.cameras if c.name == camera or not camera), None)
    if table is None:
        raise KioskError(f"no camera named {camera!r}", hint=f"allowed: {', '.join(c.name for c in config.cameras)}")
    if video and video.exists() and clip.exists() and video.samefile(clip):
        raise StateError(f"{video} is the clip itself", hint="name another file: the recording would be lost")
    began_utc = moment(at, config.kiosk.zone_info) if at else EPOCH
    source = VideoFile(clip, name=table.name, max_fps=table.max_fps, start_utc=began_utc)
    fps = source.fps  # opens the file: a bad clip is told before the model is loaded
    detector = build_detector(config, config_path)
    numbers = itertools.count(1)
    incidents = build_incidents(config, lambda: f"{clip.stem}-{next(numbers):03d}")
    line = build_line(config, table, detector)
    pipeline = Pipeline(
        detector=detector,
        lines={table.name: line},
        incidents=incidents,
        now_s=SystemClock().monotonic_s,
        clock_synced=lambda: True,
    )
    shown = min(table.max_fps, fps or table.max_fps)
    film = Film(video, shown, detector.classes, zones=line.zones, person=PERSON) if video else None
    began_wall, began_cpu, last = time.perf_counter(), time.process_time(), 0.0
    last_utc = began_utc
    try:
        while True:
            try:
                frame = source.read(0.0)
            except CameraEnded:
                break
            last, last_utc = frame.t_mono_s, frame.t_utc
            judged = pipeline.step(frame)
            for change in judged.changes:
                if change.kind is not ChangeKind.CLOSED:
                    incidents.alert_queued(
                        change.incident.incident_id, change.incident.severity
                    )  # as the service would: cooldowns count
                emit(change)
            if film:
                film.add(judged, incidents.open_incidents)
    finally:
        source.close()
        if film:
            film.close()
    for change in incidents.finish(reason="source ended", t_mono_s=last, t_utc=last_utc):
        emit(change)
    return Summary(
        frames_read=source.status().frames,
        frames_judged=pipeline.vitals.frames_judged,
        clip_s=last,
        wall_s=time.perf_counter() - began_wall,
        cpu_s=time.process_time() - began_cpu,
        opened=sum(incidents.opened_total.values()),
        missing_bytes=missing_bytes(clip),
    )


def moment(text: str, zone: tzinfo) -> datetime:
    """A moment named by somebody at a site in that time zone. :raises BadArgument: it is none."""
    try:
        when = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
        return (when if when.tzinfo else when.replace(tzinfo=zone)).astimezone(timezone.utc)
    except (ValueError, OverflowError):
        raise BadArgument(
            f"replay: --at {text!r}: not a time", hint='allowed: "2026-03-01 14:30", in the local time of the site'
        ) from None


def json_line(change: IncidentChange) -> str:
    """One incident change as one JSON object; times in seconds from the start of the clip."""
    incident, peak = change.incident, change.incident.peak
    line: dict[str, Any] = {
        "t_s": round(change.t_mono_s, 3),
        "change": change.kind.value,
        "incident_id": incident.incident_id,
        "camera": incident.camera,
        "rule": incident.rule,
        "zone": incident.zone,
        "severity": incident.severity.label,
        "opened_s": round(incident.opened_mono_s, 3),
        "closed_s": None if incident.closed_mono_s is None else round(incident.closed_mono_s, 3),
        "close_reason": incident.close_reason,
        "track_ids": list(peak.track_ids),
        "what": peak.what,
        "value": round(peak.value, 3),
        "threshold": peak.threshold,
        "unit": peak.unit,
    }
    return json.dumps(line)


def plain_line(change: IncidentChange) -> str:
    """The same for people."""
    incident = change.incident
    where = f" in {incident.zone}" if incident.zone else ""
    if change.kind is ChangeKind.CLOSED:
        lasted = (incident.closed_mono_s or 0.0) - incident.opened_mono_s
        return f"{change.t_mono_s:8.1f} s  closed     {incident.rule}{where}, lasted {lasted:.1f} s ({incident.close_reason})"
    peak = incident.peak
    return (
        f"{change.t_mono_s:8.1f} s  {change.kind.value:9}  {incident.rule}{where} ({incident.severity.label}): "
        f"{peak.what} {peak.value:.3g} {peak.unit}, limit {peak.threshold:.3g}"
    )
