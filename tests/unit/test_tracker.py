from __future__ import annotations

import numpy as np
import pytest
from fakes.scenes import KNIFE, PERSON, SIZE, Thing, detections, zone
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.track.exits import Exits
from edge.track.likeness import iou
from edge.track.tracker import Tracker
from edge.types import ZoneKind


def tracker(**kwargs: float) -> Tracker:
    return Tracker(person_classes={PERSON}, held_classes={KNIFE}, **kwargs)


def test_the_life_of_a_track() -> None:
    t = tracker(confirm_s=0.25, remember_s=3.0)
    assert len(t.update(detections(Thing(0, x=100)), 10.0)) == 0  # tentative
    assert len(t.update(detections(Thing(0, x=102)), 10.2)) == 0  # seen twice, not long enough
    born = t.update(detections(Thing(0, x=104)), 10.4)
    assert born.track_id.tolist() == [1]
    assert born.age_s[0] == pytest.approx(0.4)
    assert born.unseen_s[0] == 0
    lost = t.update(detections(), 12.0)
    assert lost.unseen_s[0] == pytest.approx(1.6)  # still there, marked as not seen
    again = t.update(detections(Thing(0, x=110)), 12.2)
    assert again.track_id.tolist() == [1]
    assert again.unseen_s[0] == 0
    assert len(t.update(detections(), 12.4)) == 1
    assert len(t.update(detections(), 15.3)) == 1
    assert len(t.update(detections(), 15.5)) == 0  # forgotten after 3 s of frames that do not show it
    t.update(detections(Thing(0, x=110)), 16.0)
    reborn = t.update(detections(Thing(0, x=110)), 16.5)
    assert reborn.track_id.tolist() == [2]  # ids are never used again


def test_a_single_flicker_is_never_published() -> None:
    t = tracker()
    t.update(detections(Thing(0)), 0.0)
    for k in range(1, 20):
        assert len(t.update(detections(), k * 0.2)) == 0


def test_a_weak_detection_keeps_a_track_alive_but_starts_none() -> None:
    t = tracker(new_score=0.5)
    for k in range(10):
        assert len(t.update(detections(Thing(0, score=0.3)), k * 0.2)) == 0
    for k in range(10, 13):
        t.update(detections(Thing(0, score=0.8)), k * 0.2)
    for k in range(13, 40):
        kept = t.update(detections(Thing(0, score=0.3)), k * 0.2)
        assert kept.track_id.tolist() == [1]
        assert kept.unseen_s[0] == 0


def test_a_time_that_stands_still_or_goes_back_does_no_harm() -> None:
    t = tracker()
    for when in (1.0, 1.5, 1.5, 0.2, 1.6):
        found = t.update(detections(Thing(0)), when)
    assert found.track_id.tolist() == [1]
    assert found.age_s[0] == pytest.approx(0.6)


def test_a_knife_belongs_to_the_person_at_whose_hand_it_is() -> None:
    t = tracker()
    for k in range(4):
        found = t.update(
            detections(
                Thing(0, x=100),
                Thing(0, x=400),
                Thing(0, x=432, feet=250, height=20, cls=KNIFE),
                Thing(0, x=250, feet=250, height=20, cls=KNIFE),
            ),
            k * 0.3,
        )
    holder = dict(zip(found.track_id.tolist(), found.holder_id.tolist(), strict=True))
    assert holder == {1: -1, 2: -1, 3: 2, 4: -1}


def test_classes_are_never_mixed_up() -> None:
    t = tracker()
    for k in range(3):
        t.update(detections(Thing(0)), k * 0.3)
    found = t.update(detections(Thing(0, cls=KNIFE)), 0.9)
    assert found.unseen_s[0] > 0


DOOR = zone(ZoneKind.DOOR, 0.0, 0.3, 0.2, 1).polygon
ROOM = zone(ZoneKind.LOBBY, 0.2, 0.3, 1, 1).polygon


def ids_before_and_after(gap_s: float, *, x: float, fps: float = 5, exits: Exits | None = None) -> tuple[int, int]:
    """Somebody stands at ``x``, nobody is seen for ``gap_s``, somebody stands there again: both track ids."""
    t, step = Tracker(person_classes={PERSON}, exits=exits), 1 / fps
    found = []
    for k in range(round((6 + gap_s) * fps)):
        there = not 3 <= k * step < 3 + gap_s
        tracks = t.update(detections(*([Thing(0, x=x)] if there else [])), k * step, size=SIZE)
        found += [int(i) for i in tracks.track_id[tracks.unseen_s == 0]]
    return found[0], found[-1]


