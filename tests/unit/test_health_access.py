"""Who may see and do what: the token, its hash, guesses, the cookie, and orders from foreign pages."""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fakes.clocks import FakeClock
from fakes.health import FakeSource
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from edge.health.access import LOCAL_PEER, Peer, has_token, visitor
from edge.health.endpoints import Endpoints
from edge.health.guesses import Guesses
from edge.health.sessions import Sessions
from edge.health.token import TokenFile, new_token, write_token

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from starlette.requests import Request
    from starlette.responses import Response

SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


class Box:
    """The application with a picture, an order and a style sheet of a page's own."""

    def __init__(self, folder: Path, *, everywhere: bool = False, tls: bool = False, made: bool = True) -> None:
        self.file = folder / "token"
        self.token = new_token()
        self.clock = FakeClock()
        self.visitors: list[tuple[bool, str]] = []
        self.ordered = 0
        self.scheme = "https" if tls else "http"
        if made:
            write_token(self.file, self.token)
        self.endpoints = Endpoints(
            FakeSource(),
            version="1",
            clock=self.clock,
            token_file=self.file,
            token_everywhere=everywhere,
            secure=tls,
            more_routes=[
                Route("/live/lobby.jpg", self.seen),
                Route("/acts/test", self.act, methods=["POST"]),
                Route("/style.css", self.seen),
            ],
            glance_paths=["/style.css"],
        )
        self.application = self.endpoints.application()
        self.state: dict[str, Any] = {}

    async def seen(self, request: Request) -> Response:
        self.visitors.append((has_token(request), visitor(request)))
        return PlainTextResponse("seen")

    async def act(self, request: Request) -> Response:
        self.ordered += 1
        return await self.seen(request)

    def ask(self, method: str, path: str, *, address: str = "10.0.0.5", **settings: Any) -> httpx.Response:
        """One request; no cookie and no redirect is followed by itself."""

        async def application(scope: Any, receive: Any, send: Any) -> None:
            scope["state"] = dict(self.state)  # as a real server does: anew for every request
            await self.application(scope, receive, send)

        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(application, raise_app_exceptions=False, client=(address, 40000))
            async with httpx.AsyncClient(transport=transport, base_url=f"{self.scheme}://10.0.0.9") as client:
                return await client.request(method, path, **settings)

        return asyncio.run(run())

    def get(self, path: str, token: str = "", **settings: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return self.ask("GET", path, headers={**headers, **settings.pop("headers", {})}, **settings)

    def log_in(self, token: str | None = None, **settings: Any) -> httpx.Response:
        return self.ask(
            "POST", "/login", data={"token": self.token if token is None else token, "next": "/"}, **settings
        )

    def cookie(self) -> dict[str, str]:
        return {"Cookie": self.log_in().headers["set-cookie"].partition(";")[0]}


@pytest.fixture(name="make")
def _make(tmp_path: Path) -> Iterator[Callable[..., Box]]:
    made: list[Box] = []

    def make(**settings: Any) -> Box:
        made.append(Box(tmp_path, **settings))
        return made[-1]

    yield make
    for box in made:
        box.endpoints.close()


@pytest.fixture(name="box")
def _box(make: Callable[..., Box]) -> Box:
    return make()


FREE = ("/", "/readyz", "/health", "/metrics", "/style.css")


@pytest.mark.parametrize("path", FREE)
def test_on_loopback_how_the_box_is_may_be_seen_without_the_token(path: str, box: Box) -> None:
    assert box.get(path).status_code == 200


@pytest.mark.parametrize("path", FREE)
def test_off_loopback_it_needs_the_token(path: str, make: Callable[..., Box]) -> None:
    box = make(everywhere=True)
    assert box.get(path).status_code == 401
    assert box.get(path, box.token).status_code == 200


@pytest.mark.parametrize("everywhere", [False, True])
def test_pictures_and_orders_always_need_the_token(everywhere: bool, make: Callable[..., Box]) -> None:
    box = make(everywhere=everywhere)
    answer = box.get("/live/lobby.jpg")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert box.ask("POST", "/acts/test").status_code == 401
    assert box.ask("POST", "/style.css").status_code == 401  # free to read only
    assert (box.ordered, box.visitors) == (0, [])
    assert box.get("/live/lobby.jpg", box.token).status_code == 200
    assert box.visitors == [(True, "technician at 10.0.0.5")]


def test_livez_is_free_everywhere(make: Callable[..., Box]) -> None:
    assert make(everywhere=True).get("/livez").status_code == 200


def test_who_has_not_shown_the_token_is_told_apart_on_the_free_paths(box: Box) -> None:
    box.get("/style.css")
    box.get("/style.css", headers=box.cookie())
    assert [known for known, _ in box.visitors] == [False, True]


def test_a_browser_is_sent_to_the_login_and_back(box: Box) -> None:
    answer = box.get("/live/lobby.jpg", headers={"Accept": "text/html,*/*"})
    assert answer.status_code == 303
    assert answer.headers["location"] == "/login?next=/live/lobby.jpg"
    form = box.get("/login?next=/live/lobby.jpg")
    assert 'name="next" value="/live/lobby.jpg"' in form.text
    again = box.ask("POST", "/login", data={"token": box.token, "next": "/live/lobby.jpg"})
    assert (again.status_code, again.headers["location"]) == (303, "/live/lobby.jpg")


@pytest.mark.parametrize(
    "target",
    ["//evil.example", "https://evil.example/", "/\\evil.example", "/a//b", "javascript:x", "/" + "a" * 9999 + "!", ""],
)
def test_the_login_leads_nowhere_else(target: str, box: Box) -> None:
    assert box.ask("POST", "/login", data={"token": box.token, "next": target}).headers["location"] == "/"


def test_the_cookie_opens_what_the_token_opens(box: Box) -> None:
    cookie = box.cookie()
    assert box.token not in str(cookie)
    assert box.get("/live/lobby.jpg", headers=cookie).status_code == 200
    assert box.ask("POST", "/acts/test", headers={**cookie, **SAME_SITE}).status_code == 200
    assert box.get("/live/lobby.jpg", headers={"Cookie": "kiosk-guard=guessed"}).status_code == 401
    odd = {"Cookie": f'a=b; x y z; "; {cookie["Cookie"]}; ='}  # other programs on this address set what they like
    assert box.get("/live/lobby.jpg", headers=odd).status_code == 200


@pytest.mark.parametrize(("tls", "name"), [(True, "__Host-kiosk-guard="), (False, "kiosk-guard=")])
def test_the_cookie_is_kept_from_scripts_and_other_sites(tls: bool, name: str, make: Callable[..., Box]) -> None:
    cookie = make(tls=tls).log_in().headers["set-cookie"]
    assert cookie.startswith(name)
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    assert ("Secure" in cookie) is tls


def test_a_session_ends_with_the_logout_with_time_and_with_a_new_token(box: Box) -> None:
    first, second, third = box.cookie(), box.cookie(), box.cookie()
    out = box.ask("POST", "/logout", headers={**first, **SAME_SITE})
    assert "Max-Age=0" in out.headers["set-cookie"]
    assert box.get("/live/lobby.jpg", headers=first).status_code == 401
    assert box.get("/live/lobby.jpg", headers=second).status_code == 200
    box.clock.advance(8 * 3600 + 1)
    assert box.get("/live/lobby.jpg", headers=second).status_code == 401
    third = box.cookie()
    write_token(box.file, new_token())
    assert box.get("/live/lobby.jpg", headers=third).status_code == 401
    assert box.get("/live/lobby.jpg", box.token).status_code == 401


def test_sessions_are_few() -> None:
    sessions = Sessions(now_s=lambda: 0.0, secure=False, at_most=3)
    cookies = [sessions.begin(b"token").partition(";")[0] for _ in range(4)]
    assert [sessions.holds(cookie, b"token") for cookie in cookies] == [False, True, True, True]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        (SAME_SITE, 200),
        ({"Origin": "http://10.0.0.9"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://10.0.0.9"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "https://10.0.0.9"}, 403),
        ({"Origin": "http://10.0.0.9:8080"}, 403),
        ({"Origin": "null"}, 403),
        ({}, 403),
    ],
)
def test_an_order_with_a_cookie_must_come_from_our_own_page(headers: dict[str, str], code: int, box: Box) -> None:
    answer = box.ask("POST", "/acts/test", headers={**box.cookie(), **headers})
    assert answer.status_code == code
    assert box.ordered == (code == 200)


def test_an_order_with_the_token_needs_no_page_but_a_foreign_one_may_not_send_it(box: Box) -> None:
    bearer = {"Authorization": f"bearer {box.token}"}
    assert box.ask("POST", "/acts/test", headers=bearer).status_code == 200
    assert box.ask("POST", "/acts/test", headers={**bearer, "Origin": "http://evil.example"}).status_code == 403
    assert box.log_in(headers={"Origin": "http://evil.example"}).status_code == 403


def test_the_control_socket_needs_no_token_and_no_host_name(make: Callable[..., Box]) -> None:
    box = make(everywhere=True)
    box.state = {LOCAL_PEER: Peer(uid=0, pid=7)}
    assert box.get("/live/lobby.jpg", headers={"Host": "kiosk-guard"}).status_code == 200
    assert box.ask("POST", "/acts/test", headers={"Host": "kiosk-guard"}).status_code == 200
    assert box.visitors == [(True, "uid 0 on this box")] * 2
    box.state = {LOCAL_PEER: {"uid": 0, "pid": 7}}  # no Peer: not set by our own server
    assert box.get("/live/lobby.jpg").status_code == 401


def test_a_box_without_a_token_says_how_to_make_one(make: Callable[..., Box]) -> None:
    box = make(made=False)
    assert "kiosk-guard label" in box.get("/live/lobby.jpg").json()["error"]
    assert "kiosk-guard label" in box.get("/login").text
    for _ in range(20):
        assert box.log_in("anything").status_code == 401  # nothing can be guessed: nobody is slowed down
    write_token(box.file, box.token)
    assert box.get("/live/lobby.jpg", box.token).status_code == 200


@pytest.mark.parametrize(
    "content", ["", "sha256:", "sha256:zz", "sha256:" + "00" * 31, "\x00\xff", "sha256:" + "0" * 65]
)
def test_a_damaged_hash_lets_nobody_in(content: str, box: Box) -> None:
    box.file.write_text(content, encoding="latin-1")
    assert box.get("/live/lobby.jpg", box.token).status_code == 401
    assert box.get("/live/lobby.jpg", "x").status_code == 401


def test_only_the_hash_is_kept_and_only_for_the_owner(box: Box) -> None:
    content = box.file.read_text()
    assert re.fullmatch(r"sha256:[0-9a-f]{64}\n", content)
    assert box.file.stat().st_mode & 0o777 == 0o600
    assert not list(box.file.parent.glob(".token*"))


def test_a_token_has_128_bits_and_may_be_typed_carelessly(tmp_path: Path) -> None:
    token = new_token()
    assert re.fullmatch(r"([a-z2-7]{5}-){5}[a-z2-7]", token)
    assert len({new_token() for _ in range(100)}) == 100
    write_token(tmp_path / "token", token)
    file = TokenFile(tmp_path / "token")
    assert not file.matches(token)  # not looked at yet
    file.look()
    for typed in (token, token.replace("-", ""), token.upper(), f"  {token.replace('-', ' ')}\n"):
        assert file.matches(typed)
    for typed in ("", token[:-1], token + "a", "é" + token, "\ud800", token + " " * 300):
        assert not file.matches(typed)


def test_guesses_are_slowed_down_and_the_right_token_waits_its_turn_too(box: Box) -> None:
    codes = [box.get("/live/lobby.jpg", f"guess{i}").status_code for i in range(8)]
    assert codes == [401] * 5 + [429] * 3
    late = box.get("/live/lobby.jpg", box.token)
    assert late.status_code == 429  # else a guess would tell itself by its answer
    assert 1 <= int(late.headers["retry-after"]) <= 10
    assert box.log_in().status_code == 429
    assert "Try again in" in box.log_in().text
    assert box.get("/live/lobby.jpg", box.token, address="10.0.0.6").status_code == 200
    box.clock.advance(10)
    assert box.get("/live/lobby.jpg", box.token).status_code == 200
    assert box.get("/live/lobby.jpg", "wrong").status_code == 401  # forgiven: five tries again


def test_a_wrong_cookie_is_no_guess(box: Box) -> None:
    """A page that was left open over a restart asks every second; that must not lock its owner out."""
    for _ in range(20):
        assert box.get("/live/lobby.jpg", headers={"Cookie": "kiosk-guard=of-last-week"}).status_code == 401
    assert box.log_in().status_code == 303


def test_a_guessing_network_does_not_keep_the_technician_out() -> None:
    """Two hundred addresses guess for an hour as fast as they may; somebody new can log in at any time."""
    clock = FakeClock()
    guesses, tried = Guesses(now_s=clock.monotonic_s), 0
    for second in range(3600):
        for address in range(200):
            if guesses.wait_s(f"10.1.0.{address}") == 0:
                guesses.failed(f"10.1.0.{address}")
                tried += 1
        assert guesses.wait_s(f"10.9.{second // 250}.{second % 250}") == 0
        clock.advance(1)
    assert 3600 <= tried <= 3600 + 60 + 200 * 7  # one a second in all, and a first try of each every ten minutes


def test_an_ipv6_host_is_one_whatever_address_it_picks() -> None:
    guesses = Guesses(now_s=lambda: 0.0)
    for i in range(5):
        guesses.failed(f"2001:db8::{i}%eth0")
    assert guesses.wait_s("2001:db8::ffff") > 0
    assert guesses.wait_s("2001:db8:0:1::1") == 0
    for _ in range(5):
        guesses.failed("::ffff:10.0.0.1")
    assert guesses.wait_s("10.0.0.1") > 0


def test_what_is_remembered_of_guessers_is_bounded() -> None:
    guesses = Guesses(now_s=lambda: 0.0, addresses=10)
    for i in range(1000):
        guesses.failed(f"10.0.{i // 250}.{i % 250}")
    assert len(guesses._owed_until_s) == 10


def test_the_token_is_in_no_log_line_and_no_answer(box: Box, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        answers = [
            box.get("/live/lobby.jpg", box.token),
            box.log_in(),
            box.get("/login"),
            box.get("/health", box.token),
        ]
        answers += [box.get("/live/lobby.jpg", "a-wrong-token") for _ in range(9)]
        answers += [box.log_in("a-wrong-token")]
    said = caplog.text + "".join(str(a.headers) + a.text for a in answers)
    assert box.token not in said
    assert "a-wrong-token" not in said
    refusals = [r for r in caplog.records if r.name == "edge.health.access"]
    assert len(refusals) == 1  # once a minute, however many there are
    assert "10.0.0.5" in refusals[0].getMessage()
    assert refusals[0].kg == {"event": "access_refused", "reason": "wrong_token", "address": "10.0.0.5"}  # type: ignore[attr-defined]


def test_the_login_form_loads_nothing_and_runs_only_its_own_script(box: Box) -> None:
    form = box.get("/login")
    assert form.headers["referrer-policy"] == "no-referrer"
    policy = form.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert re.search(r"script-src 'sha256-[^']+'; form-action 'self'", policy)
    assert not re.search(r"(src|href)=", form.text)


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"token", b"&" * 2000, b"=" * 100, b"token=%ff%fe", b"{}"])
def test_an_odd_form_is_a_wrong_token(body: bytes, box: Box) -> None:
    assert box.ask("POST", "/login", content=body).status_code == 401
