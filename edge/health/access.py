"""Who may ask what: the token, the cookie that stands for it, and no order that a foreign page has sent.

Every path needs the token. Free are only the probe ``/livez`` and the way in; on loopback also what merely tells how the
box is (no picture, no control).
"""

from __future__ import annotations

import logging
import math
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, RedirectResponse

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from starlette.requests import HTTPConnection
    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

    from edge.health.guesses import Guesses
    from edge.health.sessions import Sessions
    from edge.health.token import TokenFile

log = logging.getLogger(__name__)

# The server of the control socket puts a Peer under this key into the connection's ``scope["state"]`` (uvicorn copies
# a protocol's ``app_state`` there). Nothing that travels over a network can set it.
LOCAL_PEER = "kiosk_guard.local_peer"
_HAS_TOKEN = "kiosk_guard.has_token"  # noqa: S105 - the name of a key

LOGIN_PATH, LOGOUT_PATH = "/login", "/logout"
_ALWAYS_FREE = frozenset({"/livez", LOGIN_PATH})
_GLANCE = frozenset({"/", "/readyz", "/health", "/metrics"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_SAY_EVERY_S = 60.0

WRONG_TOKEN, TOO_MANY, FOREIGN, NO_TOKEN = "wrong_token", "too_many_guesses", "foreign_page", "no_token"
REASONS = (WRONG_TOKEN, TOO_MANY, FOREIGN, NO_TOKEN)


@dataclass(frozen=True, slots=True)
class Peer:
    """Another process of this machine, as the kernel names it (SO_PEERCRED); the socket's server has let it in.

    Such a request needs no token and no host name, and no browser can have been tricked into sending it.
    """

    uid: int
    pid: int


def local_peer(scope: Scope) -> Peer | None:
    """Whose request this is, when it came through the control socket."""
    found = scope.get("state", {}).get(LOCAL_PEER)
    return found if isinstance(found, Peer) else None


def has_token(request: HTTPConnection) -> bool:
    """Whether the sender has shown the token, or is a process of this machine: may see pictures and give orders."""
    return bool(request.scope.get("state", {}).get(_HAS_TOKEN))


def visitor(request: HTTPConnection) -> str:
    """Who asks, for the record: the technician at an address, or a user of this machine."""
    peer = local_peer(request.scope)
    if peer is not None:
        return f"uid {peer.uid} on this box"
    return f"technician at {client_address(request.scope) or 'an unknown address'}"


class Doorman:
    """Decides about tokens: compares, slows down guesses, counts and reports refusals. For one event loop.

    :param look: makes ``token`` up to date; awaited before a token is compared.
    :param now_s: monotonic seconds.
    """

    def __init__(
        self,
        *,
        token: TokenFile,
        look: Callable[[], Awaitable[object]],
        sessions: Sessions,
        guesses: Guesses,
        now_s: Callable[[], float],
    ) -> None:
        self.token = token
        self.look = look
        self.sessions = sessions
        self._guesses = guesses
        self._now_s = now_s
        self._counted: Counter[str] = Counter(dict.fromkeys(REASONS, 0))
        self._counting = threading.Lock()
        self._said_s = -math.inf

    @property
    def refused_total(self) -> Mapping[str, int]:
        """Refused requests since the start, by reason; may be asked from any thread."""
        with self._counting:
            return dict(self._counted)

    async def try_token(self, token: str, address: str) -> tuple[int, float]:
        """Compare a token: 200, or 401 (wrong), or 429 (too many guesses) and the seconds to wait."""
        if not self._guesses.wait_s(address):  # a flood of guesses shall not cost a look at the disk each
            await self.look()
        # From here on nothing waits: two guesses at a time are still counted one by one.
        wait_s = self._guesses.wait_s(address)
        if wait_s > 0:
            self.refuse(TOO_MANY, address)
            return 429, wait_s
        if self.token.matches(token):
            self._guesses.succeeded(address)
            return 200, 0.0
        if self.token.expected is not None:
            self._guesses.failed(address)
        self.refuse(WRONG_TOKEN, address)
        return 401, 0.0

    def refuse(self, reason: str, address: str) -> None:
        """Count a refusal; the log hears of guesses once in a while, of who came without a token never."""
        with self._counting:
            self._counted[reason] += 1
        now_s = self._now_s()
        if reason == NO_TOKEN or now_s - self._said_s < _SAY_EVERY_S:
            return
        self._said_s = now_s
        words = {
            WRONG_TOKEN: "a wrong token",
            TOO_MANY: "too many wrong tokens",
            FOREIGN: "an order from a foreign page",
        }
        log.warning(
            f"health endpoint: refused {words[reason]} from {address or 'an unknown address'}",
            extra={"kg": {"event": "access_refused", "reason": reason, "address": address}},
        )


class Access:
    """ASGI middleware: lets a request through, or answers why not.

    :param everywhere: the token is needed for all that is not always free (off loopback).
    :param glance_paths: on loopback these are free, too, beside the plain page and the probes.
    """

    def __init__(self, app: ASGIApp, *, doorman: Doorman, everywhere: bool, glance_paths: Collection[str] = ()) -> None:
        self._app = app
        self._doorman = doorman
        self._free_to_read = frozenset() if everywhere else _GLANCE | frozenset(glance_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = None
        if local_peer(scope):
            scope["state"][_HAS_TOKEN] = True
        else:
            refusal = await self._judge(scope)
        await (refusal or self._app)(scope, receive, send)

    async def _judge(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        scope.setdefault("state", {})[_HAS_TOKEN] = False
        reading = scope["method"] in _SAFE_METHODS
        free = reading and path in self._free_to_read
        # A browser says where an order comes from; what comes without a cookie cannot misuse one.
        told = from_own_page(headers, scope["scheme"])
        if not reading and told is False:
            return self._foreign(scope, "this order was sent by a page of another site")
        if path in _ALWAYS_FREE:
            return None
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and not free:
            return await self._by_token(scope, token)
        known = await self._by_cookie(headers)
        if known and not reading and told is None:
            return self._foreign(scope, "this order does not say which page has sent it: use a current browser")
        scope["state"][_HAS_TOKEN] = known
        return None if known or free else await self._without(scope, headers)

    async def _by_token(self, scope: Scope, token: str) -> Response | None:
        code, wait_s = await self._doorman.try_token(token, client_address(scope))
        scope["state"][_HAS_TOKEN] = code == 200
        return None if code == 200 else refusal(code, wait_s, made=self._doorman.token.expected is not None)

    async def _by_cookie(self, headers: Headers) -> bool:
        if "cookie" not in headers:
            return False
        await self._doorman.look()
        return self._doorman.sessions.holds(headers["cookie"], self._doorman.token.expected)

    async def _without(self, scope: Scope, headers: Headers) -> Response:
        self._doorman.refuse(NO_TOKEN, client_address(scope))
        if scope["method"] in _SAFE_METHODS and "text/html" in headers.get("accept", ""):
            return RedirectResponse(f"{LOGIN_PATH}?next={quote(scope['path'], safe='/')}", 303)
        await self._doorman.look()
        return refusal(401, 0.0, made=self._doorman.token.expected is not None)

    def _foreign(self, scope: Scope, words: str) -> Response:
        self._doorman.refuse(FOREIGN, client_address(scope))
        return _refuse(403, words)


def client_address(scope: Scope) -> str:
    """The sender's address; empty where there is none."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def from_own_page(headers: Headers, scheme: str) -> bool | None:
    """Whether a browser says that one of our own pages sent this; None: it says nothing about it."""
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = headers.get("origin")
    if origin is not None:
        return origin.lower() == f"{scheme}://{headers.get('host', '')}".lower()
    return None


def refusal(code: int, wait_s: float, *, made: bool) -> JSONResponse:
    """The answer to who has not shown the token."""
    if code == 429:
        seconds = math.ceil(wait_s)
        words = f"too many wrong tokens from this address: try again in {seconds} s"
        return _refuse(429, words, {"Retry-After": str(seconds)})
    words = (
        "this needs the token from the label: log in at /login, or send it as Authorization: Bearer"
        if made
        else 'no token was made for this box yet: run "kiosk-guard label" on it'
    )
    return _refuse(401, words, {"WWW-Authenticate": 'Bearer realm="kiosk-guard"'})


def _refuse(status: int, words: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"error": words}, status_code=status, headers=headers)