@pytest.mark.parametrize("fps", [2.0, 5.0, 15.0])
def test_who_comes_in_soon_after_somebody_left_by_the_door_is_somebody_else(fps: float) -> None:
    exits = Exits(doors=[DOOR], rooms=[ROOM])
    before, after = ids_before_and_after(1.7, x=90, fps=fps, exits=exits)  # in the doorway
    assert before != after
    before, after = ids_before_and_after(1.7, x=320, fps=fps, exits=exits)  # hidden in the middle of the room
    assert before == after


def test_a_miss_in_the_doorway_is_no_departure() -> None:
    before, after = ids_before_and_after(0.6, x=90, exits=Exits(doors=[DOOR], rooms=[ROOM]))
    assert before == after


def test_behind_the_door_is_out_and_beside_it_in_the_room_is_not() -> None:
    exits = Exits(doors=[zone(ZoneKind.DOOR, 0.2, 0.3, 0.3, 1).polygon], rooms=[ROOM])
    boxes = np.array([Thing(0, x=x).box for x in (100, 160, 230, 400)], np.float32)
    assert exits.at_exit(boxes, SIZE).tolist() == [True, True, False, False]


def test_without_a_door_the_borders_of_the_picture_are_the_exits() -> None:
    assert ids_before_and_after(1.7, x=20) == (1, 2)
    assert ids_before_and_after(1.7, x=625) == (1, 2)
    assert ids_before_and_after(1.7, x=100) == (1, 1)


def leave_and_enter(exits: Exits | None, *, appears_x: float) -> tuple[int, int]:
    """Somebody appears, walks to x = 400, back to 320 and is gone for 1.7 s; then somebody is at 320: both ids."""
    t, found, now = Tracker(person_classes={PERSON}, exits=exits), [], 0.0
    walk = [appears_x] * 5 + np.linspace(appears_x, 400, 15).tolist() + np.linspace(400, 320, 10).tolist() + [320.0] * 5
    for x in [None] * 15 + walk + [None] * 8 + [320.0] * 8:
        tracks = t.update(detections(*([Thing(0, x=x)] if x else [])), now, size=SIZE)
        found += [int(i) for i in tracks.track_id[tracks.unseen_s == 0]]
        now += 0.2
    return found[0], found[-1]


def test_where_no_door_is_drawn_the_place_where_somebody_appeared_is_one() -> None:
    before, after = leave_and_enter(None, appears_x=310)
    assert before != after
    before, after = leave_and_enter(None, appears_x=120)  # came in elsewhere: hidden at 320, not gone
    assert before == after
    drawn = Exits(doors=[DOOR], rooms=[ROOM])
    before, after = leave_and_enter(drawn, appears_x=310)  # a drawn door is believed
    assert before == after


def test_who_was_there_at_the_start_shows_no_door() -> None:
    assert ids_before_and_after(1.7, x=320) == (1, 1)


def test_who_stops_between_two_frames_a_second_apart_is_not_taken_for_somebody_behind() -> None:
    """A story of the random lives: one walks past another who stands farther back, a frame is dropped, and the one has stopped."""
    t = tracker()
    for k, x in enumerate((475, 427, 383)):
        t.update(detections(Thing(0, x=288, feet=195, height=110), Thing(1, x=x, feet=237, height=120)), 15 + k / 2)
    t.update(detections(Thing(1, x=299, feet=238, height=121)), 17.0)  # in front of the other
    found = t.update(detections(Thing(1, x=302, feet=242, height=123)), 18.0)
    assert found.track_id[found.unseen_s == 0].tolist() == [2]


def test_a_weak_box_where_somebody_stands_comes_before_a_false_one_beside() -> None:
    t = tracker()
    for k in range(4):
        t.update(detections(Thing(0, x=372, feet=325, height=155)), k / 2)
    weak, false = Thing(0, x=372, feet=325, height=155, score=0.33), Thing(1, x=300, feet=235, height=90, score=0.54)
    found = t.update(detections(weak, false), 3.0)
    assert found.track_id.tolist() == [1]
    assert found.unseen_s[0] == 0
    assert found.xyxy[0, 3] == pytest.approx(325)


def test_a_false_box_that_is_hardly_like_them_leads_nobody_away() -> None:
    t = tracker()
    for k in range(4):
        t.update(detections(Thing(0, x=372, feet=325, height=155)), k / 2)
    found = t.update(detections(Thing(1, x=300, feet=235, height=90, score=0.54)), 3.0)  # half as tall, on other ground
    assert found.unseen_s.tolist() == [pytest.approx(1.5)]


