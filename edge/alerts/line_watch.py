"""Whether the network came back, as the kernel tells it: waiting mails need not sit out their pause."""

from __future__ import annotations

import logging
import select
import socket
import struct
import threading
from typing import TYPE_CHECKING

from edge.errors import KioskError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.clock import Clock

log = logging.getLogger(__name__)

# linux/rtnetlink.h
_NEWLINK, _NEWADDR, _NEWROUTE = 16, 20, 24
_GROUPS = 0x1 | 0x10 | 0x40 | 0x100 | 0x400  # links, and addresses and routes of IPv4 and IPv6
_HEADER = struct.Struct("=IHHII")  # length, kind, flags, sequence, port
_LINK = struct.Struct("=BxHiII")  # family, type, index, flags, changed flags
_RUNNING = 0x40  # IFF_RUNNING: there is a carrier
_READ_BYTES = 65536
_LOOK_S = 0.5  # how soon stop() is noticed


class LineWatch:
    """Listens to the kernel's routing messages in a thread of its own and calls ``on_return`` when a line came up.

    A carrier that was gone and is there, a new address, a new route: each is a reason to try. One call ``settle_s``
    after the first message, and one more after the last where they go on: an address may be of no use before its route.

    :param on_return: must be quick and is called from the thread; its errors are logged.
    :param settle_s: messages within so many seconds are one return.
    :param open_socket: the netlink socket; raises OSError where the machine does not allow one.
    """

    def __init__(
        self,
        *,
        on_return: Callable[[], object],
        clock: Clock,
        settle_s: float = 1.0,
        open_socket: Callable[[], socket.socket] | None = None,
    ) -> None:
        self._on_return = on_return
        self._clock = clock
        self._settle_s = settle_s
        self._open = open_socket or _open
        self._down: set[int] = set()
        self._trouble = ""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def trouble(self) -> str:
        """Why the network's return is not noticed; empty: it is."""
        return self._trouble

    def start(self) -> None:
        """Begin to listen, once. Where the machine refuses, mails wait out their pause, and the log says so."""
        try:
            sock = self._open()
        except OSError as error:
            self._trouble = (
                f"that the network comes back is not noticed ({error.strerror or error}): waiting mails go when their "
                "pause is over; a service's unit must allow AF_NETLINK (RestrictAddressFamilies)"
            )
            log.warning(self._trouble, extra={"kg": {"event": "line_watch_off", "error": str(error)}})
            return
        self._thread = threading.Thread(target=self._run, args=(sock,), name="line-watch", daemon=True)
        self._thread.start()

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            self._thread = None

    def _run(self, sock: socket.socket) -> None:
        call_at_s: float | None = None
        with sock:
            while not self._stopping.is_set():
                now_s = self._clock.monotonic_s()
                if call_at_s is not None and now_s >= call_at_s:
                    call_at_s = None
                    self._call()
                wait_s = _LOOK_S if call_at_s is None else min(_LOOK_S, call_at_s - now_s)
                if select.select([sock], [], [], max(0.0, wait_s))[0] and self._read(sock) and call_at_s is None:
                    call_at_s = self._clock.monotonic_s() + self._settle_s

    def _read(self, sock: socket.socket) -> bool:
        """Whether what the kernel says may mean that the line is back."""
        try:
            data = sock.recv(_READ_BYTES)
        except OSError:  # too much at once (ENOBUFS): something happened
            return True
        back = False
        for kind, body in _messages(data):
            back |= kind in {_NEWADDR, _NEWROUTE} or (kind == _NEWLINK and self._carrier_is_new(body))
        return back

    def _carrier_is_new(self, body: bytes) -> bool:
        if len(body) < _LINK.size:
            return False
        _, _, index, flags, _ = _LINK.unpack_from(body)
        if not flags & _RUNNING:
            self._down.add(index)
            return False
        known_down = index in self._down
        self._down.discard(index)
        return known_down

    def _call(self) -> None:
        log.info("the network may be back", extra={"kg": {"event": "line_back"}})
        try:
            self._on_return()
        except KioskError as error:
            log.warning(error.message, extra={"kg": {"event": "line_back_failed", "error": error.message}})
        except Exception:  # whatever it is, the watch goes on: without it mails wait for their next try
            log.exception("a listener failed", extra={"kg": {"event": "listener_fault"}})


def _messages(data: bytes) -> list[tuple[int, bytes]]:
    """Kind and body of each netlink message."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size:
            break
        found.append((kind, data[at + _HEADER.size : at + length]))
        at += (length + 3) & ~3
    return found


def _open() -> socket.socket:
    """:raises OSError: this machine, or this service's unit, has no such socket for us."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        raise OSError("no netlink here")
    sock = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
    try:
        sock.bind((0, _GROUPS))
        sock.settimeout(0.0)
    except OSError:
        sock.close()
        raise
    return sock
