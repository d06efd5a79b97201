"""The health endpoint on a real socket, with clients that behave badly."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from contextlib import ExitStack
from http.client import HTTPConnection
from typing import TYPE_CHECKING

import httpx
import pytest

from edge.errors import HealthError
from edge.health.listener import BoundedListener
from edge.health.server import HealthServer
from edge.health.tls import CertificateFiles, make_certificate
from edge.health.token import new_token, write_token
from tests.fakes.health import FakeSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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


def test_a_crowd_from_one_address_cuts_off_nobody_else(server: HealthServer) -> None:
    with ExitStack() as stack:
        decent = socket.create_connection(("127.0.0.1", server.port), timeout=10.0, source_address=("127.0.0.2", 0))
        stack.enter_context(decent)
        for _ in range(200):
            stack.enter_context(connect(server)).sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        decent.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert decent.recv(4096).startswith(b"HTTP/1.1 200")


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


def kept(server: HealthServer) -> int:
    """How many connections the server holds open."""
    assert isinstance(server._socket, BoundedListener)
    return sum(one.fileno() >= 0 for _, one in server._socket._accepted)


def test_connections_that_never_begin_tls_are_bounded_and_keep_nobody_waiting(
    source: FakeSource, tmp_path: Path
) -> None:
    files = CertificateFiles(tmp_path / "crt", tmp_path / "key")
    make_certificate(files, names=["localhost", "127.0.0.1"])
    server = HealthServer(source, port=0, tls=files.context(), max_connections=32)
    server.start()
    trusted = ssl.create_default_context(cafile=str(files.certificate))
    try:
        with ExitStack() as stack, httpx.Client(verify=trusted, base_url=server.url, trust_env=False) as client:
            for number in range(200):
                slow = stack.enter_context(connect(server))
                if number % 2:
                    slow.sendall(b"\x16\x03\x01\x02\x00\x01")  # the beginning of a handshake that never goes on
            # Far below the 30 s after which slow connections end by themselves.
            assert client.get("/livez", timeout=15.0).status_code == 200
            assert kept(server) <= 32 + 1
    finally:
        server.stop()


def test_a_tls_handshake_in_the_open_is_refused_and_an_old_protocol_too(source: FakeSource, tmp_path: Path) -> None:
    files = CertificateFiles(tmp_path / "crt", tmp_path / "key")
    make_certificate(files, names=["localhost"])
    server = HealthServer(source, port=0, tls=files.context())
    server.start()
    try:
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        with connect(server) as client, pytest.raises(OSError):
            old.wrap_socket(client)
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"http://127.0.0.1:{server.port}/livez", trust_env=False)
    finally:
        server.stop()


def test_token_guesses_by_many_at_once_are_counted_one_by_one(source: FakeSource, tmp_path: Path) -> None:
    token = new_token()
    write_token(tmp_path / "token", token)
    server = HealthServer(source, port=0, token_file=tmp_path / "token")
    server.start()
    codes: list[int] = []

    def guess(number: int) -> None:
        headers = {"Authorization": f"Bearer {new_token() if number else token}"}
        with httpx.Client(base_url=server.url, trust_env=False, headers=headers) as client:
            codes.extend(client.get("/picture").status_code for _ in range(5))

    try:
        threads = [threading.Thread(target=guess, args=(number,)) for number in range(1, 9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(set(codes)) == [401, 429]
        assert codes.count(401) <= 5 + 2  # five at once, then one every ten seconds
        guess(0)
        assert codes[-1] == 429
        assert answers_quickly(server)
    finally:
        server.stop()


def test_a_flood_of_requests_takes_a_share_of_one_processor(source: FakeSource) -> None:
    """The share is of processor time: a busy machine makes it smaller, never larger."""
    server = HealthServer(source, port=0, share=0.1)
    server.start()
    assert server._thread is not None
    clock = time.pthread_getcpuclockid(server._thread.ident or 0)
    enough = threading.Event()

    def flood() -> None:
        with httpx.Client(base_url=server.url, trust_env=False, timeout=30.0) as client:
            while not enough.is_set():
                client.get("/livez")

    threads = [threading.Thread(target=flood) for _ in range(3)]
    try:
        began_s, used_s = time.monotonic(), time.clock_gettime(clock)
        for thread in threads:
            thread.start()
        time.sleep(3.0)
        used_s = time.clock_gettime(clock) - used_s
        passed_s = time.monotonic() - began_s
    finally:
        enough.set()
        for thread in threads:
            thread.join()
        server.stop()
    assert 0.0 < used_s < 0.1 * passed_s + 0.2  # what was saved, and one turn too many