def test_who_walked_through_the_room_out_of_sight_is_still_the_same() -> None:
    t = tracker()
    for k in range(4):
        t.update(detections(Thing(0, x=592, feet=163, height=97)), k / 2)
    t.update(detections(), 2.0)
    found = t.update(detections(Thing(0, x=419, feet=159, height=94)), 4.0)  # 1.8 heights in 2.5 s: a walk
    assert found.track_id[found.unseen_s == 0].tolist() == [1]


def test_who_stands_behind_somebody_is_remembered_for_longer() -> None:
    t = tracker()
    far, near = Thing(0, x=300, feet=260, height=120), Thing(0, x=300, feet=320, height=150)
    for k in range(60):
        beside = Thing(0, x=max(300.0, 480 - 15 * k), feet=320, height=150)  # comes and stands before the other
        t.update(detections(*([far] if k < 10 else []), beside), k * 0.2)
    found = t.update(detections(far, near), 12.0)
    assert found.track_id[found.unseen_s == 0].tolist() == [1, 2]


def test_a_false_box_beside_a_person_does_not_take_over_who_they_are() -> None:
    t = tracker()
    person, hidden = Thing(0, x=320, feet=260, height=130), Thing(0, x=308, feet=196, height=108)
    for k in range(8):
        t.update(detections(person, *([hidden] if k < 6 else [])), k * 0.2)
    found = t.update(detections(Thing(0, x=325, feet=272, height=90), person), 1.6)
    boxes = dict(zip(found.track_id.tolist(), found.xyxy.tolist(), strict=True))
    assert boxes[1] == list(person.box)


@settings(max_examples=60, deadline=None)
@given(
    fps=st.sampled_from([2.0, 5.0, 15.0]),
    seed=st.integers(0, 10_000),
    speed=st.floats(0, 120),
)
def test_two_people_walking_past_each_other_keep_their_ids(fps: float, seed: int, speed: float) -> None:
    """Apart in depth by more than a third of a height, 20 % of frames dropped, boxes off by up to 2 px."""
    rng = np.random.default_rng(seed)
    t = tracker()
    seen: dict[int, set[str]] = {}
    for k in range(int(6 * fps)):
        now = k / fps
        if rng.random() < 0.2 and k > 2:
            continue
        a, b = 60 + speed * now, 580 - speed * now
        jitter = rng.uniform(-2, 2, 4)
        found = t.update(
            detections(
                Thing(0, x=a + jitter[0], feet=200 + jitter[1], height=120),
                Thing(0, x=b + jitter[2], feet=330 + jitter[3], height=160),
            ),
            now,
        )
        for track, box in zip(found.track_id.tolist(), found.xyxy, strict=True):
            seen.setdefault(track, set()).add("far" if box[3] < 265 else "near")
    assert seen in ({1: {"far"}, 2: {"near"}}, {1: {"near"}, 2: {"far"}})


def test_iou_of_nothing_of_the_same_and_of_strangers() -> None:
    none = np.zeros((0, 4), np.float32)
    box = np.array([[0, 0, 10, 10]], np.float32)
    assert iou(none, box).shape == (0, 1)
    assert iou(box, box)[0, 0] == pytest.approx(1)
    assert iou(box, box + 100)[0, 0] == 0
    assert iou(box, np.array([[5, 0, 15, 10]], np.float32))[0, 0] == pytest.approx(1 / 3)
    assert iou(box * 0, box * 0)[0, 0] == 0


SOMEBODY = Thing(0)


def followed(t: Tracker, thing: Thing = SOMEBODY) -> float:
    """Somebody is clearly seen for a while; returns when they were last."""
    for k in range(5):
        t.update(detections(thing), k * 0.2, size=SIZE)
    return 0.8


def test_a_faint_box_continues_a_track_and_is_worth_no_score() -> None:
    t = tracker()
    last = followed(t)
    for k in range(1, 10):
        found = t.update(detections(faint=[Thing(0, x=321, score=0.12)]), last + k * 0.2, size=SIZE)
        assert found.track_id.tolist() == [1]
        assert found.unseen_s.tolist() == [0]
        assert found.xyxy[0, 0] == pytest.approx(Thing(0, x=321).box[0])  # where the faint box is, not where expected
        assert found.score[0] == pytest.approx(0.9)  # the last sure one's


