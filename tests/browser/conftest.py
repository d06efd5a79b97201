"""The installed service on the committed clip, its pages in Debian's Chromium, and a mail server that can refuse.

KIOSK_GUARD_SHOTS=FOLDER keeps pictures of the pages there.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e.appliance_process import CLIP, Process, toml
from fakes.mailserver import Mailbox, mail_server

from edge.health.token import new_token, write_token

if TYPE_CHECKING:
    from collections.abc import Iterator

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
PHONE = {"width": 390, "height": 844}
SHOTS = os.environ.get("KIOSK_GUARD_SHOTS", "")


def pytest_collection_modifyitems(items: list[Any]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)


@dataclass
class Box:
    """A running box. ``mailbox`` is its desk's."""

    process: Process
    url: str
    token: str
    state: Path
    mailbox: Mailbox


@dataclass
class Sight:
    """A page, and what its console said."""

    page: Any
    said: list[str] = field(default_factory=list)

    def shoot(self, name: str, *, full: bool = False) -> None:
        if SHOTS:
            self.page.screenshot(path=f"{SHOTS}/{name}.png", full_page=full)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser; without one, or without Playwright, these tests say so and are skipped."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: ./tests/run --browser")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here; on Debian: apt-get install -y chromium")
    with sync_api.sync_playwright() as playwright:
        # Root has no sandbox in a container; the pages are our own.
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    folder = tmp_path_factory.mktemp("box")
    command = shutil.which("kiosk-guard", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert command, "kiosk-guard is not installed: use ./tests/run --browser"
    state = folder / "state"
    state.mkdir()
    token = new_token()
    write_token(state / "health.token", token)
    with mail_server() as (mailbox, port):
        tables: dict[str, dict[str, Any]] = {
            "kiosk": {"id": "main-street-1", "site": "Main Street branch"},
            "rules.loitering": {"dwell_s": 8.0},
            "rules.restricted_area": {"dwell_s": 0.5},
            "incidents": {"close_after_s": 2.0, "cooldown_s": 1.0},
            "outputs": {"driver": "mock"},
            "outputs.lines.siren": {"pin": 17, "severities": ["high"], "max_on_s": 5.0},
            "outputs.lines.led": {"pin": 27},
            "email": {
                "enabled": True,
                "host": "127.0.0.1",
                "port": port,
                "security": "none",
                "sender": "kiosk@kiosk.example",
                "recipients": ["security-desk@bank.example"],
                "timeout_s": 5.0,
            },
            "health": {"port": 0},
            "state": {"dir": "state"},
        }
        text = f'[[cameras]]\nname = "lobby"\nsource = {toml(str(CLIP))}\nmax_fps = 5.0\nloop = true\n'
        for name, table in tables.items():
            text += f"\n[{name}]\n" + "".join(f"{k} = {toml(v)}\n" for k, v in table.items())
        (folder / "kiosk-guard.toml").write_text(text)
        process = Process(Path(command), folder / "kiosk-guard.toml")
        try:
            url = process.wait_for("started", timeout_s=120.0)["health_url"].rstrip("/")
            yield Box(process, url, token, state, mailbox)
        finally:
            process.end()


@pytest.fixture
def sight(chromium: Any) -> Iterator[Any]:
    """Open a window; what its console complains about fails the test."""
    opened: list[tuple[Any, Sight]] = []

    def look(**options: Any) -> Sight:
        context = chromium.new_context(**{"viewport": PHONE, **options})
        context.set_default_timeout(60_000)  # a busy machine is no fault
        found = Sight(context.new_page())
        found.page.on("console", lambda m: found.said.append(m.text) if m.type in {"error", "warning"} else None)
        found.page.on("pageerror", lambda e: found.said.append(str(e)))
        opened.append((context, found))
        return found

    yield look
    complaints = [words for _, found in opened for words in found.said]
    for context, _ in opened:
        context.close()
    assert complaints == []


@pytest.fixture
def logged_in(sight: Any, box: Box) -> Any:
    """Open a window, log in by the form, and be at the overview."""

    def enter(path: str = "/", **options: Any) -> Sight:
        found: Sight = sight(**options)
        found.page.goto(f"{box.url}/login?next={path}")
        found.page.fill("[name=token]", box.token)
        found.page.keyboard.press("Enter")
        found.page.wait_for_url(box.url + path)
        return found

    return enter
