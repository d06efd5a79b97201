"""kiosk-guard-update where things go wrong around it: stopped while it judges, disks that take nothing, settings and servers."""

from __future__ import annotations

import http.server
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest
from fakes.releases import UPDATE, Box, Maker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fakes.file_server import FileServer


@pytest.fixture
def box(tmp_path: Path, maker: Maker) -> Box:
    made = Box(tmp_path, maker)
    made.adopt("0.9.0")
    return made


@pytest.fixture
def fed(box: Box, server: FileServer) -> Box:
    """It has an address to fetch from."""
    (box.etc / "update.conf").write_text(server.update_conf)
    return box


class Service:
    """What the health port answers: for each page a status and words."""

    def __init__(self) -> None:
        self.says = {"/livez": (200, "ok"), "/readyz": (200, "ok")}
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                code, words = outer.says[self.path.partition("?")[0]]
                self.send_response(code)
                self.end_headers()
                self.wfile.write(words.encode())

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def service(box: Box) -> Iterator[Service]:
    made = Service()
    box.health = made.url
    yield made
    made.server.shutdown()
    made.server.server_close()


def start_trial(box: Box, **told: object) -> Path:
    """As one leaves it that was killed in the middle; returns the updater's folder."""
    box.adopt("0.9.1")
    state = box.root / "var/lib/kiosk-guard-update"
    state.mkdir(parents=True, exist_ok=True)
    trial = {"version": "0.9.1", "previous": "0.9.0", "boots": 0, "was_ready": True, **told}
    (state / "trial.json").write_text(json.dumps(trial))
    return state


def test_a_trial_that_nobody_judges_any_more_is_judged_by_the_next_night(box: Box) -> None:
    start_trial(box)
    box.update("fetch")  # nobody listens at its health address
    assert box.current == "0.9.0"
    assert "0.9.1" in box.read("failed.json")


