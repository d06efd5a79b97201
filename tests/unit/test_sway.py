"""Whether a thing moves as a hand does: by place, whatever a tracker calls it."""

from __future__ import annotations

import numpy as np
import pytest

from edge.rules.sway import Sway, longer_side

Box = tuple[float, float, float, float]


def box(x: float, y: float = 100.0, *, width: float = 20.0, height: float = 10.0) -> Box:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def told(sway: Sway, t_s: float, *boxes: Box) -> list[bool]:
    return sway.update(np.array(boxes, np.float32).reshape(-1, 4), t_s).tolist()


@pytest.mark.parametrize("every", [1, 4])
@pytest.mark.parametrize("fps", [5, 15])
def test_a_slot_in_a_machine_never_moves_however_rarely_it_is_seen(every: int, fps: int) -> None:
    sway = Sway(window_s=3.0)
    rng = np.random.default_rng(7)
    for k in range(0, 20 * fps, every):
        shaky = rng.normal(0, 0.4, 4)  # a fiftieth of its size
        assert told(sway, k / fps, tuple(np.array(box(100, 50)) + shaky)) == [False], k


def test_a_hand_sways_by_a_tenth_of_what_it_holds() -> None:
    sway = Sway(window_s=3.0)
    answers = [told(sway, k * 0.2, box(100 + 3 * (k % 2)))[0] for k in range(20)]
    assert not answers[0], "one sight tells nothing"
    assert all(answers[1:])


def test_what_was_taken_up_has_moved_until_the_window_has_passed() -> None:
    sway = Sway(window_s=3.0)
    moved = [told(sway, k * 0.2, box(100 if k < 20 else 108))[0] for k in range(60)]
    assert not any(moved[:20])
    assert all(moved[21:32])
    assert not any(moved[36:])


def test_what_is_elsewhere_each_time_has_moved() -> None:
    sway = Sway(window_s=3.0)
    assert [told(sway, k * 0.2, box(100 + 25 * k))[0] for k in range(30)] == [False] + 29 * [True]


def test_what_appears_far_away_or_late_is_another_thing() -> None:
    sway = Sway(window_s=3.0)
    assert told(sway, 0.0, box(100)) == [False]
    assert told(sway, 0.2, box(300)) == [False]
    assert told(sway, 1.6, box(350)) == [False]


def test_two_slots_seen_in_turn_are_no_hand() -> None:
    sway = Sway(window_s=3.0)
    moved = [told(sway, k * 0.1, box(100 + 15 * (k % 2)))[0] for k in range(60)]
    assert not any(moved[2:])


def test_a_box_that_grows_at_one_side_stands_still() -> None:
    sway = Sway(window_s=3.0)
    for k in range(60):
        tall = 26.0 if k % 4 == 0 else 20.0
        assert told(sway, k * 0.1, box(100, 100 - tall / 2, height=tall)) == [False]


@pytest.mark.parametrize("fps", [2, 5, 15])
def test_a_trembling_box_stands_still(fps: int) -> None:
    """By three pixels either way, of eighty, and by six now and then: each side for itself, as a detector's does of what it is not sure of."""
    for seed in range(20):
        sway, rng = Sway(window_s=3.0), np.random.default_rng(seed)
        for k in range(20 * fps):
            shaky = np.array(box(300, 100, width=80, height=40)) + rng.normal(0, 3, 4)
            assert told(sway, k / fps, tuple(shaky)) == [False], (seed, k)


@pytest.mark.parametrize("fps", [2, 5, 15])
def test_what_sways_by_a_quarter_of_its_size_has_moved_however_its_box_trembles(fps: int) -> None:
    answers = []
    for seed in range(10):
        sway, rng = Sway(window_s=3.0), np.random.default_rng(seed)
        for k in range(10 * fps):
            along = 10 * np.sin(2 * np.pi * 0.6 * k / fps + seed)
            shaky = np.array(box(300 + along, 100 + along / 2, width=80, height=40)) + rng.normal(0, 1.6, 4)
            answers.append(told(sway, k / fps, tuple(shaky))[0] or k < fps)
    assert np.mean(answers) > 0.9


@pytest.mark.parametrize("every", [2, 3, 5])
def test_a_close_up_over_a_slot_is_no_movement_of_the_slot(every: int) -> None:
    sway = Sway(window_s=3.0)
    for k in range(60):
        seen = box(104, 102, width=90, height=80) if k % every == 1 else box(100)
        assert told(sway, k * 0.2, seen) == [False], k


def test_what_appears_far_from_a_small_thing_for_its_size_is_not_the_same_grown_large() -> None:
    sway = Sway(window_s=3.0)
    assert told(sway, 0.0, box(100)) == [False]
    assert told(sway, 0.2, box(300, width=150, height=150)) == [False]


def test_two_things_beside_each_other_have_ways_of_their_own() -> None:
    sway = Sway(window_s=3.0)
    for k in range(15):
        answer = told(sway, k * 0.2, box(100), box(130 + 3 * (k % 3)))
    assert answer == [False, True]


def test_time_without_frames_forgets() -> None:
    sway = Sway(window_s=3.0)
    for k in range(10):
        told(sway, k * 0.2, box(100 + 3 * k))
    sway.wait(60.0)
    assert told(sway, 60.0, box(127)) == [False]


def test_nothing_is_seen() -> None:
    assert told(Sway(window_s=3.0), 0.0) == []
    assert longer_side(np.zeros((0, 4), np.float32)).tolist() == []
