"""The health endpoint on a real socket, with clients that behave badly."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import httpx
import pytest

from edge.errors import HealthError
from edge.health.server import HealthServer
from tests.fakes.health import FakeSource

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(name="source")
def _source() -> FakeSource:
    return FakeSource()


@pytest.fixture(name="server")
def _server(source: FakeSource) -> Iterator[HealthServer]:
    server = HealthServer(source, port=0, version="1.2.3", max_connections=64, max_connection_s=3.0)
    server.start()
    yield server
    source.stuck.set()
    server.stop()


def connect(server: HealthServer) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10.0)


def answers_quickly(server: HealthServer, limit_s: float = 2.5) -> bool:
    """Whether a decent client is served; the limit leaves room for a busy machine, and none for waiting for others."""
    began_s = time.monotonic()
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5.0)
    connection.request("GET", "/livez")
    code = connection.getresponse().status
    connection.close()
    return code == 200 and time.monotonic() - began_s < limit_s


def test_it_serves_on_loopback_under_the_port_that_it_tells(server: HealthServer) -> None:
    assert server.port > 0
    assert server.url == f"http://127.0.0.1:{server.port}/"
    assert httpx.get(f"{server.url}health").json()["version"] == "1.2.3"
    assert "server" not in httpx.get(server.url).headers


def test_a_taken_port_is_said_with_what_to_do(server: HealthServer, source: FakeSource) -> None:
    other = HealthServer(source, port=server.port)
    with pytest.raises(HealthError) as caught:
        other.start()
    assert f"127.0.0.1 port {server.port}" in caught.value.message
    assert "ss -ltnp" in caught.value.hint
    other.stop()
    assert answers_quickly(server)


@pytest.mark.parametrize(
    ("host", "words"), [("192.0.2.1", "no interface of this machine"), ("no.such.host.invalid", "an address of this")]
)
def test_an_address_that_is_not_ours_is_said(host: str, words: str, source: FakeSource) -> None:
    with pytest.raises(HealthError) as caught:
        HealthServer(source, host=host, port=0).start()
    assert host in caught.value.message
    assert words in caught.value.hint


def test_after_stop_the_port_is_free_again(source: FakeSource) -> None:
    first = HealthServer(source, port=0)
    first.start()
    httpx.get(first.url)
    began_s = time.monotonic()
    first.stop()
    first.stop()
    assert time.monotonic() - began_s < 3.0
    second = HealthServer(source, port=first.port)
    second.start()
    assert answers_quickly(second)
    second.stop()


def test_stop_waits_for_no_client(source: FakeSource) -> None:
    server = HealthServer(source, port=0)
    server.start()
    with connect(server) as idle, connect(server) as halfway:
        halfway.sendall(b"GET /livez HTTP/1.1\r\nHost:")
        assert answers_quickly(server)
        began_s = time.monotonic()
        server.stop()
        assert time.monotonic() - began_s < 4.0
        assert idle.fileno() >= 0


@pytest.mark.parametrize("sent", [b"", b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ", b"POST / HTTP/1.1\r\n"])
def test_fifty_slow_clients_keep_nobody_waiting(sent: bytes, server: HealthServer) -> None:
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(server)) for _ in range(50)]
        for client in slow:
            client.sendall(sent)
        assert all(answers_quickly(server) for _ in range(5))


def test_two_hundred_slow_clients_are_more_than_are_kept(server: HealthServer) -> None:
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(connect(server)).sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        assert all(answers_quickly(server) for _ in range(5))


def test_a_slow_client_is_cut_off(server: HealthServer) -> None:
    with connect(server) as slow:
        slow.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        began_s = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT012 - the loop is the statement
            for _ in range(80):
                slow.sendall(b"X: y\r\n")
                time.sleep(0.1)
        assert 2.0 < time.monotonic() - began_s < 6.0


def test_a_client_that_reads_nothing_is_cut_off(server: HealthServer) -> None:
    with connect(server) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        request = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        with pytest.raises(OSError):  # noqa: PT012 - the loop is the statement
            for _ in range(200):
                client.sendall(request * 20)
                time.sleep(0.05)
        assert answers_quickly(server)


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"y" * 1_000_000 + b"\r\n\r\n",
        b"GET /" + b"a" * 1_000_000,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        b"GET /livez HTTP/1.1\r\n\r\n",
        b"GET /livez HTTP/9.9\r\nHost: a\r\n\r\n",
        b"\x00" * 1000 + b"\r\n\r\n",
        b"POST /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000000\r\n\r\n" + b"z" * 100_000,
        b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
)
def test_malformed_and_huge_requests_are_refused(sent: bytes, server: HealthServer) -> None:
    answer = b""
    with connect(server) as client:
        try:
            client.sendall(sent)
            while data := client.recv(65536):
                answer += data
        except ConnectionError:
            pass
    assert answer == b"" or answer.split(b" ")[1][:1] == b"4"
    assert answers_quickly(server)


def test_a_stuck_appliance_is_reported_and_blocks_no_other_answer(server: HealthServer, source: FakeSource) -> None:
    source.stuck.clear()
    began_s = time.monotonic()
    answer = httpx.get(f"{server.url}readyz?verbose", timeout=10.0)
    assert answer.status_code == 503
    assert "does not answer" in answer.text
    assert time.monotonic() - began_s < 4.0
    assert httpx.get(f"{server.url}nothing", timeout=1.0).status_code == 401
    asked = source.asked
    assert httpx.get(f"{server.url}readyz", timeout=10.0).status_code == 503
    assert source.asked == asked  # the first question is still open: no threads pile up
    source.stuck.set()
    time.sleep(0.1)
    assert httpx.get(f"{server.url}readyz", timeout=10.0).status_code == 200


def test_it_serves_on_ipv6_loopback(source: FakeSource) -> None:
    server = HealthServer(source, host="::1", port=0)
    try:
        server.start()
    except HealthError:
        pytest.skip("this machine has no IPv6 loopback")
    assert server.url == f"http://[::1]:{server.port}/"
    assert httpx.get(f"{server.url}livez").status_code == 200
    server.stop()
