"""Blind time in a real database: counted, kept over restarts and power cuts, told once."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pytest
from fakes.cameras import FakeCamera
from fakes.clocks import START_UTC, FakeClock

from edge.alerts.blind_store import BlindStore
from edge.alerts.database import open_database
from edge.alerts.mail_words import Moment, Site, describe
from edge.app.blind_time import REASONS, SAVE_EVERY_S, BlindTime, Lookout
from edge.cameras.interface import CameraStatus
from edge.errors import OutboxError
from edge.pipeline import Vitals

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.types import Alert

TURN_S = 5.0


class Box:
    """A service that starts, lives, is told to stop or loses its power."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.boot = "boot-1"
        self.version = "1.0"
        self.mails: list[Alert] = []
        self.full = False
        self.blind: tuple[str, float] | None = None
        self.start()

    def start(self) -> None:
        self.database = open_database(self.folder, clock=self.clock)
        self.time = BlindTime(
            store=BlindStore(self.database, clock=self.clock, boot_id=self.boot),
            enqueue=self.enqueue,
            clock=self.clock,
            boot_id=self.boot,
            model="fake 1",
            version=self.version,
        )

    def live(self, seconds: float, reason: str = "") -> None:
        for _ in range(round(seconds / TURN_S)):
            self.clock.advance(TURN_S)
            self.time.look((reason, self.clock.monotonic_s()) if reason else None)

    def stop(self) -> None:
        self.time.stop()
        self.database.close()

    def die(self) -> None:
        self.database.close()

    def power_cut(self, *, off_s: float, clock_right: bool = True) -> None:
        """The wall clock of a box without a battery goes on from where it was, until the network sets it."""
        self.die()
        if clock_right:
            self.clock.step_wall(off_s)
        self.clock.reboot()
        self.clock.synced = clock_right
        self.boot += "x"
        self.start()

    def enqueue(self, alert: Alert) -> None:
        if self.full:
            raise OutboxError("disk full", hint="free space")
        self.mails.append(alert)


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path)
    yield made
    made.database.close()


def test_a_first_start_is_no_gap(box: Box) -> None:
    box.live(60)
    assert box.mails == []
    assert box.time.totals() == dict.fromkeys(REASONS, 0.0)
    assert box.time.rows() == [("Not watching so far", "never")]


def test_seconds_are_counted_per_reason_and_survive_a_restart(box: Box) -> None:
    box.live(100)
    box.live(50, "camera")
    box.live(30, "maintenance")
    box.live(100)
    assert box.time.totals()["camera"] == 50
    box.stop()
    box.clock.advance(20)
    box.start()
    assert {r: s for r, s in box.time.totals().items() if s} == {"camera": 50, "maintenance": 30, "stopped": 20}
    box.live(10, "camera")
    assert box.time.totals()["camera"] == 60
    assert box.time.rows() == [("Not watching so far", "camera 1 min, maintenance 30 s, stopped 20 s")]
    assert box.mails == []


def test_what_was_blind_before_the_turn_that_noticed_it_counts_once(box: Box) -> None:
    box.live(20)
    since = box.clock.monotonic_s()
    box.clock.advance(5)
    box.time.look(("camera", since))
    box.clock.advance(5)
    box.time.look(("camera", since))
    assert box.time.totals()["camera"] == 10


def test_the_metric_of_it_never_goes_back_not_even_over_a_power_cut(box: Box) -> None:
    box.live(SAVE_EVERY_S + TURN_S, "camera")
    told = box.time.saved()["camera"]
    assert told >= SAVE_EVERY_S - TURN_S
    box.live(300, "camera")
    assert box.time.totals()["camera"] > box.time.saved()["camera"] == told
    box.power_cut(off_s=60)
    assert box.time.saved()["camera"] == told
    box.live(SAVE_EVERY_S + TURN_S, "camera")
    assert box.time.saved()["camera"] > told


def test_a_power_cut_is_told_once_with_its_times(box: Box) -> None:
    box.live(SAVE_EVERY_S + 100)
    box.power_cut(off_s=3600)
    box.live(TURN_S)
    box.live(2 * SAVE_EVERY_S)
    assert [(m.rule, m.severity.label) for m in box.mails] == [("dark", "high")]
    mail = box.mails[0]
    assert mail.opened_utc == START_UTC + timedelta(seconds=SAVE_EVERY_S)
    assert mail.closed_utc is not None
    assert mail.closed_utc - mail.opened_utc == timedelta(seconds=3700)
    assert mail.value == pytest.approx(3700 / 60, abs=0.1)
    assert mail.clock_synced
    assert box.time.totals()["power"] == 3700
    site = Site("Main Street", "kiosk-1", "", ZoneInfo("UTC"))
    words = dict(describe(mail, site=site, moment=Moment()).rows)
    assert words["Last sign of life"].startswith("2026-03-01 02:10:00 UTC")
    assert words["Back since"] == "2026-03-01 03:11:40 UTC"
    assert "power was cut" in words["Cause"]
    box.stop()
    box.start()
    box.live(TURN_S)
    assert len(box.mails) == 1


