"""From configuration to objects, where the service and ``replay`` need the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.app.build_behaviour import behaviour_parts, learnt_with
from edge.clock import SystemClock
from edge.config import Config, resolve
from edge.detect.closer import CloserLooks
from edge.detect.gate import StillGate
from edge.detect.manifest import read_manifest, variants
from edge.detect.onnx import OnnxDetector
from edge.errors import ConfigError
from edge.incidents import Incidents
from edge.loop import CAMERA_LOST
from edge.masks import Mask, Masks
from edge.models.choice import read_choice
from edge.models.shipped import shipped_bundle
from edge.models.store import ModelStore
from edge.pipeline import Line
from edge.rules.camera_tamper import CameraTamper
from edge.rules.closed_hours import ClosedHours
from edge.rules.crowding import Crowding
from edge.rules.head_cover import HeadCover
from edge.rules.loitering import Loitering
from edge.rules.object_seen import ObjectSeen
from edge.rules.opening_hours import OpeningHours, parse_holiday, parse_span
from edge.rules.person_down import PersonDown
from edge.rules.restricted_area import RestrictedArea
from edge.rules.tool import Tool
from edge.track.exits import Exits
from edge.track.tracker import Tracker
from edge.types import Severity, Zone
from edge.zones import ZoneMap

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from edge.config.rule_tables import FirearmTable, KnifeTable, ObjectTable, SeenTable
    from edge.config.tables import CameraTable, MaskTable, ZoneTable
    from edge.detect.interface import Detector
    from edge.detect.manifest import Manifest
    from edge.rules.interface import Rule

PERSON = "person"
_THREADS = 2  # where nothing was measured
# While a camera is being reconnected a frame may slip through; the incident ends when the picture is back for good.
_CAMERA_LOST_CLOSES_S = 2.0


def bundle_path(config: Config, config_path: Path) -> Path:
    """The model that is to run: ``[model] path``, else the installed one that is current, else the shipped one.

    :raises DetectorError, StateError: there is none, or it cannot be asked.
    """
    if config.model.path:
        return resolve(config_path, config.model.path)
    store = ModelStore(resolve(config_path, config.state.dir), clock=SystemClock())
    current = store.current()
    return store.path(current) if current else shipped_bundle()


def build_detector(config: Config, config_path: Path, *, bundle: Path | None = None) -> OnnxDetector:
    """The detector, checked against the rules that need its classes.

    :param bundle: the model's folder; None: the one that is to run.
    :raises DetectorError: the model cannot be loaded.
    :raises ConfigError: a rule of the file names a class that the model does not know.
    """
    bundle = bundle or bundle_path(config, config_path)
    manifest = read_manifest(bundle)
    tables = {**config.rules.seen, **{f"objects.{name}": table for name, table in config.rules.objects.items()}}
    named = {c: f"rules.{name}" for name, table in tables.items() if table.enabled for c in table.classes}
    unknown = sorted({PERSON, *named} - set(manifest.classes))
    if unknown:
        where = ", ".join(sorted({named.get(c, "person") for c in unknown}))
        raise ConfigError(
            f"{config_path}: {where}: the model {manifest.label} knows no {', '.join(map(repr, unknown))}",
            hint=f"allowed: {', '.join(manifest.classes)}",
        )
    variant, threads = measured_way(config, config_path, manifest)
    # OpenCV would spread each picture over all cores: pictures this small take longer so, and twice the processor time.
    cv2.setNumThreads(1)
    return OnnxDetector(
        bundle,
        threads=threads,
        providers=config.model.providers,
        classes=wanted_classes(config, manifest.classes),
        variant=variant,
        features=config.rules.assault.enabled,  # which looks at nothing else
    )


def wanted_classes(config: Config, known: Iterable[str]) -> list[str]:
    """Only what some rule asks for: the other classes would cost time and be followed for nothing."""
    return sorted({PERSON, *_held(config)} & set(known))


def measured_way(config: Config, config_path: Path, manifest: Manifest) -> tuple[str, int]:
    """Which variant of the model runs here, and on how many threads: as measured on this box, if it ever was."""
    choice = read_choice(resolve(config_path, config.state.dir), sha256=manifest.model.sha256)
    variant = choice.variant if choice and choice.variant in variants(manifest) else ""
    return variant, config.model.threads or (choice.threads if choice else _THREADS)


def bundle_manifest(config: Config, config_path: Path) -> Manifest:
    """Of the configured model. :raises ManifestError: it cannot be read."""
    return read_manifest(bundle_path(config, config_path))


def resting_rules(config: Config, classes: Sequence[str], map_name: str) -> dict[str, tuple[str, ...]]:
    """Built-in rules that are on but rest, because the model knows nothing of theirs: name -> what it lacks.

    :param classes: the model's. ``map_name``: as :class:`edge.detect.interface.Detector` has it.
    """
    resting = {
        name: wanted
        for name, table in config.rules.seen.items()
        if table.enabled and not set(wanted := tuple(table.classes) or (name,)) & set(classes)
    }
    if config.rules.assault.enabled:
        other, wanted_map = learnt_with()
        if wanted_map != map_name:
            resting["assault"] = (f"struggles (they were learnt with {other})",)
    return resting


def build_line(config: Config, camera: CameraTable, detector: Detector) -> Line:
    """Tracker, zones and rules of one camera.

    :raises DetectorError: a rule asks how people move, and the behaviour bundle cannot be loaded.
    """
    person = frozenset({detector.classes.index(PERSON)})
    resting = resting_rules(config, detector.classes, detector.map_name)
    behaviour_rules, behaviour = behaviour_parts(config, person)
    zones = zone_map(camera.name, config.zones)
    held = frozenset(detector.classes.index(c) for c in _held(config) if c in detector.classes)
    every_s = config.model.closer_every_s
    return Line(
        tracker=Tracker(
            new_score=config.track.new_score,
            confirm_s=config.track.confirm_s,
            remember_s=config.track.remember_s,
            exit_remember_s=config.track.exit_remember_s,
            exits=Exits(doors=zones.doors, rooms=zones.rooms),
            person_classes=person,
            held_classes=held,
        ),
        zones=zones,
        gate=StillGate(look_every_s=config.model.still_every_s) if config.model.still_every_s else None,
        rules=[
            *_people_rules(config, person),
            *_seen_rules(config, detector, person, resting),
            *(rule for rule in behaviour_rules if rule.name not in resting),
        ],
        behaviour=behaviour,
        closer=CloserLooks(every_s=every_s, person_classes=person) if every_s and held else None,
        masks=Masks(camera.name, mask_list(config.masks)),
    )


def zone_map(camera: str, tables: Iterable[ZoneTable]) -> ZoneMap:
    """The zones of one camera."""
    return ZoneMap(camera, [Zone(z.camera, z.name, z.zone_kind, np.array(z.polygon, np.float32)) for z in tables])


def mask_list(tables: Iterable[MaskTable]) -> list[Mask]:
    """The masks of all cameras."""
    return [Mask(m.camera, np.array(m.polygon, np.float32), seen=m.kind == "never_stored") for m in tables]


def build_incidents(config: Config, new_id: Callable[[], str]) -> Incidents:
    """The one place that opens and closes incidents."""
    return Incidents(
        new_id=new_id,
        close_after_s=config.incidents.close_after_s,
        cooldown_s=config.incidents.cooldown_s,
        close_after_by_rule={CAMERA_LOST: _CAMERA_LOST_CLOSES_S},
        never_silenced={CAMERA_LOST},  # it is no rule about the lobby but the box's own health
    )


def _held(config: Config) -> set[str]:
    """Names of all classes that some rule asks for, people apart; the model need not have them."""
    named = {c for name, t in config.rules.seen.items() if t.enabled for c in t.classes or (name,)}
    return named | {c for t in config.rules.objects.values() if t.enabled for c in t.classes}


def opening_hours(config: Config) -> OpeningHours:
    table = config.opening_hours
    return OpeningHours(
        week=[[parse_span(text) for text in day] for day in table.week],
        timezone=config.kiosk.zone_info,
        holidays=[parse_holiday(text) for text in table.holidays],
        holiday_spans=[parse_span(text) for text in table.on_holidays],
    )


def _people_rules(config: Config, person: frozenset[int]) -> list[Rule]:
    """The rules about where people are, and for how long."""
    loitering, restricted, closed = config.rules.loitering, config.rules.restricted_area, config.rules.closed_hours
    crowding, down = config.rules.crowding, config.rules.person_down
    tamper = config.rules.camera_tamper
    rules: list[Rule] = []
    if tamper.enabled:
        rules.append(
            CameraTamper(
                person_classes=person,
                dwell_s=tamper.dwell_s,
                light_s=tamper.light_s,
                frozen_s=tamper.frozen_s,
                severity=tamper.level,
            )
        )
    if loitering.enabled:
        rules.append(
            Loitering(
                person_classes=person,
                dwell_s=loitering.dwell_s,
                escalate_s=loitering.escalate_s,
                machine_dwell_s=loitering.machine_dwell_s,
                window_s=loitering.window_s,
                window_dwell_s=loitering.window_dwell_s,
                visits=loitering.visits,
                severity=loitering.level,
                escalated=Severity.of(loitering.escalated_severity),
            )
        )
    if restricted.enabled:
        rules.append(
            RestrictedArea(
                person_classes=person,
                dwell_s=restricted.dwell_s,
                edge_margin=restricted.edge_margin,
                severity=restricted.level,
            )
        )
    if closed.enabled:
        rules.append(
            ClosedHours(
                person_classes=person,
                hours=opening_hours(config),
                dwell_s=closed.dwell_s,
                margin_s=closed.margin_s,
                severity=closed.level,
            )
        )
    if crowding.enabled:
        rules.append(
            Crowding(
                person_classes=person,
                max_persons=crowding.max_persons,
                dwell_s=crowding.dwell_s,
                near_s=crowding.near_s,
                reach=crowding.reach,
                severity=crowding.level,
            )
        )
    if down.enabled:
        rules.append(
            PersonDown(person_classes=person, down_s=down.down_s, low=down.low, wide=down.wide, severity=down.level)
        )
    return rules


def _seen_rules(config: Config, detector: Detector, person: frozenset[int], resting: Collection[str]) -> list[Rule]:
    """The rules about what the model recognises; those whose classes it lacks rest (see :func:`resting_rules`)."""

    def classes(name: str, table: SeenTable) -> list[int]:
        return [detector.classes.index(c) for c in table.classes or (name,) if c in detector.classes]

    rules: list[Rule] = []
    tool = config.rules.tool
    if tool.enabled and "tool" not in resting:
        rules.append(
            Tool(
                classes=classes("tool", tool),
                min_score=tool.min_score,
                seen_s=tool.seen_s,
                window_s=tool.window_s,
                score_s=tool.score_s,
                near_person=tool.near_person,
                hours=opening_hours(config),
                reach=tool.reach,
                anywhere_without_machine=tool.anywhere_without_machine,
                severity=tool.level,
            )
        )
    for name, cover in (("face_cover", config.rules.face_cover), ("helmet", config.rules.helmet)):
        if cover.enabled and name not in resting:
            rules.append(
                HeadCover(
                    name=name,
                    classes=classes(name, cover),
                    person_classes=person,
                    min_score=cover.min_score,
                    seen_s=cover.seen_s,
                    window_s=cover.window_s,
                    severity=cover.level,
                )
            )
    objects: dict[str, FirearmTable | KnifeTable | ObjectTable] = {
        "firearm": config.rules.firearm,
        "knife": config.rules.knife,
        **config.rules.objects,
    }
    rules.extend(
        ObjectSeen(
            name=name,
            classes=classes(name, table),
            min_score=table.min_score,
            seen_s=table.seen_s,
            window_s=table.window_s,
            score_s=table.score_s,
            near_person=table.near_person,
            severity=table.level,
        )
        for name, table in objects.items()
        if table.enabled and name not in resting
    )
    return rules
