from __future__ import annotations

from pathlib import Path

import pytest

from edge.app.bench import CAPTURE, Stopwatch, bench
from edge.app.bench_cli import table
from edge.config import Config
from edge.errors import SourceInvalid

CLIP = Path(__file__).resolve().parents[2] / "firmware_config" / "demo" / "lobby.mp4"
CONFIG = Config.model_validate({"cameras": [{"name": "lobby", "source": f"file:{CLIP}"}]})


def test_every_stage_of_a_frame_is_measured(tmp_path: Path) -> None:
    done = bench(CONFIG, tmp_path / "none.toml", clip=None, frames=12)
    assert done.frames == 12
    assert done.size == (640, 360)
    assert list(done.stages) == [
        CAPTURE,
        "letterbox",
        "inference",
        "decode and NMS",
        "track",
        "zones and rules",
        "incidents",
        "draw",
        "encode",
        "write",
    ]
    assert done.stages["inference"]["count"] == 12
    assert done.stages["write"]["count"] == 2  # every tenth
    assert done.stages["inference"]["cpu_median_ms"] > done.stages["letterbox"]["cpu_median_ms"] > 0
    assert all(s["wall_p95_ms"] >= s["wall_median_ms"] for s in done.stages.values())
    lines = list(table(done))
    assert len([line for line in lines if line.startswith("inference")]) == 1


def test_what_is_no_video_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_text("no video")
    with pytest.raises(SourceInvalid, match="no readable video"):
        bench(CONFIG, tmp_path / "none.toml", clip=tmp_path / "x.mp4", frames=3)


def test_marks_of_one_name_in_one_frame_are_one_figure() -> None:
    watch = Stopwatch()
    watch.begin()
    watch.mark("rules")
    watch.mark("rules")
    watch.end_frame()
    watch.mark("rules")
    watch.end_frame()
    assert len(watch.wall_ms["rules"]) == 2
