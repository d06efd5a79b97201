from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from export.scenes.cast import cast
from export.scenes.cli import main, suite
from export.scenes.errors import ScenarioError
from export.scenes.rooms import ROOMS
from export.scenes.scenario import FaultTable, SensorTable, load
from export.scenes.sensor import Faults, Sensor, ramp

if TYPE_CHECKING:
    from pathlib import Path

MINIMAL = """
name = "a"
title = "t"
seconds = 4
[[actor]]
name = "x"
path = [ { t = 0, spot = "outside" }, { t = 3, spot = "door" } ]
"""


def _written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "a.toml"
    path.write_text(text, "utf-8")
    return path


def test_the_whole_suite_can_be_read_and_names_its_files() -> None:
    paths = suite()
    assert len(paths) >= 30
    for path in paths:
        scenario = load(path)
        assert scenario.name == path.stem
        assert scenario.seconds <= 40


def test_the_suite_covers_what_it_must() -> None:
    scenarios = [load(p) for p in suite()]
    assert {s.room for s in scenarios} == {"lobby", "hall", "street"}
    assert {s.view for s in scenarios} == {"corner", "overhead", "machine"}
    assert {f.kind for s in scenarios for f in s.fault} == {"covered", "sprayed", "defocused", "turned", "frozen"}
    held = {a.holds for s in scenarios for a in s.actor}
    assert {"handgun", "long_gun", "knife", "hammer", "crowbar", "drill", "phone", "umbrella", "walking_stick"} <= held
    worn = {w for s in scenarios for a in s.actor for w in a.wears}
    assert {"helmet", "balaclava", "mask"} <= worn
    done = {step.do for s in scenarios for a in s.actor for step in a.path}
    assert {"use_machine", "crouch", "lie", "struggle", "snatch", "pry"} <= done


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("seconds = 4", "seconds = 4\nsecond = 5"), "second"),
        (('spot = "door"', 'spot = "roof"'), "no spot roof"),
        (('spot = "door"', 'spot = "door", do = "dance"'), "dance"),
        (("t = 3", "t = 0"), "must grow"),
        (("t = 3", "t = 9"), "path ends at 9 s"),
        (('name = "x"', 'name = "x"\nholds = "cannon"'), "cannon"),
        (("seconds = 4", "seconds = -4"), "seconds"),
    ],
)
def test_a_wrong_scenario_says_what_is_wrong(tmp_path: Path, change: tuple[str, str], says: str) -> None:
    with pytest.raises(ScenarioError, match=says):
        load(_written(tmp_path, MINIMAL.replace(*change)))


def test_all_faults_of_a_scenario_are_named_at_once(tmp_path: Path) -> None:
    text = MINIMAL.replace("seconds = 4", "seconds = 4\nfoo = 1\nfps = 99")
    with pytest.raises(ScenarioError) as caught:
        load(_written(tmp_path, text))
    assert "foo" in str(caught.value)
    assert "fps" in str(caught.value)


def test_no_toml_at_all_is_a_scenario_error(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError):
        load(_written(tmp_path, "not toml ["))
    with pytest.raises(ScenarioError):
        load(tmp_path / "missing.toml")


def test_the_same_seed_casts_the_same_people_and_another_seed_others(tmp_path: Path) -> None:
    scenario = load(_written(tmp_path, MINIMAL))
    room = ROOMS[scenario.room](None)
    one, two = (cast(scenario, room)[0] for _ in range(2))
    other = cast(scenario.model_copy(update={"seed": 99}), room)[0]
    assert np.array_equal(one.body.vertices, two.body.vertices)
    assert not np.array_equal(one.body.vertices, other.body.vertices)


def test_an_unknown_scenario_is_refused_with_a_hint(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clips", "no-such-scene"]) == 78
    assert "make-scenes list" in capsys.readouterr().err


def test_list_names_the_suite(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    assert "loiterer" in capsys.readouterr().out


def _grey(level: float) -> np.ndarray:
    return np.full((36, 64, 3), level, np.float32)


def test_the_exposure_follows_a_lamp_and_is_repeatable() -> None:
    def shots() -> list[float]:
        sensor = Sensor(SensorTable(noise=0.004), width=64, height=36, seed=5)
        levels = [0.4] * 5 + [0.1] * 20
        return [float(sensor.picture(_grey(v), step_s=0.2).mean()) for v in levels]

    means = shots()
    assert means == shots()
    assert means[5] < 0.75 * means[4]
    assert means[-1] == pytest.approx(means[4], rel=0.05)


def test_dark_pictures_are_noisier_and_infrared_is_grey() -> None:
    def picture(level: float, **table: object) -> np.ndarray:
        return Sensor(SensorTable.model_validate(table), width=64, height=36, seed=5).picture(_grey(level), step_s=0.2)

    assert picture(0.02, noise=0.02).std() > picture(0.4, noise=0.02).std()
    coloured = np.array([0.6, 0.3, 0.1], np.float32) * np.ones((36, 64, 1), np.float32)
    grey = Sensor(SensorTable(ir=True), width=64, height=36, seed=5).picture(coloured, step_s=0.2).astype(int)
    assert np.abs(grey[..., 0] - grey[..., 2]).max() <= 3


def test_every_camera_fault_does_what_it_says() -> None:
    rng = np.random.default_rng(1)
    scene = [np.kron(rng.integers(0, 255, (9, 16, 3)), np.ones((4, 4, 1))).astype(np.uint8) for _ in range(40)]

    def after(kind: str) -> list[np.ndarray]:
        faults = Faults([FaultTable.model_validate({"kind": kind, "from_s": 2.0})], width=64, height=36, seed=3)
        return [faults.apply(p, 0.2 * i) for i, p in enumerate(scene)]

    for kind in ("covered", "sprayed", "defocused", "frozen"):
        seen = after(kind)
        assert all(np.array_equal(a, b) for a, b in zip(seen[:10], scene[:10], strict=True))
        assert not np.array_equal(seen[-1], scene[-1])
    assert after("covered")[-1].mean() < 40
    assert np.array_equal(after("frozen")[-1], scene[10])
    assert after("defocused")[-1].std() < 0.6 * scene[-1].std()


def test_a_ramp_goes_from_nought_to_one() -> None:
    assert [ramp(t, 2.0, 1.0) for t in (1.0, 2.5, 9.0)] == [0.0, 0.5, 1.0]
