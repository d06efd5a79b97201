"""What moves in the whole picture: glances, windows of them, and when the kiosk looks at all."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.behaviour import FakeClassifier, fake_features
from fakes.scenes import Thing, frame, tracks

from edge.behaviour.looks import Glance, Looks, LookSpec, LookWindow
from edge.behaviour.watch import LINGER_S, BehaviourWatch
from edge.types import BEHAVIOURS

if TYPE_CHECKING:
    from edge.types import Tracks

SPEC = LookSpec(seconds=1.4, mean_s=0.4, model="fake 1", map_name="fake 1", channels=2)
ASSAULT = BEHAVIOURS.index("assault")


def picture(x: int, *, size: tuple[int, int] = (640, 360), light: int = 0) -> np.ndarray:
    """Grey, with a white square of 64 px at ``x``."""
    image = np.full((size[1], size[0], 3), 60 + light, np.uint8)
    image[148:212, x : x + 64] = 200 + light
    return image


def glance(*at: int, step_s: float = 0.2) -> Glance | None:
    looks, found = Looks(), None
    for k, x in enumerate(at):
        found = looks.update(fake_features(picture(x)), k * step_s)
    return found


def test_one_picture_alone_is_no_glance_and_a_still_one_has_nothing_that_moves() -> None:
    assert glance(100) is None
    still = glance(100, 100)
    assert still is not None
    assert still.looks.shape == (4,)
    assert not still.looks.any()
    assert not still.stir.any()


def test_what_moves_is_seen_where_it_is() -> None:
    moved = glance(100, 300)
    assert moved is not None
    assert moved.looks[2] > 0.1  # how much the grey level changes
    here, there, elsewhere = moved.stirred(
        np.array([[90, 140, 170, 220], [290, 140, 370, 220], [500, 140, 600, 220]], np.float32)
    )
    assert min(here, there) > 0.1
    assert elsewhere == 0.0


def test_a_box_at_or_beyond_the_edge_has_a_place_in_the_map() -> None:
    moved = glance(100, 300)
    assert moved is not None
    assert np.isfinite(
        moved.stirred(np.array([[600, 300, 700, 500], [-50, -50, 2, 2], [5, 5, 5, 5]], np.float32))
    ).all()


def test_a_lamp_changes_everything_and_moves_nothing() -> None:
    looks = Looks()
    looks.update(fake_features(np.full((360, 640, 3), 60, np.uint8)), 0.0)
    found = looks.update(fake_features(np.full((360, 640, 3), 90, np.uint8)), 0.2)
    assert found is not None
    assert not found.stir.any()


def test_the_grey_border_of_an_upright_picture_is_nobody() -> None:
    looks = Looks()
    looks.update(fake_features(np.full((640, 360, 3), 60, np.uint8)), 0.0)
    upright = np.full((640, 360, 3), 60, np.uint8)
    upright[:300] = 200
    found = looks.update(fake_features(upright), 0.2)
    assert found is not None
    assert found.stir.any()
    assert not found.stir[:, :3].any()
    assert not found.stir[:, 7:].any()


def test_fast_cameras_are_looked_at_as_often_as_slow_ones() -> None:
    looks = Looks()
    found = [looks.update(fake_features(picture(100 + k)), k / 15) for k in range(31)]
    assert sum(g is not None for g in found) == 10


def test_between_two_models_nothing_is_compared() -> None:
    looks = Looks()
    looks.update(fake_features(picture(100)), 0.0)
    assert looks.update(fake_features(picture(300), model="fake 2"), 0.2) is None


def test_after_a_gap_or_another_size_change_is_not_guessed() -> None:
    looks = Looks()
    looks.update(fake_features(picture(100)), 0.0)
    assert looks.update(fake_features(picture(300)), 2.0) is None
    assert looks.update(fake_features(picture(100)), 2.2) is not None
    looks.forget()
    assert looks.update(fake_features(picture(300)), 2.4) is None


def test_a_window_is_mean_and_spread_once_it_is_full() -> None:
    window = LookWindow(SPEC)
    for k in range(20):
        row = np.array([k % 2, 1, 0, 0], np.float32)
        features = window.features(row, k * 0.2)
        assert features.shape == ((1 if k >= 5 else 0), SPEC.width)
    assert features[0, 1] == 1.0
    assert features[0, 0] == pytest.approx(0.5, abs=0.1)
    assert features[0, 4] == pytest.approx(0.5, abs=0.02)
    assert features[0, 5] == 0.0


def test_a_window_with_a_hole_is_not_judged() -> None:
    window = LookWindow(SPEC)
    row = np.ones(4, np.float32)
    for k in range(3):
        window.features(row, k * 0.2)
    assert len(window.features(row, 1.35)) == 0


def test_answers_are_the_mean_of_the_last_ones_and_age() -> None:
    window = LookWindow(SPEC)
    one, none = np.ones(1, np.float32), np.zeros(0, np.float32)
    assert window.mean(one, 0.0) == 0.0  # one answer is no mean
    assert window.mean(one, 0.2) == 1.0
    assert window.mean(np.zeros(1, np.float32), 0.4) == pytest.approx(2 / 3)
    assert window.mean(none, 0.47) > 0  # a frame that came too soon to be looked at
    assert window.mean(none, 1.0) == 0.0


class Sure(FakeClassifier):
    """Sure as soon as something changes."""

    def probability(self, features: np.ndarray) -> np.ndarray:
        return (features[:, 2] > 0.01).astype(np.float32)


def watch() -> BehaviourWatch:
    return BehaviourWatch(person_classes=[0], classifiers=[Sure("assault", spec=SPEC)])


def seen(of: BehaviourWatch, k: int, people: Tracks, *, model: str = "fake 1") -> np.ndarray:
    """What is said of people in frame ``k`` of a picture in which something goes to and fro."""
    image = picture(300 if k % 2 else 260)
    return of.update(replace(frame(k * 0.2), image=image), people, fake_features(image, model=model))[1]


def test_what_is_found_is_said_of_the_person_in_whose_box_most_moves() -> None:
    both = watch()
    for k in range(20):
        behaviour = seen(both, k, tracks(Thing(1, x=500), Thing(2, x=320)))
    assert behaviour[:, ASSAULT].tolist() == [0.0, 1.0]


def test_an_empty_lobby_is_not_looked_at_and_who_was_just_lost_is() -> None:
    both = watch()
    for k in range(10):
        seen(both, k, tracks())
    lost = tracks(Thing(1, x=320, unseen_s=1.5))
    assert not seen(both, 10, lost).any()
    seen(both, 11, tracks(Thing(1, x=320)))
    for k in range(12, 22):
        behaviour = seen(both, k, lost)
    assert behaviour[0, ASSAULT] == 1.0
    for k in range(22, 22 + int(LINGER_S / 0.2)):
        seen(both, k, tracks())
    assert not seen(both, 80, lost).any()


def test_of_another_models_map_nothing_is_said_and_that_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    both = watch()
    for k in range(20):
        behaviour = seen(both, k, tracks(Thing(1, x=320)), model="fake 2")
    assert not behaviour.any()
    assert [r.message for r in caplog.records] == [
        "a struggle is not looked for: that was learnt with the model fake 1, this is another one's map"
    ]


def test_a_detector_without_a_map_or_one_that_rests_says_nothing() -> None:
    both = watch()
    for k in range(20):
        image = picture(300 if k % 2 else 260)
        _, behaviour = both.update(replace(frame(k * 0.2), image=image), tracks(Thing(1, x=320)), None)
    assert not behaviour.any()
