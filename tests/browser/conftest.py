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
from e2e.technician_box import Box, running_box

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
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    command = shutil.which("kiosk-guard", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert command, "kiosk-guard is not installed: use ./tests/run --browser"
    with running_box(Path(command), tmp_path_factory.mktemp("box")) as found:
        yield found


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
