"""The gate may save work, never a person."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.detect.gate import StillGate, cells_of, differ

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.types import F64, U8

STEP_S = 0.2


def noisy(rng: np.random.Generator, base: F64, sigma: float = 6.0) -> U8:
    return np.clip(base + rng.normal(0, sigma, base.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


@pytest.fixture
def room(rng: np.random.Generator) -> F64:
    rows = np.linspace(60, 140, 360)[:, None, None]
    return np.broadcast_to(rows, (360, 640, 3)) + rng.uniform(0, 20, (1, 640, 1))


def looks(
    gate: StillGate, pictures: Sequence[U8], *, start_s: float = 0.0, found: int = 0, followed: bool = False
) -> list[float]:
    asked = []
    for i, picture in enumerate(pictures):
        t = start_s + i * STEP_S
        if gate.wants(picture, t, followed=followed):
            asked.append(round(t, 3))
            gate.found(found)
    return asked


@pytest.mark.parametrize("sigma", [0.0, 6.0, 16.0])
def test_an_empty_still_scene_is_looked_at_every_two_seconds(rng: np.random.Generator, room: F64, sigma: float) -> None:
    gate = StillGate(look_every_s=2.0, hold_s=3.0)
    looks(gate, [noisy(rng, room, sigma) for _ in range(20)])  # settling
    asked = looks(gate, [noisy(rng, room, sigma) for _ in range(100)], start_s=4.0)
    assert 9 <= len(asked) <= 11
    assert max(np.diff(asked)) <= 2.0 + 1e-6


def test_the_first_pictures_are_all_looked_at(rng: np.random.Generator, room: F64) -> None:
    assert looks(StillGate(), [noisy(rng, room) for _ in range(5)]) == [0.0, 0.2, 0.4, 0.6, 0.8]


def test_who_appears_is_looked_at_in_that_very_frame(rng: np.random.Generator, room: F64) -> None:
    gate = StillGate()
    looks(gate, [noisy(rng, room) for _ in range(40)])
    person = room.copy()
    person[150:230, 300:320] -= 30  # 80 by 20 px, a little darker than the wall
    assert looks(gate, [noisy(rng, person)], start_s=8.0) == [8.0]


def test_who_creeps_in_is_seen_although_two_frames_in_a_row_differ_by_nothing(
    rng: np.random.Generator, room: F64
) -> None:
    gate = StillGate(look_every_s=2.0)
    looks(gate, [noisy(rng, room) for _ in range(40)])
    asked = []
    for i in range(50):
        creeping = room.copy()
        creeping[100:300, : 2 + i] -= 40  # one pixel a frame
        if gate.wants(noisy(rng, creeping), 8.0 + i * STEP_S, followed=False):
            asked.append(i)
            gate.found(0 if i < 12 else 1)  # the detector knows him when a quarter is in the picture
    assert next(i for i in asked if i >= 12) <= 12 + 10
    assert asked[-1] == 49


def test_who_is_followed_keeps_it_open_however_still(rng: np.random.Generator, room: F64) -> None:
    gate = StillGate()
    looks(gate, [noisy(rng, room) for _ in range(40)])
    assert len(looks(gate, [noisy(rng, room)] * 50, start_s=8.0, found=1, followed=True)) == 50


def test_what_the_detector_found_never_becomes_the_empty_scene(rng: np.random.Generator, room: F64) -> None:
    gate = StillGate()
    looks(gate, [noisy(rng, room) for _ in range(40)])
    person = room.copy()
    person[100:300, 200:260] -= 40
    # Found, but too unsure to be followed: he stays a change, and is looked at in every frame.
    assert len(looks(gate, [noisy(rng, person) for _ in range(100)], start_s=8.0, found=1)) == 100


def test_light_that_changes_everywhere_alike_is_no_movement(room: F64) -> None:
    assert not differ(cells_of(room.astype(np.uint8)), cells_of((room + 4).astype(np.uint8)))


def test_another_size_is_a_change(room: F64) -> None:
    picture = room.astype(np.uint8)
    assert differ(cells_of(picture), cells_of(picture[:240]))
