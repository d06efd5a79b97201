from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.scenes import KNIFE, PERSON, Thing, scene, zone
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.rules.crowding import Crowding
from edge.rules.loitering import Loitering
from edge.rules.object_seen import ObjectSeen
from edge.rules.restricted_area import RestrictedArea
from edge.types import Observation, Scene, Severity, ZoneKind

if TYPE_CHECKING:
    from edge.rules.interface import Rule

RESTRICTED = zone(ZoneKind.RESTRICTED, 0, 0, 0.5, 1)


def loitering(**kwargs: float) -> Loitering:
    return Loitering(person_classes={PERSON}, **{"dwell_s": 10.0, "escalate_s": 20.0, **kwargs})


def knife(**kwargs: float | bool) -> ObjectSeen:
    values = {"min_score": 0.5, "seen_s": 0.5, "window_s": 3.0, **kwargs}
    return ObjectSeen(name="knife", classes=[KNIFE], **values)  # type: ignore[arg-type]


def first_true(rule: Rule, scenes: list[Scene]) -> tuple[float, Observation] | None:
    for one in scenes:
        found = rule.update(one)
        if found:
            return one.frame.t_mono_s, found[0]
    return None


@settings(max_examples=30, deadline=None)
@given(rate=st.sampled_from([2.0, 5.0, 15.0]), seed=st.integers(0, 1000))
def test_loitering_is_measured_in_seconds_at_any_frame_rate(rate: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    times = [k / rate for k in range(int(15 * rate)) if k == 0 or rng.random() > 0.3]
    found = first_true(loitering(), [scene(100 + t, Thing(1)) for t in times])
    expected = next(100 + t for t in times if t > 10)
    assert found is not None
    assert found[0] == expected
    assert found[1].value == pytest.approx(expected - 100)
    assert (found[1].threshold, found[1].unit, found[1].zone) == (10, "s", "picture")


def test_a_stay_goes_on_over_a_short_absence_and_starts_anew_after_a_long_one() -> None:
    short, long = loitering(), loitering()
    for t in range(9):
        short.update(scene(t, Thing(1)))
        long.update(scene(t, Thing(1)))
    assert short.update(scene(9, Thing(1, unseen_s=1.0))) == []
    assert short.update(scene(10.5, Thing(1))) != []
    for t in (9, 10, 11, 12):
        long.update(scene(t))
    assert long.update(scene(12.5, Thing(1))) == []


def test_several_passers_by_are_not_one_loiterer() -> None:
    rule = loitering()
    for t in range(60):
        assert rule.update(scene(t, Thing(1 + t // 8))) == []


def test_loitering_grows_worse() -> None:
    rule = loitering()
    severities = [o.severity for t in range(25) for o in rule.update(scene(t, Thing(1)))]
    assert severities[0] is Severity.LOW
    assert severities[-1] is Severity.HIGH
    assert severities == sorted(severities)


def test_all_who_stay_too_long_are_named_and_counted() -> None:
    rule = loitering()
    for t in range(12):
        found = rule.update(scene(t, Thing(4), Thing(9, x=100)))
    assert found[0].track_ids == (4, 9)
    assert "2 persons" in found[0].what


def test_nobody_loiters_outside_the_lobby() -> None:
    rule, lobby = loitering(), zone(ZoneKind.LOBBY, 0, 0, 0.4, 1)
    for t in range(30):
        assert rule.update(scene(t, Thing(1, x=500), zones=[lobby])) == []


def test_restricted_area_wants_an_entry_not_a_foot_on_the_line() -> None:
    rule = RestrictedArea(person_classes={PERSON}, dwell_s=1.0)
    for k in range(40):  # in and out again, never more than 0.8 s inside
        inside = k % 10 < 4
        assert rule.update(scene(k * 0.2, Thing(1, x=100 if inside else 500), zones=[RESTRICTED])) == []
    times = [8 + k * 0.2 for k in range(10)]
    found = first_true(rule, [scene(t, Thing(1, x=100), zones=[RESTRICTED]) for t in times])
    assert found is not None
    assert found[0] == pytest.approx(9.0)  # walked in half-way between 7.8 and 8.0
    assert found[1].zone == "restricted"
    assert found[1].severity is Severity.HIGH


def test_only_people_count() -> None:
    rule = RestrictedArea(person_classes={PERSON}, dwell_s=0.5)
    for t in range(5):
        assert rule.update(scene(t, Thing(1, x=100, cls=KNIFE), zones=[RESTRICTED])) == []


def test_who_left_through_the_door_stays_no_longer_for_being_remembered() -> None:
    rule = loitering()
    for k in range(48):  # 9.4 s in sight, then remembered where last seen
        assert rule.update(scene(k * 0.2, Thing(1))) == []
    for k in range(48, 63):
        assert rule.update(scene(k * 0.2, Thing(1, unseen_s=(k - 47) * 0.2))) == []


def test_who_was_hidden_in_the_room_has_been_there_all_along() -> None:
    rule = loitering()
    for k in range(30):
        rule.update(scene(k * 0.2, Thing(1, unseen_s=max(0.0, (k - 10) * 0.2))))  # hidden for nearly 4 s
    found = first_true(rule, [scene(k * 0.2, Thing(1)) for k in range(30, 60)])
    assert found is not None
    assert found[0] == pytest.approx(10.2)


def test_a_stay_begins_when_somebody_was_first_seen_not_when_the_tracker_was_sure() -> None:
    rule = loitering()
    rule.update(scene(99.8))
    found = first_true(rule, [scene(100.6 + k * 0.2, Thing(1, age_s=0.6 + k * 0.2)) for k in range(60)])
    assert found is not None
    assert found[0] == pytest.approx(109.8)  # half a gap (0.4 s) before 100.0, then more than 10 s
    assert found[1].value == pytest.approx(10.2)


def test_crowding_counts_heads_whoever_they_are() -> None:
    rule = Crowding(person_classes={PERSON}, max_persons=2, dwell_s=5.0)
    found = first_true(rule, [scene(t, *(Thing(t + i, x=100 + 100 * i) for i in range(3))) for t in range(10)])
    assert found is not None
    assert found[0] == 6
    assert (found[1].value, found[1].threshold, found[1].unit) == (3, 2, "persons")


def test_two_in_a_lobby_for_two_are_no_crowd() -> None:
    rule = Crowding(person_classes={PERSON}, max_persons=2, dwell_s=0.0)
    assert all(rule.update(scene(t, Thing(1), Thing(2, x=100))) == [] for t in range(20))


def test_a_knife_in_a_hand_alarms_after_its_seconds() -> None:
    thing = Thing(2, cls=KNIFE, holder=1)
    found = first_true(knife(), [scene(k * 0.2, Thing(1), thing) for k in range(10)])
    assert found is not None
    assert found[0] == pytest.approx(0.6)
    assert found[1].severity is Severity.CRITICAL
    assert "0.90" in found[1].what


def test_one_glimpse_is_no_knife() -> None:
    rule = knife()
    for k in range(60):
        things = (Thing(2, cls=KNIFE, holder=1),) if k % 20 == 0 else ()
        assert rule.update(scene(k * 0.2, *things)) == []


def test_a_flickering_knife_still_alarms() -> None:
    thing = Thing(2, cls=KNIFE, holder=1)
    assert first_true(knife(), [scene(k * 0.2, *((thing,) if k % 2 == 0 else ())) for k in range(15)]) is not None


def test_a_long_gap_between_frames_proves_nothing() -> None:
    rule, thing = knife(), Thing(2, cls=KNIFE, holder=1)
    assert rule.update(scene(0, thing)) == []
    assert rule.update(scene(60, thing)) == []


@pytest.mark.parametrize(
    "thing",
    [
        Thing(2, cls=KNIFE, holder=-1),
        Thing(2, cls=KNIFE, holder=1, score=0.4),
        Thing(2, cls=KNIFE, holder=1, unseen_s=0.1),
        Thing(2, cls=PERSON, holder=1),
    ],
)
def test_what_does_not_count_as_a_knife(thing: Thing) -> None:
    assert first_true(knife(), [scene(k * 0.2, thing) for k in range(20)]) is None


def test_a_knife_on_a_bench_counts_where_the_policy_says_so() -> None:
    rule = knife(near_person=False)
    assert first_true(rule, [scene(k * 0.2, Thing(2, cls=KNIFE)) for k in range(20)]) is not None


@pytest.mark.parametrize(
    "rule",
    [
        loitering(),
        RestrictedArea(person_classes={PERSON}, dwell_s=1.0),
        Crowding(person_classes={PERSON}, max_persons=1, dwell_s=1.0),
        knife(),
    ],
    ids=lambda r: r.name,
)
def test_the_contract_of_every_rule(rule: Rule) -> None:
    """Empty scenes are silent; a (rule, zone) appears once at the most; the rule's name is on what it says."""
    assert rule.update(scene(0)) == []
    spoke = False
    for k in range(1, 100):
        crowd = [Thing(i, x=60 + 40 * i) for i in range(1, 6)] + [Thing(9, cls=KNIFE, holder=1)]
        found = rule.update(scene(k * 0.25, *crowd, zones=[RESTRICTED]))
        spoke |= bool(found)
        assert len({o.zone for o in found}) == len(found)
        assert all(o.rule == rule.name and o.camera == "lobby" and o.t_mono_s == k * 0.25 for o in found)
    assert spoke
    assert rule.update(scene(1000)) == []
