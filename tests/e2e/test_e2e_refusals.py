"""What cannot work is refused at once: with its own exit code, and words that say what to do."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e.appliance_process import CLIP, free_port

if TYPE_CHECKING:
    from e2e.appliance_process import Config

EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_UNAVAILABLE, EX_CANTCREAT, EX_CONFIG = 64, 65, 66, 69, 73, 78


def _refused(done: Any, code: int, *words: str) -> None:
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert done.stdout == ""


@pytest.fixture
def not_a_video(tmp_path: Path) -> Path:
    path = tmp_path / "shopping list.mp4"
    path.write_text("bread, milk\n" * 100)
    return path


def test_run_on_a_missing_file(run: Any, config: Config, tmp_path: Path) -> None:
    config.cameras[0]["source"] = str(tmp_path / "nothing.mp4")
    _refused(run("run", "--config", config.write()), EX_NOINPUT, "nothing.mp4", "lobby")


def test_replay_of_a_missing_file(run: Any, tmp_path: Path) -> None:
    _refused(run("replay", tmp_path / "nothing.mp4"), EX_NOINPUT, "nothing.mp4")


def test_run_on_a_text_file_named_mp4(run: Any, config: Config, not_a_video: Path) -> None:
    config.cameras[0]["source"] = str(not_a_video)
    _refused(run("run", "--config", config.write()), EX_DATAERR, "shopping list.mp4")


def test_the_film_of_a_replay_does_not_overwrite_the_recording(run: Any, tmp_path: Path) -> None:
    clip = tmp_path / "night.mp4"
    shutil.copy(CLIP, clip)
    before = clip.read_bytes()
    (tmp_path / "link.mp4").symlink_to(clip)
    for film in (clip, tmp_path / "link.mp4"):
        _refused(run("replay", clip, "--video", film), EX_CANTCREAT, "is the clip itself")
        assert clip.read_bytes() == before


def test_replay_of_a_text_file_named_mp4(run: Any, not_a_video: Path) -> None:
    _refused(run("replay", not_a_video), EX_DATAERR, "shopping list.mp4")


BROKEN = """
[[cameras]]
name = "lobby"
source = "CLIP"
max_fps = "fast"

[rules.loitering]
dwell_s = -3.0
dwel_s = 10.0

[email]
port = 99999

[helth]
port = 1
"""


@pytest.mark.parametrize("words", [["run", "--config"], ["check-config"]], ids=" ".join)
def test_a_broken_configuration_tells_every_fault_at_once(run: Any, tmp_path: Path, words: list[str]) -> None:
    path = tmp_path / "broken.toml"
    path.write_text(BROKEN.replace("CLIP", str(CLIP)))
    done = run(*words, path)
    _refused(done, EX_CONFIG)
    faults = [line for line in done.stderr.splitlines() if "allowed" in line]
    wanted = [
        ("cameras[0].max_fps", "'fast'"),
        ("rules.loitering.dwell_s", "-3"),
        ("rules.loitering.dwel_s", "10"),
        ("email.port", "99999"),
        ("helth", ""),
    ]
    assert len(faults) == len(wanted), done.stderr
    for key, value in wanted:
        assert any(str(path) in f and key in f and value in f for f in faults), (key, done.stderr)


def test_a_missing_configuration(run: Any, tmp_path: Path) -> None:
    _refused(run("run", "--config", tmp_path / "none.toml"), EX_CONFIG, "none.toml", "no such file")


def test_a_port_in_use(run: Any, config: Config) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config.tables["health"]["port"] = port
        _refused(run("run", "--config", config.write()), EX_UNAVAILABLE, str(port))


def test_a_state_directory_that_cannot_be_made(run: Any, config: Config, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    config.tables["state"]["dir"] = str(tmp_path / "file" / "state")
    _refused(run("run", "--config", config.write()), EX_CANTCREAT, str(tmp_path / "file"))


def test_a_state_directory_that_holds_a_file_instead(run: Any, config: Config, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("in the way")
    _refused(run("run", "--config", config.write()), EX_CANTCREAT, str(tmp_path / "state"))


def test_a_read_only_state_directory(run: Any, config: Config, tmp_path: Path) -> None:
    state = tmp_path / "state"
    if os.geteuid() == 0:
        state = Path("/proc/self")  # root writes everywhere but here
    else:
        state.mkdir(mode=0o555)
    config.tables["state"]["dir"] = str(state)
    _refused(run("run", "--config", config.write()), EX_CANTCREAT, str(state))


def test_a_class_that_the_model_does_not_know(run: Any, config: Config) -> None:
    config.tables["rules.objects.dragon"] = {"classes": ["dragon"]}
    _refused(run("check-config", config.write()), EX_CONFIG, "dragon", "allowed")


@pytest.mark.parametrize("arguments", [[], ["guard"], ["run", "--frobnicate"], ["replay"]], ids=" ".join)
def test_wrong_usage(run: Any, arguments: list[str]) -> None:
    _refused(run(*arguments), EX_USAGE, "usage:")


def test_nobody_listens_at_the_camera_s_address(start: Any, config: Config) -> None:
    """No fault of the configuration: the box keeps trying, and says so."""
    config.cameras[0]["source"] = f"rtsp://user:secret-word@127.0.0.1:{free_port()}/stream"
    config.cameras[0]["lost_after_s"] = 3.0
    box = start(config.write())
    lost = box.wait_for("incident", rule="camera_lost", change="opened")
    assert lost["severity"] == "high"
    assert box.ask("readyz")[0] == 503
    assert box.ask("livez")[0] == 200
    assert "secret-word" not in str(box.events) + str(box.plain) + box.ask("health")[1] + box.ask("")[1]
