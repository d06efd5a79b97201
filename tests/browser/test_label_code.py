"""The label's code in a real browser: scanned, it logs in over TLS, and leaves the token nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from fakes.health import FakeSource

from edge.health.server import HealthServer
from edge.health.tls import CertificateFiles, make_certificate
from edge.health.token import new_token, write_token

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Kiosk:
    """The endpoint as the service network sees it: everything needs the token."""

    def __init__(self, folder: Path) -> None:
        files = CertificateFiles(folder / "crt", folder / "key")
        make_certificate(files, names=["127.0.0.1"])
        self.token = new_token()
        write_token(folder / "token", self.token)
        self.server = HealthServer(
            FakeSource(), host="0.0.0.0", port=0, tls=files.context(), token_file=folder / "token"
        )
        self.server.start()


@pytest.fixture(name="kiosk")
def _kiosk(tmp_path: Path) -> Iterator[Kiosk]:
    kiosk = Kiosk(tmp_path)
    yield kiosk
    kiosk.server.stop()


def test_the_scanned_code_logs_in_and_the_token_stays_in_no_address(sight: Any, kiosk: Kiosk) -> None:
    page = sight(ignore_https_errors=True).page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{kiosk.server.url}login#{kiosk.token}")
    page.wait_for_url(kiosk.server.url)
    assert not [url for url in [*asked, page.url] if kiosk.token in url.partition("#")[0]]
    assert kiosk.token not in page.url
    (cookie,) = page.context.cookies()
    assert (cookie["secure"], cookie["httpOnly"], cookie["sameSite"]) == (True, True, "Strict")
    assert kiosk.token not in cookie["value"]
    assert "Guarding" in page.inner_text("body")


def test_a_wrong_code_shows_the_form_and_why(sight: Any, kiosk: Kiosk) -> None:
    found = sight(ignore_https_errors=True)
    page = found.page
    page.goto(f"{kiosk.server.url}login#{new_token()}")
    page.wait_for_selector("[role=alert]")
    assert "not the token of this box" in page.inner_text("[role=alert]")
    assert page.url == f"{kiosk.server.url}login"
    page.fill("[name=token]", kiosk.token.replace("-", "").upper())
    page.keyboard.press("Enter")
    page.wait_for_url(kiosk.server.url)
    found.said = [words for words in found.said if "401" not in words]  # the browser's own note about the answer
