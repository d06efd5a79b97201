from __future__ import annotations

import math
import random
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from fakes.alarms import BOOT, UTC, make_alert, make_ref
from fakes.clocks import FakeClock

from edge.alerts.alert_json import encode_alert
from edge.alerts.database import Database, open_database
from edge.alerts.ledger import MemoryLedger, StoredLedger
from edge.alerts.outbox import Outbox
from edge.errors import OutboxError
from edge.types import Severity

if TYPE_CHECKING:
    from pathlib import Path


class Bench:
    """An outbox on a real file, a clock, and the means to end and begin again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.boot = BOOT
        self.database: Database
        self.outbox: Outbox
        self.open()

    def open(self, **options: Any) -> Outbox:
        self.database = open_database(self.folder, clock=self.clock)
        self.outbox = Outbox(self.database, clock=self.clock, boot_id=self.boot, rng=random.Random(1), **options)
        return self.outbox

    def reboot(self, **options: Any) -> Outbox:
        self.database.close()
        self.boot += "x"
        self.clock.reboot()
        return self.open(**options)

    def ids(self, limit: int = 100, **how: Any) -> list[str]:
        return [e.alert_id.removesuffix(".opened") for e in self.outbox.due(limit=limit, **how)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_alert_that_comes_out_is_the_one_that_went_in(bench: Bench) -> None:
    alert = make_alert(evidence=(make_ref(),), closed_utc=UTC, zone="Höhe")
    assert bench.outbox.enqueue(alert)
    (entry,) = bench.reboot().due()
    assert entry.alert == alert
    assert (entry.state, entry.attempts, entry.severity) == ("waiting", 0, Severity.HIGH)


def test_the_same_alert_twice_is_one_even_after_its_delivery(bench: Bench) -> None:
    for _ in range(2):
        assert bench.outbox.enqueue(make_alert("a"))
    assert bench.ids() == ["a"]
    bench.outbox.mark_delivered("a.opened")
    assert bench.outbox.enqueue(make_alert("a"))
    assert bench.ids() == []
    assert bench.outbox.stats().delivered == 1
    bench.outbox.mark_delivered("a.opened")
    assert bench.outbox.stats().delivered == 1


@pytest.mark.parametrize("bad", ["", "a b", "x" * 201])
def test_an_id_that_cannot_be_a_message_id_is_refused(bench: Bench, bad: str) -> None:
    with pytest.raises(OutboxError, match="cannot be stored"):
        bench.outbox.enqueue(make_alert(alert_id=bad))


def test_critical_first_then_by_arrival_whatever_the_wall_clock_does(bench: Bench) -> None:
    for name, severity in (("a", Severity.LOW), ("b", Severity.HIGH), ("c", Severity.CRITICAL), ("d", Severity.INFO)):
        bench.outbox.enqueue(make_alert(name, severity=severity))
        bench.clock.step_wall(-86400)
    bench.outbox.enqueue(make_alert("e", severity=Severity.CRITICAL))
    assert bench.ids() == ["c", "e", "a", "b", "d"]
    assert bench.ids(limit=1) == ["c"]
    assert bench.ids(limit=3) == ["c", "e", "a"]
    assert bench.ids(urgent_only=True) == ["c", "e"]


def test_a_failed_alert_waits_and_the_rest_goes_on(bench: Bench) -> None:
    for name in "ab":
        bench.outbox.enqueue(make_alert(name))
    delay_s = bench.outbox.mark_failed("a.opened", "451 later")
    assert 5 <= delay_s <= 15
    assert bench.ids() == ["b"]
    assert bench.outbox.next_due_in_s() == 0
    bench.outbox.mark_delivered("b.opened")
    assert bench.outbox.next_due_in_s() == pytest.approx(delay_s)
    bench.clock.advance(delay_s - 0.01)
    assert bench.ids() == []
    bench.clock.advance(0.02)
    assert bench.ids() == ["a"]
    (entry,) = bench.outbox.due()
    assert (entry.attempts, entry.last_error) == (1, "451 later")


def test_delays_double_up_to_five_minutes(bench: Bench) -> None:
    bench.outbox.enqueue(make_alert("a"))
    delays = [bench.outbox.mark_failed("a.opened", "no") for _ in range(10)]
    assert delays == sorted(delays)
    assert delays[-1] == 300
    assert bench.outbox.mark_failed("a.opened", "no", longest_s=25) == 25


@pytest.mark.parametrize("jump_s", [-400 * 86400, 400 * 86400])
def test_a_wall_clock_that_jumps_changes_no_schedule(bench: Bench, jump_s: float) -> None:
    bench.outbox.enqueue(make_alert("a"))
    delay_s = bench.outbox.mark_failed("a.opened", "no")
    bench.clock.step_wall(jump_s)
    assert bench.ids() == []
    assert bench.outbox.next_due_in_s() == pytest.approx(delay_s)
    assert bench.outbox.stats().oldest_s == 0
    bench.clock.advance(delay_s)
    assert bench.ids() == ["a"]


def test_a_schedule_survives_a_reboot_and_a_restart(bench: Bench) -> None:
    bench.outbox.enqueue(make_alert("a"))
    delay_s = bench.outbox.mark_failed("a.opened", "no")
    bench.database.close()
    bench.open()  # the service alone, within one boot
    assert bench.outbox.next_due_in_s() == pytest.approx(delay_s)
    bench.clock.advance(1)
    bench.reboot()
    assert bench.outbox.next_due_in_s() == pytest.approx(delay_s - 1)
    # The clock of a box without a battery starts in the past: never longer than the delay itself.
    bench.clock.step_wall(-400 * 86400)
    bench.reboot()
    assert bench.outbox.next_due_in_s() == pytest.approx(delay_s)
    bench.clock.advance(delay_s)
    assert bench.ids() == ["a"]


def test_a_refused_alert_is_held_tried_hourly_at_a_restart_and_on_request(bench: Bench) -> None:
    bench.outbox.enqueue(make_alert("a"))

    def refuse() -> None:
        bench.outbox.mark_failed("a.opened", "550 unknown", permanent=True)
        assert bench.ids() == []

    refuse()
    stats = bench.outbox.stats()
    assert (stats.waiting, stats.held, stats.last_error) == (0, 1, "550 unknown")
    bench.clock.advance(2800)
    assert bench.ids() == []
    bench.clock.advance(1600)
    assert bench.ids() == ["a"]
    refuse()
    bench.reboot()
    assert bench.ids() == ["a"]
    refuse()
    # A command-line tool that looks in changes nothing.
    Outbox(bench.database, clock=bench.clock, boot_id=bench.boot, adopt_schedules=False)
    assert bench.ids() == []
    assert bench.outbox.retry("other") == 0
    assert bench.outbox.retry("a.opened") == 1
    assert bench.ids() == ["a"]


def test_a_success_releases_what_the_channel_had_refused(bench: Bench) -> None:
    for name in "abcd":
        bench.outbox.enqueue(make_alert(name))
    bench.outbox.mark_failed("a.opened", "535 password", permanent=True, channel_wide=True)
    bench.outbox.mark_failed("b.opened", "no route", channel_wide=True)
    bench.outbox.mark_failed("c.opened", "450 this one only")
    assert bench.ids() == ["d"]
    bench.outbox.mark_delivered("d.opened")
    assert bench.ids() == ["a", "b"]
    assert bench.outbox.stats().last_error == ""


def test_a_full_outbox_drops_the_lowest_severity_then_the_oldest(bench: Bench) -> None:
    bench.database.close()
    outbox = bench.open(max_items=3)
    for name, severity in (("h1", Severity.HIGH), ("l1", Severity.LOW), ("l2", Severity.LOW)):
        assert outbox.enqueue(make_alert(name, severity=severity))
    assert outbox.enqueue(make_alert("c1", severity=Severity.CRITICAL))
    assert bench.ids() == ["c1", "h1", "l2"]
    assert outbox.enqueue(make_alert("h2", severity=Severity.HIGH))
    assert bench.ids() == ["c1", "h1", "h2"]
    assert outbox.enqueue(make_alert("i1", severity=Severity.INFO)) is False
    assert bench.ids() == ["c1", "h1", "h2"]
    assert outbox.stats().dropped == 3
    assert bench.reboot().stats().dropped == 3
    assert outbox.stats().dropped_by == {"full": 3, "too_old": 0, "by_hand": 0, "never_stored": 0}


def test_the_bound_in_bytes_keeps_at_least_one(bench: Bench) -> None:
    bench.database.close()
    outbox = bench.open(max_bytes=len(encode_alert(make_alert("a"))) * 2)
    for name in "abc":
        outbox.enqueue(make_alert(name))
    assert bench.ids() == ["b", "c"]
    assert outbox.enqueue(make_alert("big", severity=Severity.CRITICAL, what="x" * 5000))
    assert bench.ids() == ["big"]


DAMAGE = {
    "cut": "UPDATE outbox SET payload = substr(payload, 1, 50) WHERE alert_id = 'a.opened'",
    "binary": "UPDATE outbox SET payload = x'00ff' WHERE alert_id = 'a.opened'",
    "one letter": "UPDATE outbox SET payload = replace(payload, 'lobby', 'Lobby') WHERE alert_id = 'a.opened'",
    "another id": "UPDATE outbox SET alert_id = 'z.opened' WHERE alert_id = 'a.opened'",
    "severity": "UPDATE outbox SET payload = '', severity = 2 WHERE alert_id = 'a.opened'",
    "times": "UPDATE outbox SET payload = '', stored_utc = 'x', next_utc = 7 WHERE alert_id = 'a.opened'",
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_corrupt_row_is_set_aside_and_the_rest_drains(bench: Bench, damage: str) -> None:
    for name in "abc":
        bench.outbox.enqueue(make_alert(name))
    with bench.database.transaction() as db:
        db.execute(damage)
    assert bench.ids(limit=1) == ["b"]
    assert bench.ids() == ["b", "c"]
    stats = bench.outbox.stats()
    assert (stats.corrupt, stats.waiting) == (1, 2)
    (broken,) = [e for e in bench.outbox.entries() if e.state == "corrupt"]
    assert broken.alert is None
    assert "row 1" in broken.last_error
    assert bench.reboot().stats().corrupt == 1
    assert bench.outbox.drop(broken.alert_id)
    assert bench.outbox.stats().corrupt == 0


def test_a_row_whose_schedule_is_nonsense_is_due_after_a_reboot(bench: Bench) -> None:
    bench.outbox.enqueue(make_alert("a"))
    with bench.database.transaction() as db:
        db.execute("UPDATE outbox SET next_utc = 'never', delay_s = 'x', next_mono_s = 1e18")
    bench.reboot()
    assert bench.ids() == ["a"]


def test_stats_tell_what_health_needs(bench: Bench) -> None:
    assert bench.outbox.stats().oldest_s == 0
    assert bench.outbox.stats().last_success_utc is None
    bench.outbox.enqueue(make_alert("a"))
    bench.clock.advance(100)
    bench.outbox.enqueue(make_alert("b"))
    assert bench.outbox.stats().oldest_s == 100
    bench.reboot()
    assert bench.outbox.stats().oldest_s == 100
    bench.outbox.mark_delivered("a.opened")
    stats = bench.outbox.stats()
    assert (stats.waiting, stats.delivered, stats.oldest_s) == (1, 1, 0)
    assert stats.last_success_utc == UTC + timedelta(seconds=100)


def test_old_alerts_expire_only_by_a_clock_that_is_set(bench: Bench) -> None:
    bench.database.close()
    outbox = bench.open(max_age_s=1000)
    bench.clock.synced = False
    outbox.enqueue(make_alert("before the clock was set"[:6].strip()))
    bench.clock.synced = True
    outbox.enqueue(make_alert("a"))
    bench.clock.advance(900)
    outbox.enqueue(make_alert("b"))
    bench.clock.synced = False
    bench.clock.advance(200)
    assert outbox.given_up.expire() == 0
    bench.clock.synced = True
    assert outbox.given_up.expire() == 1
    assert bench.ids() == ["before", "b"]
    assert outbox.stats().dropped == 1
    assert outbox.stats().dropped_by == {"full": 0, "too_old": 1, "by_hand": 0, "never_stored": 0}


def test_the_technician_can_look_retry_and_drop(bench: Bench) -> None:
    for name in "abc":
        bench.outbox.enqueue(make_alert(name))
    bench.outbox.mark_delivered("b.opened")
    assert [e.alert_id for e in bench.outbox.entries()] == ["c.opened", "b.opened", "a.opened"]
    assert [e.alert_id for e in bench.outbox.entries(undelivered_only=True)] == ["c.opened", "a.opened"]
    assert bench.outbox.drop("a.opened")
    assert not bench.outbox.drop("a.opened")
    assert not bench.outbox.drop("b.opened")
    assert bench.outbox.stats().dropped == 1
    assert bench.outbox.stats().dropped_by["by_hand"] == 1
    bench.outbox.enqueue(make_alert("d"))
    assert bench.outbox.drop("d.opened", counted=False)
    assert bench.outbox.stats().dropped == 1
    bench.outbox.mark_failed("c.opened", "x")
    assert bench.outbox.retry() == 1
    assert bench.ids() == ["c"]


def test_only_the_newest_delivered_alerts_are_kept(bench: Bench) -> None:
    bench.database.close()
    outbox = bench.open(keep_delivered=2)
    for name in "abcde":
        outbox.enqueue(make_alert(name))
        outbox.mark_delivered(f"{name}.opened")
    # Trimmed when twice as many are there.
    assert [e.alert_id for e in outbox.entries()] == ["e.opened", "d.opened"]
    assert outbox.stats().delivered == 5


def test_pictures_that_are_still_needed_are_known(bench: Bench) -> None:
    bench.outbox.enqueue(make_alert("a", evidence=(make_ref(path="1.jpg"), make_ref(path="2.jpg"))))
    bench.outbox.enqueue(make_alert("b", evidence=(make_ref(path="3.jpg"),)))
    bench.outbox.mark_delivered("b.opened")
    assert bench.outbox.pending_evidence() == {"1.jpg", "2.jpg"}


def test_waiting_time_follows_monotonic_time_within_a_boot(bench: Bench) -> None:
    alert = make_alert(created_mono_s=bench.clock.monotonic_s(), created_utc=bench.clock.utc_now())
    bench.clock.advance(50)
    bench.clock.step_wall(10**7)
    assert bench.outbox.waited_s(alert) == 50
    bench.clock.step_wall(-(10**7))
    bench.reboot()
    assert bench.outbox.waited_s(alert) == 50
    bench.clock.step_wall(-(10**7))
    assert bench.outbox.waited_s(alert) == 0


@pytest.mark.parametrize(("then", "now"), [(True, False), (False, True), (False, False)])
def test_after_a_reboot_a_clock_that_was_not_set_measures_nothing(bench: Bench, then: bool, now: bool) -> None:
    bench.clock.synced = now
    alert = make_alert(boot_id="an earlier one", clock_synced=then)
    assert math.isnan(bench.outbox.waited_s(alert))


def test_who_has_an_alert_already_survives_a_restart_until_it_is_delivered(bench: Bench) -> None:
    bench.outbox.enqueue(make_alert("a"))
    ledger = StoredLedger(bench.database)
    ledger.accept("a.opened", ["x@y", "z@y"])
    ledger.accept("a.opened", ["x@y"])
    bench.reboot()
    assert StoredLedger(bench.database).accepted("a.opened") == {"x@y", "z@y"}
    assert StoredLedger(bench.database).accepted("b.opened") == frozenset()
    bench.outbox.mark_delivered("a.opened")
    assert StoredLedger(bench.database).accepted("a.opened") == frozenset()


def test_a_ledger_whose_disk_fails_remembers_all_the_same(bench: Bench) -> None:
    ledger = StoredLedger(bench.database)
    bench.database.close()
    ledger.accept("a.opened", ["x@y"])
    assert ledger.accepted("a.opened") == {"x@y"}
    memory = MemoryLedger()
    memory.accept("a", ["x"])
    memory.accept("a", ["y"])
    assert memory.accepted("a") == {"x", "y"}
