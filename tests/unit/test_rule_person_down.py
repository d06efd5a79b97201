"""Down against the person's own former shape."""

from __future__ import annotations

import pytest
from fakes.scenes import PERSON, Thing, scene, zone

from edge.rules.person_down import PersonDown
from edge.types import Observation, Zone, ZoneKind

STANDING = Thing(1, x=300, feet=300, height=150, width=60)
LYING = Thing(1, x=300, feet=300, height=55, width=150)


def rule(**kwargs: float) -> PersonDown:
    return PersonDown(person_classes={PERSON}, **{"down_s": 3.0, **kwargs})


def told(
    down: PersonDown, *legs: tuple[Thing | None, float], zones: tuple[Zone, ...] = (), fps: float = 5
) -> list[tuple[float, Observation]]:
    t, said = 0.0, []
    for thing, seconds in legs:
        for _ in range(round(seconds * fps)):
            said += [(t, o) for o in down.update(scene(t, *([thing] if thing else []), zones=zones))]
            t += 1 / fps
    return said


@pytest.mark.parametrize("fps", [2.0, 5.0, 15.0])
def test_who_falls_and_stays_down_is_told(fps: float) -> None:
    said = told(rule(), (STANDING, 4), (LYING, 8), fps=fps)
    assert 7.0 < said[0][0] <= 7.6
    assert said[0][1].track_ids == (1,)
    assert said[0][1].value == pytest.approx(said[0][0] - 4.0)


def test_towards_the_camera_a_body_is_no_wider_than_high_but_lower_than_it_was() -> None:
    assert told(rule(), (STANDING, 4), (Thing(1, x=300, feet=310, height=80, width=80), 8)) != []


@pytest.mark.parametrize(
    "after",
    [
        Thing(1, x=300, feet=300, height=90, width=70),  # crouches: a shoe
        Thing(1, x=300, feet=300, height=105, width=80),  # sits on a bench
        Thing(1, x=300, feet=210, height=55, width=70),  # behind a desk: the head stays up
        Thing(1, x=300, feet=300, height=150, width=150),  # spreads the arms
        Thing(1, x=300, feet=180, height=60, width=26),  # walked to the back of the room
        Thing(1, x=30, feet=300, height=80, width=80, unseen_s=1.0),  # not seen at all
        Thing(1, x=300, feet=70, height=70, width=110),  # only the legs are in the picture
    ],
)
def test_what_is_no_fall(after: Thing) -> None:
    assert told(rule(), (STANDING, 4), (after, 10)) == []


def test_who_gets_up_again_is_no_matter() -> None:
    assert told(rule(), (STANDING, 4), (LYING, 2), (STANDING, 4), (LYING, 2)) == []


def test_a_short_miss_of_the_detector_does_not_start_anew() -> None:
    hidden = Thing(1, x=300, feet=300, height=55, width=150, unseen_s=0.4)
    said = told(rule(), (STANDING, 4), (LYING, 2), (hidden, 0.8), (LYING, 2))
    assert said[0][0] == pytest.approx(7.2, abs=0.21)


def test_who_was_never_seen_upright_is_down_when_clearly_wider_than_high() -> None:
    assert told(rule(), (LYING, 8)) != []
    assert told(rule(), (Thing(1, height=100, width=100), 8)) == []


def test_who_was_out_of_sight_for_long_may_have_got_up() -> None:
    away = [Thing(1, x=300, feet=300, height=55, width=150, unseen_s=0.2 * k) for k in range(1, 51)]
    assert told(rule(), (LYING, 2), *((thing, 0.2) for thing in away), (LYING, 2)) == []


def test_a_body_cut_off_by_the_edge_of_the_picture_says_nothing() -> None:
    assert told(rule(), (Thing(1, x=300, feet=360, height=60, width=110), 8)) == []


def test_before_the_door_nobody_looks() -> None:
    inside = zone(ZoneKind.LOBBY, 0.7, 0, 1, 1)
    assert told(rule(), (STANDING, 4), (LYING, 8), zones=(inside,)) == []


def test_each_person_is_told_once_where_zones_overlap() -> None:
    zones = (zone(ZoneKind.LOBBY, 0, 0, 1, 1), zone(ZoneKind.RESTRICTED, 0.3, 0, 0.8, 1))
    said = told(rule(), (STANDING, 4), (LYING, 8), zones=zones)
    assert {o.zone for _, o in said} == {"restricted"}


def test_nobody_is_remembered_for_ever() -> None:
    down = rule()
    told(down, (STANDING, 4), (None, 20))
    assert down._shapes == {}
