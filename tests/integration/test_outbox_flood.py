"""Floods, dropped alerts and heartbeats, on a real database with a clock moved by hand."""

from __future__ import annotations

from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from fakes.alarms import BOOT, UTC, make_alert
from fakes.channels import FakeChannel
from fakes.clocks import FakeClock

from edge.alerts.database import open_database
from edge.alerts.flood import FloodGate
from edge.alerts.heartbeat_store import HeartbeatStore
from edge.alerts.mail_words import Moment, Site, describe
from edge.alerts.outbox import Outbox
from edge.alerts.worker import DeliveryWorker
from edge.app.heartbeat import Heartbeat
from edge.errors import TemporaryRefusal
from edge.health.interface import Check, Report, Status
from edge.types import Severity

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 86_400.0


class Bench:
    def __init__(self, folder: Path, per_hour: int = 3) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.channel = FakeChannel()
        self.per_hour = per_hour
        self.boot = BOOT
        self.open()

    def open(self, **options: Any) -> None:
        self.database = open_database(self.folder, clock=self.clock)
        self.outbox = Outbox(self.database, clock=self.clock, boot_id=self.boot, **options)
        self.worker = DeliveryWorker(
            outbox=self.outbox,
            channel=self.channel,
            resolve=lambda _: None,
            clock=self.clock,
            flood=FloodGate(per_hour=self.per_hour, digest_s=600, clock=self.clock),
        )
        self.heartbeat = Heartbeat(
            outbox=self.outbox,
            store=HeartbeatStore(self.database),
            enqueue=self.outbox.enqueue,  # type: ignore[arg-type]
            report=lambda: Report((Check("disk", Status.WARN, "nearly full"), Check("model", Status.PASS))),
            interval_s=DAY_S,
            clock=self.clock,
            boot_id=self.boot,
            kiosk="kiosk 7",
            model="m 1",
            also=lambda: [("Not watching so far", "camera 5 s")],
        )

    def put(self, *names: str, **facts: Any) -> None:
        for name in names:
            self.outbox.enqueue(make_alert(name, created_mono_s=self.clock.monotonic_s(), **facts))

    def run(self, seconds: float) -> None:
        end_s = self.clock.monotonic_s() + seconds
        while self.clock.monotonic_s() < end_s:
            wait_s = self.worker.step()
            self.clock.advance(min(max(wait_s, 0.01), end_s - self.clock.monotonic_s()))

    @property
    def sent(self) -> list[str]:
        return [a.alert_id.removesuffix(".opened") for a in (s.alert for s in self.channel.sent)]

    @property
    def kinds(self) -> list[str]:
        return [s.alert.kind for s in self.channel.sent]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_flood_becomes_one_digest_that_lists_it_all(bench: Bench) -> None:
    bench.put(*(f"inc-{i}" for i in range(20)))
    bench.run(599)
    assert bench.sent == ["inc-0", "inc-1", "inc-2"]
    bench.run(60)
    assert bench.kinds == ["opened"] * 3 + ["digest"]
    digest = bench.channel.sent[-1].alert
    assert digest.what == "17 incidents"
    assert digest.severity is Severity.HIGH
    told = " ".join(text for _, text in digest.extra)
    assert all(f"(inc-{i})" in told for i in range(3, 20))
    assert (bench.outbox.stats().waiting, bench.outbox.stats().dropped) == (0, 0)
    bench.run(3600)
    bench.put("later")
    bench.run(10)
    assert bench.sent[-1] == "later"


def test_a_digest_has_the_right_times_of_what_came_before_the_clock_was_set(bench: Bench) -> None:
    bench.clock.synced = False
    for i in range(8):
        bench.outbox.enqueue(make_alert(f"i{i}", clock_synced=False, created_mono_s=bench.clock.monotonic_s()))
    bench.run(300)
    bench.clock.synced = True
    bench.clock.step_wall(2 * DAY_S)
    bench.run(400)
    (digest,) = [s.alert for s in bench.channel.sent if s.alert.kind == "digest"]
    assert digest.opened_utc == UTC + timedelta(days=2)
    assert {label for label, _ in digest.extra[1:]} == {"03 Mar 02:00:00 UTC"}


