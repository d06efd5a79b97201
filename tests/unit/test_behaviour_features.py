from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from fakes.behaviour import SPEC, FakeClassifier
from fakes.scenes import Thing, frame, tracks

from edge.behaviour.motion import LONG_SIDE, Motion, shrink
from edge.behaviour.rows import COLUMNS, Rows
from edge.behaviour.watch import BehaviourWatch
from edge.behaviour.windows import Windows, WindowSpec
from edge.types import BEHAVIOURS

SIZE = (192, 108)
RNG = np.random.default_rng(5)
ROOM = cv2.resize(RNG.integers(60, 90, (27, 48), np.uint8), (192, 108), interpolation=cv2.INTER_CUBIC)
COAT = cv2.resize(RNG.integers(0, 255, (8, 4), np.uint8), (20, 40), interpolation=cv2.INTER_CUBIC)


def picture(x: float, *, light: int = 0) -> np.ndarray:
    """A room with a patterned coat, 20 by 40 px, at ``x``."""
    small = ROOM.copy()
    small[40:80, int(x) : int(x) + 20] = COAT
    return np.clip(small.astype(np.int16) + light, 0, 255).astype(np.uint8)


def column(rows: np.ndarray, name: str) -> float:
    return float(rows[0, COLUMNS.index(name)])


def test_a_picture_is_made_small_by_its_longer_side() -> None:
    for height, width in ((720, 1280), (864, 432), (240, 320), (1, 3)):
        small = shrink(np.zeros((height, width, 3), np.uint8))
        assert max(small.shape) == LONG_SIDE
        assert min(small.shape) >= 8


def test_flow_is_in_pixels_a_second_whatever_the_rate() -> None:
    for dt, step in ((0.1, 2), (0.2, 4)):
        motion = Motion()
        assert motion.update(picture(80), 0.0, width=192) is None
        field = motion.update(picture(80 + step), dt, width=192)
        assert field is not None
        speed = np.median(field.flow[23:37, 42:49, 0]) / field.scale
        assert speed == pytest.approx(20.0, abs=5.0)


def test_a_lamp_is_no_movement() -> None:
    motion = Motion()
    motion.update(picture(80), 0.0, width=192)
    field = motion.update(picture(80, light=25), 0.2, width=192)
    assert field is not None
    assert field.stirred < 0.01


def test_after_a_gap_or_another_size_movement_is_not_guessed() -> None:
    motion = Motion()
    motion.update(picture(80), 0.0, width=192)
    assert motion.update(picture(84), 5.0, width=192) is None
    assert motion.update(picture(84)[:90], 5.2, width=192) is None


def test_a_row_measures_in_the_persons_own_heights() -> None:
    for scale in (1, 4):  # the same scene, the frame four times as large
        motion, rows = Motion(), Rows()
        size = (192 * scale, 108 * scale)
        for k, x in enumerate((80, 84, 88)):
            box = np.array([[x, 40, x + 20, 80]], np.float32) * scale
            field = motion.update(picture(x), 0.2 * k, width=size[0])
            found = rows.update([1], box, field, 0.2 * k, size)
        assert column(found, "move") == pytest.approx(0.5, abs=0.01)  # 20 px a second, 40 px tall
        assert column(found, "speed") == pytest.approx(0.5, abs=0.15)
        assert column(found, "gap") == 3.0


def test_who_is_near_whom() -> None:
    boxes = np.array([[0, 0, 40, 100], [20, 0, 60, 100], [160, 0, 200, 100]], np.float32)
    found = Rows().update([1, 2, 3], boxes, None, 0.0, (640, 360))
    gap, overlap, people = (found[:, COLUMNS.index(n)] for n in ("gap", "overlap", "people"))
    assert gap.tolist() == pytest.approx([0.0, 0.0, 1.0])
    assert overlap.tolist() == pytest.approx([0.5, 0.5, 0.0])
    assert people.tolist() == [1, 1, 0]


def test_a_row_of_nobody_is_empty() -> None:
    assert Rows().update([], np.zeros((0, 4), np.float32), None, 0.0, SIZE).shape == (0, len(COLUMNS))


def _judged(spec: WindowSpec, boxes: list[tuple[float, float, float, float]], *, dt: float = 0.2) -> list[bool]:
    windows, out = Windows(spec), []
    for k, box in enumerate(boxes):
        ready, _ = windows.features(
            [7], np.zeros((1, len(COLUMNS)), np.float32), np.array([box], np.float32), k * dt, 640
        )
        out.append(bool(ready))
    return out


def test_somebody_is_judged_once_the_window_is_full_enough_at_any_rate() -> None:
    still = (200.0, 100.0, 260.0, 250.0)
    for dt in (0.1, 0.2, 0.5):
        judged = _judged(SPEC, [still] * 40, dt=dt)
        assert judged.index(True) * dt == pytest.approx(1.5, abs=0.3)
        assert judged[-1]


def test_who_walks_or_is_half_out_of_the_picture_is_not_judged() -> None:
    walking = [(100.0 + 30 * k, 100.0, 160.0 + 30 * k, 250.0) for k in range(15)]
    assert not any(_judged(SPEC, walking))
    assert not any(_judged(SPEC, [(0.0, 100.0, 60.0, 250.0)] * 30))


def test_a_window_that_asks_for_company_waits_for_it() -> None:
    spec = replace(SPEC, min_close=0.3)
    assert not any(_judged(spec, [(200.0, 100.0, 260.0, 250.0)] * 30)[:1])
    windows = Windows(spec)
    rows = np.zeros((1, len(COLUMNS)), np.float32)
    rows[0, COLUMNS.index("gap")] = 3.0
    for k in range(30):
        ready, _ = windows.features([7], rows, np.array([[200, 100, 260, 250]], np.float32), k * 0.2, 640)
        assert ready == []


