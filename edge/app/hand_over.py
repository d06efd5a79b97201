"""From an incident change to what the desk, the log and the picture say about it."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np

from edge import __version__
from edge.alerts.clock_set import CORRECTED, utc_of
from edge.alerts.identity import alert_id
from edge.alerts.writer import Job
from edge.annotate import annotate
from edge.app.build import PERSON
from edge.closeup import closeup
from edge.rules.object_seen import SURE
from edge.types import Alert, ChangeKind, EvidenceRef, Frame, Incident, IncidentChange, Severity, Tracks, Zone

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from edge.alerts.database import Database
    from edge.alerts.outbox import Outbox
    from edge.alerts.outbox_rows import Entry
    from edge.alerts.ring import PictureRing
    from edge.alerts.worker import DeliveryWorker
    from edge.alerts.writer import WriterWorker
    from edge.app.sheets import Sheets
    from edge.clock import Clock
    from edge.detect.interface import Detector
    from edge.pipeline import Judged, Pipeline
    from edge.types import U8, Bool

log = logging.getLogger(__name__)

_SOFTWARE = f"kiosk-guard {__version__}"
_STEP = timedelta(seconds=2)  # more than this between two clocks is a clock that was set


class Annotator:
    """The picture of an alert."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector

    def __call__(self, frame: Frame, tracks: Tracks, incident: Incident, zones: Sequence[Zone]) -> U8:
        peak = incident.peak
        return annotate(
            frame.image,
            tracks.where(self._told(tracks, peak.track_ids)),
            classes=self._detector.classes,  # may have grown
            zones=zones,
            alarmed=peak.track_ids,
            caption=[
                f"{incident.rule} ({incident.severity.label}): {peak.what} {peak.value:.3g} {peak.unit}",
                f"{frame.camera}  {frame.t_utc:%Y-%m-%d %H:%M:%S} UTC",
            ],
        )

    def _told(self, tracks: Tracks, alarmed: Sequence[int]) -> Bool:
        """Which tracks (M,) the picture shows: no doubtful thing that the incident is not about.

        A rule waits until a glimpse of a firearm is more than one; a mail about somebody who stays too long must not say it sooner.
        """
        person = tracks.class_id == self._detector.classes.index(PERSON)
        told: Bool = person | (tracks.score >= SURE) | np.isin(tracks.track_id, list(alarmed))
        return told


def close_up(frame: Frame, tracks: Tracks, incident: Incident) -> U8 | None:
    """What the incident is about, from near; None where that shows no more than the whole picture does."""
    caption = [f"{incident.rule}, close-up", f"{frame.camera}  {frame.t_utc:%Y-%m-%d %H:%M:%S} UTC"]
    return closeup(frame.image, tracks, about=incident.peak.track_ids, caption=caption)


class AlertMaker:
    """What the desk is told about a change: openings and escalations, and the end of what was bad enough.

    :param closed_from: the end of incidents of this severity or worse is told; None: of none.
    """

    def __init__(self, model: str, boot: str, clock: Clock, *, closed_from: Severity | None = None) -> None:
        self.model, self._boot, self._clock = model, boot, clock
        self._closed_from = closed_from
        self._undated: set[str] = set()  # incidents that began before the clock was set, in this boot

    def __call__(self, change: IncidentChange, evidence: tuple[EvidenceRef, ...]) -> Alert | None:
        closed = change.kind is ChangeKind.CLOSED
        incident, corrected = self._dated(change)
        peak = incident.peak
        if closed and (self._closed_from is None or incident.severity < self._closed_from):
            return None
        return Alert(
            alert_id=alert_id(incident.incident_id, change.kind.value, incident.severity),
            kind=change.kind.value,
            incident_id=incident.incident_id,
            severity=incident.severity,
            camera=incident.camera,
            rule=incident.rule,
            zone=incident.zone,
            opened_utc=incident.opened_utc,
            closed_utc=incident.closed_utc,
            created_utc=change.t_utc,
            created_mono_s=change.t_mono_s,
            boot_id=self._boot,
            clock_synced=self._clock.synchronised(),
            what=peak.what,
            value=peak.value,
            threshold=peak.threshold,
            unit=peak.unit,
            model=self.model,
            software=_SOFTWARE,
            evidence=() if closed else evidence,  # what a camera sees afterwards proves nothing
            extra=((("Ended because", incident.close_reason),) if closed else ()) + ((CORRECTED,) if corrected else ()),
        )

    def _dated(self, change: IncidentChange) -> tuple[Incident, bool]:
        """The incident in terms of the clock as it goes now; whether that took a correction."""
        incident, synced = change.incident, self._clock.synchronised()
        if change.kind is ChangeKind.OPENED and not synced:
            self._undated.add(incident.incident_id)
        ended_s, stepped = incident.closed_mono_s, False
        if ended_s is not None and incident.closed_utc is not None:
            lasted = timedelta(seconds=ended_s - incident.opened_mono_s)
            stepped = (
                abs(incident.closed_utc - incident.opened_utc - lasted) > _STEP + lasted / 1000
            )  # a clock that is led gently goes wrong by half of that
            if stepped and not synced:  # nobody knows which of the two is right, but how long it lasted is known
                return replace(incident, closed_utc=incident.opened_utc + lasted), False
        corrected = synced and (stepped or incident.incident_id in self._undated)
        if change.kind is ChangeKind.CLOSED:
            self._undated.discard(incident.incident_id)
        if not corrected:
            return incident, False
        return replace(
            incident,
            opened_utc=utc_of(incident.opened_mono_s, self._clock),
            closed_utc=None if ended_s is None else utc_of(ended_s, self._clock),
        ), True


