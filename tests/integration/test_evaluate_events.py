"""``evaluate-events`` over a folder of clips, with the real replay as a child process."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edge.models.shipped import shipped_bundle
from export.errors import DatasetError, ExportError, MissingInputError
from export.events.cli import evaluate, main, read_truth, table
from tests.fakes.cameras import write_video

RULES = Path(__file__).parents[2] / "export" / "events" / "rules.toml"


def folder(tmp_path: Path, *events: dict[str, Any]) -> Path:
    write_video(tmp_path / "quiet_1.mp4", 16, fps=8.0)
    write_video(tmp_path / "quiet_2.mp4", 16, fps=8.0)
    clips = [{"file": "quiet_1.mp4", "events": []}, {"file": "quiet_2.mp4", "events": list(events)}]
    (tmp_path / "events.json").write_text(json.dumps({"clips": clips}))
    return tmp_path


def test_a_folder_is_replayed_and_scored(tmp_path: Path) -> None:
    place = folder(tmp_path, {"what": "helmet", "start_s": 0, "end_s": 2})
    out = tmp_path / "report.json"
    done = subprocess.run(
        [sys.executable, "-m", "export.events.cli", str(place), "--json", str(out)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    report = json.loads(out.read_text())
    whole = report["product"]["total"]
    assert (whole["clips_with_events"], whole["clips_hit"], whole["false_alarms"]) == (1, 0, 0)
    assert whole["normal_clips_silent"] == whole["normal_clips"] == 1
    assert 3.4 < whole["hours"] * 3600 < 4.0
    assert whole["delay_p50_s"] is None
    assert "| quiet_2.mp4 | 0 of 1 |" in done.stdout
    assert table(report)[0].startswith("| clip |")


def test_a_clips_own_configuration_is_reported_apart(tmp_path: Path) -> None:
    place = folder(tmp_path)
    own = tmp_path / "own"
    own.mkdir()
    (own / "quiet_1.toml").write_text('[[cameras]]\nname = "hall"\nsource = "file:x"\n')
    report = evaluate(place, configs=own, only="quiet_1", say=lambda _: None)
    assert [c["clip"] for c in report["own_zones"]["clips"]] == ["quiet_1.mp4"]
    assert sum("own zones" in line for line in table(report)) == 1


def test_another_model_is_taken_whatever_the_configuration_names(tmp_path: Path) -> None:
    place = folder(tmp_path)
    config = tmp_path / "kiosk.toml"
    config.write_text(
        '[[cameras]]\nname = "hall"\nsource = "file:x"\n[model] # ours\npath = "nowhere"\nthreads = 1\n[log]\n'
    )
    with pytest.raises(ExportError, match="nowhere"):
        evaluate(place, config=config, only="quiet_1", say=lambda _: None)
    report = evaluate(place, config=config, model=shipped_bundle(), only="quiet_1", say=lambda _: None)
    assert report["product"]["total"]["normal_clips_silent"] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["events.json", "kiosk.toml", "quiet_1.mp4", "quiet_2.mp4"]


def test_a_replay_that_fails_is_told_with_its_words(tmp_path: Path) -> None:
    place = folder(tmp_path)
    (tmp_path / "quiet_1.mp4").write_bytes(b"no video")
    with pytest.raises(ExportError, match=r"the replay of quiet_1.mp4 failed"):
        evaluate(place, only="quiet_1", say=lambda _: None)


def test_what_the_truth_names_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="does not exist"):
        read_truth(tmp_path / "events.json")
    place = folder(tmp_path, {"what": "elephant", "start_s": 0, "end_s": 2})
    with pytest.raises(DatasetError, match="elephant"):
        evaluate(place, say=lambda _: None)
    (tmp_path / "quiet_1.mp4").unlink()
    with pytest.raises(MissingInputError, match=r"quiet_1\.mp4"):
        read_truth(place / "events.json")
    (tmp_path / "events.json").write_text('{"clips": [{"file": 1}]}')
    with pytest.raises(DatasetError, match="cannot be used"):
        read_truth(place / "events.json")


@pytest.mark.parametrize("times", [(5, 2), (-1, 2), (float("nan"), 2), (0, float("inf"))])
def test_an_event_has_a_beginning_and_a_later_end(tmp_path: Path, times: tuple[float, float]) -> None:
    place = folder(tmp_path, {"what": "helmet", "start_s": times[0], "end_s": times[1]})
    with pytest.raises(DatasetError, match="allowed: 0 <= start_s <= end_s"):
        read_truth(place / "events.json")


def test_what_cannot_be_done_is_said_before_anything_is_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = str(folder(tmp_path))
    for options, words in (
        (["--only", "elephant"], "names no clip with 'elephant' in its name"),
        (["--config", str(tmp_path / "none.toml")], "none.toml cannot be read"),
        (["--json", str(tmp_path / "none" / "report.json")], "does not exist"),
        (["--json", str(tmp_path)], "is a folder"),
    ):
        assert main([place, *options]) != 0
        said = capsys.readouterr().err
        assert words in said
        assert "quiet_1" not in said
