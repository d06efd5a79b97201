"""Asks the service how it is: over its control socket, or over its health port."""

from __future__ import annotations

import http.client
import socket as sockets
import urllib.parse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

NO_ANSWER = "no answer"
_TIMEOUT_S = 5.0


class _OverSocket(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        self.sock.connect(str(self._path))


class Probe:
    """:param url: of the health endpoint; empty: the control socket, and port 8787 where there is none."""

    def __init__(self, url: str, *, socket: Path) -> None:
        self._url = urllib.parse.urlsplit(url or "http://127.0.0.1:8787")
        self._socket = None if url else socket

    def ask(self, page: str) -> tuple[bool, str]:
        """Whether ``/page`` answers 200, and else why not."""
        if self._socket is not None and self._socket.exists():
            connection: http.client.HTTPConnection = _OverSocket(self._socket)
        else:
            connection = http.client.HTTPConnection(
                self._url.hostname or "127.0.0.1", self._url.port, timeout=_TIMEOUT_S
            )
        try:
            connection.request("GET", f"/{page}?verbose")
            answer = connection.getresponse()
            return answer.status == 200, answer.read(500).decode(errors="replace").strip()
        except (OSError, http.client.HTTPException) as error:
            return False, f"{NO_ANSWER}: {error}"
        finally:
            connection.close()