def test_without_the_time_it_waits_for_the_network_and_tells_corrected_times(box: Box) -> None:
    box.live(SAVE_EVERY_S)
    box.power_cut(off_s=0, clock_right=False)
    box.live(120)
    assert box.mails == []
    assert box.time.totals()["power"] == 0
    box.clock.step_wall(7200)  # NTP answered: the box had been off for two hours
    box.clock.synced = True
    box.live(TURN_S)
    (mail,) = box.mails
    assert mail.clock_synced
    assert mail.closed_utc is not None
    assert (mail.closed_utc - mail.opened_utc).total_seconds() == pytest.approx(7200, abs=1)
    assert box.time.totals()["power"] == pytest.approx(7200, abs=1)
    assert "not set" not in str(mail.extra)


def test_where_the_network_never_comes_the_mail_says_that_the_times_are_not_sure(box: Box) -> None:
    box.live(SAVE_EVERY_S)
    box.power_cut(off_s=0, clock_right=False)
    box.live(1000)
    (mail,) = box.mails
    assert not mail.clock_synced
    assert mail.closed_utc is None
    assert "by a clock that is not set" in dict(mail.extra)["Back since"]
    assert "by a clock" not in dict(mail.extra)["Last sign of life"]
    assert box.time.totals()["power"] == 0  # nothing is made up
    box.live(1000)
    assert len(box.mails) == 1


def test_a_wrong_clock_before_the_cut_makes_no_length_up(box: Box) -> None:
    box.clock.synced = False
    box.live(SAVE_EVERY_S)
    box.power_cut(off_s=50, clock_right=True)
    box.live(1000)
    (mail,) = box.mails
    assert "by a clock that was not set" in dict(mail.extra)["Last sign of life"]
    assert box.time.totals()["power"] == 0


def test_a_clock_that_was_set_back_over_the_cut_makes_no_length_up(box: Box) -> None:
    box.live(SAVE_EVERY_S)
    box.power_cut(off_s=-86_400)
    box.live(1000)
    assert len(box.mails) == 1
    assert box.time.totals()["power"] == 0


def test_a_quick_restart_after_a_crash_is_counted_but_not_told(box: Box) -> None:
    box.live(SAVE_EVERY_S)
    box.die()
    box.clock.advance(10)
    box.clock.step_wall(-86_400)  # within one boot the wall clock does not matter
    box.start()
    box.live(100)
    assert box.mails == []
    assert box.time.totals()["stopped"] == 10
    box.die()
    box.clock.advance(300)
    box.start()
    box.live(TURN_S)
    assert [m.rule for m in box.mails] == ["dark"]
    assert "without being told to" in dict(box.mails[0].extra)["Cause"]


def test_an_orderly_stop_is_not_told_and_another_version_is_an_upgrade(box: Box) -> None:
    box.live(100)
    box.stop()
    box.clock.advance(90)
    box.version = "1.1"
    box.start()
    box.live(TURN_S)
    assert box.mails == []
    assert {r: s for r, s in box.time.totals().items() if s} == {"upgrade": 90}


def test_gaps_are_found_by_their_time(box: Box) -> None:
    box.live(600)
    box.power_cut(off_s=3600)
    box.live(TURN_S)
    store = BlindStore(box.database, clock=box.clock, boot_id=box.boot)
    assert [g.reason for g in store.since(START_UTC + timedelta(seconds=4000))] == ["power"]
    assert store.since(START_UTC + timedelta(seconds=5000)) == []


def test_a_mail_that_cannot_be_stored_is_tried_again(box: Box) -> None:
    box.live(100)
    box.full = True
    box.power_cut(off_s=600)
    box.clock.advance(TURN_S)
    with pytest.raises(OutboxError):
        box.time.look(None)
    box.full = False
    box.live(TURN_S)
    assert len(box.mails) == 1


def test_it_writes_a_few_times_an_hour(box: Box) -> None:
    def changes() -> int:
        with box.database.reading() as db:
            return int(db.execute("SELECT total_changes()").fetchone()[0])

    box.live(TURN_S)
    before = changes()
    box.live(3600, "camera")
    assert 0 < changes() - before <= 6 * 2  # the seconds and the sign of life, each time


def test_a_full_disk_at_the_end_is_no_error(box: Box) -> None:
    box.database.close()
    box.time.stop()


class _Camera(FakeCamera):
    state = "live"

    def status(self) -> CameraStatus:
        return CameraStatus(self.state, "", 1, 0, 0)


def test_the_lookout_sees_maintenance_then_camera_then_overload() -> None:
    clock, vitals, camera = FakeClock(), Vitals(), _Camera([])
    silent: list[bool] = []
    look = Lookout(
        vitals=vitals,
        cameras=[camera],
        fresh_s={camera.name: 5.0},
        maintenance=lambda: bool(silent),
        clock=clock,
    )
    started_s = clock.monotonic_s()
    clock.advance(4)
    assert look() is None  # it may still be opening
    clock.advance(4)
    assert look() == ("camera", started_s)
    vitals.captured_mono_s[camera.name] = clock.monotonic_s()
    assert look() is None
    vitals.step_s = 0.7
    assert look() == ("overload", clock.monotonic_s())
    clock.advance(6)
    assert look() == ("camera", clock.monotonic_s() - 6)
    silent.append(True)
    assert look() == ("maintenance", clock.monotonic_s())
    silent.clear()
    camera.state = "ended"
    vitals.step_s = 0.1
    assert look() is None
