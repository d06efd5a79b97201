"""The machine's longer limit, and several visits."""

from __future__ import annotations

from fakes.scenes import PERSON, Thing, scene, zone

from edge.rules.loitering import Loitering
from edge.types import Observation, Severity, ZoneKind

LOBBY = zone(ZoneKind.LOBBY, 0.25, 0, 1, 1)
MACHINE = zone(ZoneKind.MACHINE, 0.7, 0, 1, 1)
OUTSIDE, INSIDE, AT_MACHINE = 50.0, 300.0, 550.0


def rule(**kwargs: float) -> Loitering:
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
