"""The machine's longer limit, and several visits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from fakes.scenes import PERSON, SIZE, Thing, scene, zone

from edge.rules.dwell import Stays
from edge.rules.loitering import Loitering
from edge.types import Observation, Scene, Severity, ZoneKind

LOBBY = zone(ZoneKind.LOBBY, 0.25, 0, 1, 1)
MACHINE = zone(ZoneKind.MACHINE, 0.7, 0, 1, 1)
OUTSIDE, INSIDE, AT_MACHINE = 50.0, 300.0, 550.0


def rule(**kwargs: Any) -> Loitering:
    limits = {"dwell_s": 20.0, "escalate_s": 40.0, "machine_dwell_s": 60.0, "window_s": 200.0, "window_dwell_s": 30.0}
    return Loitering(person_classes={PERSON}, **{**limits, **kwargs})


def walk(loitering: Loitering, *legs: tuple[float, float], from_s: float = 0.0) -> list[tuple[float, Observation]]:
    """Stand at each place (px) for so many seconds, 5 frames a second; returns what the rule says, with the time."""
    t, said = from_s, []
    for place, seconds in legs:
        for _ in range(round(seconds * 5)):
            said += [(t, o) for o in loitering.update(scene(t, Thing(1, x=place), zones=[LOBBY, MACHINE]))]
            t = round(t + 0.2, 6)
    return said


def test_a_customer_may_use_the_machine_for_longer_than_others_may_stay() -> None:
    assert walk(rule(), (INSIDE, 5), (AT_MACHINE, 45), (INSIDE, 5)) == []


def test_even_a_customer_has_a_limit() -> None:
    said = walk(rule(), (AT_MACHINE, 80))
    assert 59.8 <= said[0][0] <= 60.4
    assert "at the machine" in said[0][1].what
    assert said[0][1].threshold == 60


def test_a_turn_at_the_machine_does_not_excuse_the_hanging_about_around_it() -> None:
    said = walk(rule(), (INSIDE, 12), (AT_MACHINE, 10), (INSIDE, 12))
    assert 29.8 <= said[0][0] <= 30.6
    assert said[0][1].threshold == 20
    assert "beside the machine" in said[0][1].what


def test_what_it_counts_can_be_shown_of_those_who_are_there_now() -> None:
    loitering = rule()
    walk(loitering, (INSIDE, 8), (AT_MACHINE, 4))
    ((track, (counted_s, machine_s)),) = loitering.stays().items()
    assert track == 1
    assert counted_s == pytest.approx(8, abs=0.5)
    assert machine_s == pytest.approx(4, abs=0.5)
    walk(loitering, (OUTSIDE, 1), from_s=12)
    assert loitering.stays() == {}


def test_again_and_again_adds_up_within_the_window() -> None:
    visits = [(INSIDE, 12.0), (OUTSIDE, 10.0)] * 3
    said = walk(rule(), *visits)
    assert 49.8 <= said[0][0] <= 50.6  # 12 + 12 + 6 s
    assert "3 visits" in said[0][1].what
    assert said[0][1].threshold == 30


def test_visits_long_ago_are_forgotten() -> None:
    assert walk(rule(window_s=60), (INSIDE, 15), (OUTSIDE, 70), (INSIDE, 15), (OUTSIDE, 70), (INSIDE, 15)) == []


def test_all_limits_grow_worse_in_proportion() -> None:
    said = walk(rule(), (AT_MACHINE, 130))
    severities = [o.severity for _, o in said]
    assert severities[0] is Severity.LOW
    assert severities[-1] is Severity.HIGH
    assert min(t for t, o in said if o.severity is Severity.HIGH) > 119


def test_nobody_is_remembered_for_ever() -> None:
    loitering = rule()
    walk(loitering, (INSIDE, 5))
    for t in range(10, 400, 5):
        loitering.update(scene(float(t), zones=[LOBBY, MACHINE]))
    assert all(not people for people in loitering._people.values())


def dressed(
    t: float,
    track: int | None,
    top: tuple[int, int, int],
    *,
    legs: tuple[int, int, int] = (40, 40, 60),
    x: float = INSIDE,
) -> Scene:
    """The lobby, and in it somebody in these colours (BGR)."""
    image = np.full((SIZE[1], SIZE[0], 3), (120, 140, 150), np.uint8)
    if track is None:
        made = scene(t, zones=[LOBBY, MACHINE])
    else:
        one = Thing(track, x=x)
        x1, y1, x2, y2 = (int(v) for v in one.box)
        middle = (y1 + y2) // 2
        image[y1:middle, x1:x2], image[middle:y2, x1:x2] = top, legs
        made = scene(t, one, zones=[LOBBY, MACHINE])
    return replace(made, frame=replace(made.frame, image=image))


def visit(
    loitering: Loitering, times: list[float], tops: list[tuple[int, int, int]], **look: Any
) -> list[tuple[float, Observation]]:
    """One visit of 3 s at each time, each by a new track."""
    said: list[tuple[float, Observation]] = []
    t = 0.0
    for track, (begins, top) in enumerate(zip(times, tops, strict=True), start=1):
        while t < begins:
            said += [(t, o) for o in loitering.update(dressed(t, None, top))]
            t = round(t + 0.2, 6)
        while t < begins + 3:
            said += [(t, o) for o in loitering.update(dressed(t, track, top, **look))]
            t = round(t + 0.2, 6)
    return said


RED, BLUE, GREEN = (40, 40, 190), (180, 60, 40), (60, 150, 60)


def test_who_comes_back_in_the_same_clothes_is_counted() -> None:
    said = visit(rule(visits=3), [0, 20, 40], [RED, RED, RED])
    assert 40 <= said[0][0] < 41
    assert (said[0][1].value, said[0][1].threshold, said[0][1].unit) == (3, 2, "visits")
    assert "again and again" in said[0][1].what


def test_other_people_are_not_counted_as_one() -> None:
    assert visit(rule(visits=3), [0, 20, 40, 60, 80], [RED, BLUE, GREEN, RED, BLUE]) == []


def test_who_appears_in_the_middle_has_not_come_in() -> None:
    """Somebody who was hidden for a while, or overlooked, is no visitor."""
    assert visit(rule(visits=3), [0, 20, 40], [RED, RED, RED], x=INSIDE + 60) == []


def test_visits_are_counted_within_the_window_only() -> None:
    assert visit(rule(visits=3, window_s=70), [0, 50, 100], [RED, RED, RED]) == []


def test_without_the_limit_nobody_is_counted() -> None:
    assert visit(rule(), [0, 20, 40], [RED, RED, RED]) == []


def test_under_infrared_light_nobody_is_recognised() -> None:
    grey = (90, 90, 90)
    loitering = rule(visits=2)
    t = 0.0
    for track in (1, 2, 3):
        for _ in range(15):
            made = dressed(t, track, grey, legs=grey)
            flat = np.repeat(made.frame.image[..., :1], 3, axis=2)
            assert loitering.update(replace(made, frame=replace(made.frame, image=flat))) == []
            t = round(t + 0.2, 6)
        for _ in range(50):
            loitering.update(dressed(t, None, grey))
            t = round(t + 0.2, 6)


def test_those_who_left_are_forgotten_after_the_window() -> None:
    loitering = rule(visits=3, window_s=100)
    visit(loitering, [0], [RED])
    t = 3.0
    while t < 150:
        loitering.update(dressed(t, None, RED))
        t += 1.0
    assert not any(loitering._people.values())


@pytest.mark.parametrize(("walks_in", "at_once_s"), [(False, 0.5), (True, 140 / (0.65 * 150))])
def test_who_is_first_seen_well_inside_has_walked_there(walks_in: bool, at_once_s: float) -> None:
    stays = Stays(person_classes={PERSON}, grace_s=2.0, walks_in=walks_in)
    stays.update(scene(0, zones=[LOBBY]), LOBBY, np.zeros(0, np.bool_))
    for t, wait_s in ((1.0, 0.0), (2.0, 1.0)):
        made = scene(t, Thing(1, x=300, height=150, age_s=t - 1), zones=[LOBBY])
        made = replace(made, tracks=replace(made.tracks, first_xyxy=made.tracks.xyxy))
        dwell = stays.update(made, LOBBY, made.occupancy[0])
        assert dwell[1] == pytest.approx(at_once_s + wait_s, abs=0.02)


def test_nobody_has_walked_in_before_the_first_frame() -> None:
    stays = Stays(person_classes={PERSON}, grace_s=2.0, walks_in=True)
    made = scene(0, Thing(1, x=300), zones=[LOBBY])
    made = replace(made, tracks=replace(made.tracks, first_xyxy=made.tracks.xyxy))
    assert stays.update(made, LOBBY, made.occupancy[0]) == {1: 0.0}
