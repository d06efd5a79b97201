"""The figure beside a person in the film of a replay: the stay that the rules measure, not the track's age."""

from __future__ import annotations

import pytest
from fakes.scenes import KNIFE, PERSON, Thing, scene, zone

from edge.app.film import Dwells
from edge.types import ZoneKind

ZONES = [
    zone(ZoneKind.LOBBY, 0.3, 0, 1, 1),
    zone(ZoneKind.RESTRICTED, 0.8, 0, 1, 1),
    zone(ZoneKind.DOOR, 0, 0, 0.3, 1),
]


def test_it_counts_from_the_step_into_the_lobby() -> None:
    dwells, shown = Dwells({PERSON}), {}
    for k in range(76):
        x = 60.0 if k <= 50 else 400.0  # ten seconds in the doorway, five inside
        person = Thing(1, x=x, age_s=k * 0.2)
        shown = dwells.update(scene(k * 0.2, person, Thing(2, x=x, cls=KNIFE, holder=1), zones=ZONES))
        assert bool(shown) is (k > 50), k
    assert shown == {1: pytest.approx(5.0, abs=0.3)}, "a knife stays nowhere"


def test_of_two_zones_the_longer_stay_counts() -> None:
    dwells, shown = Dwells({PERSON}), {}
    for k in range(51):
        shown = dwells.update(scene(k * 0.2, Thing(1, x=400.0 if k < 40 else 600.0, age_s=k * 0.2), zones=ZONES))
    assert shown == {1: pytest.approx(10.0, abs=0.3)}
