"""Connections that are few and short, and a server that leaves the processor to the guarding."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections import Counter
from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

_LOOK_EVERY_S = 0.05
_SAVED_S = 0.1  # a page's worth
_LONGEST_SLEEP_S = 0.25


class BoundedListener(socket.socket):
    """A listening socket where, once it is full, the oldest connection of whoever has the most gives way to one more.

    A crowd from one address therefore turns nobody else away. Counted where they are accepted, before any TLS: whoever opens connections and says nothing cannot use up the files
    that camera, outbox and pictures need.
    """

    max_connections = 64

    def __init__(self, family: int, kind: int, protocol: int) -> None:
        super().__init__(family, kind, protocol)
        self._accepted: list[tuple[str, socket.socket]] = []  # (peer's address, connection), oldest first

    def accept(self) -> tuple[socket.socket, object]:
        connection, address = super().accept()
        self._accepted = [one for one in self._accepted if one[1].fileno() >= 0]
        self._accepted.append((str(address[0]) if isinstance(address, tuple) else "", connection))
        while len(self._accepted) > self.max_connections:
            with contextlib.suppress(OSError):
                oldest = self._give_way()
                _forget(oldest)
                oldest.shutdown(socket.SHUT_RDWR)  # the server sees an end of file and closes
        return connection, address

    def _give_way(self) -> socket.socket:
        most, _ = Counter(address for address, _ in self._accepted).most_common(1)[0]
        at = next(i for i, (address, _) in enumerate(self._accepted) if address == most)
        return self._accepted.pop(at)[1]


def _forget(connection: socket.socket) -> None:
    """At its close, throw away what its peer has not read: else the kernel keeps that for minutes."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def short_protocol(max_connection_s: float) -> type[H11Protocol]:
    """HTTP whose connections end after ``max_connection_s``.

    The server library waits for ever for a request that never ends and for a client that never reads.
    """

    class ShortProtocol(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._deadline = self.loop.call_later(max_connection_s, self._cut)

        def _cut(self) -> None:
            _forget(self.transport.get_extra_info("socket"))
            self.transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
            super().connection_lost(exc)

    return ShortProtocol


class Restraint:
    """Makes an event loop sleep when it has used more than its share of one processor.

    Python runs one thread at a time: whatever is asked of the server, and however often, most of the time must be the
    pipeline's.

    :param share: of one processor, 0..1.
    """

    def __init__(self, share: float = 0.25) -> None:
        self._share = share
        self._used_s = 0.0
        self._at_s = 0.0
        self._credit_s = _SAVED_S

    def begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Restrain the calling thread's loop from now on."""
        self._used_s, self._at_s = time.thread_time(), time.monotonic()
        loop.call_later(_LOOK_EVERY_S, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        used_s, at_s = time.thread_time(), time.monotonic()
        earned_s = (at_s - self._at_s) * self._share
        self._credit_s = min(self._credit_s + earned_s - (used_s - self._used_s), _SAVED_S)
        self._used_s, self._at_s = used_s, at_s
        if self._credit_s < 0:
            time.sleep(min(-self._credit_s / self._share, _LONGEST_SLEEP_S))
        loop.call_later(_LOOK_EVERY_S, self._look, loop)