def test_and_by_whoever_installs_the_next_release(box: Box, service: Service, maker: Maker) -> None:
    start_trial(box)
    done = box.update("install", maker.release("0.9.2"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "release 0.9.1 has proved itself" in done.stdout
    assert box.current == "0.9.2"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_connection_that_breaks_and_ctrl_c_leave_no_trial_without_a_judge(
    box: Box, service: Service, number: signal.Signals
) -> None:
    start_trial(box)
    mine, its = pty.openpty()
    command = [sys.executable, "-I", UPDATE, "--root", box.root, "--systemctl", box.systemctl, "--health", box.health]
    judge = subprocess.Popen(  # tests in the background of a shell ignore Ctrl-C, and what they start would, too
        ["env", "--default-signal=INT", *command, "--trial-s", "4", "--ready-s", "2", "judge"],
        stdout=its,
        stderr=its,
        env={**os.environ, "BOX": str(box.root)},
    )
    os.close(its)
    os.read(mine, 200)  # it has begun
    if number == signal.SIGHUP:
        os.close(mine)
    judge.send_signal(number)
    code = judge.wait(20)
    if number == signal.SIGHUP:
        assert code == 0
        assert box.read("trial.json") == {}, "it was judged to its end"
        return
    said = os.read(mine, 2000).decode()
    os.close(mine)
    assert code == 130
    assert "Traceback" not in said
    assert "goes on by itself" in said
    assert "start --no-block kiosk-guard-update-judge.service" in (box.root / "systemctl.log").read_text()


@pytest.mark.parametrize("name", ["failed.json", ".trial.json.new"])
def test_a_disk_that_takes_no_record_does_not_keep_the_box_with_what_failed(box: Box, name: str) -> None:
    state = start_trial(box, boots=2)
    (state / name / "in the way").mkdir(parents=True)
    if name != "failed.json":
        (state / "failed.json").write_text(json.dumps({"0.9.1": "it was bad"}))
    done = box.update("boot")
    assert (done.returncode, box.current) == (70, "0.9.0"), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("before", "after", "stays"),
    [
        ("camera lobby: no picture was judged yet", "camera lobby: no picture was judged yet", True),
        ("camera lobby: no picture was judged yet", "the box does not guard: the model cannot be loaded", False),
        ("the box does not guard: [rules] is wrong", "the box does not guard: [rules] is wrong", True),
    ],
)
def test_a_box_without_its_camera_takes_no_release_that_is_up_to_say_only_what_is_wrong(  # noqa: PLR0917 - fixtures
    box: Box, service: Service, release: Path, before: str, after: str, stays: bool
) -> None:
    service.says["/readyz"] = (503, before)
    installing = threading.Thread(target=lambda: box.update("install", release, trial_s=3, ready_s=1))
    installing.start()
    while box.current == "0.9.0" and installing.is_alive():
        time.sleep(0.02)
    service.says["/readyz"] = (503, after)
    installing.join()
    assert box.current == ("0.9.1" if stays else "0.9.0")
    assert ("0.9.1" in box.read("failed.json")) != stays


def test_an_older_release_on_the_server_is_not_fetched(fed: Box, server: FileServer) -> None:
    fed.adopt("0.10.0")
    done = fed.update("fetch")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing new: 0.10.0 runs already" in done.stdout
    assert len(server.asked) == 1


def test_what_was_refused_is_not_fetched_every_night(fed: Box, server: FileServer, release: Path) -> None:
    key = fed.etc / "release-keys/operator.pub"
    right = key.read_text()
    key.unlink()
    assert fed.update("fetch").returncode == 65
    done = fed.update("fetch")
    assert done.returncode == 0
    assert "it was refused here: " in done.stdout
    assert f"refused: {release.name}" in fed.update("status").stdout
    for change in ("the server has another", "the box has the key"):
        if change == "the server has another":
            server.etag = '"2"'
        else:
            key.write_text(right)
        done = fed.update("fetch")
        assert "it was refused here" not in done.stdout, change
    assert done.returncode == 70, "taken and judged now"


def test_a_release_that_a_faulty_box_cannot_build_is_fetched_again(fed: Box, maker: Maker, server: FileServer) -> None:
    (fed.root / "opt/kiosk-guard/releases/0.9.1").write_text("in the way")
    assert fed.update("fetch").returncode == 65
    (fed.root / "opt/kiosk-guard/releases/0.9.1").unlink()
    assert fed.update("fetch").returncode == 70


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ("url = https://files.example/\n", "update.conf: cannot be read: File contains no section headers"),
        ("[update]\nurl = https://files.example/{model}/\n", "{machine} and {python} are filled in"),
        ("[update]\nurl = https://files.example:port/\n", "must be an https:// address"),
        ("[update]\nurl = https://files.example/\nca_file = /etc/none.pem\n", "ca_file = /etc/none.pem"),
        ("[update]\nurl = https://localhost:1/a%20folder\n", "https://localhost:1/a%20folder/latest"),
        ("[update]\nurl = https://localhost:1/a\nurl = https://localhost:1/b\n", "update.conf: cannot be read"),
    ],
)
def test_settings_that_are_wrong_are_named(box: Box, conf: str, words: str) -> None:
    (box.etc / "update.conf").write_text(conf)
    done = box.update("fetch")
    assert done.returncode in {65, 69}
    assert words in done.stdout
    assert "Traceback" not in done.stderr


def test_a_server_that_talks_nonsense(fed: Box, server: FileServer) -> None:
    server.more["/fleet/latest"] = b"\xff\xfe\0"
    done = fed.update("fetch")
    assert done.returncode == 65
    assert "is no name of a release" in done.stdout


def test_a_download_does_not_take_the_last_room(fed: Box, tmp_path: Path) -> None:
    state = fed.root / "var/lib/kiosk-guard-update"
    state.mkdir(parents=True)
    small = ["mount", "-t", "tmpfs", "-o", "size=1M", "none", str(state)]
    if os.geteuid() != 0 or subprocess.run(small, check=False, capture_output=True).returncode != 0:
        pytest.skip("no small disk can be made here")
    try:
        done = fed.update("fetch")
        left = list(state.glob("kiosk-guard-*"))
    finally:
        subprocess.run(["umount", str(state)], check=True)
    assert done.returncode == 73, done.stdout + done.stderr
    assert "make room" in done.stdout
    assert left == []


def test_what_was_taken_back_makes_room_for_the_next(box: Box, service: Service, maker: Maker) -> None:
    start_trial(box, boots=2)
    box.update("boot")
    assert box.releases == ["0.9.0", "0.9.1"]
    small = maker.release("0.9.3")
    box.update("install", small)
    assert box.releases == ["0.9.0", "0.9.3"]
