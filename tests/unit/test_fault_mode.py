from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest
from fakes.clocks import FakeClock
from starlette.applications import Starlette

from edge.app.fault_board import FaultBoard, fault_checks
from edge.app.fault_mode import FaultMode
from edge.config import load
from edge.config.salvage import salvage
from edge.errors import ConfigError, IndicatorError, KioskError, ManifestError, StateError
from edge.health.acts_routes import no_acts_routes
from edge.health.interface import Status

if TYPE_CHECKING:
    from pathlib import Path

MAIL = """
[email]
enabled = true
host = "mail.bank.example"
sender = "kiosk@bank.example"
recipients = ["desk@bank.example"]
"""
CAMERA = '[[cameras]]\nname = "lobby"\nsource = "/dev/video0"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "kiosk-guard.toml"
    path.write_text(text)
    return path


def test_a_fault_elsewhere_leaves_mail_and_state_usable(tmp_path: Path) -> None:
    path = written(tmp_path, '[state]\ndir = "here"\n[health]\nport = 9000\n[rulez]\nx = 1\n' + MAIL)
    with pytest.raises(ConfigError):
        load(path)
    found = salvage(path)
    assert found.email.enabled
    assert found.state.dir == "here"
    assert found.health.port == 9000


@pytest.mark.parametrize(
    "wrong",
    ["[outbox]\nmax_items = -1\n", "[state]\nfolder = 1\n", '[kiosk]\ntimezone = "Nowhere"\n', "[evidence]\nx=1\n"],
)
def test_mail_is_off_when_a_table_that_delivering_needs_is_wrong(tmp_path: Path, wrong: str) -> None:
    assert not salvage(written(tmp_path, wrong + MAIL)).email.enabled


@pytest.mark.parametrize("text", ["", "no toml at all [", "[email]\nenabled = 3\n", "email = 5\n"])
def test_of_a_hopeless_file_the_built_in_values_are_left(tmp_path: Path, text: str) -> None:
    found = salvage(written(tmp_path, text))
    assert not found.email.enabled
    assert found.health.host == "127.0.0.1"
    assert salvage(tmp_path / "missing.toml").health.port == found.health.port


def test_a_good_file_is_kept_whole_as_far_as_it_matters(tmp_path: Path) -> None:
    path = written(tmp_path, CAMERA + MAIL)
    assert salvage(path).email == load(path).email


def test_every_fault_of_a_file_is_a_line_of_its_own() -> None:
    checks = fault_checks(ConfigError("a.toml: 2 faults:\n  a.toml: x: unknown key\n  a.toml: y: is missing"))
    assert [(c.name, c.status, c.output) for c in checks] == [
        ("config", Status.FAIL, "a.toml: x: unknown key"),
        ("config", Status.FAIL, "a.toml: y: is missing"),
    ]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ManifestError("m"), "model"),
        (IndicatorError("i"), "gpio"),
        (StateError("s"), "storage"),
        (KioskError("k"), "appliance"),
    ],
)
def test_a_fault_stands_where_a_technician_looks(error: KioskError, line: str) -> None:
    assert [c.name for c in fault_checks(error)] == [line]


def test_what_it_writes_itself_is_no_reason_to_try_again_and_a_file_is(tmp_path: Path) -> None:
    path = written(tmp_path, '[state]\ndir = "state"\n' + CAMERA + MAIL)
    (tmp_path / "state").mkdir()
    mode = FaultMode(ManifestError("m"), path, clock=FakeClock(), boot_id="b")
    before = mode.signature()
    (tmp_path / "state" / "kiosk.db-wal").write_text("")  # the folder's time changes with it
    assert mode.signature() == before
    (tmp_path / "mail-password").write_text("secret")
    assert mode.signature() != before


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/acts/test-alarm"), ("GET", "/acts/walk-test"), ("PUT", "/acts/zones"), ("GET", "/acts")],
)
def test_an_act_that_is_asked_of_a_box_in_fault_mode_is_refused_in_words(method: str, path: str) -> None:
    site = httpx.ASGITransport(app=Starlette(routes=no_acts_routes(lambda: "no model is there")))

    async def ask(method: str, path: str) -> httpx.Response:
        async with httpx.AsyncClient(transport=site, base_url="http://box") as client:
            return await client.request(method, path)

    answer = asyncio.run(ask(method, path))
    assert answer.status_code == 503
    assert answer.json()["error"] == "the box does not guard now: no model is there"
    assert asyncio.run(ask("GET", "/zones")).headers["location"] == "/"


def test_a_box_in_fault_mode_lives_is_not_ready_and_fails(tmp_path: Path) -> None:
    board = FaultBoard(
        ManifestError("no model is there", hint="install one"),
        kiosk="k1",
        version="1",
        state_dir=tmp_path,
        outbox=None,
        idle="mail is switched off",
        clock=FakeClock(),
    )
    assert board.live() == (True, "")
    ready, why = board.ready()
    assert not ready
    assert "no model is there. install one" in why
    assert board.report().status is Status.FAIL
    assert board.report().details["mode"] == "fault"
    assert "mail is switched off" in next(c.output for c in board.report().checks if c.name == "mail")
