"""The acts and pages over HTTP: who asks is known, what is sent is bounded, what goes wrong is said in words."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from fakes.acts import BROKEN, INCIDENT, JPEG, FakeActs
from fakes.clocks import FakeClock
from fakes.health import FakeSource
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.health.access import LOCAL_PEER, Peer
from edge.health.acts import ActRefused
from edge.health.acts_routes import ActsRoutes
from edge.health.endpoints import Endpoints
from edge.health.pages import GLANCE_PATHS, Pages
from edge.health.token import new_token, write_token

if TYPE_CHECKING:
    from pathlib import Path

ROUTES = [
    ("GET", "/acts"),
    ("POST", "/acts/test-alarm"),
    ("POST", "/acts/test-mail"),
    ("POST", "/acts/retry-mail"),
    ("POST", "/acts/maintenance"),
    ("POST", "/acts/acknowledge"),
    ("POST", "/acts/confirm-masks"),
    ("POST", "/acts/walk-test"),
    ("POST", "/acts/verdict"),
    ("GET", "/acts/support-bundle"),
    ("GET", "/acts/zones"),
    ("PUT", "/acts/zones"),
    ("POST", "/acts/zones/restore"),
    ("GET", "/live/lobby.jpg"),
    ("GET", "/incidents"),
    ("GET", "/incidents/x"),
    ("GET", "/incidents/x/picture"),
    ("GET", "/zones"),
    ("GET", "/walk-test"),
    ("GET", "/incident/x"),
]


class Site:
    """The whole application over fakes, asked without a socket."""

    def __init__(self, token_file: Path | None = None, *, local: bool = True) -> None:
        self.acts, self.source, clock = FakeActs(), FakeSource(), FakeClock()
        pages = Pages(self.source, self.acts, version="1.0", clock=clock)
        application: Any = Endpoints(
            self.source,
            version="1.0",
            clock=clock,
            token_file=token_file,
            more_routes=[*pages.routes(), *ActsRoutes(self.acts).routes()],
            glance_paths=GLANCE_PATHS,
        ).application()

        async def through_the_socket(scope: Any, receive: Any, send: Any) -> None:
            scope["state"] = {LOCAL_PEER: Peer(1000, 1)}
            await application(scope, receive, send)

        self._application = through_the_socket if local else application

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        async def one() -> httpx.Response:
            transport = httpx.ASGITransport(self._application)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8787") as client:
                return await client.request(method, path, **options)

        return asyncio.run(one())

    def post(self, act: str, **body: Any) -> httpx.Response:
        return self.ask("POST", f"/acts/{act}", json=body)


@pytest.fixture(name="site")
def _site() -> Site:
    return Site()


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_without_the_token_nothing_is_shown_and_nothing_done(method: str, path: str) -> None:
    site = Site(local=False)
    answer = site.ask(method, path, json={} if method != "GET" else None)
    assert answer.status_code == 401
    assert site.acts.asked == []


def test_with_the_token_the_technician_is_named_by_the_address(tmp_path: Path) -> None:
    token = new_token()
    write_token(tmp_path / "token", token)
    site = Site(tmp_path / "token", local=False)
    answer = site.ask("POST", "/acts/acknowledge", json={}, headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200
    assert site.acts.asked == [("acknowledge", {"who": "technician at 127.0.0.1"})]


def test_each_act_gets_what_was_sent_and_who_sent_it(site: Site) -> None:
    who = "uid 1000 on this box"
    site.post("test-alarm", seconds=2, outputs=["siren"])
    site.post("test-alarm")
    site.post("test-mail")
    site.post("maintenance", on=True, minutes=30, reason="  new\nlens ")
    site.post("walk-test", on=True, technician="Anna")
    site.post("verdict", incident_id="i1", verdict="false")
    site.post("zones/restore", version="000003")
    site.ask("PUT", "/acts/zones", json={"zones": [], "masks": [], "version": "abc"})
    assert site.acts.asked == [
        ("test_alarm", {"seconds": 2.0, "outputs": ["siren"], "who": who}),
        ("test_alarm", {"seconds": 3.0, "outputs": None, "who": who}),
        ("test_mail", {"who": who}),
        ("maintenance", {"on": True, "minutes": 30.0, "reason": "new lens", "who": who}),
        ("walk_test", {"on": True, "minutes": 10.0, "siren": False, "technician": "Anna", "who": who}),
        ("verdict", {"incident_id": "i1", "verdict": "false", "who": who}),
        ("restore_zones", {"version": "000003", "who": who}),
        ("save_zones", {"body": {"zones": [], "masks": [], "version": "abc"}, "who": who}),
    ]


@pytest.mark.parametrize(
    ("act", "content", "words"),
    [
        ("acknowledge", b"[]", "no JSON object"),
        ("acknowledge", b"{", "no JSON object"),
        ("acknowledge", b"[" * 10_000, "no JSON object"),
        ("acknowledge", b'{"x": 1}', "unknown: 'x'"),
        ("test-alarm", b'{"seconds": "3"}', "no number"),
        ("test-alarm", b'{"seconds": NaN}', "no number"),
        ("test-alarm", b'{"seconds": true}', "no number"),
        ("test-alarm", b'{"outputs": "siren"}', "no list of names"),
        ("maintenance", b"{}", "neither true nor false"),
        ("maintenance", b'{"on": 1}', "neither true nor false"),
        ("verdict", b'{"incident_id": 1}', "no text"),
    ],
)
def test_a_body_that_is_not_right_is_refused_in_words(act: str, content: bytes, words: str, site: Site) -> None:
    answer = site.ask("POST", f"/acts/{act}", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert site.acts.asked == []


def test_a_form_as_a_foreign_page_could_send_it_is_no_order(site: Site) -> None:
    answer = site.ask("POST", "/acts/acknowledge", data={"on": "true"})
    assert answer.status_code == 415
    assert site.acts.asked == []


def test_a_refusal_and_a_broken_disk_are_answered_in_words(site: Site) -> None:
    site.acts.refuses = ActRefused("not now", hint="Later.", status=409)
    answer = site.post("acknowledge")
    assert (answer.status_code, answer.json()) == (409, {"error": "not now", "hint": "Later."})
    site.acts.refuses, site.acts.breaks = None, BROKEN
    answer = site.post("acknowledge")
    assert (answer.status_code, answer.json()["error"]) == (503, "the disk is gone")
    page = site.ask("GET", "/zones")
    assert page.status_code == 503
    assert "the disk is gone. Replace the card." in page.text
    assert "Replace the card" not in site.ask("GET", "/").text
    assert "the disk is gone" in site.ask("GET", "/").text


def test_pictures_and_downloads_are_what_they_say(site: Site) -> None:
    live = site.ask("GET", "/live/lobby.jpg?plain")
    assert (live.content, live.headers["content-type"]) == (JPEG, "image/jpeg")
    assert live.headers["cache-control"] == "no-store"
    assert site.acts.asked[-1] == ("live", {"camera": "lobby", "plain": True})
    site.ask("GET", "/incidents/i1/picture?role=sheet&small")
    assert site.acts.asked[-1][1] == {
        "incident_id": "i1",
        "role": "sheet",
        "small": True,
        "who": "uid 1000 on this box",
    }
    bundle = site.ask("GET", "/acts/support-bundle")
    assert bundle.headers["content-disposition"] == 'attachment; filename="bundleXy.tar.gz"'
    for limit in ("0", "-1", "201", "x", "\u0663", "9" * 30):
        assert site.ask("GET", "/incidents", params={"limit": limit}).status_code == 400


def test_the_overview_escapes_what_comes_from_elsewhere_and_allows_no_foreign_script(site: Site) -> None:
    answer = site.ask("GET", "/")
    assert "&lt;Main&gt;" in answer.text
    assert "Loitering &lt;b&gt;" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert 'href="/incident/20260301-020000-abc123"' in answer.text


def test_who_only_glances_sees_the_verdict_but_neither_picture_nor_act() -> None:
    site = Site(local=False)
    text = site.ask("GET", "/").text
    assert "Guarding" in text
    assert "/live/" not in text
    assert "data-act" not in text
    assert "/picture" not in text
    for path in ("/page.css", "/page.js", "/zones.js", "/icon.svg"):
        assert site.ask("GET", path).status_code == 200


def test_a_fault_of_the_page_s_own_never_hides_the_verdict(site: Site) -> None:
    site.acts.breaks = RuntimeError("boom")
    text = site.ask("GET", "/").text
    assert "Guarding" in text
    assert "cannot tell all of its state" in text
    assert "boom" not in text


def test_maintenance_is_in_the_big_words(site: Site) -> None:
    possible = {**site.acts.glance_answer["possible"], "maintenance": {"on": True, "reason": "lens", "remaining_s": 90}}
    site.acts.glance_answer = {**site.acts.glance_answer, "possible": possible}
    text = site.ask("GET", "/").text
    assert "In maintenance: the rules are silent" in text
    assert "End maintenance" in text


def test_what_was_held_back_is_shown_with_its_reason_and_of_several_cameras_with_which(site: Site) -> None:
    held = {"since": "2026-03-01T02:00:00+00:00", "camera": "yard", "rule": "loitering", "title": "Loitering"}
    held |= {"zone": "gate", "severity": "low", "reason": "cooldown", "count": 3}
    one = site.acts.glance_answer
    for cameras, words in (
        ({}, "<b>Loitering</b> in gate: cooldown"),
        ({"yard": one["cameras"]["lobby"]}, "in gate of yard: c"),
    ):
        site.acts.glance_answer = {**one, "suppressed": [held], "cameras": {**one["cameras"], **cameras}}
        text = site.ask("GET", "/").text
        assert words in text
        assert (" of lobby</a>" in text) is bool(cameras), "so do incidents"


def test_withheld_pictures_can_be_released_and_only_then(site: Site) -> None:
    assert "confirm-masks" not in site.ask("GET", "/").text
    turned = {"fps": 5.0, "frame_age_s": 0.1, "state": "live", "withheld": True}
    site.acts.glance_answer = {**site.acts.glance_answer, "cameras": {"lobby": turned}}
    text = site.ask("GET", "/").text
    assert "pictures are withheld" in text
    assert "release the pictures" in text


def test_a_camera_that_was_moved_may_be_said_to_be_right(site: Site) -> None:
    moved = {"fps": 5.0, "frame_age_s": 0.1, "state": "live", "withheld": False, "moved": True}
    site.acts.glance_answer = {**site.acts.glance_answer, "cameras": {"lobby": moved}}
    text = site.ask("GET", "/").text
    assert ">The view is right</button>" in text


def test_waiting_mails_can_be_tried_at_once_and_only_where_there_are_any(site: Site) -> None:
    assert "retry-mail" not in site.ask("GET", "/").text
    report = site.source.report_answer
    site.source.report_answer = replace(report, details={"outbox": {"waiting": 0, "held": 2}})
    assert 'data-act="retry-mail"' in site.ask("GET", "/").text
    answer = site.ask("POST", "/acts/retry-mail", json={})
    assert answer.json() == {"mails": 2}


def test_the_state_on_the_zones_page_cannot_end_its_script(site: Site) -> None:
    text = site.ask("GET", "/zones").text
    inner = text.partition('id="zones-state">')[2].partition("</script>")[0]
    assert json.loads(inner)["version"] == "abc"
    assert "<" not in inner


def test_an_incident_has_a_page_with_its_pictures(site: Site) -> None:
    text = site.ask("GET", f"/incident/{INCIDENT['id']}").text
    assert "picture?role=annotated" in text
    assert "picture?role=sheet" not in text
    assert 'zone"x' not in text


BODIES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["on", "minutes", "seconds", "outputs", "reason", "verdict", "zones"]), inner)
    ),
    max_leaves=8,
)


_FUZZED = Site()


@settings(deadline=None, max_examples=60)
@given(route=st.sampled_from(ROUTES), body=BODIES, query=st.text(max_size=20))
def test_whatever_is_sent_there_is_an_answer_that_is_no_crash(route: tuple[str, str], body: Any, query: str) -> None:
    content = json.dumps(body).encode("utf-8", "surrogatepass")
    headers = {"Content-Type": "application/json"}
    answer = _FUZZED.ask(route[0], route[1], content=content, headers=headers, params={"role": query, "camera": query})
    assert answer.status_code < 500