def test_critical_alerts_and_test_mails_never_wait_for_a_digest(bench: Bench) -> None:
    bench.put(*(f"inc-{i}" for i in range(8)))
    bench.run(20)
    bench.put("robbery", severity=Severity.CRITICAL)
    bench.put("t", kind="test", severity=Severity.INFO)
    bench.run(10)
    assert bench.sent == ["inc-0", "inc-1", "inc-2", "robbery", "t.test"]
    many = [f"robbery-{i}" for i in range(30)]
    bench.put(*many, severity=Severity.CRITICAL)
    bench.run(30)
    assert bench.sent[5:] == many


def test_one_alone_beyond_the_limit_is_mailed_as_it_is(bench: Bench) -> None:
    bench.put(*(f"inc-{i}" for i in range(4)))
    bench.run(700)
    assert bench.sent == ["inc-0", "inc-1", "inc-2", "inc-3"]


def test_a_digest_is_stored_in_the_same_step_as_it_takes_the_others_place(bench: Bench) -> None:
    bench.put(*(f"inc-{i}" for i in range(9)))
    bench.run(5)
    bench.channel.refuse = lambda _: TemporaryRefusal("no route", channel_wide=True)
    bench.put("tries")
    bench.run(601)
    bench.database.close()
    bench.open()  # a kill in between: the digest waits, and is the only one
    bench.channel.refuse = lambda _: None
    bench.run(400)
    assert bench.kinds == ["opened"] * 3 + ["digest"]
    assert bench.channel.sent[-1].alert.what == "7 incidents"


def test_the_next_mail_tells_of_dropped_alerts_once(bench: Bench) -> None:
    bench.put("gone-1", "gone-2")
    bench.outbox.drop("gone-1.opened")
    bench.outbox.drop("gone-2.opened")
    bench.put("a", "b")
    bench.run(10)
    told = [dict(s.alert.extra).get("Dropped", "") for s in bench.channel.sent]
    assert told[0].startswith("2 alerts given up since the last mail")
    assert told[1] == ""


def test_drops_are_told_again_when_the_mail_was_not_taken(bench: Bench) -> None:
    bench.put("gone-1")
    bench.outbox.drop("gone-1.opened")
    bench.channel.refuse = lambda _: TemporaryRefusal("450 later")
    bench.put("a")
    bench.run(5)
    bench.channel.refuse = lambda _: None
    bench.run(60)
    assert dict(bench.channel.sent[0].alert.extra)["Dropped"].startswith("1 alert given up")


def test_heartbeats_come_at_their_interval_with_number_health_and_counts(bench: Bench) -> None:
    assert not bench.heartbeat.beat_if_due()
    bench.clock.advance(61)
    bench.put("waits")
    assert bench.heartbeat.beat_if_due()
    assert not bench.heartbeat.beat_if_due()
    bench.clock.advance(DAY_S - 1)
    assert not bench.heartbeat.beat_if_due()
    bench.clock.advance(1)
    assert bench.heartbeat.beat_if_due()
    bench.run(20)
    first, second = (s.alert for s in bench.channel.sent if s.alert.kind == "heartbeat")
    assert (first.value, second.value) == (1, 2)
    rows = dict(first.extra)
    assert rows["Warn: disk"] == "nearly full"
    assert rows["Health"] == "warn"
    assert rows["Alerts waiting"].startswith("1, and 0")
    assert rows["Not watching so far"] == "camera 5 s"
    site = Site("Main Street", "kiosk 7", "", timezone.utc)
    words = describe(first, site=site, moment=Moment())
    assert words.subject == "Heartbeat: Main Street, kiosk 7: 1, health: warn"


def test_a_restart_does_not_beat_again_and_a_clock_that_was_never_set_holds_nothing_up(bench: Bench) -> None:
    bench.clock.advance(61)
    assert bench.heartbeat.beat_if_due()
    bench.database.close()
    bench.boot = "boot-2"
    bench.clock.reboot()
    bench.open()
    bench.clock.advance(3600)
    assert not bench.heartbeat.beat_if_due()
    bench.clock.advance(DAY_S)
    assert bench.heartbeat.beat_if_due()
    bench.database.close()
    bench.clock.reboot()
    bench.clock.step_wall(-50 * 365 * DAY_S)
    bench.open()
    bench.clock.advance(DAY_S + 1)
    assert bench.heartbeat.beat_if_due()
