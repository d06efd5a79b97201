"""The Raspberry Pi's camera through a stand-in for rpicam-vid: pictures, and every way in which they stay away."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fakes import rpicam_vid
from fakes.patience import PATIENCE_S, running, wait_for

from edge.app.build_cameras import camera_source
from edge.cameras.capture import CaptureProcess
from edge.cameras.rpicam import ProgramMissing, find_program
from edge.cameras.source import Kind, parse_source
from edge.config import Config
from edge.errors import EX_UNAVAILABLE, CameraLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.types import Frame

SOURCE = "rpicam:0,256x144@20"


@pytest.fixture(name="start")
def _start() -> Iterator[Callable[..., CaptureProcess]]:
    started: list[CaptureProcess] = []

    def start(program: Path, source: str = SOURCE, **settings: Any) -> CaptureProcess:
        settings = {"retry_after_s": 0.1, "retry_at_most_s": 0.5, **settings}
        started.append(CaptureProcess("lobby", parse_source(source), rpicam=str(program), **settings))
        return started[-1]

    yield start
    for camera in started:
        camera.close()


def read_until(camera: CaptureProcess) -> Frame:
    end_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < end_s:
        with contextlib.suppress(CameraLost):
            return camera.read(0.5)
    return camera.read(0.5)


def lost_with(camera: CaptureProcess, words: str) -> None:
    """The status says so at some time; the words stand until pictures come again."""
    wait_for(lambda: words in camera.status().detail)


def test_pictures_come_with_their_colours_and_times(start: Callable[..., CaptureProcess], tmp_path: Path) -> None:
    program = rpicam_vid.install(tmp_path)
    camera = start(program)
    first = read_until(camera)
    assert first.image.shape == (144, 256, 3)
    blue, green, red = (float(first.image[..., k].mean()) for k in range(3))
    assert red > green + 20 > blue  # Y 16.., U 100, V 160
    time.sleep(0.6)
    second = camera.read(1.0)
    assert second.image.mean() > first.image.mean() + 8
    assert second.seq - first.seq >= 6
    assert 0 <= time.monotonic() - second.t_mono_s < 0.5
    assert camera.status().state == "live"


def test_it_is_told_what_the_source_string_says(start: Callable[..., CaptureProcess], tmp_path: Path) -> None:
    program = rpicam_vid.install(tmp_path, cameras=2)
    read_until(start(program, "rpicam:1,384x216@12.5"))
    said = rpicam_vid.starts(program)[0]
    options = dict(zip(said, [*said[1:], ""], strict=True))
    wanted = {"--camera": "1", "--width": "384", "--height": "216", "--framerate": "12.5"}
    wanted |= {"--codec": "yuv420", "--timeout": "0", "--output": "-"}
    assert wanted.items() <= options.items()
    assert {"--nopreview", "--flush"} <= set(said)


def test_after_its_death_it_is_started_again(start: Callable[..., CaptureProcess], tmp_path: Path) -> None:
    program = rpicam_vid.install(tmp_path, die_after=15)
    camera = start(program)
    before = read_until(camera)
    lost_with(camera, "rpicam-vid ended (exit code 255)")
    rpicam_vid.behave(program)
    wait_for(lambda: camera.status().state == "live" and camera.status().detail == "")
    after = read_until(camera)
    assert after.seq > before.seq
    assert after.t_mono_s > before.t_mono_s
    assert camera.status().restarts >= 1


def test_a_kill_from_outside_is_named(start: Callable[..., CaptureProcess], tmp_path: Path) -> None:
    program = rpicam_vid.install(tmp_path)
    camera = start(program, retry_after_s=2.0)
    read_until(camera)
    os.kill(rpicam_vid.pids(program)[0], signal.SIGKILL)
    lost_with(camera, "rpicam-vid ended (signal SIGKILL)")


def test_a_stalled_one_is_killed_and_started_again(start: Callable[..., CaptureProcess], tmp_path: Path) -> None:
    program = rpicam_vid.install(tmp_path, stall_after=15)
    camera = start(program, fresh_timeout_s=0.8)
    read_until(camera)
    victim = rpicam_vid.pids(program)[0]
    lost_with(camera, "no picture for 0.8 s although it is open")
    assert not running(victim)  # it would keep the camera from the next one
    rpicam_vid.behave(program)
    wait_for(lambda: camera.status().detail == "")
    read_until(camera)


@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ({"tear_after": 15}, "stopped in the middle of a picture"),
        ({"text": "usage: rpicam-vid [options]\n"}, "bytes into a picture of 55296"),
        ({"rows": 10}, "does not send pictures of 256x144"),
        ({"rows": -32}, "does not send pictures of 256x144"),
        ({"cameras": 0}, "no Raspberry Pi camera is found; check the ribbon cable"),
        ({"busy": True}, "another program has the camera"),
    ],
    ids=["torn", "text", "larger", "smaller", "none", "busy"],
)
def test_what_is_wrong_is_said_and_mended(
    behaviour: dict[str, Any], words: str, start: Callable[..., CaptureProcess], tmp_path: Path
) -> None:
    program = rpicam_vid.install(tmp_path, **behaviour)
    camera = start(program)
    lost_with(camera, words)
    rpicam_vid.behave(program)
    wait_for(lambda: camera.status().state == "live" and camera.status().detail == "")
    assert read_until(camera).image.shape == (144, 256, 3)


def test_nothing_is_left_behind(start: Callable[..., CaptureProcess], tmp_path: Path) -> None:
    program = rpicam_vid.install(tmp_path)
    camera = start(program)
    read_until(camera)
    child = camera.child_pid
    assert child is not None
    os.kill(child, signal.SIGKILL)  # the process between us and rpicam-vid
    first = rpicam_vid.pids(program)[0]
    wait_for(lambda: not running(first))
    read_until(camera)
    camera.close()
    wait_for(lambda: not any(running(pid) for pid in rpicam_vid.pids(program)))


def test_without_the_program_the_start_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    table = Config.model_validate({"cameras": [{"name": "lobby", "source": "rpicam:"}]}).cameras[0]
    with pytest.raises(ProgramMissing, match="rpicam-vid is not there") as caught:
        camera_source(tmp_path / "kiosk.toml", table)
    assert caught.value.exit_code == EX_UNAVAILABLE
    assert "rpicam-apps" in caught.value.hint
    program = rpicam_vid.install(tmp_path)
    assert find_program() == str(program)
    source = camera_source(tmp_path / "kiosk.toml", table)
    assert (source.kind, source.target) == (Kind.RPICAM, "0,1280x720@10")


def test_a_program_that_vanishes_is_waited_for(start: Callable[..., CaptureProcess], tmp_path: Path) -> None:
    camera = start(tmp_path / "rpicam-vid")
    lost_with(camera, "is not there, which reads the Raspberry Pi's camera")
    rpicam_vid.install(tmp_path)
    assert np.any(read_until(camera).image)
