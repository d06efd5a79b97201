"""From configuration to the rules about how people move, and to what watches for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.behaviour.manifest import read_behaviour_manifest
from edge.behaviour.onnx import load_classifiers
from edge.behaviour.watch import BehaviourWatch
from edge.models.shipped import shipped_behaviour
from edge.rules.assault import Assault
from edge.rules.machine_tampering import MachineTampering

if TYPE_CHECKING:
    from edge.config import Config
    from edge.rules.interface import Rule


def learnt_with() -> tuple[str, str]:
    """The detector that the behaviours were learnt with, and its map's name. :raises ManifestError: there is no bundle."""
    manifest = read_behaviour_manifest(shipped_behaviour())
    return manifest.persons, manifest.map_name


def behaviour_parts(config: Config, person: frozenset[int]) -> tuple[list[Rule], BehaviourWatch | None]:
    """The rules that ask how people move, and the watch that they need; nothing at all where none is on.

    :raises DetectorError: the behaviour bundle is missing or cannot be loaded.
    """
    assault, tampering = config.rules.assault, config.rules.machine_tampering
    wanted = [name for name, table in (("assault", assault), ("machine_tampering", tampering)) if table.enabled]
    if not wanted:
        return [], None
    known = load_classifiers(shipped_behaviour())
    rules: list[Rule] = []
    if assault.enabled:
        model = known["assault"]
        rules.append(
            Assault(
                person_classes=person,
                threshold=assault.min_score or model.threshold,
                window_s=model.spec.seconds,
                severity=assault.level,
            )
        )
    if tampering.enabled:
        model = known["machine_tampering"]
        rules.append(
            MachineTampering(
                person_classes=person,
                threshold=tampering.min_score or model.threshold,
                window_s=model.spec.seconds,
                reach=tampering.reach,
                anywhere_without_machine=tampering.anywhere_without_machine,
                severity=tampering.level,
            )
        )
    return rules, BehaviourWatch(person_classes=person, classifiers=[known[name] for name in wanted])
