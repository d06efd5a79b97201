"""What the endpoints and the page say, without a network."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from edge.health.endpoints import Endpoints
from edge.health.interface import Check, Report, Status
from edge.health.token import new_token, write_token
from tests.fakes.clocks import FakeClock
from tests.fakes.health import FakeSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASS, WARN, FAIL = Status.PASS, Status.WARN, Status.FAIL


@pytest.fixture(name="source")
def _source() -> FakeSource:
    return FakeSource()


class Client:
    """Asks the application as a server would, without a network."""

    def __init__(self, application: Any) -> None:
        self._application = application

    def request(self, method: str, path: str, **settings: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._application, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
                return await client.request(method, path, **settings)

        return asyncio.run(ask())

    def get(self, path: str, **settings: Any) -> httpx.Response:
        return self.request("GET", path, **settings)


@pytest.fixture(name="client")
def _client(source: FakeSource, tmp_path: Path) -> Iterator[Client]:
    endpoints = Endpoints(source, version="1.2.3", clock=FakeClock(), token_file=tmp_path / "token")
    yield Client(endpoints.application(allowed_hosts=["kiosk.example"]))
    endpoints.close()


@pytest.mark.parametrize(("path", "attribute"), [("/livez", "live_answer"), ("/readyz", "ready_answer")])
def test_probes_answer_with_a_code_for_machines_and_words_for_people(
    path: str, attribute: str, client: Client, source: FakeSource
) -> None:
    setattr(source, attribute, (True, "all is well"))
    assert client.get(path).status_code == 200
    assert "all is well" not in client.get(path).text
    assert "all is well" in client.get(f"{path}?verbose").text
    setattr(source, attribute, (False, "the pipeline is stuck"))
    answer = client.get(f"{path}?verbose")
    assert answer.status_code == 503
    assert answer.text.startswith("not ")
    assert "the pipeline is stuck" in answer.text
    assert client.request("HEAD", path).status_code == 503


@pytest.mark.parametrize(("status", "code"), [(PASS, 200), (WARN, 200), (FAIL, 503)])
def test_health_is_health_json(status: Status, code: int, client: Client, source: FakeSource) -> None:
    source.report_answer = Report(
        (Check("mail", status, "look here", 3, "s"), Check("disk", PASS)), {"frames": {"lobby": 12}}
    )
    answer = client.get("/health")
    assert answer.status_code == code
    assert answer.headers["content-type"] == "application/health+json"
    body = answer.json()
    assert body["status"] == status.label
    assert body["version"] == "1.2.3"
    assert body["checks"]["mail"] == [
        {
            "status": status.label,
            "time": "2026-03-01T02:00:00Z",
            "observedValue": 3,
            "observedUnit": "s",
            "output": "look here",
        }
    ]
    assert body["checks"]["disk"] == [{"status": "pass", "time": "2026-03-01T02:00:00Z"}]
    assert body["details"] == {"frames": {"lobby": 12}}
    assert body["output"] == ("" if status is PASS else "mail: look here")


def test_odd_details_do_not_cost_the_answer(client: Client, source: FakeSource) -> None:
    source.report_answer = Report(
        (Check("a", PASS, "", float("nan")),), {"rate": float("inf"), 7: (1, None), "what": object(), "status": PASS}
    )
    text = client.get("/health").text
    body = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert body["details"]["rate"] is None
    assert body["details"]["7"] == [1, None]
    assert client.get("/").status_code == 200


def test_a_source_that_fails_is_a_failure_in_words(
    client: Client, source: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    source.raises = RuntimeError("the cause")
    with caplog.at_level(logging.ERROR):
        assert client.get("/livez").status_code == 503
        assert client.get("/readyz?verbose").text.startswith("not ready: the appliance cannot tell")
        body = client.get("/health").json()
        page = client.get("/").text
    assert body["status"] == "fail"
    assert "read its log" in body["output"]
    assert "Not guarding" in page
    assert "the cause" not in page + json.dumps(body)
    assert "the cause" in caplog.text


@pytest.fixture(name="bearer")
def _bearer(tmp_path: Path) -> dict[str, str]:
    token = new_token()
    write_token(tmp_path / "token", token)
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_refused_as_json(method: str, client: Client, bearer: dict[str, str]) -> None:
    answer = client.request(method, "/health", headers=bearer)
    assert answer.status_code == 405
    assert answer.json() == {"error": "Method Not Allowed"}
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize("path", ["/nothing", "/livez/", "/../etc/passwd", "/%00", "/health/x"])
def test_other_paths_are_refused_as_json(path: str, client: Client, bearer: dict[str, str]) -> None:
    assert client.get(path).status_code == 401  # without the token, nobody learns what there is
    answer = client.get(path, headers=bearer)
    assert answer.status_code == 404
    assert answer.json() == {"error": "Not Found"}


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:8787"}, 421),
        ({"Host": "localhost:8787"}, 200),
        ({"Host": "LOCALHOST"}, 200),
        ({"Host": "[::1]:8787"}, 200),
        ({"Host": "[::1]"}, 200),
        ({"Host": "10.1.2.3"}, 200),
        ({"Host": "kiosk.example:8787"}, 200),
        ({"Content-Length": "16385"}, 413),
        ({"Content-Length": "99999999999999999999999"}, 413),
        ({"Content-Length": "-1"}, 413),
        ({"Content-Length": b"\xb2"}, 413),  # a digit for Python, no number
        ({"Transfer-Encoding": "chunked"}, 411),
    ],
)
def test_hosts_and_sizes(headers: dict[str, str | bytes], code: int, client: Client) -> None:
    answer = client.get("/livez", headers=headers)
    assert answer.status_code == code
    if code != 200:
        assert "error" in answer.json()


@pytest.mark.parametrize("path", ["/", "/livez", "/health", "/nothing"])
def test_every_answer_has_the_security_headers(path: str, client: Client) -> None:
    headers = client.get(path, headers={"Origin": "http://evil.example"}).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "script-src" not in headers["content-security-policy"]
    assert not [name for name in headers if name.startswith("access-control")]


class Page(HTMLParser):
    """Collects what a browser would show and load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [value or "" for name, value in attrs if name in ("src", "href", "action")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_the_state_and_why(client: Client, source: FakeSource) -> None:
    source.report_answer = Report(
        (
            Check("camera:lobby", PASS, "", "live"),
            Check("mail", WARN, "2 alerts wait. Check network", 90.5, "s"),
            Check("disk", FAIL, "only 3 MB are free", 3, "MB"),
        ),
        {"cameras": [{"name": "lobby", "frames": 12}], "outputs": {"buzzer": False}, "rules": ["loitering", "knife"]},
    )
    page = Page(client.get("/").text)
    assert "Guarding, but impaired" in page.text
    assert page.text.index("only 3 MB are free") < page.text.index("Checks")
    for words in (
        "2 alerts wait. Check network",
        "90.5 s",
        "1.2.3",
        "2026-03-01 02:00:00 UTC",
        "loitering, knife",
        "12",
    ):
        assert words in page.text
    assert page.text.index("2 alerts wait") > page.text.index("Checks")


def test_a_lost_camera_is_one_line_and_what_else_is_amiss_is_counted(client: Client, source: FakeSource) -> None:
    source.ready_answer = (False, 'camera "lobby": the newest judged picture is 21 s old')
    source.report_answer = Report(
        (
            Check("camera:lobby", FAIL, "camera lost: nothing listens there. Check the cable", "lost"),
            Check("frame_age:lobby", FAIL, "the newest judged picture is 21 s old", 21.0, "s"),
            Check("clock", WARN, "not set"),
        )
    )
    state = client.get("/").text.partition('<section class="state')[2].partition("</section>")[0]
    assert "Not guarding" in state
    assert re.findall("<p>(.*?)</p>", state) == [
        "Camera lobby: camera lost: nothing listens there. Check the cable",
        "and 1 warning, below",
    ]


def test_a_camera_that_sees_the_wrong_thing_is_in_the_big_words(client: Client, source: FakeSource) -> None:
    source.report_answer = Report((Check("view:lobby", FAIL, "for 9 s the lens is covered", "covered"),))
    state = client.get("/").text.partition('<section class="state')[2].partition("</section>")[0]
    assert "A camera does not see" in state
    assert "View lobby: for 9 s the lens is covered" in state
    assert "Guarding" not in state


def test_the_page_is_green_only_when_the_box_is_ready(client: Client, source: FakeSource) -> None:
    page = client.get("/").text
    assert '<section class="state pass"' in page
    assert "Not guarding" not in page
    source.ready_answer = (False, "no picture was judged yet")
    page = client.get("/").text
    assert "Not guarding" in page
    assert "no picture was judged yet" in page


def test_hostile_text_stays_text_and_nothing_is_loaded_from_elsewhere(client: Client, source: FakeSource) -> None:
    evil = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"
    source.ready_answer = (False, evil)
    source.report_answer = Report((Check(evil, FAIL, evil, evil, evil),), {evil: {evil: [evil, {evil: evil}]}})
    page = Page(client.get("/").text)
    assert not {"script", "img", "link", "iframe", "form"} & set(page.tags)
    assert evil in page.text
    assert all(target.startswith("/") for target in page.loads)


def test_many_reasons_are_counted_instead_of_filling_the_screen(client: Client, source: FakeSource) -> None:
    source.report_answer = Report(tuple(Check(f"check{i}", WARN, f"reason {i}") for i in range(6)))
    page = Page(client.get("/").text)
    head = page.text[: page.text.index("Checks")]
    assert "reason 2" in head
    assert "reason 3" not in head
    assert "and 3 more, below" in head


def test_refreshing_can_be_stopped(client: Client) -> None:
    assert 'http-equiv="refresh"' in client.get("/").text
    assert 'http-equiv="refresh"' not in client.get("/?still").text


def test_a_huge_report_is_cut_on_the_page(client: Client, source: FakeSource) -> None:
    deep: dict[str, object] = {}
    for _ in range(200):
        deep = {"in": deep}
    source.report_answer = Report((), {"many": {str(i): i for i in range(5000)}, "deep": deep, "long": "x" * 100_000})
    assert len(client.get("/").text) < 100_000


def test_metrics_are_read_when_they_are_asked_for(client: Client, source: FakeSource) -> None:
    source.report_answer = Report((Check("mail", WARN),))
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'kiosk_check_status{check="mail"} 1.0' in answer.text
    source.report_answer = Report((Check("mail", PASS),))
    assert 'kiosk_check_status{check="mail"} 0.0' in client.get("/metrics").text


def test_metrics_of_a_source_that_fails_are_a_failed_scrape(
    client: Client, source: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    source.raises = RuntimeError("the cause")
    with caplog.at_level(logging.ERROR):
        answer = client.get("/metrics")
    assert answer.status_code == 503
    assert "the cause" not in answer.text
