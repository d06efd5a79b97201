"""Two hundred clients that never finish their request, and guesses of the token: run as a program, it goes on until killed.

    python pests.py PORT

It is nicer than what it pesters: its own work, which in earnest is done elsewhere, must not be measured.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time

_SLOW, _GUESSERS, _PAUSE_S = 200, 4, 0.02


def slow(port: int) -> None:
    """Half a request on each of many connections, a byte a second, anew whenever one is cut off."""
    clients: list[socket.socket | None] = [None] * _SLOW
    while True:
        clients = [_one_more_byte(port, client) for client in clients]
        time.sleep(1.0)


def _one_more_byte(port: int, client: socket.socket | None) -> socket.socket | None:
    try:
        if client is None:
            client = socket.create_connection(("127.0.0.1", port), timeout=1.0)
            client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ")
        client.sendall(b"y")
    except OSError:
        if client is not None:
            client.close()
        return None
    return client


def guess(port: int, number: int) -> None:
    """Some fifty wrong tokens a second on the way in for programs."""
    count = 0
    while True:
        count += 1
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5.0) as client:
            words = f"GET /acts HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer guess-{number}-{count}\r\n"
            client.sendall(f"{words}Connection: close\r\n\r\n".encode())
            client.recv(4096)
        time.sleep(_PAUSE_S)


if __name__ == "__main__":
    os.nice(5)
    target = int(sys.argv[1])
    for each in range(_GUESSERS):
        threading.Thread(target=guess, args=(target, each), daemon=True).start()
    slow(target)
