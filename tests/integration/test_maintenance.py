"""Maintenance mode through a real database: commands leave wishes, the keeper does what they ask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fakes.clocks import FakeClock
from fakes.scenes import observation, utc

from edge.alerts.database import open_database
from edge.alerts.maintenance_store import ENDED_BY_ITSELF, REPLACED, MaintenanceStore
from edge.app.build import build_incidents
from edge.app.control import maintenance
from edge.app.maintenance import SILENCED, MaintenanceKeeper
from edge.config import Config
from edge.errors import KioskError, OutboxError, StateError
from edge.health.interface import Status
from edge.incidents import Incidents
from edge.types import Alert, ChangeKind, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator


class Bench:
    """A box (keeper, incidents, outbox as a list) and a command line that shares only the state folder with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.boot = "boot-1"
        self.config = Config.model_validate(
            {"cameras": [{"name": "lobby", "source": "/dev/video0"}], "state": {"dir": str(folder)}}
        )
        self.mails: list[Alert] = []
        self.full = False
        self.silence: list[str] = []
        self.start()

    def start(self) -> None:
        self.silence.clear()
        self.database = open_database(self.folder, clock=self.clock)
        self.store = MaintenanceStore(self.database, clock=self.clock, boot_id=self.boot)
        self.keeper = MaintenanceKeeper(
            store=self.store,
            silence=self.silence.append,
            enqueue=self.enqueue,
            clock=self.clock,
            boot_id=self.boot,
            model="fake 1",
        )
        self.keeper.look()

    def reboot(self, *, off_s: float = 60.0) -> None:
        self.database.close()
        self.clock.step_wall(off_s)
        self.clock.reboot()
        self.boot += "x"
        self.start()

    def enqueue(self, alert: Alert) -> None:
        if self.full:
            raise OutboxError("the disk is full")
        if alert.alert_id not in {m.alert_id for m in self.mails}:  # as the outbox does
            self.mails.append(alert)

    def command(self, action: str, **options: object) -> str:
        return maintenance(
            self.config,
            Path("/nowhere/kiosk.toml"),
            action,
            clock=self.clock,
            boot=self.boot,
            **options,  # type: ignore[arg-type]
        )

    def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.keeper.look()

    @property
    def on(self) -> bool:
        return bool(self.silence) and self.silence[-1] == SILENCED


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.database.close()


def test_it_begins_by_command_and_ends_by_itself(bench: Bench) -> None:
    assert "on for 30.0 min more" in bench.command("on", minutes=30, reason="new camera")
    assert not bench.on  # nothing happens before the service looks
    bench.after(1)
    assert bench.on
    assert bench.keeper.check().status is Status.WARN
    assert "29 min more: new camera" in bench.command("status") or "30.0 min more" in bench.command("status")
    bench.after(30 * 60 - 2)
    assert bench.on
    bench.after(2)
    assert not bench.on
    assert bench.keeper.check().status is Status.PASS
    assert bench.command("status") == "maintenance mode is off"
    assert [(m.kind, m.rule, m.severity) for m in bench.mails] == [
        ("opened", "maintenance", Severity.INFO),
        ("closed", "maintenance", Severity.INFO),
    ]
    assert "new camera" in bench.mails[0].what
    assert ENDED_BY_ITSELF in bench.mails[1].what
    assert bench.mails[0].incident_id == bench.mails[1].incident_id


def test_it_can_be_switched_off(bench: Bench) -> None:
    bench.command("on", minutes=30, reason="paint")
    bench.after(1)
    assert bench.command("off") == "maintenance mode is off"
    bench.after(1)
    assert not bench.on
    assert "switched it off" in bench.mails[1].what
    assert bench.command("off") == "maintenance mode was not on"
    bench.after(1)
    assert len(bench.mails) == 2


def test_begun_again_it_lasts_anew_and_each_period_is_told(bench: Bench) -> None:
    bench.command("on", minutes=10, reason="one")
    bench.after(300)
    bench.command("on", minutes=10, reason="two")
    bench.after(500)
    assert bench.on
    bench.after(101)
    assert not bench.on
    assert [m.kind for m in bench.mails] == ["opened", "opened", "closed", "closed"] or [
        m.kind for m in bench.mails
    ] == ["opened", "closed", "opened", "closed"]
    assert any(REPLACED in m.what for m in bench.mails)


@pytest.mark.parametrize("step_s", [86_400, -86_400])
def test_setting_the_clock_by_a_day_neither_ends_nor_prolongs_it(bench: Bench, step_s: float) -> None:
    bench.command("on", minutes=30, reason="clock")
    bench.after(600)
    bench.clock.step_wall(step_s)
    bench.after(1100)
    assert bench.on
    bench.after(101)
    assert not bench.on
    assert (bench.mails[-1].kind, bench.mails[-1].value) == ("closed", 30.0)


@pytest.mark.parametrize("step_s", [86_400, -86_400])
def test_switched_off_after_the_clock_was_set_it_lasted_as_long_as_it_did(bench: Bench, step_s: float) -> None:
    bench.command("on", minutes=30, reason="clock")
    bench.after(300)
    bench.clock.step_wall(step_s)
    bench.after(300)
    bench.command("off")
    bench.after(1)
    assert bench.mails[-1].value == pytest.approx(10.0, abs=0.1)


