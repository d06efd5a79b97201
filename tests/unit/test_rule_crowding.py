"""Somebody too near to the one at the machine."""

from __future__ import annotations

from dataclasses import replace

from fakes.scenes import PERSON, Thing, scene, zone

from edge.rules.crowding import Crowding
from edge.types import Observation, ZoneKind

MACHINE = zone(ZoneKind.MACHINE, 0.6, 0.5, 0.9, 1)
USER = Thing(1, x=480)


def rule(**kwargs: float) -> Crowding:
    return Crowding(person_classes={PERSON}, max_persons=4, dwell_s=10.0, **{"near_s": 5.0, **kwargs})


def told(crowding: Crowding, *things: Thing, seconds: float = 10, from_s: float = 0) -> list[tuple[float, Observation]]:
    times = [from_s + k * 0.2 for k in range(round(seconds * 5))]
    return [(t, o) for t in times for o in crowding.update(scene(t, *things, zones=[MACHINE]))]


def test_a_second_person_within_arms_reach_is_told_after_some_seconds() -> None:
    said = told(rule(), USER, Thing(2, x=420))
    assert 5.0 < said[0][0] <= 5.4
    assert said[0][1].zone == "machine"
    assert said[0][1].track_ids == (1, 2)
    assert "arm's reach" in said[0][1].what


def test_who_keeps_their_distance_is_no_trouble() -> None:
    assert told(rule(), USER, Thing(2, x=390)) == []  # 0.6 of a height to the side
    assert told(rule(), USER, Thing(2, x=480, feet=340)) == []  # 40 px nearer to the camera: more than a step


def test_passing_close_by_is_no_trouble() -> None:
    crowding = rule()
    assert told(crowding, USER, Thing(2, x=420), seconds=4) == []
    assert told(crowding, USER, Thing(2, x=300), seconds=4, from_s=4) == []
    assert told(crowding, USER, Thing(2, x=420), seconds=4, from_s=8) == []


def test_two_close_together_elsewhere_do_not_count() -> None:
    assert told(rule(), Thing(1, x=100), Thing(2, x=150)) == []


def test_without_a_machine_zone_nobody_knows_who_is_at_the_machine() -> None:
    crowding = rule()
    assert [o for k in range(50) for o in crowding.update(scene(k * 0.2, USER, Thing(2, x=420)))] == []


def test_zero_reach_switches_it_off() -> None:
    assert told(rule(reach=0.0), USER, Thing(2, x=481)) == []


def test_the_second_person_may_change() -> None:
    crowding = rule()
    assert told(crowding, USER, Thing(2, x=420), seconds=3) == []
    assert told(crowding, USER, Thing(3, x=530), seconds=4, from_s=3) != []


# 100 px tall and 40 broad: 0.67 of a height apart; turned towards the other the box alone says 0.50, the other's box and
# where the one stood 0.61.
NEAR = Thing(2, x=370, height=100)
AT_MACHINE = Thing(1, x=440, height=100)
TURNED = Thing(1, x=427, feet=304, height=104, width=48)  # towards the other, hands up: nobody took a step


def test_who_turns_round_where_they_stand_is_no_nearer_for_it() -> None:
    assert told(rule(reach=0.55), TURNED, NEAR) != []  # that box alone: within reach
    crowding = rule(reach=0.55)
    assert told(crowding, AT_MACHINE, NEAR, seconds=30) == []
    assert told(crowding, TURNED, NEAR, from_s=30) == []


def test_a_step_towards_the_other_counts_at_once() -> None:
    crowding = rule(reach=0.55)
    assert told(crowding, AT_MACHINE, NEAR, seconds=30) == []
    closer = Thing(1, x=410, height=100)
    assert told(crowding, closer, NEAR, from_s=30)[0][0] <= 35.6


def test_who_shuffles_nearer_by_less_than_a_step_is_there_after_a_while() -> None:
    crowding = rule(reach=0.55)
    assert told(crowding, AT_MACHINE, NEAR, seconds=200) == []
    assert told(crowding, TURNED, NEAR, from_s=200, seconds=90) != []


def test_the_one_who_comes_is_where_their_box_says() -> None:
    crowding = rule(reach=0.55)
    assert told(crowding, AT_MACHINE, NEAR, seconds=30) == []
    assert told(crowding, AT_MACHINE, Thing(2, x=383, height=100), from_s=30)[0][0] <= 35.6


def test_the_past_of_a_track_that_is_gone_is_forgotten() -> None:
    crowding = rule(reach=0.55)
    assert told(crowding, AT_MACHINE, NEAR, seconds=6) == []
    assert told(crowding, NEAR, seconds=1, from_s=6) == []
    assert told(crowding, TURNED, NEAR, from_s=7) != []


def test_out_of_sight_for_a_moment_they_stand_where_they_stood() -> None:
    crowding = rule(reach=0.55)
    assert told(crowding, AT_MACHINE, NEAR, seconds=30) == []
    coasting = [replace(TURNED, unseen_s=0.2 * (k % 4)) for k in range(50)]
    times = [30 + 0.2 * k for k in range(50)]
    seen = zip(times, coasting, strict=True)
    assert [o for t, one in seen for o in crowding.update(scene(t, one, NEAR, zones=[MACHINE]))] == []
