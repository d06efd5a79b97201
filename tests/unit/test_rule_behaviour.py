from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from fakes.scenes import Thing, scene, zone

from edge.rules.assault import Assault
from edge.rules.machine_tampering import MachineTampering
from edge.types import BEHAVIOURS, Observation, Scene, Severity, ZoneKind

MACHINE = zone(ZoneKind.MACHINE, 0.4, 0.5, 0.6, 1.0)
LOBBY = zone(ZoneKind.LOBBY, 0.0, 0.0, 1.0, 1.0)


def with_behaviour(one: Scene, name: str, *likely: float) -> Scene:
    behaviour = np.zeros((len(one.tracks), len(BEHAVIOURS)), np.float32)
    behaviour[:, BEHAVIOURS.index(name)] = likely
    return replace(one, motion=np.zeros(len(one.tracks), np.float32), behaviour=behaviour)


def tampering(**more: object) -> MachineTampering:
    return MachineTampering(person_classes=[0], threshold=0.7, window_s=4.0, **more)  # type: ignore[arg-type]


def assault() -> Assault:
    return Assault(person_classes=[0], threshold=0.7, window_s=2.0)


def test_tampering_at_the_machine_is_told_with_how_long_it_was_watched() -> None:
    rule, seen = tampering(), []
    for k in range(6):
        seen = rule.update(
            with_behaviour(scene(k * 0.5, Thing(1, x=320), zones=[LOBBY, MACHINE]), "machine_tampering", 0.9)
        )
    (one,) = seen
    assert (one.rule, one.zone, one.severity, one.track_ids) == ("machine_tampering", "machine", Severity.HIGH, (1,))
    assert one.value == pytest.approx(6.5)
    assert one.threshold == 4.0
    assert "prying" in one.what


def test_the_same_movement_away_from_the_machine_is_nobodys_business() -> None:
    there = with_behaviour(scene(0.0, Thing(1, x=60), zones=[LOBBY, MACHINE]), "machine_tampering", 0.9)
    assert tampering().update(there) == []


def test_without_a_machine_in_the_picture_everywhere_counts_unless_told_otherwise() -> None:
    there = with_behaviour(scene(0.0, Thing(1, x=60), zones=[LOBBY]), "machine_tampering", 0.9)
    assert [o.zone for o in tampering().update(there)] == ["lobby"]
    assert tampering(anywhere_without_machine=False).update(there) == []


@pytest.mark.parametrize("likely", [0.0, 0.69])
def test_below_the_threshold_nothing_is_said(likely: float) -> None:
    there = scene(0.0, Thing(1), Thing(2, x=340), zones=[LOBBY, MACHINE])
    assert tampering().update(with_behaviour(there, "machine_tampering", likely, likely)) == []
    assert assault().update(with_behaviour(there, "assault", likely, likely)) == []


def test_a_scene_without_behaviour_gives_nothing() -> None:
    there = scene(0.0, Thing(1), zones=[LOBBY, MACHINE])
    assert tampering().update(there) == []
    assert assault().update(there) == []


def test_a_struggle_names_both_and_says_where() -> None:
    rule, seen = assault(), []
    for k in range(5):
        there = scene(k * 0.5, Thing(1, x=320), Thing(2, x=370), Thing(3, x=600), zones=[LOBBY, MACHINE])
        seen = rule.update(with_behaviour(there, "assault", 0.9, 0.2, 0.1))
    (one,) = seen
    assert (one.rule, one.zone, one.severity, one.track_ids) == ("assault", "lobby", Severity.CRITICAL, (1, 2))
    assert one.what == "two persons have been struggling at the machine for"
    assert one.value == pytest.approx(4.0)


def test_a_struggle_of_whom_only_one_is_seen_is_told_too() -> None:
    (one,) = assault().update(with_behaviour(scene(0.0, Thing(1, x=60), zones=[LOBBY]), "assault", 0.9))
    assert one.track_ids == (1,)
    assert one.what == "persons have been struggling for"


def test_a_short_gap_does_not_begin_a_struggle_anew() -> None:
    rule = assault()
    values = []
    for k in range(12):
        likely = 0.1 if k in (5, 6) else 0.9
        found: list[Observation] = rule.update(
            with_behaviour(scene(k * 0.5, Thing(1, x=320), Thing(2, x=370), zones=[LOBBY]), "assault", likely, 0.0)
        )
        values += [o.value for o in found]
    assert len(values) == 10
    assert values[-1] == pytest.approx(7.5)


def test_behaviour_of_the_wrong_shape_is_refused() -> None:
    one = scene(0.0, Thing(1))
    with pytest.raises(ValueError, match=r"Scene\.behaviour"):
        replace(one, behaviour=np.zeros((2, len(BEHAVIOURS)), np.float32))
