"""The network's return, from the kernel's messages."""

from __future__ import annotations

import socket
import struct
import threading
from typing import TYPE_CHECKING

import pytest

from edge.alerts.line_watch import LineWatch
from edge.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator

NEWLINK, DELLINK, NEWADDR, NEWROUTE = 16, 17, 20, 24


def message(kind: int, body: bytes = b"") -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body + bytes(-len(body) % 4)


def link(index: int, *, running: bool) -> bytes:
    return message(NEWLINK, struct.pack("=BxHiII", 0, 1, index, 0x40 if running else 0, 0))


class Bench:
    def __init__(self) -> None:
        self.kernel, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        ours.settimeout(0.0)
        self.called = threading.Event()
        self.calls = 0
        self.watch = LineWatch(on_return=self._call, clock=SystemClock(), settle_s=0.0, open_socket=lambda: ours)

    def _call(self) -> None:
        self.calls += 1
        self.called.set()

    def says(self, *data: bytes) -> bool:
        """Whether one of these was taken for a return."""
        for each in data:
            self.kernel.send(each)
        return self.called.wait(0.2)


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    bench.watch.start()
    yield bench
    bench.watch.stop()
    bench.kernel.close()


@pytest.mark.parametrize("kind", [NEWADDR, NEWROUTE])
def test_an_address_or_a_route_is_a_return(bench: Bench, kind: int) -> None:
    assert bench.says(message(kind, b"1234"))


def test_a_carrier_that_was_gone_and_is_there_is_one(bench: Bench) -> None:
    assert not bench.says(link(2, running=False))
    assert not bench.says(link(3, running=True))  # another one: what it says is no news
    assert bench.says(link(2, running=True))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"x",
        bytes(16),
        message(DELLINK, b"1234"),
        struct.pack("=IHHII", 4, NEWADDR, 0, 0, 0),
        link(1, running=True)[:20],
    ],
)
def test_anything_else_is_none_and_does_no_harm(bench: Bench, data: bytes) -> None:
    assert not bench.says(data)
    assert bench.says(message(NEWADDR))


def test_several_messages_in_one_are_all_read(bench: Bench) -> None:
    assert bench.says(link(5, running=False) + message(DELLINK, b"123") + link(5, running=True))


def test_a_listener_that_fails_is_called_again() -> None:
    calls: list[int] = []
    twice = threading.Event()

    def fail() -> None:
        calls.append(1)
        if len(calls) == 2:
            twice.set()
        raise RuntimeError("no")

    kernel, ours = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    watch = LineWatch(on_return=fail, clock=SystemClock(), settle_s=0.0, open_socket=lambda: ours)
    watch.start()
    end = 50
    while not twice.wait(0.1) and end:
        kernel.send(message(NEWADDR))
        end -= 1
    watch.stop()
    kernel.close()
    assert twice.is_set()


def refuse() -> socket.socket:
    raise OSError(97, "Address family not supported by protocol")


def no_call() -> None:
    raise AssertionError("nothing came back")


def test_where_the_machine_refuses_it_says_so() -> None:
    watch = LineWatch(on_return=no_call, clock=SystemClock(), open_socket=refuse)
    watch.start()
    assert "Address family not supported" in watch.trouble
    assert "AF_NETLINK" in watch.trouble
    watch.stop()
