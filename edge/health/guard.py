"""What every request passes and every answer carries: host names, sizes, security headers."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse

from edge.health.access import local_peer

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
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
            return _refuse(
                421, 'unknown host name: use the address, or name it in the configuration: [health] names = ["..."]'
            )
        if "transfer-encoding" in headers:
            return _refuse(411, "a request body must state its length")
        length = headers.get("content-length", "0")
        if not (length.isascii() and length.isdigit()) or int(length[:12]) > self._max_body_bytes:
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


def json_error(status: int, words: str, headers: Any = None) -> JSONResponse:
    """An error answer for machines and people alike."""
    return JSONResponse({"error": words}, status_code=status, headers=headers)
