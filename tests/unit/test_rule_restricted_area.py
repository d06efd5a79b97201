"""Entry, not grazing the edge; and what counts when the feet cannot be seen."""

from __future__ import annotations

import numpy as np
import pytest
from fakes.scenes import PERSON, SIZE, Thing, scene, zone
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.rules.distance import deepest_px, floor_gap, to_edge_px
from edge.rules.restricted_area import RestrictedArea
from edge.types import Zone, ZoneKind

RIGHT = zone(ZoneKind.RESTRICTED, 0.5, 0, 1, 1)  # its edge is at x = 320


def rule(**kwargs: float) -> RestrictedArea:
    return RestrictedArea(person_classes={PERSON}, **{"dwell_s": 1.0, **kwargs})


def entered(places: list[float], *, zones: list[Zone], fps: float = 5, **how: float) -> list[float]:
    """When the rule speaks, for somebody at these places (x, px), one a frame."""
    area = rule()
    return [k / fps for k, x in enumerate(places) if area.update(scene(k / fps, Thing(1, x=x, **how), zones=zones))]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), fps=st.sampled_from([2.0, 5.0, 15.0]), off=st.floats(-30, 2))
def test_who_stands_on_the_line_and_trembles_never_enters(seed: int, fps: float, off: float) -> None:
    """A person 150 px high, whose box is off by 4 % of that (one standard deviation, cut at 2.5), for 30 s."""
    rng = np.random.default_rng(seed)
    wobble = np.clip(rng.normal(0, 6, int(30 * fps)), -15, 15)
    assert entered((320 + off + wobble).tolist(), zones=[RIGHT], fps=fps) == []


def test_who_walks_past_along_the_edge_never_enters() -> None:
    area = rule()
    for k in range(40):
        wobble = 10 * (-1) ** k
        assert area.update(scene(k * 0.2, Thing(1, x=320 + wobble, feet=150 + 5 * k), zones=[RIGHT])) == []


def test_who_goes_in_has_entered_a_second_later() -> None:
    places = [250.0 + 20 * k for k in range(20)]
    said = entered(places, zones=[RIGHT])
    assert 1.6 <= said[0] <= 2.2  # over the line at 0.7 s, by 18 px at 0.88 s


def test_once_inside_the_edge_is_inside_too() -> None:
    area = rule()
    said = []
    for k in range(30):
        x = 400 if k < 3 else 324
        said.append(bool(area.update(scene(k * 0.2, Thing(1, x=x), zones=[RIGHT]))))
    assert said.index(True) == 6
    assert all(said[6:])


def test_a_new_entry_needs_the_margin_again() -> None:
    area = rule()
    for k, x in enumerate((400, 400, 400, 200, 200)):
        assert area.update(scene(k * 0.2, Thing(1, x=x), zones=[RIGHT])) == []
    for k in range(5, 40):
        assert area.update(scene(k * 0.2, Thing(1, x=325), zones=[RIGHT])) == []


def test_a_narrow_zone_can_still_be_entered() -> None:
    passage = zone(ZoneKind.RESTRICTED, 0.48, 0, 0.52, 1)  # 26 px; the margin alone would be 18 px from both sides
    assert entered([320.0] * 10, zones=[passage]) != []
    assert entered([309.0] * 10, zones=[passage]) == []  # at its edge


def test_a_zone_drawn_anew_under_its_old_name_has_a_margin_of_its_own() -> None:
    area = rule()
    hall, passage = (zone(ZoneKind.RESTRICTED, x1, 0, x2, 1, name="back") for x1, x2 in ((0.2, 1), (0.48, 0.52)))
    assert area.update(scene(0, Thing(1), zones=[hall])) == []
    assert [t for t in range(1, 5) if area.update(scene(t, Thing(2), zones=[passage]))] != []


def test_with_the_feet_below_the_picture_its_lower_edge_decides() -> None:
    near = zone(ZoneKind.RESTRICTED, 0, 0.8, 1, 1)
    far = zone(ZoneKind.RESTRICTED, 0, 0.3, 1, 0.8, name="far")
    assert entered([320.0] * 10, zones=[near], feet=430, height=300) != []
    assert entered([320.0] * 10, zones=[far], feet=430, height=300) == []


def test_with_the_feet_hidden_the_lowest_visible_point_decides() -> None:
    """Behind a bench only the upper body shows: the box ends at the bench, farther back than the person stands."""
    behind = zone(ZoneKind.RESTRICTED, 0, 0.4, 1, 0.7)
    where_they_stand = zone(ZoneKind.RESTRICTED, 0, 0.75, 1, 1)
    hidden = {"feet": 220.0, "height": 90.0}  # the feet would be at 280
    assert entered([320.0] * 10, zones=[behind], **hidden) != []
    assert entered([320.0] * 10, zones=[where_they_stand], **hidden) == []


def test_distance_to_the_edge_forgets_the_borders_of_the_picture() -> None:
    points = np.array([[420.0, 5.0], [639.0, 180.0], [300.0, 180.0]])
    assert to_edge_px(points, RIGHT, SIZE).tolist() == [100, 319, 20]
    assert np.isinf(to_edge_px(points, zone(ZoneKind.LOBBY, 0, 0, 1, 1), SIZE)).all()
    assert deepest_px(zone(ZoneKind.LOBBY, 0.25, 0.25, 0.75, 0.75), SIZE) == pytest.approx(90, abs=4)


def standing(x: float, feet: float, *, width: float, height: float) -> np.ndarray:
    return np.array([x - width / 2, feet - height, x + width / 2, feet])


def test_a_step_in_depth_counts_for_more_than_one_to_the_side() -> None:
    one = standing(100, 200, width=50, height=150)
    gap = floor_gap(one, np.array([standing(160, 200, width=50, height=150), standing(100, 230, width=50, height=150)]))
    assert gap.tolist() == pytest.approx([0.4, 0.4])


def test_seen_from_above_a_step_in_depth_is_hardly_shortened_and_width_says_how_large_people_are() -> None:
    # At 60 degrees 100 px to the metre: 115 px tall, 65 px broad; 0.85 m apart, to the side and in depth.
    one = standing(100, 200, width=65, height=115)
    apart = [
        standing(185, 200, width=65, height=115),
        standing(100, 200 + 85 * np.sin(np.pi / 3), width=65, height=115),
    ]
    assert floor_gap(one, np.array(apart)).tolist() == pytest.approx([0.5, 0.5], abs=0.01)
    # Somebody who bends there is stouter, and no nearer for that.
    bent = np.array([standing(185, 200, width=65, height=80)])
    assert floor_gap(one, bent).tolist() == pytest.approx([0.5], abs=0.01)