def test_faint_boxes_start_nothing_and_confirm_nobody() -> None:
    t = tracker()
    for k in range(20):
        t.update(detections(faint=[Thing(0, score=0.24)]), k * 0.2)
        assert t.follows == 0
    t.update(detections(Thing(0)), 4.0)
    for k in range(1, 20):
        assert len(t.update(detections(faint=[Thing(0, score=0.24)]), 4.0 + k * 0.2)) == 0
    assert t.follows == 0


@pytest.mark.parametrize("fps", [2.0, 5.0, 15.0])
def test_who_left_a_coat_behind_is_forgotten_all_the_same(fps: float) -> None:
    """What hangs where somebody was last seen may look like them for ever; they are in sight for two seconds more."""
    t = tracker(faint_s=2.0, remember_s=3.0)
    last, seen_s, gone_s = followed(t), 0.0, 0.0
    for k in range(1, round(8 * fps)):
        found = t.update(detections(faint=[Thing(0, score=0.2)]), last + k / fps, size=SIZE)
        if len(found):
            gone_s = k / fps
            seen_s = gone_s if found.unseen_s[0] == 0 else seen_s
    assert 2.0 - 1 / fps < seen_s <= 2.0
    assert gone_s <= 5.0 + 1 / fps


def test_at_an_exit_a_faint_box_keeps_nobody_for_longer_than_a_miss() -> None:
    t = Tracker(person_classes={PERSON}, exits=Exits(doors=[DOOR], rooms=[ROOM]))
    in_the_door = Thing(0, x=90)
    last, gone_s = followed(t, in_the_door), 0.0
    for k in range(1, 30):
        if len(t.update(detections(faint=[in_the_door]), last + k * 0.2, size=SIZE)):
            gone_s = k * 0.2
    assert gone_s <= 2 * 0.7 + 0.2


@pytest.mark.parametrize(
    "other",
    [Thing(0, x=410, score=0.2), Thing(0, height=90, score=0.2), Thing(0, height=230, score=0.2)],
    ids=["beside", "a chair", "somebody nearer"],
)
def test_a_faint_box_leads_nobody_elsewhere_and_is_of_their_size(other: Thing) -> None:
    t = tracker()
    last = followed(t)
    found = t.update(detections(faint=[other]), last + 0.2, size=SIZE)
    assert found.unseen_s[0] > 0
    assert found.xyxy[0] == pytest.approx(Thing(0).box, abs=2)


def test_faint_boxes_cannot_creep_away_with_somebody() -> None:
    """Each a little smaller than the one before: their size is judged by the last sure box."""
    t = tracker(faint_s=10.0)
    last = followed(t)
    heights = []
    for k in range(1, 20):
        found = t.update(detections(faint=[Thing(0, height=150 * 0.95**k, score=0.2)]), last + k * 0.2, size=SIZE)
        if len(found) and found.unseen_s[0] == 0:
            heights.append(float(found.xyxy[0, 3] - found.xyxy[0, 1]))
    assert min(heights) > 150 / 1.45


def test_a_sure_box_comes_before_a_faint_one() -> None:
    t = tracker()
    last = followed(t)
    found = t.update(detections(Thing(0, x=330), faint=[Thing(0, x=320, score=0.2)]), last + 0.2, size=SIZE)
    assert found.xyxy[0] == pytest.approx(Thing(0, x=330).box)
    assert t.follows == 1  # and what is left over is nobody


def test_faint_things_are_no_things() -> None:
    t = tracker()
    last = followed(t, Thing(0, cls=KNIFE))
    found = t.update(detections(faint=[Thing(0, cls=KNIFE, score=0.2)]), last + 0.2, size=SIZE)
    assert found.unseen_s[0] > 0


@pytest.mark.parametrize("every", [1, 2])
def test_a_small_thing_stays_the_same_thing_while_its_holder_walks(every: int) -> None:
    """A dozen pixels in the hand of somebody who walks move by more than their own size from frame to frame."""
    t = tracker()
    for k in range(15):
        person = Thing(0, x=100 + 16 * k, feet=300, height=150)
        knife = Thing(0, x=85 + 16 * k, feet=220 - 3 * (k % 3), height=10 + 3 * (k % 2), width=14, cls=KNIFE, score=0.6)
        seen = t.update(detections(person, *([knife] if k % every == 0 else [])), k * 0.2)
        if k >= 4 and k % every == 0:
            assert seen.class_id.tolist() == [PERSON, KNIFE]
            assert seen.holder_id[1] == seen.track_id[0]
    assert seen.track_id.tolist() == [1, 2]


