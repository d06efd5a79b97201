"""What is done to a camera is told, what happens in front of it is not: made pictures with a sensor's noise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from fakes.scenes import PERSON, SIZE, Thing, scene

from edge.rules.camera_tamper import CameraTamper
from edge.rules.view import free_of, look_at
from edge.types import Severity

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.types import U8

    Change = Callable[[U8, float], U8]

FPS = 5.0
AT_S = 6.0


def room(seed: int = 1) -> U8:
    """A room full of furniture, made of random boxes, with some texture."""
    rng = np.random.default_rng(seed)
    picture = np.full((SIZE[1], SIZE[0], 3), 110, np.uint8)
    for _ in range(60):
        x, y = rng.integers(0, SIZE[0] - 60), rng.integers(0, SIZE[1] - 40)
        w, h = rng.integers(30, 160), rng.integers(20, 120)
        colour = tuple(int(c) for c in rng.integers(30, 220, 3))
        cv2.rectangle(picture, (int(x), int(y)), (int(x + w), int(y + h)), colour, -1)
    grain = rng.normal(0, 6, picture.shape)
    return np.clip(picture + grain, 0, 255).astype(np.uint8)


ROOM = room()


# Made once: noise costs more than all that is tested here.
NOISE = np.random.default_rng(5).normal(0, 1, (5, *ROOM.shape)).astype(np.int8) * 2


def noisy(picture: U8, k: int) -> U8:
    return np.clip(picture.astype(np.int16) + NOISE[k % 5], 0, 255).astype(np.uint8)


def rule() -> CameraTamper:
    return CameraTamper(person_classes={PERSON}, dwell_s=3.0, light_s=10.0, frozen_s=8.0, severity=Severity.HIGH)


def told(
    change: Change,
    *things: Thing,
    seconds: float = 18.0,
    fps: float = FPS,
    lost: float = 0.0,
    noise: bool = True,
    watch: CameraTamper | None = None,
) -> list[tuple[str, float]]:
    """What is said when the picture changes at ``AT_S``: each new sentence with the seconds since then.

    ``lost``: share of the frames that never come.
    """
    watch, said = watch or rule(), []
    comes = np.random.default_rng(11).random(round(seconds * fps)) >= lost
    for k in np.flatnonzero(comes).tolist():
        t_s = k / fps
        picture = ROOM if t_s < AT_S else change(ROOM, t_s - AT_S)
        picture = noisy(picture, k) if noise or t_s < AT_S else picture
        moment = scene(t_s, *things)
        moment = replace(moment, frame=replace(moment.frame, image=picture))
        for seen in watch.update(moment):
            assert seen.value >= seen.threshold
            if seen.what not in [w for w, _ in said]:
                said.append((seen.what, t_s - AT_S))
    return said


def scaled(by: float) -> Change:
    return lambda p, _: np.clip(p * by, 0, 255).astype(np.uint8)


def covered(_: U8, __: float) -> U8:
    return np.full_like(ROOM, 34)


def defocused(picture: U8, _: float) -> U8:
    return cv2.GaussianBlur(picture, (0, 0), 7).astype(np.uint8)


def turned(_: U8, __: float) -> U8:
    return room(seed=2)


def sprayed(picture: U8, _: float) -> U8:
    out = picture.copy()
    for x, y in ((80, 60), (210, 150), (120, 250), (330, 60), (420, 200), (300, 290)):
        cv2.circle(out, (x, y), 92, (34, 30, 40), -1)
    return out


@pytest.mark.parametrize(
    ("change", "word"),
    [(covered, "covered"), (defocused, "out of focus"), (turned, "turned away")],
)
def test_what_is_done_to_the_camera_is_told_by_name_in_time(change: Change, word: str) -> None:
    said = told(change)
    assert said[0][0] == f"the camera has been {word} for"
    assert 3.0 <= said[0][1] <= 4.6
    assert len(said) == 1


def pushed(picture: U8, t_s: float, *, over_s: float = 1.0, by: int = 230) -> U8:
    """The camera is pushed aside within ``over_s``: the room goes by and comes to rest."""
    return np.roll(picture, round(by * min(1.0, t_s / over_s)), axis=1)


@pytest.mark.parametrize(("fps", "lost"), [(2.0, 0.0), (5.0, 0.0), (5.0, 0.3), (15.0, 0.0)])
@pytest.mark.parametrize("over_s", [0.2, 1.0, 1.6])
def test_turning_counts_from_the_push_not_from_when_it_is_over(fps: float, lost: float, over_s: float) -> None:
    said = told(lambda p, t_s: pushed(p, t_s, over_s=over_s), seconds=AT_S + 6, fps=fps, lost=lost)
    assert [w for w, _ in said] == ["the camera has been turned away for"]
    assert 3.0 <= said[0][1] <= 4.0


def test_turning_is_told_in_the_dark_where_noise_is_most_of_what_changes() -> None:
    grain = np.random.default_rng(6).normal(0, 7, (3, *ROOM.shape)).astype(np.float32)

    def night(picture: U8, k: int) -> U8:
        return np.clip(picture * np.float32(0.45) + grain[k % 3], 0, 255).astype(np.uint8)

    watch, said = rule(), []
    for k in range(round((AT_S + 6) * FPS)):
        t_s = k / FPS
        moment = scene(t_s)
        picture = night(pushed(ROOM, max(0.0, t_s - AT_S)), k)
        said += [
            (s.what, t_s - AT_S) for s in watch.update(replace(moment, frame=replace(moment.frame, image=picture)))
        ]
    assert said
    assert said[0][0] == "the camera has been turned away for"
    assert 3.0 <= said[0][1] <= 3.8


@pytest.mark.parametrize(
    "change",
    [
        lambda p, t_s: pushed(p, t_s, over_s=0.4) if t_s < 2.4 else p,
        lambda p, t_s: np.roll(p, round(70 * np.exp(-t_s / 1.5) * np.sin(9 * t_s)), axis=1),
        lambda p, t_s: np.roll(p, round(60 * np.sin(3 * t_s)), axis=0) if t_s < 8 else p,
    ],
    ids=["pushed and put back", "bumped, it swings out", "shaken for long"],
)
@pytest.mark.parametrize("fps", [2.0, 5.0])
def test_a_camera_that_looks_where_it_did_afterwards_was_not_turned(change: Change, fps: float) -> None:
    assert told(change, seconds=AT_S + 12, fps=fps) == []


def shoved(across: int, down: int) -> Change:
    by = np.array([[1.0, 0.0, across], [0.0, 1.0, down]])
    return lambda p, _: cv2.warpAffine(p, by, SIZE, borderMode=cv2.BORDER_REFLECT).astype(np.uint8)


def rolled(degrees: float) -> Change:
    by = cv2.getRotationMatrix2D((SIZE[0] / 2, SIZE[1] / 2), degrees, 1.0)
    return lambda p, _: cv2.warpAffine(p, by, SIZE, borderMode=cv2.BORDER_REFLECT).astype(np.uint8)


@pytest.mark.parametrize(
    "change", [shoved(SIZE[0] // 45, 0), shoved(0, SIZE[1] // 25), shoved(-12, 12), rolled(6.0), rolled(-8.0)]
)
def test_a_camera_that_was_pushed_a_little_is_known_at_once_and_told_later(change: Change) -> None:
    watch = rule()
    said = told(change, seconds=10.5, watch=watch)
    assert said == []
    assert watch.doubtful
    assert watch.moved  # for more than 3 s
    assert told(change)[0][0] == "the camera has been pushed aside for"
    assert 10.0 <= told(change)[0][1] <= 11.0


@pytest.mark.parametrize(
    "change",
    [
        lambda p, t: p,
        lambda p, t: shoved(6, 3)(p, t) if t % 2.0 < 0.4 else p,  # a door is slammed, again and again
        scaled(0.4),
        lambda p, t: np.roll(p, 12, axis=1) if t < 1.0 else p,
        lambda p, t: np.hstack(
            [p[:, : SIZE[0] // 3], np.roll(p[:, SIZE[0] // 3 : SIZE[0] // 2], 9, axis=1), p[:, SIZE[0] // 2 :]]
        ),
    ],
)
def test_what_shakes_or_changes_in_one_place_is_no_moved_camera(change: Change) -> None:
    watch = rule()
    assert told(change, watch=watch) == []
    assert not watch.moved


@pytest.mark.parametrize("light", [0.0, 0.02, 0.1])
def test_the_light_that_goes_out_is_no_reason_to_withhold_pictures(light: float) -> None:
    watch = rule()
    told(scaled(light), seconds=9.0, watch=watch)
    assert not watch.doubtful
    assert not watch.moved


def test_what_it_saw_in_an_earlier_life_is_not_forgotten_for_a_moment_that_looks_alike() -> None:
    before = rule()
    told(lambda p, _: p, seconds=75.0, fps=2.0, watch=before)
    memory = before.memory(np.ones((9, 16), np.bool_))
    other = room(seed=2)
    half = cv2.addWeighted(ROOM, 0.35, other, 0.65, 0).astype(np.uint8)
    mixed = [half if k in {7, 8, 9, 10, 11} else other for k in range(40)]
    for pictures, moved in ((mixed, True), ([half] * 80, False), ([ROOM] * 40, False)):
        watch = rule()
        watch.recall(memory)
        said = set()
        for k, picture in enumerate(pictures):
            moment = scene(k / FPS)
            moment = replace(moment, frame=replace(moment.frame, image=noisy(picture, k)))
            said |= {seen.what for seen in watch.update(moment)}
        assert (said == {"the camera has been turned away for"}) is moved
        assert watch.doubtful is moved
        assert watch.moved is moved


def test_what_moves_all_the_time_is_no_turned_camera() -> None:
    """Somebody who fills the picture and sways, or a hand that holds the camera."""
    assert told(lambda _, t_s: np.roll(room(seed=2), round(60 * np.sin(2.5 * t_s)), axis=1), seconds=AT_S + 10) == []


def half_hidden(picture: U8, _: float) -> U8:
    """A cardboard box hangs before the left half, so near that its edge is soft; it is printed all over."""
    share = np.clip((0.5 * SIZE[0] - np.arange(SIZE[0], dtype=np.float32)) / 60 + 0.5, 0, 1)[None, :, None]
    return np.clip(picture * (1 - share) + room(seed=2) * share, 0, 255).astype(np.uint8)


def black(picture: U8, _: float) -> U8:
    return np.full_like(picture, 2)


def white(picture: U8, _: float) -> U8:
    return np.full_like(picture, 246)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (black, "in the dark or covered"),
        (white, "blinded"),
        (sprayed, "sprayed over"),
        (half_hidden, "partly hidden"),
    ],
)
def test_what_light_and_people_also_do_takes_longer(change: Change, word: str) -> None:
    said = told(change)
    assert [w for w, _ in said] == [f"the camera has been {word} for"]
    assert 10.0 <= said[0][1] <= 12.0


def test_headlights_and_a_moment_of_darkness_are_nothing() -> None:
    assert told(lambda p, t_s: np.full_like(p, 246) if t_s < 8 else p) == []
    assert told(lambda p, t_s: np.full_like(p, 2) if t_s < 8 else p) == []


def test_a_picture_that_does_not_live_is_frozen() -> None:
    still = noisy(ROOM, 3)
    watch = rule()
    said = told(lambda _, __: still, noise=False, watch=watch)
    assert watch.wrong is not None
    state, lasted_s, limit_s = watch.wrong
    assert (state, limit_s) == ("frozen", 8.0)
    assert lasted_s > 10.0
    assert [w for w, _ in said] == ["the camera has been frozen for"]
    assert 8.0 <= said[0][1] <= 10.0


def test_what_lasts_is_known_before_it_is_an_incident() -> None:
    watch = rule()
    assert told(lambda _, __: noisy(ROOM, 3), noise=False, seconds=AT_S + 6.0, watch=watch) == []
    assert watch.wrong is not None
    assert watch.wrong[0] == "frozen"
    assert 4.0 <= watch.wrong[1] <= 6.0
    told(lambda picture, _: picture, watch=watch)
    assert watch.wrong is None


@pytest.mark.parametrize(
    "change",
    [
        scaled(0.35),
        scaled(1.7),
        lambda p, t_s: np.clip(p * max(0.3, 1 - 0.03 * t_s), 0, 255).astype(np.uint8),
        lambda p, t_s: np.clip(p * (0.4 if int(t_s / 4) % 2 else 1.0), 0, 255).astype(np.uint8),
        lambda p, _: np.repeat(p.max(2, keepdims=True), 3, axis=2),
    ],
    ids=["lamp off", "lamp on", "dusk", "lamp on and off", "infrared"],
)
def test_light_may_change_as_it_likes(change: Change) -> None:
    assert told(change) == []


def swaying_back(picture: U8, t_s: float) -> U8:
    out = picture.copy()
    cv2.ellipse(out, (round(330 + 40 * np.sin(t_s)), SIZE[1]), (230, 330), 0, 0, 360, (60, 52, 46), -1)
    return out


def test_a_person_close_to_the_camera_is_no_fault_of_it() -> None:
    assert told(swaying_back) == []


def test_a_person_close_to_the_camera_who_hardly_moves_is_none_for_long() -> None:
    def still_back(picture: U8, t_s: float) -> U8:
        return swaying_back(picture, 0.3 * np.sin(t_s)) if t_s < 8 else picture

    assert told(still_back) == []


def test_people_are_left_out() -> None:
    """The same paint on the camera, but the detector says that it is a crowd."""
    crowd = [Thing(k, x=100 + 150 * k, feet=355, height=355, width=220) for k in range(3)]
    assert told(sprayed, *crowd) == []


def test_it_stays_true_until_somebody_says_that_it_is_right() -> None:
    watch = rule()
    assert told(turned, seconds=30, watch=watch)
    moment = scene(130.0)
    moment = replace(moment, frame=replace(moment.frame, image=noisy(room(2), 1)))
    for t_s in (30.0, 30.8, 31.6):
        still_said = watch.update(replace(moment, frame=replace(moment.frame, t_mono_s=t_s)))
    assert still_said
    watch.relearn()
    assert watch.update(replace(moment, frame=replace(moment.frame, t_mono_s=200.0))) == []


def test_a_moment_is_not_enough() -> None:
    assert told(lambda p, t_s: covered(p, t_s) if t_s < 2.4 else p) == []


def test_the_old_view_ends_it() -> None:
    watch = rule()
    assert told(lambda p, t_s: covered(p, t_s) if t_s < 10 else p, watch=watch)
    moment = scene(60.0)
    assert watch.update(replace(moment, frame=replace(moment.frame, image=ROOM.copy()))) == []


def test_blocks_under_a_box_are_not_free() -> None:
    free = free_of(np.array([[0, 0, 40, 40], [600, 320, 700, 400]], np.float32), SIZE)
    assert not free[0, 0]
    assert not free[8, 15]
    assert free.sum() == 9 * 16 - 2


def test_a_look_is_small_whatever_the_picture() -> None:
    for shape in ((1080, 1920, 3), (284, 290, 3), (864, 432, 3), (48, 64, 3)):
        look = look_at(np.zeros(shape, np.uint8))
        assert look.fine.size < 240 * 500
        assert look.grey
        assert np.isfinite(look.edges).all()
