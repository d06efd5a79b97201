from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.detect.decode import Decoder

THRESHOLDS = np.array([0.5, 0.2, 0.9], np.float32)


def raw(anchors: int = 6) -> tuple[np.ndarray, np.ndarray]:
    boxes = np.tile(np.array([[100.0], [50.0], [20.0], [10.0]], np.float32), (1, anchors))
    return boxes, np.zeros((3, anchors), np.float32)


def test_nothing_above_its_threshold_is_nothing() -> None:
    boxes, scores = raw()
    scores[:, 0] = (0.49, 0.19, 0.89)
    found = Decoder(THRESHOLDS, limit=10)(boxes, scores)
    assert len(found) == 0
    assert found.xyxy.shape == (0, 4)
    assert found.class_id.dtype == np.int64


def test_each_class_has_its_own_threshold_and_reaching_it_is_enough() -> None:
    boxes, scores = raw()
    scores[0, 1], scores[1, 2], scores[2, 3] = 0.5, 0.2, 0.89
    found = Decoder(THRESHOLDS, limit=10)(boxes, scores)
    assert found.class_id.tolist() == [0, 1]
    assert found.score.tolist() == pytest.approx([0.5, 0.2])


def test_centre_and_size_become_corners() -> None:
    boxes, scores = raw()
    scores[0, 4] = 0.8
    boxes[:, 4] = (30, 40, 6, 8)
    assert Decoder(THRESHOLDS, limit=10)(boxes, scores).xyxy.tolist() == [[27, 36, 33, 44]]


def test_an_anchor_may_be_two_things() -> None:
    boxes, scores = raw()
    scores[:2, 5] = (0.6, 0.7)
    found = Decoder(THRESHOLDS, limit=10)(boxes, scores)
    assert found.class_id.tolist() == [0, 1]
    assert found.xyxy[0].tolist() == found.xyxy[1].tolist()


def test_ids_of_chosen_classes_index_the_full_list() -> None:
    boxes, scores = raw()
    scores[:, 0] = 0.95
    found = Decoder(THRESHOLDS, class_ids=np.array([0, 2]), limit=10)(boxes, scores)
    assert found.class_id.tolist() == [0, 2]


def test_no_class_chosen_sees_nothing() -> None:
    boxes, scores = raw()
    scores[:] = 1
    assert len(Decoder(THRESHOLDS, class_ids=np.zeros(0, np.int64), limit=10)(boxes, scores)) == 0


def test_a_class_that_was_not_chosen_is_not_seen_however_sure_the_model_is() -> None:
    boxes, scores = raw()
    scores[0, 2], scores[1, 3] = 0.6, np.inf
    found = Decoder(THRESHOLDS, class_ids=np.array([0]), limit=10)(boxes, scores)
    assert found.class_id.tolist() == [0]


def test_of_too_many_the_best_are_handed_on() -> None:
    boxes, scores = raw(100)
    scores[0] = np.linspace(0.51, 0.99, 100)
    found = Decoder(THRESHOLDS, limit=7)(boxes, scores)
    assert sorted(found.score.tolist()) == scores[0, -7:].tolist()


def test_infinite_boxes_and_undefined_scores_are_dropped() -> None:
    boxes, scores = raw()
    scores[0, :3] = (0.9, np.nan, 0.8)
    boxes[2, 0] = np.inf
    found = Decoder(THRESHOLDS, limit=10)(boxes, scores)
    assert found.score.tolist() == [np.float32(0.8)]


@given(st.integers(0, 2**32 - 1))
def test_it_agrees_with_looking_at_every_score(seed: int) -> None:
    rng = np.random.default_rng(seed)
    boxes, scores = rng.random((4, 30), np.float32), rng.random((3, 30), np.float32)
    found = Decoder(THRESHOLDS, limit=1000)(boxes, scores)
    slow = {(c, float(scores[c, a])) for c in range(3) for a in range(30) if scores[c, a] >= THRESHOLDS[c]}
    assert set(zip(found.class_id.tolist(), found.score.tolist(), strict=True)) == slow


def test_what_is_faint_comes_as_well_and_takes_nobody_s_place() -> None:
    boxes, scores = raw()
    scores[0] = (0.3, 0.45, 0.49, 0.4, 0.09, 0.5)
    scores[1, :2] = (0.2, 0.19)
    decoder = Decoder(THRESHOLDS, limit=4, faint=np.array([0.1, 0.2, 0.9], np.float32))
    found = decoder(boxes, scores)
    assert sorted(found.score.tolist()) == pytest.approx([0.2, 0.45, 0.49, 0.5])  # 0.2 is enough for its class
    assert len(Decoder(THRESHOLDS, limit=9, faint=np.array([0.1, 0.2, 0.9], np.float32))(boxes, scores)) == 6
