"""The capture process with real sources: it is killed, stopped, orphaned and lied to, and frames come again."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.cameras.capture import CaptureProcess
from edge.cameras.source import parse_source
from edge.errors import CameraEnded, CameraLost, SourceInvalid
from tests.fakes.cameras import write_video
from tests.fakes.httpcamera import HttpCamera
from tests.fakes.patience import PATIENCE_S, running, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge.types import Frame


@pytest.fixture(name="video", scope="module")
def _video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", 30, fps=30.0)


@pytest.fixture(name="start")
def _start() -> Iterator[Callable[..., CaptureProcess]]:
    started: list[CaptureProcess] = []

    def start(source: str, **settings: Any) -> CaptureProcess:
        settings = {"retry_after_s": 0.1, "retry_at_most_s": 0.5, **settings}
        started.append(CaptureProcess("lobby", parse_source(source), **settings))
        return started[-1]

    yield start
    for camera in started:
        camera.close()


def read_until(camera: CaptureProcess, patience_s: float = PATIENCE_S) -> Frame:
    """The next frame, however many losses come before it."""
    end_s = time.monotonic() + patience_s
    while time.monotonic() < end_s:
        with contextlib.suppress(CameraLost):
            return camera.read(0.5)
    return camera.read(0.5)


def child_of(camera: CaptureProcess) -> int:
    pid = camera.child_pid
    assert pid is not None
    return pid


def test_a_looped_file_goes_on_at_its_own_pace(start: Callable[..., CaptureProcess], video: Path) -> None:
    camera = start(f"file:{video}", loop=True)
    first = read_until(camera)
    while (frame := read_until(camera)).t_mono_s < first.t_mono_s + 1.5:
        assert 0.0 <= time.monotonic() - frame.t_mono_s < 1.0
    rate = (frame.seq - first.seq) / (frame.t_mono_s - first.t_mono_s)
    assert rate == pytest.approx(30.0, rel=0.2)
    assert camera.status().state == "live"


def test_a_slow_reader_gets_the_newest_frame_and_the_rest_is_counted(
    start: Callable[..., CaptureProcess], video: Path
) -> None:
    camera = start(f"file:{video}", loop=True)
    first = read_until(camera)
    time.sleep(0.5)
    second = camera.read(1.0)
    assert time.monotonic() - second.t_mono_s < 0.3
    assert second.seq - first.seq >= 8
    assert camera.status().dropped >= 7
    assert camera.status().frames >= second.seq - first.seq


def test_the_rate_is_limited_where_frames_are_made(start: Callable[..., CaptureProcess], video: Path) -> None:
    camera = start(f"file:{video}", loop=True, max_fps=5.0)
    first = read_until(camera)
    time.sleep(1.5)
    assert camera.status().frames <= 10
    assert camera.read(1.0).seq - first.seq >= 25  # the source's frames are counted all the same


def test_the_last_frame_can_be_read_before_the_end_is_told(start: Callable[..., CaptureProcess], video: Path) -> None:
    camera = start(f"file:{video}")
    wait_for(lambda: camera.status().state == "ended")
    assert camera.read(1.0).seq == 29
    with pytest.raises(CameraEnded):
        camera.read(1.0)


@pytest.mark.parametrize("blow", [signal.SIGSTOP, signal.SIGKILL, signal.SIGSEGV])
def test_a_child_that_hangs_or_dies_is_replaced(
    blow: signal.Signals, start: Callable[..., CaptureProcess], video: Path
) -> None:
    camera = start(f"file:{video}", loop=True, fresh_timeout_s=0.6)
    before = read_until(camera)
    victim = child_of(camera)
    os.kill(victim, blow)
    wait_for(lambda: camera.status().restarts == 1)
    after = read_until(camera)
    assert after.seq > before.seq
    assert after.t_mono_s > before.t_mono_s
    assert child_of(camera) != victim
    assert not running(victim)
    assert camera.status().state == "live"
    assert camera.status().detail == ""


def test_the_pause_doubles_until_pictures_have_come_for_a_while(start: Callable[..., CaptureProcess]) -> None:
    with HttpCamera(refuse=500) as real:
        camera = start(real.url(), retry_after_s=0.05, retry_at_most_s=2.0)
        wait_for(lambda: real.connects >= 6)
        times = [*real.connect_times]
        pauses = [later - earlier for earlier, later in pairwise(times)]
        assert pauses[4] >= 0.8
        real.refuse = 0
        began_s = read_until(camera).t_mono_s
        wait_for(lambda: read_until(camera).t_mono_s > began_s + 3.2)
        seen = camera.status().restarts
        os.kill(child_of(camera), signal.SIGKILL)
        wait_for(lambda: camera.status().restarts > seen)
        assert "next try in 0 s" in camera.status().detail


def test_without_pictures_the_camera_is_lost_and_then_found(start: Callable[..., CaptureProcess]) -> None:
    with HttpCamera() as real:
        camera = start(real.url(), fresh_timeout_s=0.5, lost_after_s=1.2)
        read_until(camera)
        assert camera.status().state == "live"
        real.freeze()
        frozen_s = time.monotonic()
        wait_for(lambda: camera.status().state == "lost")
        assert time.monotonic() - frozen_s >= 1.0
        # The child, whose read has the same limit, and its supervisor notice it at the same time: either may tell it,
        # and the next child may have something to say about opening by now.
        with pytest.raises(CameraLost, match="no fresh picture within"):
            camera.read(0.1)
        assert re.search(
            "no picture for 0.5 s although it is open|sends no further frame|did not open", camera.status().detail
        )
        real.thaw()
        read_until(camera)
        assert camera.status().state == "live"
        assert camera.status().restarts >= 1


def test_buffered_pictures_are_not_taken_for_fresh_ones(start: Callable[..., CaptureProcess]) -> None:
    with HttpCamera(fps=5.0, burst=60) as real:
        camera = start(real.url())
        frame = read_until(camera)
        assert frame.seq == 0
        # Grey tells the number: 60 came at once, the first that was waited for is fresh.
        assert frame.image.mean() >= 10 + 55


def test_an_address_where_nothing_listens_is_said_in_words(start: Callable[..., CaptureProcess]) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    camera = start(f"rtsp://guard:hunter22@127.0.0.1:{port}/s", lost_after_s=0.1)
    wait_for(lambda: "nothing listens there" in camera.status().detail)
    with pytest.raises(CameraLost) as caught:
        camera.read(0.1)
    assert f"127.0.0.1:{port}" in str(caught.value)
    assert "hunter22" not in str(caught.value) + camera.status().detail
    assert camera.status().state == "lost"


def test_a_wrong_password_is_said_in_words_and_not_tried_often(start: Callable[..., CaptureProcess]) -> None:
    with HttpCamera(refuse=401) as real:
        camera = start(real.url("guard:hunter22@"))
        wait_for(lambda: "user name or password (401)" in camera.status().detail)
        assert "hunter22" not in camera.status().detail
        connects = real.connects
        time.sleep(1.0)
        assert real.connects == connects


def test_after_a_refusal_a_camera_is_live_again_at_the_usual_cost(start: Callable[..., CaptureProcess]) -> None:
    with HttpCamera(fps=20.0, refuse=503) as real:
        camera = start(real.url())
        wait_for(lambda: "no further client" in camera.status().detail)
        real.refuse = 0
        first = read_until(camera)
        began_s = time.process_time()
        time.sleep(1.0)
        assert time.process_time() - began_s < 0.3
        assert camera.read(1.0).seq > first.seq + 5


def test_a_silent_server_blocks_nobody(start: Callable[..., CaptureProcess]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        camera = start(f"rtsp://127.0.0.1:{silent.getsockname()[1]}/s", lost_after_s=0.3, open_timeout_s=0.5)
        began_s = time.monotonic()
        with pytest.raises(CameraLost):
            camera.read(0.4)
        assert time.monotonic() - began_s < 1.0
        wait_for(lambda: camera.status().restarts >= 1)
        assert camera.status().state == "lost"
        began_s = time.monotonic()
        camera.close()
        assert time.monotonic() - began_s < 3.0


def test_a_camera_that_was_quick_is_tried_again_sooner_than_a_slow_one_would_need(
    start: Callable[..., CaptureProcess],
) -> None:
    with HttpCamera() as real:
        camera = start(real.url(), fresh_timeout_s=0.5, open_timeout_s=60.0)
        read_until(camera)
        real.mute = True  # it takes connections and says nothing: switched off behind a proxy, or starting up
        real.freeze()
        wait_for(lambda: real.connects >= 4)
        _, first, second, *_ = real.connect_times
        assert second - first < 25.0  # three times what opening took, on a busy machine as well
        real.mute = False
        real.thaw()
        read_until(camera)
        assert camera.status().state == "live"


def test_credentials_are_in_no_process_list(start: Callable[..., CaptureProcess]) -> None:
    with HttpCamera() as real:
        camera = start(real.url("guard:hunter22@", "?pwd=swordfish"))
        read_until(camera)
        proc = Path(f"/proc/{child_of(camera)}")
        seen = proc.joinpath("cmdline").read_bytes() + proc.joinpath("environ").read_bytes()
        assert b"edge.cameras.child" in seen
        assert b"hunter22" not in seen
        assert b"swordfish" not in seen


def test_a_hostile_stream_cannot_point_to_a_file(start: Callable[..., CaptureProcess], video: Path) -> None:
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{video}\n#EXT-X-ENDLIST\n".encode()
    with socket.create_server(("127.0.0.1", 0)) as server:
        camera = start(f"http://127.0.0.1:{server.getsockname()[1]}/live.m3u8")
        server.settimeout(PATIENCE_S)
        for _ in range(2):
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                head = (
                    f"HTTP/1.0 200 OK\r\nContent-Type: application/x-mpegURL\r\nContent-Length: {len(playlist)}\r\n\r\n"
                )
                connection.sendall(head.encode() + playlist)
    wait_for(lambda: camera.status().detail)
    assert camera.status().frames == 0


def test_an_emptied_file_is_invalid_at_once(start: Callable[..., CaptureProcess], tmp_path: Path) -> None:
    path = tmp_path / "empty.mp4"
    path.touch()
    with pytest.raises(SourceInvalid, match="empty"):
        start(f"file:{path}").read(PATIENCE_S)


def names_in_shared_memory() -> set[str]:
    return {path.name for path in Path("/dev/shm").iterdir() if "kiosk" in path.name}  # noqa: S108 - only looked at


PARENT = """
import sys, time
from edge.cameras.capture import CaptureProcess
from edge.cameras.source import parse_source
camera = CaptureProcess("lobby", parse_source(sys.argv[1]), loop=True)
camera.read(20.0)
print(camera.child_pid, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("stopped", [False, True], ids=["running child", "stopped child"])
def test_nothing_is_left_when_the_parent_is_killed(stopped: bool, video: Path) -> None:
    before = names_in_shared_memory()
    with subprocess.Popen([sys.executable, "-c", PARENT, f"file:{video}"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        assert running(child)
        if stopped:
            os.kill(child, signal.SIGSTOP)
        parent.kill()
        parent.wait()
    wait_for(lambda: not running(child), 5.0)
    assert names_in_shared_memory() <= before


def test_closing_ends_the_child(start: Callable[..., CaptureProcess], video: Path) -> None:
    camera = start(f"file:{video}", loop=True)
    read_until(camera)
    child = child_of(camera)
    camera.close()
    assert not running(child)
    assert camera.child_pid is None


def test_many_lives_leak_nothing(start: Callable[..., CaptureProcess], video: Path) -> None:
    fds = Path("/proc/self/fd")
    before = len(list(fds.iterdir()))
    for _ in range(3):
        camera = start(f"file:{video}", loop=True)
        read_until(camera)
        os.kill(child_of(camera), signal.SIGKILL)
        wait_for(lambda camera=camera: camera.status().restarts == 1)  # type: ignore[misc]
        read_until(camera)
        camera.close()
    assert len(list(fds.iterdir())) <= before + 2
