from __future__ import annotations

import cv2
import numpy as np
import pytest
from fakes.scenes import PERSON, SIZE, Thing, scene, tracks, zone
from hypothesis import given
from hypothesis import strategies as st

from edge.rules.loitering import Loitering
from edge.types import Zone, ZoneKind
from edge.zones import WHOLE_PICTURE, ZoneMap


def where(zones: list[Zone], *things: Thing) -> list[list[bool]]:
    zone_map = ZoneMap("lobby", zones)
    occupancy: list[list[bool]] = zone_map.occupancy(tracks(*things), SIZE).tolist()
    return occupancy


def test_without_zones_the_whole_picture_is_a_lobby() -> None:
    zone_map = ZoneMap("lobby", [])
    assert [(z.name, z.kind) for z in zone_map.zones] == [(WHOLE_PICTURE, ZoneKind.LOBBY)]
    edge = Thing(1, x=639, feet=400), Thing(2, x=-30, feet=-5), Thing(3, x=700, feet=360)
    assert where([], *edge) == [[True, True, True]]


def test_a_restricted_zone_alone_leaves_the_whole_picture_a_lobby() -> None:
    zones = [zone(ZoneKind.RESTRICTED, 0, 0, 0.5, 1)]
    assert where(zones, Thing(1, x=100), Thing(2, x=500)) == [[True, False], [True, True]]


def test_who_is_at_the_machine_is_in_the_lobby_also_where_its_zone_was_drawn_beside_it() -> None:
    hall, machine = zone(ZoneKind.LOBBY, 0, 0, 0.5, 1), zone(ZoneKind.MACHINE, 0.5, 0, 0.8, 1)
    yard = zone(ZoneKind.LOBBY, 0, 0, 0.1, 0.1, name="yard")
    behind = zone(ZoneKind.RESTRICTED, 0.7, 0, 1, 1)
    inside, at_it, behind_it = Thing(1, x=100), Thing(2, x=400), Thing(3, x=500)
    assert where([yard, hall, machine, behind], inside, at_it, behind_it) == [
        [False, False, False],
        [True, True, False],
        [False, True, True],
        [False, False, True],
    ]


@pytest.mark.parametrize("gap", [0.0, 0.02])
def test_using_a_machine_beside_the_lobby_is_part_of_one_stay(gap: float) -> None:
    zones = [zone(ZoneKind.LOBBY, 0, 0, 0.5, 1), zone(ZoneKind.MACHINE, 0.5 + gap, 0, 0.8, 1)]
    rule = Loitering(person_classes={PERSON}, dwell_s=1000, escalate_s=1000, machine_dwell_s=10, window_dwell_s=1000)
    places = [200.0] * 15 + [400.0] * 30 + [200.0] * 15
    found = [o for k, x in enumerate(places) for o in rule.update(scene(k * 0.2, Thing(1, x=x), zones=zones))]
    assert found[0].t_mono_s == pytest.approx(10.2, abs=0.21)
    assert found[0].zone == "lobby"


def test_zones_of_other_cameras_do_not_count() -> None:
    zone_map = ZoneMap("lobby", [zone(ZoneKind.RESTRICTED, 0, 0, 1, 1, camera="yard")])
    assert [z.name for z in zone_map.zones] == [WHOLE_PICTURE]


def test_the_feet_decide_not_the_head() -> None:
    upper_half = [zone(ZoneKind.LOBBY, 0, 0, 1, 0.5)]
    assert where(upper_half, Thing(1, feet=300, height=250)) == [[False]]
    assert where(upper_half, Thing(1, feet=170, height=100)) == [[True]]


def test_with_the_feet_out_of_the_picture_its_lower_edge_decides() -> None:
    bottom = [zone(ZoneKind.LOBBY, 0, 0.9, 1, 1)]
    assert where(bottom, Thing(1, feet=360, height=200)) == [[True]]
    assert where(bottom, Thing(1, feet=420, height=200)) == [[True]]


def test_nobody_counts_in_an_ignore_zone() -> None:
    zone_map = ZoneMap("lobby", [zone(ZoneKind.IGNORE, 0, 0, 0.5, 1)])
    assert zone_map.counted(tracks(Thing(1, x=100), Thing(2, x=500)), SIZE).tolist() == [False, True]
    assert ZoneMap("lobby", []).counted(tracks(Thing(1)), SIZE).tolist() == [True]


def test_nobody_there() -> None:
    assert ZoneMap("lobby", []).occupancy(tracks(), SIZE).shape == (1, 0)


POLYGON = st.lists(st.tuples(st.integers(0, 63), st.integers(0, 35)), min_size=3, max_size=9, unique=True)


@given(POLYGON, st.integers(0, 63), st.integers(0, 35))
def test_inside_and_outside_agree_with_a_painted_polygon(corners: list[tuple[int, int]], x: int, y: int) -> None:
    """Against OpenCV's even-odd filling, away from the edges where rounding decides."""
    points = np.array(corners, np.int32)
    mask = np.zeros((36 * 8, 64 * 8), np.uint8)
    cv2.fillPoly(mask, [points * 8], 1)
    around = mask[max(y * 8 + 4 - 2, 0) : y * 8 + 4 + 3, max(x * 8 + 4 - 2, 0) : x * 8 + 4 + 3]
    if around.min() != around.max():
        return
    polygon = (points / np.array([64, 36])).astype(np.float32)
    own = Zone("lobby", "z", ZoneKind.LOBBY, polygon)
    thing = Thing(1, x=(x + 0.5) * 10, feet=(y + 0.5) * 10)
    assert where([own], thing) == [[bool(around[0, 0])]]
