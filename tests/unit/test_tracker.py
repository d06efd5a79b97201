from __future__ import annotations

import numpy as np
import pytest
from fakes.scenes import KNIFE, PERSON, Thing, detections
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.track.tracker import Tracker, iou


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
    assert len(t.update(detections(), 15.1)) == 1
    assert len(t.update(detections(), 15.3)) == 0  # forgotten 3 s after it was last seen
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
