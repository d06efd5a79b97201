"""What stands between the network and the endpoints: host names, sizes, headers, and connections that take too long."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from edge.health.access import local_peer
from edge.health.page import STYLE_HASH

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src '{STYLE_HASH}'; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Guard:
    """ASGI middleware: refuses foreign host names and large bodies, adds the security headers to every answer.

    A page of a stranger can make a browser on this network call us under the stranger's own name (DNS rebinding):
    only addresses, "localhost" and ``allowed_hosts`` are served.

    :param max_body_bytes: largest request body; a body of unstated length is refused.
    """

    def __init__(self, app: ASGIApp, *, allowed_hosts: Collection[str] = (), max_body_bytes: int = 16384) -> None:
        self._app = app
        self._allowed_hosts = {host.lower() for host in allowed_hosts} | {"localhost"}
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    # A page with a script or style of its own says so in a policy of its own.
                    if name != "Content-Security-Policy" or name not in headers:
                        headers[name] = value
            await send(message)

        refusal = None if local_peer(scope) else self._refusal(Headers(scope=scope))
        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, headers: Headers) -> JSONResponse | None:
        if not self._known_host(headers.get("host", "")):
            return _refuse(421, "unknown host name: use the address, or name the host in the configuration")
        if "transfer-encoding" in headers:
            return _refuse(411, "a request body must state its length")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length[:12]) > self._max_body_bytes:
            return _refuse(413, f"a request body may have at most {self._max_body_bytes} bytes")
        return None

    def _known_host(self, host: str) -> bool:
        if not host:
            return True  # HTTP/1.0: no browser
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name.lower() in self._allowed_hosts:
            return True
        try:
            ipaddress.ip_address(name.strip("[]"))
        except ValueError:
            return False
        return True


def _refuse(status: int, words: str) -> JSONResponse:
    return JSONResponse({"error": words}, status_code=status, headers={"Connection": "close"})


def bounded_protocol(max_connections: int, max_connection_s: float) -> type[H11Protocol]:
    """An HTTP protocol whose connections are few and short.

    The server library waits for ever for a request that never ends and for a client that never reads. Here the oldest
    connection gives way when there are more than ``max_connections``, and each ends after ``max_connection_s``.
    """
    open_connections: dict[asyncio.Protocol, asyncio.Transport] = {}  # oldest first

    class BoundedProtocol(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            open_connections[self] = transport
            self._deadline = self.loop.call_later(max_connection_s, transport.abort)
            if len(open_connections) > max_connections:
                oldest = next(iter(open_connections))
                open_connections.pop(oldest).abort()

        def connection_lost(self, exc: Exception | None) -> None:
            open_connections.pop(self, None)
            if self._deadline is not None:
                self._deadline.cancel()
            super().connection_lost(exc)

    return BoundedProtocol


def json_error(status: int, words: str, headers: Any = None) -> JSONResponse:
    """An error answer for machines and people alike."""
    return JSONResponse({"error": words}, status_code=status, headers=headers)
