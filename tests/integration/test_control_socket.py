from __future__ import annotations

import json
import os
import socket
import stat
import threading
from typing import TYPE_CHECKING, Any

import pytest
from fakes.clocks import FakeClock
from fakes.health import FakeSource
from starlette.responses import JSONResponse
from starlette.routing import Route

from edge.app.control_client import ControlClient, NotAllowed, Refused, ServiceDown
from edge.app.control_socket import ControlSocket, may_command, short_path, socket_folder
from edge.errors import HealthError
from edge.health.access import Peer, local_peer
from edge.health.server import HealthServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request


async def who(request: Request) -> JSONResponse:
    peer = local_peer(request.scope)
    return JSONResponse({"uid": peer.uid if peer else None, "body": json.loads(await request.body() or b"{}")})


async def no(request: Request) -> JSONResponse:
    return JSONResponse({"error": "not now", "hint": "later"}, status_code=409)


@pytest.fixture
def application() -> Iterator[Any]:
    routes = [Route("/who", who, methods=["GET", "POST"]), Route("/no", no)]
    server = HealthServer(FakeSource(), clock=FakeClock(), more_routes=routes)
    yield server.application
    server.stop()


@pytest.fixture
def control(application: Any, tmp_path: Path) -> Iterator[ControlSocket]:
    run, state = tmp_path / "run", tmp_path / ("state" * 30)  # longer than a socket's address can be
    run.mkdir()
    state.mkdir()
    one = ControlSocket(application, folder=run, state_dir=state)
    one.start()
    yield one
    one.stop()


def client(control: ControlSocket) -> ControlClient:
    return ControlClient(control._link.parent)


def test_a_process_of_this_user_needs_no_token_and_is_known(control: ControlSocket) -> None:
    assert client(control).get("/who") == {"uid": os.getuid(), "body": {}}
    assert client(control).post("/who", minutes=3) == {"uid": os.getuid(), "body": {"minutes": 3}}


def test_the_socket_is_for_owner_and_group_only(control: ControlSocket) -> None:
    assert stat.S_IMODE(control.path.stat().st_mode) == 0o660


def test_a_refusal_comes_with_its_words(control: ControlSocket) -> None:
    with pytest.raises(Refused, match="not now") as refused:
        client(control).get("/no")
    assert refused.value.hint == "later"


def test_a_failing_report_is_an_answer(control: ControlSocket) -> None:
    assert "checks" in client(control).health()


def test_a_refusal_that_comes_before_all_was_read_is_an_answer_all_the_same(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as hasty:
        hasty.bind(str(tmp_path / "control.sock"))
        hasty.listen()

        def answer() -> None:
            connection, _ = hasty.accept()
            connection.recv(1)
            words = b'{"error": "not now"}'
            connection.sendall(b"HTTP/1.1 503 No\r\nContent-Length: %d\r\n\r\n%s" % (len(words), words))
            connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(Refused, match="not now"):
            ControlClient(tmp_path).post("/acts/verdict", text="x" * 4_000_000)
        thread.join()


def test_where_nobody_serves_the_command_says_so(control: ControlSocket, tmp_path: Path) -> None:
    ask = client(control)
    control.stop()
    assert not control.path.exists()
    with pytest.raises(ServiceDown, match="no control socket"):
        ask.get("/who")
    with pytest.raises(ServiceDown):
        ControlClient(tmp_path / "nowhere").get("/who")


def test_what_a_killed_service_left_is_in_nobodys_way(application: Any, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "control.sock"))
    with pytest.raises(ServiceDown):
        ControlClient(tmp_path).get("/who")
    control = ControlSocket(application, folder=tmp_path, state_dir=tmp_path)
    control.start()
    assert ControlClient(tmp_path).get("/who")["uid"] == os.getuid()
    control.stop()


def test_on_a_disk_that_can_no_longer_be_written_the_link_of_last_time_does(
    control: ControlSocket, application: Any
) -> None:
    made = control._link.lstat().st_ctime_ns
    control.stop()
    assert control._link.lstat().st_ctime_ns == made
    again = ControlSocket(application, folder=control.path.parent, state_dir=control._link.parent)
    again.start()
    assert control._link.lstat().st_ctime_ns == made
    assert client(again).get("/who")["uid"] == os.getuid()
    again.stop()


def test_without_its_link_the_socket_serves_all_the_same(
    application: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run, state = tmp_path / "run", tmp_path / "state"
    run.mkdir()
    (state / "control.sock" / "in the way").mkdir(parents=True)  # as little to be replaced as on a read-only disk
    control = ControlSocket(application, folder=run, state_dir=state)
    control.start()
    assert ControlClient(run).get("/who")["uid"] == os.getuid()
    assert "commands do not find" in caplog.text
    control.stop()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_named(application: Any, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(HealthError, match=r"control\.sock cannot be made"):
        ControlSocket(application, folder=tmp_path, state_dir=tmp_path).start()
    tmp_path.chmod(0o700)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_stranger_is_not_heard(control: ControlSocket) -> None:
    control.path.chmod(0o666)  # even if the file let them
    control.path.parent.chmod(0o755)
    child = os.fork()
    if child == 0:
        with short_path(control.path) as short:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            line = socket.socket(socket.AF_UNIX)
            try:
                line.connect(short)
                line.sendall(b"GET /who HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answer = line.recv(100)
            except PermissionError:
                os._exit(2)
            except OSError:
                answer = b""
        os._exit(1 if answer else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) in (0, 2)


@pytest.mark.parametrize(
    ("uid", "groups", "heard"),
    [
        (0, {0}, True),
        (os.geteuid(), {12345}, True),
        (4242, {12345, os.getegid()}, True),
        (4242, {12345}, False),
    ],
)
def test_who_may_command(uid: int, groups: set[int], heard: bool) -> None:
    assert may_command(Peer(uid=uid, pid=1), groups) is heard


def test_a_user_whom_the_file_keeps_out_is_told(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may open everything")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "control.sock"))
        other.listen()
        (tmp_path / "control.sock").chmod(0)
        with pytest.raises(NotAllowed, match="may not command"):
            ControlClient(tmp_path).get("/who")


def test_systemd_names_the_folder(tmp_path: Path) -> None:
    assert str(socket_folder(tmp_path, {"RUNTIME_DIRECTORY": "/run/kiosk-guard"})) == "/run/kiosk-guard"
    assert socket_folder(tmp_path, {}) == tmp_path
