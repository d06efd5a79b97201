"""The everyday commands, and an orderly end."""

from __future__ import annotations

import signal
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pytest
from e2e.appliance_process import CLIP

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.appliance_process import Config


def test_version(run: Any) -> None:
    done = run("version")
    assert done.returncode == 0
    assert done.stdout.startswith(f"kiosk-guard {version('kiosk-guard')}\nmodel ")
    assert f"onnxruntime {version('onnxruntime')}" in done.stdout


def test_check_config(run: Any, config: Config) -> None:
    done = run("check-config", config.write())
    assert (done.returncode, done.stderr) == (0, "")
    assert "good" in done.stdout
    assert "lobby" in done.stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_stop_it_stops_in_order_with_outputs_off(start: Any, config: Config, number: signal.Signals) -> None:
    config.cameras[0]["loop"] = True
    config.tables["rules.loitering"] = {"dwell_s": 0.5}  # the customer is an incident after four seconds
    box = start(config.write())
    box.wait_for("output", name="led", on=True)
    began = time.monotonic()
    box.signal(number)
    assert box.wait(10) == 0
    assert time.monotonic() - began < 5
    assert [(e["name"], e["on"]) for e in box.said("output")] == [("led", True), ("led", False)]
    assert box.said("stopped", reason="signal")
    assert box.plain == []


def test_a_clip_that_was_copied_half_is_judged_and_told(run: Any, tmp_path: Path) -> None:
    half = tmp_path / "half.mp4"
    half.write_bytes(CLIP.read_bytes()[: CLIP.stat().st_size // 2])
    done = run("replay", half)
    assert done.returncode == 0, done.stderr
    assert "half.mp4: the file is cut off, " in done.stderr
