"""What the close-up cuts out."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.closeup import MAX_ENLARGED, MIN_GAIN, closeup, closeup_box
from edge.types import Tracks


def tracks(*boxes: tuple[float, float, float, float], unseen_s: float = 0.0) -> Tracks:
    m = len(boxes)
    return Tracks(
        track_id=np.arange(1, m + 1, dtype=np.int64),
        xyxy=np.array(boxes, np.float32).reshape(m, 4),
        score=np.ones(m, np.float32),
        class_id=np.zeros(m, np.int64),
        age_s=np.ones(m, np.float64),
        unseen_s=np.full(m, unseen_s, np.float64),
        holder_id=np.full(m, -1, np.int64),
    )


side = st.floats(-200, 2200, allow_nan=False, width=32)


@given(st.tuples(side, side, side, side), st.integers(16, 2000), st.integers(16, 2000))
def test_a_cut_lies_inside_shows_all_of_it_and_comes_nearer(
    corners: tuple[float, float, float, float], width: int, height: int
) -> None:
    (x1, x2), (y1, y2) = sorted(corners[:2]), sorted(corners[2:])
    box = closeup_box(tracks((x1, y1, x2, y2)), [1], width, height)
    if box is None:
        return
    left, top, right, bottom = box
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
    assert min(width / (right - left), height / (bottom - top)) >= MIN_GAIN
    assert left <= max(x1, 0) + 1
    assert right >= min(x2, width) - 1
    assert top <= max(y1, 0) + 1
    assert bottom >= min(y2, height) - 1


def test_a_dozen_pixels_are_enlarged_and_nothing_is_drawn_over_them() -> None:
    image = np.full((720, 1280, 3), 90, np.uint8)
    shown = closeup(image, tracks((600, 300, 612, 312)), about=[1])
    assert shown is not None
    assert min(shown.shape[:2]) == round(96 * MAX_ENLARGED)
    assert (shown == 90).all()
    with_words = closeup(image, tracks((600, 300, 612, 312)), about=[1], caption=["weapon"])
    assert with_words is not None
    assert with_words.shape[0] > shown.shape[0]
    assert (with_words[: shown.shape[0]] == 90).all()


def test_two_things_are_both_shown_and_the_others_do_not_count() -> None:
    seen = tracks((100, 100, 120, 120), (300, 150, 330, 180), (1200, 600, 1270, 700))
    box = closeup_box(seen, [1, 2], 1280, 720)
    assert box is not None
    assert box[0] < 100
    assert 330 < box[2] < 700


def test_nothing_there_or_all_of_it_gives_no_close_up() -> None:
    assert closeup_box(tracks(), [1], 1280, 720) is None
    assert closeup_box(tracks((10, 10, 50, 50)), [], 1280, 720) is None
    assert closeup_box(tracks((10, 10, 50, 50)), [7], 1280, 720) is None
    assert closeup_box(tracks((10, 10, 50, 50), unseen_s=0.5), [1], 1280, 720) is None
    assert closeup_box(tracks((100, 50, 1100, 700)), [1], 1280, 720) is None
