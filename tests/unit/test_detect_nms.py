from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.detect.nms import iou_matrix, nms


def slow_nms(xyxy: np.ndarray, score: np.ndarray, class_id: np.ndarray, iou: float) -> list[int]:
    """The textbook: take the best, strike out what it covers, go on."""
    left = sorted(range(len(score)), key=lambda i: (-score[i], i))
    kept: list[int] = []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [
            i
            for i in left
            if class_id[i] != class_id[best] or iou_matrix(xyxy[[i]], xyxy[[best]])[0, 0] <= np.float32(iou)
        ]
    return kept


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_no_boxes_no_rows() -> None:
    kept = nms(boxes(), np.zeros(0, np.float32), np.zeros(0, np.int64), iou=0.5, limit=10)
    assert kept.shape == (0,)
    assert kept.dtype == np.int64


def test_iou_of_known_boxes() -> None:
    a = boxes((0, 0, 10, 10), (20, 20, 20, 30))
    b = boxes((0, 0, 10, 10), (5, 0, 15, 10), (10, 0, 20, 10), (20, 20, 20, 30))
    assert iou_matrix(a, b) == pytest.approx(np.array([[1, 1 / 3, 0, 0], [0, 0, 0, 0]]))


def test_the_best_of_a_class_stays_and_other_classes_are_left_alone() -> None:
    xyxy = boxes((0, 0, 10, 10), (1, 0, 11, 10), (0, 0, 10, 10))
    score = np.array([0.6, 0.9, 0.7], np.float32)
    assert nms(xyxy, score, np.array([0, 0, 1]), iou=0.5, limit=10).tolist() == [1, 2]


def test_what_only_a_struck_out_box_covers_stays() -> None:
    # Each covers the next, the first does not cover the third.
    xyxy = boxes((0, 0, 10, 10), (4, 0, 14, 10), (8, 0, 18, 10))
    score = np.array([0.9, 0.8, 0.7], np.float32)
    assert nms(xyxy, score, np.zeros(3, np.int64), iou=0.4, limit=10).tolist() == [0, 2]


def test_equal_scores_keep_the_earlier_row() -> None:
    xyxy = boxes((0, 0, 10, 10), (0, 0, 10, 10))
    assert nms(xyxy, np.array([0.5, 0.5], np.float32), np.zeros(2, np.int64), iou=0.5, limit=10).tolist() == [0]


def test_the_limit_keeps_the_best_over_all_classes() -> None:
    xyxy = boxes(*[(20 * i, 0, 20 * i + 10, 10) for i in range(6)])
    score = np.array([0.1, 0.6, 0.3, 0.5, 0.2, 0.4], np.float32)
    assert nms(xyxy, score, np.arange(6), iou=0.5, limit=3).tolist() == [1, 3, 5]


@given(st.integers(0, 2**32 - 1), st.integers(0, 80), st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0]))
def test_it_agrees_with_the_textbook(seed: int, count: int, iou: float) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 30, (count, 2)).astype(np.float32)
    xyxy = np.concatenate((corner, corner + rng.integers(0, 25, (count, 2))), axis=1).astype(np.float32)
    score = (rng.integers(0, 20, count) / 20).astype(np.float32)  # ties on purpose
    class_id = rng.integers(0, 3, count)
    assert nms(xyxy, score, class_id, iou=iou, limit=1000).tolist() == slow_nms(xyxy, score, class_id, iou)


def test_a_picture_full_of_boxes_is_no_trap() -> None:
    # The longest chain of "covers the next one" that greedy suppression has to walk.
    x = np.arange(1000, dtype=np.float32)
    xyxy = np.stack((x, np.zeros_like(x), x + 10, np.full_like(x, 10)), axis=1)
    score = np.linspace(1, 0.1, 1000, dtype=np.float32)
    kept = nms(xyxy, score, np.zeros(1000, np.int64), iou=0.5, limit=1000)
    assert kept.tolist() == list(range(0, 1000, 4))
