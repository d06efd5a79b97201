"""``run --service`` under a service manager of the test's own: what it is told, and what happens when something hangs."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e.appliance_process import free_port
from fakes.mailserver import mail_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from e2e.appliance_process import Config, Process

_SEIZE, _INTERRUPT, _DETACH = 0x4206, 0x4207, 17  # ptrace(2)
_START_S = 120.0  # on a machine that has other things to do


class Manager:
    """Listens as systemd does."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.told: list[tuple[float, str]] = []
        self._heard = threading.Condition()
        self._line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._line.bind(str(path))
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def env(self) -> dict[str, str]:
        return {"NOTIFY_SOCKET": str(self.path), "WATCHDOG_USEC": "15000000"}

    def said(self, start: str) -> list[str]:
        return [words for _, words in list(self.told) if words.startswith(start)]

    def wait_for(self, start: str, *, within_s: float, holding: str = "") -> None:
        with self._heard:
            assert self._heard.wait_for(lambda: any(holding in w for w in self.said(start)), within_s), (
                f"{start!r} with {holding!r} not within {within_s} s; told: {self.told}"
            )

    def close(self) -> None:
        self._line.close()

    def feeds(self, count: int, *, within_s: float) -> bool:
        """Whether the watchdog has been fed so often by then."""
        with self._heard:
            return self._heard.wait_for(lambda: len(self.said("WATCHDOG=1")) >= count, within_s)

    def _listen(self) -> None:
        while True:
            try:
                words = self._line.recv(4096).decode()
            except OSError:
                return
            with self._heard:
                self.told.append((time.monotonic(), words))
                self._heard.notify_all()


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    one = Manager(tmp_path / "notify")
    yield one
    one.close()


def threads(pid: int) -> dict[str, int]:
    """Thread name -> its number, as the kernel knows them."""
    found = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text().strip() if int(task.name) != pid else "main"
        found[name] = int(task.name)
    return found


