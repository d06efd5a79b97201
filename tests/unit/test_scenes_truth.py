from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.types import ZoneKind
from export.scenes import truth
from export.scenes.actor import Actor, Step
from export.scenes.body import Body, Clothes
from export.scenes.clip import mot, read_truth
from export.scenes.errors import SceneError
from export.scenes.oracle import expected
from export.scenes.rooms import Area
from export.scenes.scenario import FaultTable, RulesTable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LOBBY = Area("lobby", ZoneKind.LOBBY, ((0, 0), (10, 0), (10, 10), (0, 10)))
CORNER = Area("corner", ZoneKind.RESTRICTED, ((0, 0), (2, 0), (2, 2), (0, 2)))
MACHINE = Area("machine", ZoneKind.MACHINE, ((4, 8), (6, 8), (6, 10), (4, 10)))
AREAS = (LOBBY, CORNER, MACHINE)


@pytest.fixture(scope="module")
def body() -> Body:
    return Body(shape="youth", height_m=1.6, clothes=Clothes())


def _actor(body: Body, person_id: int, *steps: Step) -> Actor:
    return Actor(person_id=person_id, name="a", body=body, steps=steps, duration_s=30.0)


def _raised(
    actors: Sequence[Actor],
    *,
    frames: Sequence[truth.FrameTruth] = (),
    faults: Sequence[FaultTable] = (),
    **rules: object,
) -> list[truth.Expected]:
    return expected(
        rules=RulesTable.model_validate(rules), areas=AREAS, actors=actors, visits=truth.visits(actors, AREAS),
        frames=frames, faults=faults, fps=5.0, seconds=30.0,
    )  # fmt: skip


def test_visits_are_exact(body: Body) -> None:
    walker = _actor(body, 1, Step(0, -5, 5), Step(10, 5, 5), Step(20, 15, 5))
    visit = next(v for v in truth.visits([walker], AREAS) if v.zone == "lobby")
    assert visit.entered_s == pytest.approx(5.0, abs=0.02)
    assert visit.left_s == pytest.approx(15.0, abs=0.02)
    assert visit.dwell_s == pytest.approx(10.0, abs=0.03)


def test_who_stays_long_enough_is_a_loiterer_and_who_does_not_is_none(body: Body) -> None:
    stays = _actor(body, 1, Step(0, 5, 5), Step(20, 5, 5))
    assert [(e.rule, e.opens_s) for e in _raised([stays], loitering_s=12)] == [("loitering", 12.0)]
    assert _raised([stays], loitering_s=25) == []


def test_the_service_corner_raises_once_per_stay(body: Body) -> None:
    intruder = _actor(body, 1, Step(0, 5, 5), Step(4, 1, 1), Step(9, 1, 1), Step(13, 5, 5))
    found = [e for e in _raised([intruder]) if e.rule == "restricted_area"]
    assert len(found) == 1
    assert found[0].person == 1
    assert 3.0 < found[0].opens_s < 5.5
    assert found[0].closes_s is not None
    assert found[0].closes_s < 12


def test_five_are_a_crowd_and_four_are_not(body: Body) -> None:
    people = [_actor(body, i, Step(0, i, 5), Step(20, i, 5)) for i in range(1, 6)]
    assert [e.rule for e in _raised(people)] == ["crowding"]
    assert _raised(people[:4]) == []


def test_the_fourth_entry_is_a_revisit(body: Body) -> None:
    steps = [Step(3.0 * k, 5 if k % 2 else -3, 5) for k in range(9)]
    found = _raised([_actor(body, 1, *steps)])
    assert [e.rule for e in found] == ["loitering"]


def test_a_second_person_close_to_a_customer(body: Body) -> None:
    customer = _actor(body, 1, Step(0, 5, 9, 90, "use_machine"), Step(20, 5, 9))
    near = _actor(body, 2, Step(0, 5, 2), Step(6, 5.2, 8.3), Step(12, 5.2, 8.3), Step(18, 5, 2))
    far = _actor(body, 2, Step(0, 5, 2), Step(6, 5, 7), Step(12, 5, 7), Step(18, 5, 2))
    assert [e.rule for e in _raised([customer, near])] == ["crowding"]
    assert _raised([customer, far]) == []


@pytest.mark.parametrize("action", ["stand", "hands_up", "reach"])
def test_whoever_stands_at_the_machine_is_the_one_at_it_whatever_the_hands_do(body: Body, action: str) -> None:
    robbed = _actor(body, 1, Step(0, 5, 9, 90, action), Step(20, 5, 9))
    robber = _actor(body, 2, Step(0, 5, 2), Step(6, 5.2, 8.3), Step(12, 5.2, 8.3), Step(18, 5, 2))
    found = _raised([robbed, robber], close_behind_s=2.0)
    assert [(e.rule, e.zone, e.persons) for e in found] == [("crowding", "machine", [1, 2])]  # once for the pair
    assert found[0].opens_s == pytest.approx(7.8, abs=0.5)