def log_record(change: IncidentChange, evidence: Sequence[EvidenceRef]) -> dict[str, Any]:
    """An incident's step as it stands in the incident log, with the hashes of its pictures."""
    incident, peak = change.incident, change.incident.peak
    return {
        "change": change.kind.value,
        "incident_id": incident.incident_id,
        "camera": incident.camera,
        "rule": incident.rule,
        "zone": incident.zone,
        "severity": incident.severity.label,
        "opened": incident.opened_utc.isoformat(),
        "closed": incident.closed_utc.isoformat() if incident.closed_utc else None,
        "reason": incident.close_reason,
        "peak": f"{peak.what} {peak.value:.3g} {peak.unit}, limit {peak.threshold:.3g}",
        "pictures": [{"path": e.path, "sha256": e.sha256, "role": e.role, "bytes": e.size_bytes} for e in evidence],
    }


def hand_over(change: IncidentChange, judged: Judged | None, writer: WriterWorker) -> None:
    """Tell the log and the writer thread; called by the pipeline, never waits."""
    incident, peak = change.incident, change.incident.peak
    where = f" in {incident.zone}" if incident.zone else ""
    log.warning(
        f"incident {change.kind.value}: {incident.rule}{where} ({incident.severity.label}): "
        f"{peak.what} {peak.value:.3g} {peak.unit}, limit {peak.threshold:.3g}",
        extra={
            "kg": {
                "event": "incident",
                "change": change.kind.value,
                "incident_id": incident.incident_id,
                "camera": incident.camera,
                "rule": incident.rule,
                "zone": incident.zone,
                "severity": incident.severity.label,
                "what": peak.what,
                "value": round(peak.value, 3),
                "threshold": peak.threshold,
                "unit": peak.unit,
            }
        },
    )
    if judged is None:
        writer.put(Job(change, None, Tracks.empty(), ()))
    else:
        frame = None if judged.withheld else judged.frame
        writer.put(Job(change, frame, judged.tracks, judged.zones))


def told_again(incident: Incident, stored: Sequence[Entry], *, now_s: float, now_utc: datetime) -> IncidentChange:
    """The step that is to be told of an incident that was open when the service stopped: its alert may not have reached the disk.

    Storing it again does nothing if it has: the id is the same.

    :param stored: the incident's alerts in the outbox.
    """
    opened = [e.alert for e in stored if e.alert is not None and e.alert.kind == ChangeKind.OPENED.value]
    worse = bool(opened) and max(alert.severity for alert in opened) < incident.severity
    return IncidentChange(ChangeKind.ESCALATED if worse else ChangeKind.OPENED, incident, now_s, now_utc)


def keep(judged: Judged, ring: PictureRing) -> None:
    """Have the ring keep what people may see of it; called by the pipeline, never waits."""
    frame = judged.frame
    if judged.unfit_s:
        ring.forget(frame.camera, frame.t_mono_s - judged.unfit_s)
    if not judged.withheld:
        ring.look(frame)


def acknowledge(
    alert: Alert, pipeline: Pipeline, delivery: DeliveryWorker | None, sheets: Sheets | None = None
) -> None:
    """An alert is on disk, synced: the cooldown may count, and the delivery may start."""
    pipeline.incidents.alert_queued(alert.incident_id, alert.severity)
    log.info(
        f"alert {alert.alert_id} is safe on disk",
        extra={"kg": {"event": "alert_queued", "alert_id": alert.alert_id, "kind": alert.kind, "rule": alert.rule}},
    )
    if sheets:
        sheets.expect(alert)
    if delivery:
        delivery.wake()


def troubles(database: Database, outbox: Outbox) -> list[str]:
    """What went wrong with stored alerts, one sentence each; empty: nothing."""
    found = [
        f"the database was damaged and set aside as {path.name}, {database.rescued} waiting alerts were carried over: "
        "check the card and the power supply"
        for path in database.moved_aside
    ]
    if corrupt := outbox.stats().corrupt:
        found.append(f"{corrupt} damaged alerts cannot be read and were put aside")
    return found


def enqueue(alert: Alert, outbox: Outbox, delivery: DeliveryWorker | None) -> None:
    """Store an alert that is no incident's; the delivery may start. :raises OutboxError: not stored."""
    outbox.enqueue(alert)
    if delivery:
        delivery.wake()