class Debugger:
    """Stops single threads, and nothing else of their process."""

    def __init__(self) -> None:
        self._ptrace = ctypes.CDLL(None, use_errno=True).ptrace
        self._ptrace.argtypes = [ctypes.c_long, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
        self._held: list[int] = []

    def hold(self, task: int) -> None:
        if self._ptrace(_SEIZE, task, None, None) or self._ptrace(_INTERRUPT, task, None, None):
            pytest.skip(f"this machine does not let a test stop a thread: {os.strerror(ctypes.get_errno())}")
        self._held.append(task)

    def let_go(self) -> None:
        while self._held:
            self._ptrace(_DETACH, self._held.pop(), None, None)


@pytest.fixture
def debugger(start: Any) -> Iterator[Debugger]:
    """Lets go before the process is ended: a held thread would never be gone for good."""
    one = Debugger()
    yield one
    one.let_go()


def until(true: Callable[[], Any], within_s: float) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, f"not within {within_s} s"
        time.sleep(0.1)


def test_every_stage_that_hangs_is_told_by_name(
    start: Any, config: Config, manager: Manager, debugger: Debugger
) -> None:
    config.cameras[0]["loop"] = True
    config.mail_to(free_port())  # nobody there: delivery lives and waits
    process: Process = start(config.write(), "--service", env=manager.env)
    manager.wait_for("READY=1", within_s=_START_S)
    assert process.said("started")
    until(
        lambda: {"writer", "delivery", "capture-lobby", "health", "control", "board"} <= set(threads(process.pid)), 20
    )
    fed = len(manager.said("WATCHDOG=1"))
    until(lambda: len(manager.said("WATCHDOG=1")) > fed, 10)
    assert not manager.said("WATCHDOG=trigger")
    tasks = threads(process.pid)
    for _ in range(20):
        began_s, fed = time.monotonic(), len(manager.said("WATCHDOG=1"))
        for name in ("main", "writer", "delivery", "capture-lobby", "health", "control", "board"):
            debugger.hold(tasks[name])
        if manager.feeds(fed + 2, within_s=5):
            break
        debugger.let_go()  # one was stopped while it had the interpreter's lock: that stops them all, which no hang does
        assert manager.feeds(len(manager.said("WATCHDOG=1")) + 1, within_s=20)
    for stage in ("pipeline", "capture of lobby", "health", "control socket", "writer", "delivery", "board"):
        manager.wait_for("STATUS=", holding=f"{stage}", within_s=60)
    manager.wait_for("WATCHDOG=trigger", within_s=5)
    first_s = next(at for at, words in manager.told if words == "WATCHDOG=trigger")
    assert first_s - began_s < 25
    assert not [words for at, words in manager.told if words == "WATCHDOG=1" and at > first_s]


def test_a_frozen_camera_process_is_replaced_and_the_service_goes_on(
    start: Any, config: Config, manager: Manager
) -> None:
    config.cameras[0] |= {"loop": True, "fresh_timeout_s": 2.0}
    process: Process = start(config.write(), "--service", env=manager.env)
    manager.wait_for("READY=1", within_s=_START_S)
    children = Path(f"/proc/{process.pid}/task").glob("*/children")
    child = int(" ".join(path.read_text() for path in children).split()[0])
    os.kill(child, signal.SIGSTOP)
    process.wait_for("camera_live", count=2, timeout_s=60)
    assert not manager.said("WATCHDOG=trigger")
    process.signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert manager.said("STOPPING=1")


def test_a_faulty_configuration_is_said_and_guarding_begins_once_it_is_right(
    start: Any, config: Config, manager: Manager
) -> None:
    port = free_port()
    config.cameras[0]["loop"] = True
    config.tables["health"] = {"port": port}
    good = config.write().read_text()
    config.path.write_text(good.replace("dwell_s", "dwel_s"))
    process: Process = start(config.path, "--service", env=manager.env)
    manager.wait_for("READY=1", within_s=_START_S)
    manager.wait_for("STATUS=FAULT", within_s=30, holding="dwel_s")
    said = process.wait_for("fault_mode", timeout_s=_START_S)
    assert len(said["faults"]) == 2
    status, body = page(port, "health")
    assert status == 503
    assert body.count("unknown key") >= 2
    assert page(port, "livez")[0] == 200
    assert page(port, "readyz")[0] == 503
    config.path.write_text(good)
    process.wait_for("started", timeout_s=_START_S)
    until(lambda: page(port, "readyz")[0] == 200, 60)
    process.signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_what_waits_is_delivered_in_fault_mode(start: Any, run: Any, config: Config, manager: Manager) -> None:
    with mail_server() as (_, port):
        config.mail_to(port)
        config.path.write_text(config.write().read_text() + "\n[model]\npath = 'nowhere'\n")
        process: Process = start(config.path, "--service", env=manager.env)
        process.wait_for("fault_mode", timeout_s=_START_S)
        sent = run("test-mail", "--config", config.path)
        assert sent.returncode == 0, sent.stdout + sent.stderr
        assert process.said("alert_delivered")


def test_a_camera_that_is_away_restarts_nothing_and_counts_as_begun(
    start: Any, config: Config, manager: Manager
) -> None:
    config.cameras = [{"name": "lobby", "source": f"rtsp://127.0.0.1:{free_port()}/x", "lost_after_s": 3.0}]
    process: Process = start(config.write(), "--service", env=manager.env)
    manager.wait_for("READY=1", within_s=_START_S)
    manager.wait_for("STATUS=FAIL", within_s=60, holding="camera")
    fed = len(manager.said("WATCHDOG=1"))
    until(lambda: len(manager.said("WATCHDOG=1")) > fed + 3, 15)
    assert not manager.said("WATCHDOG=trigger")
    assert not process.said("stage_hung")


def page(port: int, path: str) -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except urllib.error.URLError:
        return 0, ""
