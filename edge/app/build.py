"""From configuration to objects, where the service and ``replay`` need the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.config import Config, resolve
from edge.detect.manifest import read_manifest
from edge.detect.onnx import OnnxDetector
from edge.errors import ConfigError
from edge.incidents import Incidents
from edge.models.shipped import shipped_bundle
from edge.pipeline import CAMERA_LOST, Line
from edge.rules.crowding import Crowding
from edge.rules.loitering import Loitering
from edge.rules.object_seen import ObjectSeen
from edge.rules.restricted_area import RestrictedArea
from edge.track.tracker import Tracker
from edge.types import Severity, Zone
from edge.zones import ZoneMap

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.config.tables import CameraTable
    from edge.detect.interface import Detector
    from edge.rules.interface import Rule

PERSON = "person"
# While a camera is being reconnected a frame may slip through; the incident ends when the picture is back for good.
_CAMERA_LOST_CLOSES_S = 2.0


def build_detector(config: Config, config_path: Path) -> OnnxDetector:
    """The detector, checked against the rules that need its classes.

    :raises DetectorError: the model cannot be loaded.
    :raises ConfigError: a rule names a class that the model does not know.
    """
    bundle = resolve(config_path, config.model.path) if config.model.path else shipped_bundle()
    manifest = read_manifest(bundle)
    # Only what some rule asks for: the other classes would cost time and be followed for nothing.
    wanted = {PERSON, *(c for table in config.rules.objects.values() if table.enabled for c in table.classes)}
    unknown = sorted(wanted - set(manifest.classes))
    if unknown:
        raise ConfigError(
            f"{config_path}: rules.objects: the model {manifest.label} knows no {', '.join(map(repr, unknown))}",
            hint=f"allowed: {', '.join(manifest.classes)}",
        )
    return OnnxDetector(bundle, threads=config.model.threads, classes=sorted(wanted))


def build_line(config: Config, camera: CameraTable, detector: Detector) -> Line:
    """Tracker, zones and rules of one camera."""
    person = frozenset({detector.classes.index(PERSON)})
    objects = {c for table in config.rules.objects.values() for c in table.classes if c in detector.classes}
    return Line(
        tracker=Tracker(
            new_score=config.track.new_score,
            confirm_s=config.track.confirm_s,
            remember_s=config.track.remember_s,
            person_classes=person,
            held_classes=frozenset(detector.classes.index(c) for c in objects),
        ),
        zones=ZoneMap(
            camera.name, [Zone(z.camera, z.name, z.zone_kind, np.array(z.polygon, np.float32)) for z in config.zones]
        ),
        rules=_rules(config, detector, person),
    )


def build_incidents(config: Config, new_id: Callable[[], str]) -> Incidents:
    """The one place that opens and closes incidents."""
    return Incidents(
        new_id=new_id,
        close_after_s=config.incidents.close_after_s,
        cooldown_s=config.incidents.cooldown_s,
        close_after_by_rule={CAMERA_LOST: _CAMERA_LOST_CLOSES_S},
    )


def _rules(config: Config, detector: Detector, person: frozenset[int]) -> list[Rule]:
    tables = config.rules
    rules: list[Rule] = []
    if tables.loitering.enabled:
        rules.append(
            Loitering(
                person_classes=person,
                dwell_s=tables.loitering.dwell_s,
                escalate_s=tables.loitering.escalate_s,
                severity=tables.loitering.level,
                escalated=Severity.of(tables.loitering.escalated_severity),
            )
        )
    if tables.restricted_area.enabled:
        rules.append(
            RestrictedArea(
                person_classes=person,
                dwell_s=tables.restricted_area.dwell_s,
                severity=tables.restricted_area.level,
            )
        )
    if tables.crowding.enabled:
        rules.append(
            Crowding(
                person_classes=person,
                max_persons=tables.crowding.max_persons,
                dwell_s=tables.crowding.dwell_s,
                severity=tables.crowding.level,
            )
        )
    rules.extend(
        ObjectSeen(
            name=name,
            classes=[detector.classes.index(c) for c in table.classes],
            min_score=table.min_score,
            seen_s=table.seen_s,
            window_s=table.window_s,
            near_person=table.near_person,
            severity=table.level,
        )
        for name, table in tables.objects.items()
        if table.enabled
    )
    return rules