def test_who_walks_through_the_machines_zone_or_lies_there_is_not_the_one_at_it(body: Body) -> None:
    waits = _actor(body, 1, Step(0, 5, 7.8), Step(20, 5, 7.8))  # just outside
    walks = _actor(body, 2, Step(0, -5, 8.2), Step(8, 3, 8.2), Step(11, 7, 8.2), Step(19, 15, 8.2))
    assert _raised([waits, walks], close_behind_s=0.2) == []
    lies = _actor(body, 2, Step(0, 5, 8.3, 0, "lie"), Step(20, 5, 8.3))
    assert [e.rule for e in _raised([waits, lies], close_behind_s=0.2)] == ["person_down"]
    stands = _actor(body, 2, Step(0, 5, 8.3), Step(20, 5, 8.3))
    assert [e.rule for e in _raised([waits, stands], close_behind_s=0.2)] == ["crowding"]


@pytest.mark.parametrize(
    ("action", "rule"),
    [("lie", "person_down"), ("struggle", "assault"), ("pry", "machine_tampering"), ("snatch", "assault")],
)
def test_what_people_do_is_raised(body: Body, action: str, rule: str) -> None:
    doer = _actor(body, 1, Step(0, 5, 5), Step(4, 5, 5.01, 0, action), Step(14, 5, 5.02), Step(20, 5, 5))
    assert [e.rule for e in _raised([doer])] == [rule]


def test_closed_hours_raise_everyone(body: Body) -> None:
    visitor = _actor(body, 1, Step(0, -5, 5), Step(10, 5, 5), Step(20, 15, 5))
    assert [e.rule for e in _raised([visitor], closed=True)] == ["closed_hours"]


def test_a_fault_of_the_camera_is_raised_after_a_while_and_may_last() -> None:
    table = [FaultTable(kind="covered", from_s=4.0), FaultTable(kind="turned", from_s=10.0, to_s=11.0)]
    found = _raised([], faults=table, tamper_s=3.0)
    assert [(e.rule, e.opens_s, e.closes_s) for e in found] == [("camera_tamper", 7.0, None)]


def _frames_with(label: str, when: range, visibility: float = 0.9) -> list[truth.FrameTruth]:
    thing = truth.SeenThing(1, label, label, [1, 2, 3, 4], visibility)
    return [truth.FrameTruth(i, i / 5, [], [thing] if i in when else []) for i in range(60)]


def test_an_object_in_sight_for_long_enough() -> None:
    assert [(e.rule, e.opens_s) for e in _raised([], frames=_frames_with("knife", range(10, 30)))] == [("knife", 3.0)]
    assert _raised([], frames=_frames_with("knife", range(10, 14))) == []
    assert _raised([], frames=_frames_with("knife", range(10, 30), 0.1)) == []
    assert _raised([], frames=_frames_with("umbrella", range(10, 30))) == []


def test_masks_become_boxes_in_pixels_of_the_picture() -> None:
    tags = np.zeros((40, 60), np.uint8)
    tags[10:20, 30:50] = 8
    tags[5:10, 30:40] = 9
    mask = truth.one_of(tags, (8, 9))
    assert truth.mask_box(mask, 2) == [15.0, 2.5, 25.0, 10.0]
    assert truth.pixels(mask, 2) == 62.5


def test_mot_counts_from_one() -> None:
    seen = truth.SeenPerson(3, [10, 20, 30, 60], [10, 20, 30, 60], 0.75, [0, 0], [], "walk", 0.0)
    assert mot([truth.FrameTruth(0, 0.0, [seen])]) == "1,3,10,20,20.0,40.0,1,1,0.75\n"


def test_the_truth_is_written_as_json_and_read_back_by_its_version(tmp_path: Path) -> None:
    path = tmp_path / "a.truth.json"
    seen = truth.SeenPerson(3, [10, 20, 30, 60], [10, 20, 30, 60], 0.75, [0, 0], ["lobby"], "walk", 0.0)
    head = {"schema": truth.SCHEMA, "version": truth.VERSION, "zones": [{"name": "lobby"}]}
    truth.write(path, head, [truth.FrameTruth(0, 0.0, [seen])], {"expected": []})
    table = read_truth(path)
    assert table["frames"] == [
        {"i": 0, "t_s": 0.0, "persons": [{"id": 3, "box": [10, 20, 30, 60], "full_box": [10, 20, 30, 60], "visibility": 0.75,
         "floor_m": [0, 0], "zones": ["lobby"], "action": "walk", "heading_deg": 0.0}], "objects": [], "camera": "ok"}
    ]  # fmt: skip
    path.write_text(json.dumps({"schema": truth.SCHEMA, "version": 99}), "utf-8")
    with pytest.raises(SceneError, match="version 99"):
        read_truth(path)