def test_one_odd_moment_decides_nothing() -> None:
    windows, box = Windows(SPEC), np.array([[200, 100, 260, 250]], np.float32)
    means = []
    for k in range(30):
        windows.features([7], np.zeros((1, len(COLUMNS)), np.float32), box, k * 0.2, 640)
        said = np.array([1.0 if k == 20 else 0.0], np.float32)
        means.append(float(windows.mean([7], said, [7], k * 0.2)[0]))
    assert 0.1 < max(means) < 0.25  # of six frames in a second


def test_a_feature_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="median:mood"):
        replace(SPEC, features=("median:mood",))


def test_the_statistics_are_numpys() -> None:
    rng = np.random.default_rng(3)
    columns = {"median": np.median, "q80": lambda rows, axis: np.quantile(rows, 0.8, axis=axis), "spread": np.std}
    spec = replace(SPEC, seconds=100.0, features=tuple(f"{name}:jerk" for name in columns), max_move=99.0)
    windows, at, box = Windows(spec), COLUMNS.index("jerk"), np.array([[200, 100, 260, 250]], np.float32)
    seen: list[float] = []
    for k in range(220):  # and more frames than a window first has room for
        rows = rng.normal(size=(1, len(COLUMNS))).astype(np.float32)
        seen.append(rows[0, at])
        ready, found = windows.features([7], rows, box, 0.5 * k, 640)
        lasting = np.array(seen[-200:], np.float32)[:, None]
        assert len(ready) == (0.5 * k >= 70)
        for got, how in zip(found.ravel(), columns.values(), strict=False):
            assert got == np.float32(how(lasting, axis=0)[0])
    assert len(found) == 1


def test_columns_that_nobody_needs_leave_the_others_as_they_are() -> None:
    wanted = [
        ["jerk"],
        ["inner", "stirred"],
        ["move", "reshape"],
        ["gap", "other_inner"],
        ["peak", "around"],
        ["stature"],
    ]
    every, few = Rows(), [Rows(columns) for columns in wanted]
    motion = Motion()
    for k, x in enumerate((80, 84, 90, 92)):
        boxes = np.array([[x, 40, x + 20, 80], [100, 30 + k, 130, 90]], np.float32)
        field = motion.update(picture(x), 0.2 * k, width=192)
        whole = every.update([1, 2], boxes, field, 0.2 * k, SIZE)
        for columns, rows in zip(wanted, few, strict=True):
            part = rows.update([1, 2], boxes, field, 0.2 * k, SIZE)
            for name in columns:
                assert np.array_equal(part[:, COLUMNS.index(name)], whole[:, COLUMNS.index(name)]), name
    assert (whole[:, [COLUMNS.index(n) for n in ("jerk", "inner", "peak", "around")]] > 0).all()


def _watch(name: str = "machine_tampering", *, limbs: bool = True) -> BehaviourWatch:
    return BehaviourWatch(person_classes=[0], classifiers=[FakeClassifier(name, above=0.005)], limbs=limbs)


def test_who_works_hard_on_the_spot_is_told_from_who_stands() -> None:
    column_ = BEHAVIOURS.index("machine_tampering")
    for busy in (True, False):
        watch, likely = _watch(), 0.0
        rng = np.random.default_rng(1)
        for k in range(30):
            shot = frame(k * 0.2)
            image = np.full((360, 640, 3), 80, np.uint8)
            shift = int(rng.integers(-12, 13)) if busy else 0  # arms, not the body
            image[200:260, 300 + shift : 340 + shift] = np.kron(COAT[:30, :20], np.ones((2, 2)))[..., None]
            motion, behaviour = watch.update(replace(shot, image=image), tracks(Thing(1, x=320)), None)
            likely = float(behaviour[0, column_])
        assert (likely > 0.8) is busy
        assert (motion[0] > 0.001) == busy


def test_a_look_beforehand_changes_nothing_and_only_counts_for_its_own_picture() -> None:
    shots = [
        replace(
            frame(k * 0.2), image=np.repeat(cv2.resize(picture(80 + 7 * (k % 3)), (640, 360))[..., None], 3, axis=2)
        )
        for k in range(6)
    ]
    stranger = replace(frame(9.0), image=np.full((360, 640, 3), 200, np.uint8))
    told = []
    for before in (lambda _: (), lambda shot: (shot,), lambda _: (stranger,)):
        watch = _watch()
        motions = []
        for shot in shots:
            for one in before(shot):
                watch.look(one)
            motions.append(float(watch.update(shot, tracks(Thing(1, x=320)), None)[0][0]))
        told.append(motions)
    assert max(told[0]) > 0
    assert told[1] == told[0]
    assert told[2] == told[0]


def test_nobody_costs_nothing_and_gives_empty_answers() -> None:
    watch = _watch()
    for shown in (tracks(), tracks(Thing(1, cls=3)), tracks(Thing(1, unseen_s=2.0))):
        motion, behaviour = watch.update(frame(0.0), shown, None)
        assert motion is not None
        assert motion.shape == (len(shown),)
        assert behaviour.shape == (len(shown), len(BEHAVIOURS))
        assert not behaviour.any()


def test_limbs_that_nobody_asks_about_are_not_told() -> None:
    motion, behaviour = _watch(limbs=False).update(frame(0.0), tracks(Thing(1)), None)
    assert motion is None
    assert len(behaviour) == 1
