"""Whatever is asked, the application answers in kind: never a crash, never a picture or an order without the token."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from fakes.clocks import FakeClock
from fakes.health import FakeSource
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from edge.health.access import has_token
from edge.health.endpoints import Endpoints
from edge.health.token import new_token, write_token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

PATHS = [
    "/",
    "/livez",
    "/readyz",
    "/health",
    "/metrics",
    "/login",
    "/logout",
    "/live/lobby.jpg",
    "/acts/test",
    "/style.css",
]
NAMES = [
    "host", "authorization", "cookie", "origin", "sec-fetch-site", "content-length", "content-type", "accept",
    "transfer-encoding", "range", "x-forwarded-for", "x-http-method-override", "expect", "upgrade",
]  # fmt: skip
VALUES = [
    "127.0.0.1", "[::1]:1", "evil.example", "bearer", "Bearer ", "Bearer x", "Basic eDp4", "kiosk-guard=x", "text/html",
    "http://127.0.0.1", "null", "same-origin", "cross-site", "0", "16384", "-1", "chunked", "bytes=0-", "h2c",
    "application/x-www-form-urlencoded", "POST",
]  # fmt: skip

text = st.text(max_size=40) | st.sampled_from(PATHS)
path = st.sampled_from(PATHS) | st.builds(lambda a, b: a + b, st.sampled_from(PATHS), text) | st.text(max_size=60)
raw = st.binary(max_size=60).map(lambda value: bytes(c for c in value if c not in b"\r\n\0"))
header = st.tuples(
    st.sampled_from(NAMES).map(str.encode) | raw.map(bytes.lower), st.sampled_from(VALUES).map(str.encode) | raw
)
requests = st.fixed_dictionaries(
    {
        "method": st.sampled_from(
            ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "get", "X" * 30]
        ),
        "path": path,
        "query_string": raw,
        "headers": st.lists(header, max_size=8),
        "body": st.binary(max_size=300),
        "chunks": st.integers(1, 3),
        "leaves": st.booleans(),
        "client": st.sampled_from([("10.0.0.1", 1), ("2001:db8::1%eth0", 2), ("", 0), ("\u2603", 3), None]),
    }
)


class Box:
    """The application, with a picture and an order behind the token."""

    def __init__(self, folder: Path, *, host_is_ours: bool) -> None:
        self.token = new_token()
        write_token(folder / "token", self.token)
        self.leaked = 0
        self.endpoints = Endpoints(
            FakeSource(),
            version="1",
            clock=FakeClock(),
            token_file=folder / "token",
            token_everywhere=not host_is_ours,
            more_routes=[
                Route("/live/lobby.jpg", self.secret),
                Route("/acts/test", self.secret, methods=["POST", "PUT"]),
            ],
            glance_paths=["/style.css"],
        )
        self.application = self.endpoints.application()

    async def secret(self, request: Request) -> Response:
        self.leaked += not has_token(request)
        await request.body()
        return PlainTextResponse("secret")

    def ask(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        """One request as a server would hand it over, its body in pieces, its sender perhaps gone in the middle."""
        path, size = asked["path"] if asked["path"].startswith("/") else f"/{asked['path']}", len(asked["body"])
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": asked["method"],
            "scheme": "http",
            "path": path,
            "raw_path": path.encode("utf-8", "replace"),
            "query_string": asked["query_string"],
            "root_path": "",
            "headers": asked["headers"],
            "client": asked["client"],
            "server": ("127.0.0.1", 8787),
            "state": {},
        }
        step = size // asked["chunks"] + 1
        pieces: list[dict[str, Any]] = [
            {"type": "http.request", "body": asked["body"][at : at + step], "more_body": at + step < size}
            for at in range(0, size or 1, step)
        ]
        if asked["leaves"]:
            pieces[-1] = {"type": "http.disconnect"}
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return pieces.pop(0) if pieces else {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        asyncio.run(asyncio.wait_for(self.application(scope, receive, send), 20.0))  # type: ignore[arg-type]
        return sent


@pytest.fixture(name="box", params=[True, False], ids=["loopback", "network"], scope="module")
def _box(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    box = Box(tmp_path_factory.mktemp("fuzz"), host_is_ours=request.param)
    logging.getLogger("edge.health").setLevel(logging.CRITICAL)
    yield box
    logging.getLogger("edge.health").setLevel(logging.NOTSET)
    box.endpoints.close()


@given(asked=requests)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_request_gets_an_answer_in_kind(box: Box, asked: dict[str, Any]) -> None:
    sent = box.ask(asked)
    assert [m["type"] for m in sent[:1]] == ["http.response.start"]
    start, body = sent[0], b"".join(m.get("body", b"") for m in sent[1:])
    assert start["status"] in (200, 303, 400, 401, 403, 404, 405, 411, 413, 421, 429)
    headers = dict(start["headers"])
    assert headers[b"x-content-type-options"] == b"nosniff"
    assert b"default-src 'none'" in headers[b"content-security-policy"]
    assert b"\n" not in b"".join(headers.values())
    assert box.leaked == 0
    assert body != b"secret"


def test_with_the_token_the_secret_is_told(box: Box) -> None:
    """So that the test above means something: where the secret may be told, it is."""
    asked = {"method": "GET", "path": "/live/lobby.jpg", "query_string": b"", "body": b"", "chunks": 1, "leaves": False}
    for value, status in ((f"Bearer {box.token}", 200), ("Bearer x", 401)):
        headers = [(b"host", b"127.0.0.1"), (b"authorization", value.encode())]
        assert box.ask({**asked, "headers": headers, "client": ("10.9.9.9", 1)})[0]["status"] == status
    assert box.leaked == 0
