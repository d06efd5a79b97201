"""The health endpoint as a thing that starts and stops: uvicorn in a thread of its own."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import threading
from typing import TYPE_CHECKING

from edge.clock import SystemClock
from edge.errors import HealthError
from edge.health.endpoints import Endpoints
from edge.health.listener import BoundedListener, short_protocol
from edge.health.metrics import Figures
from edge.health.quiet import QuietServer
from edge.hosts import is_loopback

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

    from edge.clock import Clock
    from edge.health.interface import HealthSource

log = logging.getLogger(__name__)

# The listener bounds connections; those that it has shut down still count until the loop comes round, and it accepts
# 128 at a time: whoever comes behind such a crowd must not be the one who is refused.
_CROWD = 2 * 128
_START_S = 10.0
_STOP_S = 5.0
# A browser gets the processor when the pipeline does not want it.
_NICENESS = 5


class HealthServer:
    """Serves /livez, /readyz, /health, /metrics, the page and the way in.

    :param source: what is asked.
    :param host: address to listen on; anything but loopback is the caller's deliberate choice, and needs the token for
        everything but /livez.
    :param port: 0: any free one, see ``port`` after ``start``.
    :param version: of the software, shown.
    :param clock: for the times in answers.
    :param allowed_hosts: names under which a browser may call, besides addresses and "localhost".
    :param max_connections: after that the oldest of whoever has the most gives way to one more.
    :param max_connection_s: no connection lives longer, whatever it waits for.
    :param tls: None: in clear, which is for loopback.
    :param share: of one processor, 0..1, that requests may take from the guarding.
    :param token_file, figures, more_routes, glance_paths: as for ``Endpoints``.
    """

    def __init__(
        self,
        source: HealthSource,
        *,
        host: str = "127.0.0.1",
        port: int = 8787,
        version: str = "",
        clock: Clock | None = None,
        allowed_hosts: Collection[str] = (),
        max_connections: int = 64,
        max_connection_s: float = 30.0,
        tls: ssl.SSLContext | None = None,
        share: float = 0.25,
        token_file: Path | None = None,
        figures: Callable[[], Figures] = Figures,
        more_routes: Sequence[BaseRoute] = (),
        glance_paths: Collection[str] = (),
    ) -> None:
        self._host = host
        self._port = port
        self._endpoints = Endpoints(
            source,
            version=version,
            clock=clock or SystemClock(),
            token_file=token_file,
            token_everywhere=not is_loopback(host),
            secure=tls is not None,
            figures=figures,
            more_routes=more_routes,
            glance_paths=glance_paths,
        )
        self._application = self._endpoints.application(allowed_hosts=allowed_hosts)
        self._tls = tls is not None
        self._max_connections = max_connections
        self._server = QuietServer(
            self._application,
            http=short_protocol(max_connection_s),
            most=max_connections + _CROWD,
            tls=tls,
            share=share,
        )
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def application(self) -> ASGIApp:
        """What is served, for a second door such as the control socket: it may run in another thread's event loop."""
        return self._application

    @property
    def port(self) -> int:
        """The port listened on; what was asked for before ``start``."""
        return self._port

    @property
    def due_s(self) -> float:
        """Monotonic time by which the server's loop moves again unless it hangs."""
        return self._server.due_s

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104 - compared, not bound
        return f"{'https' if self._tls else 'http'}://{f'[{host}]' if ':' in host else host}:{self._port}/"

    def start(self) -> None:
        """Listen, then serve in a thread.

        :raises HealthError: the address cannot be listened on, or the server does not come up.
        """
        if self._thread is not None:
            raise HealthError("the health endpoint was started before", hint="make a new one")
        self._socket = self._bind()
        self._port = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, args=(self._socket,), name="health", daemon=True)
        self._thread.start()
        if not self._server.up.wait(_START_S) or not self._server.started:
            self.stop()
            raise HealthError(f"the health endpoint on {self.url} does not come up", hint="read the log for the reason")
        log.info(f"health endpoint on {self.url}", extra={"kg": {"event": "health_up", "port": self._port}})

    def stop(self) -> None:
        """Serve no more; may be called twice, or without ``start``."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_STOP_S)
        if self._socket is not None:
            self._socket.close()
        self._endpoints.close()

    def _serve(self, listening: socket.socket) -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)  # on Linux: this thread alone
        try:
            self._server.run([listening])
        except Exception:  # the end of a thread, where nobody else would tell; guarding goes on
            log.exception("the health endpoint died", extra={"kg": {"event": "health_died"}})
        finally:
            self._server.up.set()

    def _bind(self) -> socket.socket:
        where = f"{self._host} port {self._port}"
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                self._host, self._port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listening = BoundedListener(family, kind, protocol)
            listening.max_connections = self._max_connections
        except OSError as error:
            raise HealthError(
                f"the health endpoint cannot use the address {where}: {error.strerror}",
                hint="allowed: 127.0.0.1, ::1, an address of this machine, or a name that stands for one",
            ) from error
        try:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind(address)
            listening.listen(128)
        except OSError as error:
            listening.close()
            raise HealthError(
                f"the health endpoint cannot listen on {where}: {error.strerror}", hint=self._remedy(error)
            ) from error
        return listening

    def _remedy(self, error: OSError) -> str:
        if error.errno == errno.EADDRINUSE:
            return (
                f'another program listens there, perhaps a second Kiosk Guard: find it with "ss -ltnp sport = :{self._port}", '
                "stop it, or set another health port"
            )
        if error.errno == errno.EADDRNOTAVAIL:
            return 'no interface of this machine has that address: see "ip address", or use 127.0.0.1'
        if error.errno in (errno.EACCES, errno.EPERM):
            return "ports below 1024 are for root: use 1024 to 65535"
        return "use another address or port"
