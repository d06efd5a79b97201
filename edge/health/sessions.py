"""Who has shown the token: a cookie that stands for it, so that the token itself is sent once and kept nowhere."""

from __future__ import annotations

import hashlib
import secrets
import threading
from typing import TYPE_CHECKING

from starlette.requests import cookie_parser

if TYPE_CHECKING:
    from collections.abc import Callable

_LIFETIME_S = 8 * 3600.0  # a working day


class Sessions:
    """Kept in memory: a restart of the service asks for the token again.

    :param now_s: monotonic seconds.
    :param secure: the cookie is for TLS only.
    :param at_most: the oldest session ends when there is one more.
    """

    def __init__(self, *, now_s: Callable[[], float], secure: bool, at_most: int = 32) -> None:
        self._now_s = now_s
        self._secure = secure
        self._at_most = at_most
        # The prefix __Host- makes the browser insist on TLS, this host alone and the whole site.
        self._name = "__Host-kiosk-guard" if secure else "kiosk-guard"
        self._open: dict[bytes, tuple[float, bytes]] = {}  # hash of the cookie -> end, token it was opened with
        self._lock = threading.Lock()

    def begin(self, token_digest: bytes) -> str:
        """A new session; returns the value of a Set-Cookie header."""
        value = secrets.token_urlsafe(16)
        with self._lock:
            while len(self._open) >= self._at_most:
                self._open.pop(next(iter(self._open)))
            self._open[_digest(value)] = (self._now_s() + _LIFETIME_S, token_digest)
        return self._cookie(value, int(_LIFETIME_S))

    def holds(self, cookies: str, token_digest: bytes | None) -> bool:
        """Whether the Cookie header names a session that was opened with the token of now."""
        value = self._value(cookies)
        if not value:
            return False
        with self._lock:
            # Looked up by hash: how long that takes tells nothing about the cookies that exist.
            until_s, opened_with = self._open.get(_digest(value), (0.0, b""))
        return opened_with == token_digest and self._now_s() < until_s

    def end(self, cookies: str) -> str:
        """Forget the session; returns the Set-Cookie header that makes the browser forget it, too."""
        with self._lock:
            self._open.pop(_digest(self._value(cookies)), None)
        return self._cookie("", 0)

    def _value(self, cookies: str) -> str:
        return cookie_parser(cookies).get(self._name, "")

    def _cookie(self, value: str, max_age_s: int) -> str:
        secure = "; Secure" if self._secure else ""
        return f"{self._name}={value}; Path=/; Max-Age={max_age_s}; HttpOnly; SameSite=Strict{secure}"


def _digest(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "replace")).digest()