def test_a_small_thing_of_somebody_far_away_is_another_and_so_is_one_that_nobody_holds() -> None:
    t = tracker()
    for k in range(5):
        t.update(
            detections(Thing(0, x=100), Thing(0, x=500), Thing(0, x=110, feet=220, height=12, width=12, cls=KNIFE)),
            k * 0.2,
        )
    moved = t.update(
        detections(Thing(0, x=100), Thing(0, x=500), Thing(0, x=490, feet=220, height=12, width=12, cls=KNIFE)), 1.0
    )
    assert moved.unseen_s[moved.class_id == KNIFE].tolist() == [pytest.approx(0.2), 0], "there are two of them"
    alone = tracker()
    ids = set()
    for k in range(12):
        found = alone.update(detections(Thing(0, x=100 + 20 * k, height=12, width=12, cls=KNIFE)), k * 0.2)
        ids |= set(found.track_id.tolist())
    assert len(ids) == 12


@pytest.mark.parametrize("score", [0.2, 0.9])
def test_a_thing_is_told_as_often_as_it_is_seen_and_a_person_only_once_confirmed(score: float) -> None:
    """Below what starts a person, too: how sure a thing must be, its class's own threshold says."""
    t = tracker()
    last = followed(t, Thing(0))
    knife = Thing(0, x=Thing(0).x + 10, feet=220, height=12, width=12, cls=KNIFE, score=score)
    found = t.update(detections(Thing(0), knife), last + 0.2)
    assert found.class_id.tolist() == [PERSON, KNIFE]
    assert found.holder_id[1] == found.track_id[0]
    assert t.update(detections(Thing(0)), last + 0.4).class_id.tolist() == [PERSON], (
        "one glimpse is not remembered as one"
    )
    assert len(tracker().update(detections(Thing(0, score=0.9)), 0.0)) == 0


def test_an_arm_stretched_out_makes_nobody_two_people() -> None:
    """As the detector gives it for one frame: somebody with the arm, and without."""
    t = tracker()
    for k in range(4):
        t.update(detections(Thing(0, x=480 - 15 * k, feet=210, height=128, width=66)), k * 0.2)
    both = t.update(
        detections(
            Thing(0, x=453, feet=218, height=131, width=78, score=0.83), Thing(0, x=470, feet=214, height=128, width=46, score=0.53)
        ),
        0.8,
    )  # fmt: skip
    assert both.track_id.tolist() == [1]
    assert both.xyxy[0].tolist() == pytest.approx([414, 87, 492, 218])
    after = t.update(detections(Thing(0, x=440, feet=221, height=133, width=75)), 1.0)
    assert after.track_id.tolist() == [1]
    assert after.unseen_s.tolist() == [0]


def test_who_stands_behind_somebody_is_no_double() -> None:
    t = tracker()
    front = Thing(0, x=300, feet=300, height=150, width=70)
    for behind in (
        Thing(0, x=305, feet=270, height=125, width=50, score=0.6),
        Thing(0, x=310, feet=298, height=90, width=40, score=0.6),
    ):
        for k in range(4):
            seen = t.update(detections(front, behind), k * 0.2)
        assert len(seen) >= 2


@pytest.mark.parametrize("sure", [0.75, 0.49])
def test_a_box_round_two_people_takes_away_neither_and_is_nobody(sure: float) -> None:
    """As seen on a rendered crowd: two at 20 px from each other, and a third box round both."""
    t = tracker()
    for k in range(6):
        two = Thing(0, x=468 + k, feet=217, height=101), Thing(1, x=494 + k, feet=214, height=100, score=0.46)
        found = t.update(detections(*two, Thing(2, x=480 + k, feet=216, height=101, width=63, score=sure)), k / 5)
    assert found.track_id.tolist() == [1, 2]
    assert found.unseen_s.tolist() == [0, 0]
    assert (found.xyxy[:, 2] - found.xyxy[:, 0]).max() < 50


def test_a_doubtful_thing_in_an_empty_room_is_nobody_to_follow() -> None:
    t = tracker()
    for k in range(20):
        t.update(detections(Thing(0, height=20, cls=KNIFE, score=0.3)), k * 0.2)
        assert t.follows == 0
    for k in range(20, 25):
        t.update(detections(Thing(0, height=20, cls=KNIFE, score=0.6)), k * 0.2)
    assert t.follows == 1


def test_a_picture_full_of_doubtful_things_starts_no_hundreds_of_tracks() -> None:
    t = tracker()
    rng = np.random.default_rng(1)
    for k in range(20):
        things = [Thing(0, x=x, feet=y, height=10, cls=KNIFE, score=0.3) for x, y in rng.uniform(20, 340, (100, 2))]
        assert len(t.update(detections(*things), k * 0.2)) <= 200
