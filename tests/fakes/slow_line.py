"""A line that carries few bytes a second towards the mail server, as a mobile network at the edge of its cell does."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PART = 1024


class SlowLine:
    """``rate`` in bytes a second, ``breaks_after``: bytes that it carries on one connection before it breaks; 0: never."""

    def __init__(self, port: int, *, rate: float, breaks_after: int = 0) -> None:
        self.rate = rate
        self.breaks_after = breaks_after
        self.sent: list[int] = []  # bytes carried, by connection
        self._to = port
        self._listening = socket.socket()
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * _PART)  # little is swallowed ahead
        self._listening.bind(("127.0.0.1", 0))
        self._listening.listen()
        self.port = int(self._listening.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                self.sent.append(0)
                far = socket.create_connection(("127.0.0.1", self._to))
                threading.Thread(target=self._there, args=(near, far, len(self.sent) - 1), daemon=True).start()
                threading.Thread(target=self._back, args=(far, near), daemon=True).start()

    def _there(self, near: socket.socket, far: socket.socket, number: int) -> None:
        with near, far, contextlib.suppress(OSError):
            while data := near.recv(_PART):
                time.sleep(len(data) / self.rate)
                far.sendall(data)
                self.sent[number] += len(data)
                if 0 < self.breaks_after <= self.sent[number]:
                    return

    @staticmethod
    def _back(far: socket.socket, near: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := far.recv(_PART):
                near.sendall(data)


@contextlib.contextmanager
def slow_line(port: int, *, rate: float, breaks_after: int = 0) -> Iterator[SlowLine]:
    """Serve until the block ends."""
    line = SlowLine(port, rate=rate, breaks_after=breaks_after)
    try:
        yield line
    finally:
        line.close()
