"""The committed clips: small, readable, and one with their truth."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import pytest

from edge.types import ZoneKind
from export.scenes.cli import main, suite
from export.scenes.clip import read_truth
from export.scenes.scenario import load
from export.scenes.view import contains

CLIPS = Path(__file__).parent.parent / "clips"
TRUTHS = sorted(CLIPS.glob("*.truth.json"))
NAMES = [p.name.removesuffix(".truth.json") for p in TRUTHS]

MUST_RAISE = {
    "loiterer": "loitering", "returning": "loitering", "intruder": "restricted_area", "crowding": "crowding",
    "close-behind": "crowding", "closed-hours": "closed_hours", "handgun": "firearm", "knife": "knife",
    "helmet": "helmet", "balaclava": "face_cover", "prying": "machine_tampering", "person-down": "person_down",
    "struggle": "assault", "snatch": "assault", "camera-covered": "camera_tamper", "camera-turned": "camera_tamper", "camera-defocused": "camera_tamper",
}  # fmt: skip
MUST_NOT_RAISE = ("normal-use", "queue", "passers-by", "lamp-switched", "headlights")


@pytest.fixture(params=TRUTHS, ids=NAMES)
def clip(request: pytest.FixtureRequest) -> dict[str, Any]:
    table: dict[str, Any] = read_truth(request.param)
    return table


def test_there_are_clips_and_they_stay_small() -> None:
    assert len(TRUTHS) >= 20
    assert sum(p.stat().st_size for p in CLIPS.iterdir()) < 12_000_000
    for name in NAMES:
        assert (CLIPS / f"{name}.mp4").stat().st_size < 1_000_000
        assert (CLIPS / f"{name}.sheet.jpg").is_file()


def test_a_clip_has_as_many_frames_as_its_truth(clip: dict[str, Any]) -> None:
    video = cv2.VideoCapture(str(CLIPS / clip["clip"]))
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(clip["fps"])
    count = 0
    while True:
        ok, picture = video.read()
        if not ok:
            break
        assert picture.shape == (clip["height"], clip["width"], 3)
        count += 1
    assert count == clip["frame_count"] == len(clip["frames"])


def test_boxes_lie_in_the_picture_and_what_is_seen_lies_in_the_whole(clip: dict[str, Any]) -> None:
    ids = {p["id"] for p in clip["persons"]}
    for frame in clip["frames"]:
        assert frame["t_s"] == pytest.approx(frame["i"] / clip["fps"], abs=2e-3)
        for one in frame["persons"]:
            assert one["id"] in ids
            x1, y1, x2, y2 = one["box"]
            assert 0 <= x1 < x2 <= clip["width"]
            assert 0 <= y1 < y2 <= clip["height"]
            fx1, fy1, fx2, fy2 = one["full_box"]
            assert fx1 <= x1
            assert fy1 <= y1
            assert x2 <= fx2
            assert y2 <= fy2
            assert 0 < one["visibility"] <= 1


def test_zones_follow_from_the_floor_point(clip: dict[str, Any]) -> None:
    floors = {z["name"]: z["floor_m"] for z in clip["zones"]}
    for zone in clip["zones"]:
        assert ZoneKind(zone["kind"])
        assert all(-1e-6 <= c <= 1 + 1e-6 for point in zone["polygon"] for c in point)
    for frame in clip["frames"]:
        for one in frame["persons"]:
            for name, floor in floors.items():
                assert (name in one["zones"]) == contains([(x, y) for x, y in floor], *one["floor_m"])


def test_what_is_expected_is_in_order_and_within_the_clip(clip: dict[str, Any]) -> None:
    opens = [e["opens_s"] for e in clip["expected"]]
    assert opens == sorted(opens)
    for entry in clip["expected"]:
        assert 0 <= entry["opens_s"] < clip["duration_s"]
        assert entry["closes_s"] is None or entry["closes_s"] >= entry["opens_s"]


def test_each_clip_tells_its_story(clip: dict[str, Any]) -> None:
    name = clip["clip"].removesuffix(".mp4")
    raised = {e["rule"] for e in clip["expected"]}
    if name in MUST_RAISE:
        assert MUST_RAISE[name] in raised
    if name in MUST_NOT_RAISE:
        assert not raised


def test_every_clip_is_a_scenario_of_the_suite() -> None:
    scenarios = {p.stem: load(p) for p in suite()}
    for path in TRUTHS:
        table: dict[str, Any] = read_truth(path)
        scenario = scenarios[path.name.removesuffix(".truth.json")]
        assert (table["room"], table["view"], table["light"]) == (scenario.room, scenario.view, scenario.light)
        assert table["duration_s"] == scenario.seconds


def test_the_truth_is_what_follows_from_the_scenarios_now(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in TRUTHS:
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "knife.truth.json").write_text(
        json.dumps(read_truth(CLIPS / "knife.truth.json") | {"expected": []}), "utf-8"
    )
    assert main(["truth", str(tmp_path)]) == 0
    assert "changed: knife\n" in capsys.readouterr().out
    for path in TRUTHS:
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()


def test_the_truth_of_another_scenario_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "queue.truth.json"
    path.write_bytes((CLIPS / "knife.truth.json").read_bytes())
    assert main(["truth", str(tmp_path)]) != 0
    assert "is not queue as the scenario has it now" in capsys.readouterr().err
    assert path.read_bytes() == (CLIPS / "knife.truth.json").read_bytes()
