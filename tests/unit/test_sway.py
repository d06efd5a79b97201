"""Whether a thing moves as a hand does: by place, whatever a tracker calls it."""

from __future__ import annotations

import numpy as np
import pytest

from edge.rules.sway import STILL_S, Sway, longer_side


def box(x: float, y: float = 100.0, *, width: float = 20.0, height: float = 10.0) -> tuple[float, float, float, float]:
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def told(sway: Sway, t_s: float, *boxes: tuple[float, float, float, float]) -> list[tuple[bool, bool]]:
    swayed, still = sway.update(np.array(boxes, np.float32).reshape(-1, 4), t_s)
    return list(zip(swayed.tolist(), still.tolist(), strict=True))


@pytest.mark.parametrize("every", [1, 4])
def test_a_slot_in_a_machine_is_still_after_a_second_however_rarely_it_is_seen(every: int) -> None:
    sway = Sway(window_s=3.0)
    rng = np.random.default_rng(7)
    for k in range(0, 40, every):
        t = k * 0.2
        answer = told(sway, t, box(100 + rng.uniform(-0.5, 0.5), 50 + rng.uniform(-0.5, 0.5)))
        assert answer == [(False, t >= STILL_S)], t


def test_a_hand_sways_by_a_tenth_of_what_it_holds() -> None:
    sway = Sway(window_s=3.0)
    answers = [told(sway, k * 0.2, box(100 + 2 * (k % 2)))[0] for k in range(20)]
    assert not any(still for _, still in answers)
    assert all(swayed for swayed, _ in answers[1:])


def test_what_was_taken_up_is_still_again_only_once_the_window_has_passed() -> None:
    sway = Sway(window_s=3.0)
    still = [told(sway, k * 0.2, box(100 if k < 20 else 108))[0][1] for k in range(60)]
    assert still[19]
    assert not any(still[20:34])
    assert still[41]


def test_what_moves_by_its_own_size_is_never_still() -> None:
    sway = Sway(window_s=3.0)
    assert not any(still for k in range(30) for _, still in told(sway, k * 0.2, box(100 + 25 * k)))


def test_two_things_beside_each_other_have_ways_of_their_own() -> None:
    sway = Sway(window_s=3.0)
    for k in range(15):
        answer = told(sway, k * 0.2, box(100), box(115 + 3 * (k % 3)))
    assert [still for _, still in answer] == [True, False]


def test_time_without_frames_forgets() -> None:
    sway = Sway(window_s=3.0)
    for k in range(10):
        told(sway, k * 0.2, box(100))
    sway.wait(60.0)
    assert told(sway, 60.0, box(100)) == [(False, False)]


def test_nothing_is_seen() -> None:
    assert told(Sway(window_s=3.0), 0.0) == []
    assert longer_side(np.zeros((0, 4), np.float32)).tolist() == []
