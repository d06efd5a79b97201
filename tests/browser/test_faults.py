"""What breaks on a box is on its page within twenty seconds, with what to do about it."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tarfile
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e.appliance_process import CLIP
from e2e.technician_box import Box, running_box
from fakes.httpcamera import HttpCamera

from edge.health.interface import Check, Report, Status
from edge.health.page import render

if TYPE_CHECKING:
    from collections.abc import Iterator

WITHIN_S = 20.0
LATE_S = 40.0  # a machine that has other things to do is no fault; what was measured is printed
COMMAND = Path(
    shutil.which("kiosk-guard", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])) or ""
)


@pytest.fixture(scope="module")
def camera() -> Iterator[HttpCamera]:
    with HttpCamera(fps=10.0, clip=CLIP) as one:
        yield one


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A state directory on a file system of its own, which can be filled; without root an ordinary one."""
    folder = tmp_path_factory.mktemp("faulty")
    state = folder / "state"
    state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=700m", "tmpfs", str(state)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    yield folder
    if mounted:
        subprocess.run(["umount", "--lazy", str(state)], check=False)


@pytest.fixture(scope="module")
def box(camera: HttpCamera, small_disk: Path) -> Iterator[Box]:
    with running_box(COMMAND, small_disk, source=camera.url()) as found:
        yield found


def on_the_page(page: Any, words: str, *, what: str, since_s: float) -> None:
    page.wait_for_function(
        "(w) => document.querySelector('#state').innerText.includes(w)", arg=words, timeout=1000 * LATE_S
    )
    print(f"{what}: on the page after {time.monotonic() - since_s:.1f} s (goal {WITHIN_S:.0f} s)")


def test_a_camera_that_hangs_and_one_that_repeats_itself(logged_in: Any, camera: HttpCamera) -> None:
    sight = logged_in()
    page = sight.page
    began_s = time.monotonic()
    camera.freeze()
    try:
        on_the_page(page, "check the camera's power and cable", what="camera frozen", since_s=began_s)
        page.locator("#state", has_text="Not guarding").wait_for(timeout=1000 * LATE_S)
        print(f"camera frozen: not guarding after {time.monotonic() - began_s:.1f} s")
        page.get_by_text("no new picture for").wait_for()
        assert page.locator("img[data-live-src]").is_hidden()  # nobody takes an old picture for what is there
        sight.shoot("camera-lost")
    finally:
        camera.thaw()
    page.locator("#state", has_text="Guarding, needs attention").wait_for()
    began_s = time.monotonic()
    camera.same = True
    try:
        on_the_page(page, "the very same picture comes again and again", what="picture frozen", since_s=began_s)
    finally:
        camera.same = False
    sight.said.clear()  # a live picture that did not come


def test_mail_that_is_refused(logged_in: Any, box: Box) -> None:
    sight = logged_in()
    page = sight.page
    seen = len(box.told("/incidents?limit=50")["incidents"])
    box.mailbox.answers["security-desk@bank.example"] = "550 5.1.1 no such desk here"
    try:
        while len(box.told("/incidents?limit=50")["incidents"]) == seen:  # until there is something to mail
            time.sleep(0.2)
        on_the_page(page, "no such desk here", what="mail refused", since_s=time.monotonic())
        assert "Correct recipients or account" in page.inner_text("#state")
    finally:
        box.mailbox.answers.clear()
    sight.shoot("mail-refused")
    page.get_by_role("button", name="Try the waiting mails now").click()
    page.locator("#state", has_text="no such desk here").wait_for(state="detached")


def test_a_full_disk(logged_in: Any, box: Box) -> None:
    if not os.path.ismount(box.state):
        pytest.skip("only root may mount a small disk to fill")
    page = logged_in().page
    filler = box.state / "filler"
    with filler.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1_000_000))
    began_s = time.monotonic()
    try:
        on_the_page(page, "alarms cannot be kept. Remove what does not belong there", what="disk full", since_s=began_s)
    finally:
        filler.unlink()
    page.locator("#state", has_text="alarms cannot be kept").wait_for(state="detached")


def test_a_clock_that_differs_from_the_phone_s(logged_in: Any) -> None:
    page = logged_in().page
    page.wait_for_selector(".state strong")
    assert page.inner_text("#clock") == ""
    page.clock.set_fixed_time(datetime.now(timezone.utc) + timedelta(days=40))
    began_s = time.monotonic()
    page.wait_for_function("() => document.querySelector('#clock').innerText.includes('40 days behind')")
    print(f"clocks differ: on the page after {time.monotonic() - began_s:.1f} s (goal {WITHIN_S:.0f} s)")
    assert "let it reach an NTP server" in page.inner_text("#clock")


def test_a_page_that_is_open_when_the_box_comes_back_in_fault_mode_does_not_go_on_to_say_that_it_guards(
    logged_in: Any, box: Box
) -> None:
    sight = logged_in()
    page = sight.page
    page.locator("#state", has_text="Guarding").wait_for()
    page.route(f"{box.url}/", lambda route: route.fulfill(status=503, body="no"))
    page.locator("#lost", has_text="What you see is old").wait_for(timeout=1000 * LATE_S)
    page.unroute(f"{box.url}/")
    report = Report((Check("model", Status.FAIL, "no model is there"),))
    plain = render(report, ready=(False, "no model is there"), version="1", now=datetime.now(timezone.utc))
    page.route(f"{box.url}/", lambda route: route.fulfill(content_type="text/html", body=plain))
    page.locator(".state", has_text="Not guarding").wait_for(timeout=1000 * LATE_S)
    page.unroute(f"{box.url}/")
    page.locator("#state", has_text="Guarding").wait_for(timeout=1000 * LATE_S)  # and back again
    sight.said.clear()


def test_a_model_that_is_missing(sight: Any, tmp_path: Path) -> None:
    began_s = time.monotonic()
    with running_box(COMMAND, tmp_path, more={"model": {"path": "nowhere"}}, guards=False) as box:
        found = sight()
        page = found.page
        page.goto(box.url)
        state = page.inner_text(".state")
        print(f"model missing: on the page {time.monotonic() - began_s:.1f} s after the start (goal {WITHIN_S:.0f} s)")
        found.shoot("model-missing", full=True)
        assert "Not guarding" in state
        assert "nowhere/manifest.json: no such file" in state
        assert "kiosk-guard model install" in state
        page.get_by_role("link", name="support bundle").click()
        page.fill("[name=token]", box.token)
        with page.expect_download() as download:
            page.keyboard.press("Enter")
        with tarfile.open(download.value.path()) as tar:
            (report,) = [tar.extractfile(m) for m in tar.getmembers() if m.name.endswith("/health.json")]
            assert report
            assert b"no such file" in report.read()
        time.sleep(5.0)  # its own mails and databases are no reason to begin anew
        assert len(box.process.said("fault_mode")) == 1