def test_it_outlasts_a_restart_and_a_reboot_but_not_its_time(bench: Bench) -> None:
    bench.command("on", minutes=30, reason="power")
    bench.after(60)
    bench.reboot(off_s=120)
    assert bench.on
    assert len(bench.mails) == 1  # not told again
    bench.after(30 * 60 - 181)
    assert bench.on
    bench.after(2)
    assert not bench.on


@pytest.mark.parametrize("off_s", [-30 * 86_400.0, 30 * 86_400.0])
def test_a_reboot_with_a_wrong_clock_never_makes_it_longer_than_stated(bench: Bench, off_s: float) -> None:
    bench.command("on", minutes=30, reason="power")
    bench.after(60)
    bench.reboot(off_s=off_s)
    bench.after(30 * 60 + 1)
    assert not bench.on


def test_a_mail_that_cannot_be_stored_is_tried_again(bench: Bench) -> None:
    bench.full = True
    bench.command("on", minutes=30, reason="disk")
    bench.after(1)
    assert bench.on  # the rules are silent all the same
    assert bench.mails == []
    bench.full = False
    bench.after(1)
    bench.after(1)
    assert [m.kind for m in bench.mails] == ["opened"]


def test_a_store_that_fails_does_not_keep_the_box_silent_for_ever(bench: Bench) -> None:
    bench.command("on", minutes=1, reason="broken")
    bench.after(1)
    bench.database.close()
    bench.after(30)
    assert bench.on
    bench.after(31)
    assert not bench.on


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"minutes": 0.0, "reason": "x"}, "up to 1440"),
        ({"minutes": 1441.0, "reason": "x"}, "up to 1440"),
        ({"minutes": float("nan"), "reason": "x"}, "up to 1440"),
        ({"minutes": 10.0, "reason": " \n"}, "1 to 120 characters"),
        ({"minutes": 10.0, "reason": "x" * 121}, "1 to 120 characters"),
    ],
)
def test_what_is_refused(bench: Bench, options: dict[str, object], hint: str) -> None:
    with pytest.raises(KioskError) as caught:
        bench.command("on", **options)
    assert hint in caught.value.hint
    assert bench.store.running() is None


def test_a_reason_is_one_line(bench: Bench) -> None:
    bench.command("on", minutes=5, reason="two\nlines\x1b[31m")
    running = bench.store.running()
    assert running is not None
    assert running.reason == "two lines [31m"


def test_without_a_state_folder_it_says_so(tmp_path: Path) -> None:
    config = Config.model_validate(
        {"cameras": [{"name": "lobby", "source": "/dev/video0"}], "state": {"dir": str(tmp_path / "none")}}
    )
    with pytest.raises(StateError):
        maintenance(config, tmp_path / "kiosk.toml", "status")


def test_incidents_are_silent_meanwhile_and_what_still_holds_opens_afterwards() -> None:
    box = Incidents(new_id=iter("abcdef").__next__, close_after_s=5.0, cooldown_s=0.0)

    def at(t: float) -> list[tuple[ChangeKind, str]]:
        seen = [observation(t), observation(t, rule="camera_tamper", zone="")]
        return [(c.kind, c.incident.close_reason) for c in box.update("lobby", seen, t_mono_s=t, t_utc=utc(t))]

    assert at(0) == [(ChangeKind.OPENED, "")] * 2
    box.silence(SILENCED)
    assert at(1) == [(ChangeKind.CLOSED, SILENCED)] * 2
    assert at(2) == []
    assert {(s.rule, s.reason, s.count) for s in box.suppressions} == {
        ("loitering", SILENCED, 2),
        ("camera_tamper", SILENCED, 2),
    }
    box.silence("")
    assert at(3) == [(ChangeKind.OPENED, "")] * 2


def test_a_lost_camera_is_told_all_the_same_but_alarms_nobody_until_maintenance_is_over(bench: Bench) -> None:
    box = build_incidents(bench.config, iter("abcdef").__next__)

    def at(t: float, *rules: str, blind: bool = True) -> list[tuple[ChangeKind, str, Severity]]:
        seen = [observation(t, rule=rule, zone="", severity=Severity.HIGH) for rule in rules]
        changes = box.update("lobby", seen, t_mono_s=t, t_utc=utc(t), blind=blind)
        return [(c.kind, c.incident.rule, c.incident.severity) for c in changes]

    box.silence(SILENCED)
    assert at(0, "camera_lost", "camera_tamper") == [(ChangeKind.OPENED, "camera_lost", Severity.LOW)]
    assert at(60, "camera_lost") == []
    box.silence("")
    assert at(61, "camera_lost") == [(ChangeKind.ESCALATED, "camera_lost", Severity.HIGH)]
    # Lost before, it stays open through maintenance and ends when the pictures are back.
    box.silence(SILENCED)
    assert at(62, "camera_lost") == []
    assert at(68.5, "camera_lost") == []
    assert at(70, blind=False) == []
    assert at(71, blind=False) == [(ChangeKind.CLOSED, "camera_lost", Severity.HIGH)]
    assert {s.rule for s in box.suppressions} == {"camera_tamper"}
