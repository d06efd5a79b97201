"""The technician's commands on a real database, beside a service and without one."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
from fakes.alarms import make_alert
from fakes.mailserver import mail_server

from edge.alerts.database import open_database
from edge.alerts.ledger import StoredLedger
from edge.alerts.look import OutboxLook
from edge.alerts.outbox import Outbox
from edge.alerts.worker import DeliveryWorker
from edge.app import outbox_commands as commands
from edge.app.mail_channel import build_channel
from edge.app.state import LOCK_NAME
from edge.clock import SystemClock, boot_id
from edge.config import Config
from edge.errors import EX_OK, EX_UNAVAILABLE, ConfigError, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.alerts.email import EmailChannel

HOLD = "import fcntl,sys; f=open(sys.argv[1],'a'); fcntl.lockf(f,fcntl.LOCK_EX); print('held',flush=True); sys.stdin.read()"


class Place:
    """A state directory with an outbox in it, and the configuration that names it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "kiosk-guard.toml"
        self.clock = SystemClock()
        self.port = 9

    @property
    def config(self) -> Config:
        return Config.model_validate(
            {
                "cameras": [{"name": "lobby", "source": "x.mp4"}],
                "state": {"dir": str(self.folder)},
                "email": {
                    "enabled": True,
                    "host": "127.0.0.1",
                    "port": self.port,
                    "security": "none",
                    "sender": "kiosk@kiosk.example",
                    "recipients": ["desk@bank.example"],
                    "timeout_s": 5.0,
                },
            }
        )

    def outbox(self) -> Outbox:
        return Outbox(open_database(self.folder, clock=self.clock), clock=self.clock, boot_id=boot_id())

    def channel(self) -> EmailChannel:
        database = open_database(self.folder, clock=self.clock)
        return build_channel(self.config, self.path, clock=self.clock, boot_id=boot_id(), ledger=StoredLedger(database))

    def lines(self, **how: Any) -> list[str]:
        options: dict[str, Any] = {"limit": 100, "everything": False, "as_json": False} | how
        return list(commands.list_alerts(self.config, self.path, **options))

    def test_mail(self, timeout_s: float = 10.0) -> tuple[int, list[str]]:
        said: list[str] = []
        code = commands.send_test_mail(
            self.config, self.path, timeout_s=timeout_s, say=said.append, cancel=threading.Event()
        )
        return code, said


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def service(place: Place) -> Iterator[Outbox]:
    """A delivery thread, and the lock held by another process, as when the service runs."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(place.folder / LOCK_NAME)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with mail_server() as (_, port):
        place.port = port
        outbox = place.outbox()
        worker = DeliveryWorker(outbox=outbox, channel=place.channel(), resolve=lambda _: None, clock=place.clock)
        worker.start()
        yield outbox
        worker.stop()
    holder.communicate()


def files(folder: Path) -> dict[str, tuple[int, int]]:
    return {p.name: (p.stat().st_size, p.stat().st_mtime_ns) for p in folder.iterdir()}


def test_list_and_show_say_what_waits_and_write_nothing(place: Place) -> None:
    outbox = place.outbox()
    outbox.enqueue(make_alert("inc-1"))
    outbox.enqueue(make_alert("inc-2"))
    outbox.mark_failed("inc-1.opened", "550 no\x1b[2Jsuch user", permanent=True)
    outbox.mark_delivered("inc-2.opened")
    outbox._database.close()
    before = files(place.folder)
    head, *rows = place.lines()
    assert head == "0 waiting, 1 refused for good, 0 damaged, 1 delivered so far, 0 dropped so far"
    assert [row.split()[0] for row in rows] == ["held"]
    assert "inc-1.opened" in rows[0]
    assert [json.loads(row)["id"] for row in place.lines(as_json=True, everything=True)] == [
        "inc-2.opened",
        "inc-1.opened",
    ]
    shown = "\n".join(commands.show_alert(place.config, place.path, "inc-1.opened"))
    assert "550 no [2Jsuch user" in shown
    assert "one person has stayed for 41.2 s; the limit is 30 s" in shown
    assert files(place.folder) == before


def test_a_look_beside_the_running_service_sees_its_last_word(place: Place) -> None:
    outbox = place.outbox()
    outbox.enqueue(make_alert("inc-1"))
    assert "1 waiting" in place.lines()[0]


def test_unknown_ids_and_a_missing_state_are_told(place: Place) -> None:
    place.outbox()
    with pytest.raises(commands.UnknownAlert, match="no alert 'x'"):
        list(commands.show_alert(place.config, place.path, "x"))
    with pytest.raises(commands.UnknownAlert):
        commands.drop(place.config, place.path, "x")
    with pytest.raises(commands.UnknownAlert):
        commands.retry(place.config, place.path, "x")
    elsewhere = place.config.model_copy(update={"state": place.config.state.model_copy(update={"dir": "/nowhere"})})
    with pytest.raises(StateError, match="/nowhere"):
        list(commands.show_alert(elsewhere, place.path, "x"))


def test_drop_is_counted_and_logged(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    outbox = place.outbox()
    outbox.enqueue(make_alert("inc-1"))
    commands.drop(place.config, place.path, "inc-1.opened")
    assert "0 waiting" in place.lines()[0]
    assert "1 dropped" in place.lines()[0]
    assert "inc-1.opened was dropped" in caplog.text


def test_retry_reaches_the_service_of_another_process(place: Place) -> None:
    theirs = place.outbox()
    theirs.enqueue(make_alert("inc-1"))
    theirs.mark_failed("inc-1.opened", "421 busy", channel_wide=True)
    assert theirs.due() == []
    assert not theirs.retry_asked()
    assert commands.retry(place.config, place.path, None).startswith("1 alert will")
    assert theirs.retry_asked()
    assert not theirs.retry_asked()
    assert [e.alert_id for e in theirs.due()] == ["inc-1.opened"]


def test_a_test_mail_without_the_service_is_sent_by_the_command(place: Place) -> None:
    place.outbox()
    with mail_server() as (box, place.port):
        code, said = place.test_mail()
        assert (code, box.mails[0].recipients) == (EX_OK, ["desk@bank.example"])
        assert box.mails[0].message["Subject"].startswith("Test mail from")
    assert "accepted" in said[-1]
    assert "1 delivered" in place.lines()[0]


def test_a_test_mail_says_what_the_server_said_and_does_not_stay(place: Place) -> None:
    place.outbox()
    with mail_server() as (box, place.port):
        box.answers["desk@bank.example"] = "550 5.1.1 no such user"
        code, said = place.test_mail()
    assert code == EX_UNAVAILABLE
    assert "no such user" in said[-1]
    assert "0 waiting, 0 refused" in place.lines()[0]


@pytest.mark.usefixtures("service")
def test_a_test_mail_beside_the_service_is_sent_by_the_service(place: Place) -> None:
    code, said = place.test_mail(timeout_s=20.0)
    assert code == EX_OK
    assert "the service sends it" in said[1]
    assert OutboxLook(place.folder).stats().delivered == 1


def test_a_test_mail_with_mail_switched_off_says_so(place: Place) -> None:
    place.outbox()
    off = place.config.model_copy(update={"email": place.config.email.model_copy(update={"enabled": False})})
    with pytest.raises(ConfigError, match="enabled = false"):
        commands.send_test_mail(off, place.path, timeout_s=1, say=print, cancel=threading.Event())
