"""uvicorn as this box wants it: silent, short-lived connections, its share of the processor, and known to move."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING

import uvicorn

from edge.health.listener import Restraint

if TYPE_CHECKING:
    import socket
    import ssl

    from starlette.types import ASGIApp
    from uvicorn.protocols.http.h11_impl import H11Protocol

_MAX_HEADER_BYTES = 16384
_TURN_S = 15.0  # the longest honest turn of the loop, which takes a tenth of a second


class QuietServer(uvicorn.Server):
    """Serves an application on sockets that are handed in (``run``, in a thread of the caller's).

    :param http: the protocol, one object a connection.
    :param most: requests at once; more are refused.
    :param tls: None: in clear.
    :param share: of one processor, 0..1, that requests may take from the guarding.
    """

    def __init__(
        self,
        application: ASGIApp,
        *,
        http: type[H11Protocol],
        most: int,
        tls: ssl.SSLContext | None = None,
        share: float = 0.25,
    ) -> None:
        config = uvicorn.Config(
            application,
            loop="asyncio",
            http=http,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            log_level="error",  # malformed requests are the network's business, not the log's
            access_log=False,
            server_header=False,
            proxy_headers=False,
            backlog=128,
            limit_concurrency=most,
            timeout_keep_alive=5,
            timeout_graceful_shutdown=1,
            h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
        )
        config.load()
        config.ssl = tls
        super().__init__(config)
        self._restraint = Restraint(share)
        self._moved_s = time.monotonic()
        self.up = threading.Event()  # it serves; or, where ``started`` is not set, it never will

    @property
    def due_s(self) -> float:
        """Monotonic time by which the loop moves again unless it hangs."""
        return self._moved_s + _TURN_S

    async def on_tick(self, counter: int) -> bool:
        self._moved_s = time.monotonic()
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._restraint.begin(asyncio.get_running_loop())
        self.up.set()
