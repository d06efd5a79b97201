from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from fakes.alarms import BOOT, make_alert, make_ref
from fakes.channels import FakeChannel
from fakes.clocks import FakeClock

from edge.alerts.database import open_database
from edge.alerts.outbox import Outbox
from edge.alerts.worker import IDLE_S, DeliveryWorker
from edge.clock import SystemClock
from edge.errors import PermanentRefusal, TemporaryRefusal
from edge.types import Severity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.types import Alert


class Bench:
    """Outbox, fake channel and worker; ``run`` steps the worker by hand while the fake clock passes."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.database = open_database(folder, clock=self.clock)
        self.outbox = Outbox(self.database, clock=self.clock, boot_id=BOOT, rng=random.Random(1))
        self.channel = FakeChannel()
        self.delivered: list[tuple[str, float]] = []
        self.worker = DeliveryWorker(
            outbox=self.outbox,
            channel=self.channel,
            resolve=lambda ref: None if "gone" in ref.path else folder / ref.path,
            clock=self.clock,
            rng=random.Random(2),
            on_delivered=lambda alert, waited_s: self.delivered.append((alert.incident_id, waited_s)),
        )

    def put(self, *names: str, severity: Severity = Severity.HIGH, **facts: Any) -> None:
        for name in names:
            facts.setdefault("created_mono_s", self.clock.monotonic_s())
            self.outbox.enqueue(make_alert(name, severity=severity, **facts))

    def run(self, seconds: float) -> None:
        """Let the worker do what it would do in this time."""
        end_s = self.clock.monotonic_s() + seconds
        while self.clock.monotonic_s() < end_s:
            wait_s = self.worker.step()
            self.clock.advance(min(wait_s, end_s - self.clock.monotonic_s()))

    @property
    def sent(self) -> list[str]:
        return [name.removesuffix(".opened") for name in self.channel.ids]

    @property
    def tried(self) -> list[str]:
        return [name.removesuffix(".opened") for name in self.channel.attempts]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def refusing(*names: str, error: Callable[[], Exception]) -> Callable[[Alert], Exception | None]:
    return lambda alert: error() if alert.incident_id in names else None


def no_route() -> Exception:
    return TemporaryRefusal("no route", channel_wide=True)


def test_what_is_enqueued_is_delivered_once_in_order(bench: Bench) -> None:
    bench.put("a", "b")
    bench.put("c", severity=Severity.CRITICAL)
    bench.run(60)
    assert bench.sent == ["c", "a", "b"]
    assert [name for name, _ in bench.delivered] == ["c", "a", "b"]
    assert bench.outbox.stats().delivered == 3
    assert bench.worker.step() == IDLE_S


def test_one_bad_message_never_blocks_the_rest(bench: Bench) -> None:
    bench.channel.refuse = refusing("a", error=lambda: TemporaryRefusal("450 greylisted"))
    bench.put("a", "b", "c")
    bench.run(4)
    assert bench.sent == ["b", "c"]
    bench.channel.refuse = lambda _: None
    bench.run(20)
    assert bench.sent == ["b", "c", "a"]


def test_a_fault_of_our_own_in_one_message_does_not_block_either(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.channel.refuse = refusing("a", error=lambda: ZeroDivisionError("oops"))
    bench.put("a", "b")
    bench.run(4)
    assert bench.sent == ["b"]
    assert bench.outbox.entries()[-1].last_error == "ZeroDivisionError: oops"
    assert "could not be sent" in caplog.text


@pytest.mark.parametrize("restart", [False, True])
@pytest.mark.parametrize(
    "damage",
    [
        "severity = 9",
        "severity = 'x'",
        "state = 'waitinh'",
        "next_mono_s = 'soon'",
        "next_mono_s = 1e300",
        "delay_s = x'ff'",
    ],
)
def test_a_damaged_schedule_loses_no_alert_and_holds_up_no_other(bench: Bench, damage: str, restart: bool) -> None:
    bench.channel.refuse = lambda _: no_route()
    bench.put("a", "b")
    bench.run(1)
    with bench.database.transaction() as db:
        db.execute(f"UPDATE outbox SET {damage} WHERE alert_id = 'a.opened'")  # noqa: S608 - ours
    bench.channel.refuse = lambda _: None
    if restart:
        bench.outbox = Outbox(bench.database, clock=bench.clock, boot_id=BOOT, rng=random.Random(1))
        bench.worker = DeliveryWorker(
            outbox=bench.outbox, channel=bench.channel, resolve=lambda _: None, clock=bench.clock, rng=random.Random(2)
        )
    steps = 0
    for _ in range(60):
        wait_s = bench.worker.step()
        bench.clock.advance(max(wait_s, 0.01))
        steps += wait_s < 0.1
    assert "b" in bench.sent
    assert steps < 10
    if restart or damage not in {"state = 'waitinh'", "next_mono_s = 1e300"}:  # nobody looks for these while it runs
        assert sorted(bench.sent) == ["a", "b"]


def test_schedules_of_another_boot_are_no_damage(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.clock.advance(10**6)
    bench.put("a", "b")
    bench.run(1)
    bench.channel.refuse = lambda _: no_route()
    bench.put("c")
    bench.run(30)
    bench.clock.reboot()
    Outbox(bench.database, clock=bench.clock, boot_id="boot-2")
    assert "damaged" not in caplog.text


def test_a_permanent_refusal_is_held_and_shown_at_once(bench: Bench) -> None:
    bench.channel.refuse = refusing("a", error=lambda: PermanentRefusal("550 no such user"))
    bench.put("a", "b")
    bench.worker.step()
    assert bench.outbox.stats().held == 1
    assert bench.outbox.stats().last_error == "550 no such user"
    bench.run(1800)
    assert bench.tried.count("a") == 1
    bench.run(3600)
    assert bench.tried.count("a") == 2


def test_while_the_line_is_down_a_backlog_does_not_try_each_alert(bench: Bench) -> None:
    bench.channel.refuse = lambda _: no_route()
    bench.put(*(f"a{i}" for i in range(100)))
    bench.run(3600)
    assert len(bench.channel.attempts) < 20
    assert bench.worker.channel_error == "no route"
    bench.channel.refuse = lambda _: None
    bench.run(301 + 100 * 0.3)
    assert len(bench.sent) == 100
    assert bench.worker.channel_error == ""


def test_a_critical_alert_waits_less_than_30_s_once_the_line_is_back(bench: Bench) -> None:
    bench.channel.refuse = lambda _: no_route()
    bench.put(*(f"a{i}" for i in range(5)))
    bench.run(3600)
    bench.put("c", severity=Severity.CRITICAL)
    before = len(bench.channel.attempts)
    bench.worker.step()
    assert bench.tried[before:] == ["c"]  # a new critical alert does not wait for the pause
    bench.run(2 * 3600)
    bench.channel.refuse = lambda _: None
    bench.run(30)
    assert bench.sent[0] == "c"


def test_only_a_critical_alert_waiting_alone_is_as_quick(bench: Bench) -> None:
    bench.channel.refuse = lambda _: no_route()
    bench.put("c", severity=Severity.CRITICAL)
    bench.run(2 * 3600)
    bench.channel.refuse = lambda _: None
    bench.run(30)
    assert bench.sent == ["c"]


def test_a_bad_password_is_not_tried_again_and_again(bench: Bench) -> None:
    bench.channel.refuse = lambda _: PermanentRefusal("535 no", channel_wide=True)
    bench.put(*(f"c{i}" for i in range(50)), severity=Severity.CRITICAL)
    for _ in range(50):
        bench.worker.step()  # each of them is new and critical: tried once
    tried = len(bench.channel.attempts)
    bench.run(3600)
    assert len(bench.channel.attempts) - tried < 20
    bench.channel.refuse = lambda _: None
    bench.worker.hurry()
    bench.run(20)
    assert len(bench.sent) == 50


def test_hurry_tries_everything_now(bench: Bench) -> None:
    bench.channel.refuse = lambda _: no_route()
    bench.put("a", "b")
    bench.run(600)
    bench.channel.refuse = lambda _: None
    bench.worker.hurry()
    bench.run(1)
    assert bench.sent == ["a", "b"]


def test_a_backlog_is_paced_and_critical_is_not(bench: Bench) -> None:
    bench.put("a", "b")
    assert bench.worker.step() == 0.2
    assert bench.worker.step() == 0.2
    bench.put("c", "d", severity=Severity.CRITICAL)
    assert bench.worker.step() == 0


def test_how_long_it_waited_is_told_also_over_a_jumping_clock(bench: Bench) -> None:
    bench.put("a")
    bench.clock.advance(72 * 3600)
    bench.clock.step_wall(-(10**8))
    bench.run(1)
    assert bench.channel.sent[0].waited_s == 72 * 3600


def test_missing_pictures_are_left_out(bench: Bench, tmp_path: Path) -> None:
    refs = (make_ref("annotated", "gone.jpg"), make_ref("clean", "there.jpg"))
    bench.put("a", evidence=refs)
    bench.run(1)
    assert bench.channel.sent[0].pictures == (tmp_path / "there.jpg",)
    assert bench.channel.sent[0].alert.evidence == refs  # so that the mail can say what is missing


def test_a_disk_that_turns_read_only_sends_each_alert_once_all_the_same(bench: Bench) -> None:
    bench.put("a", "b", "c")
    bench.channel.refuse = refusing("b", error=lambda: TemporaryRefusal("450"))
    with bench.database.reading() as db:
        db.execute("PRAGMA query_only = ON")
    bench.run(120)
    assert bench.sent == ["a", "c"]
    assert bench.tried.count("b") == 1
    bench.run(300)
    assert bench.tried.count("b") == 2
    with bench.database.reading() as db:
        db.execute("PRAGMA query_only = OFF")
    bench.channel.refuse = lambda _: None
    bench.run(400)
    assert sorted(bench.sent) == ["a", "b", "c"]
    assert bench.outbox.stats().waiting == 0


class FakeMemory:
    """Alerts that the writer could not store."""

    def __init__(self, *alerts: Alert) -> None:
        self.alerts = list(alerts)

    def unstored(self) -> tuple[Alert, ...]:
        return tuple(self.alerts)

    def forget(self, alert_id: str) -> None:
        self.alerts = [a for a in self.alerts if a.alert_id != alert_id]


@pytest.mark.parametrize("readable", [True, False])
def test_what_the_disk_refuses_goes_out_from_memory_once(bench: Bench, readable: bool) -> None:
    memory = FakeMemory(make_alert("m1"), make_alert("c", severity=Severity.CRITICAL), make_alert("m2"))
    bench.worker.also_deliver(memory)
    if not readable:
        bench.database.close()
    bench.channel.refuse = refusing("m2", error=lambda: TemporaryRefusal("450"))
    bench.run(10)
    assert sorted(bench.sent) == ["c", "m1"]
    assert bench.tried.count("m2") == 1
    bench.channel.refuse = lambda _: None
    bench.run(60)
    assert sorted(bench.sent) == ["c", "m1", "m2"]
    assert memory.alerts == []


def test_memory_respects_a_channel_that_is_down(bench: Bench) -> None:
    bench.worker.also_deliver(FakeMemory(*(make_alert(f"m{i}") for i in range(20))))
    bench.channel.refuse = lambda _: no_route()
    bench.run(1800)
    assert len(bench.channel.attempts) < 30
    bench.channel.refuse = lambda _: None
    bench.run(400)
    assert len(bench.sent) == 20


def test_an_unusable_database_is_waited_for(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.put("a")
    bench.database.close()
    assert bench.worker.step() == 5.0
    assert "cannot be used" in caplog.text


def test_a_listener_that_fails_stops_nothing(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.worker._on_delivered = lambda *_: 1 / 0  # type: ignore[assignment,return-value]
    bench.put("a", "b")
    bench.run(2)
    assert bench.sent == ["a", "b"]
    assert "listener" in caplog.text


def test_the_log_says_what_became_of_each_alert(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench.channel.refuse = refusing("a", error=lambda: TemporaryRefusal("451 later"))
    bench.put("a", "b")
    bench.run(3)
    facts = [r.kg for r in caplog.records if hasattr(r, "kg")]
    assert {(f["event"], f["alert_id"]) for f in facts} == {
        ("alert_delayed", "a.opened"),
        ("alert_delivered", "b.opened"),
    }


class Threaded:
    """The worker in its own thread, on the machine's clock."""

    def __init__(self, folder: Path, channel: FakeChannel) -> None:
        clock = SystemClock()
        self.outbox = Outbox(open_database(folder, clock=clock), clock=clock, boot_id=BOOT)
        self.worker = DeliveryWorker(outbox=self.outbox, channel=channel, resolve=lambda _: None, clock=clock)
        self.worker.start()


def test_the_thread_wakes_on_enqueue_and_stops_promptly(tmp_path: Path) -> None:
    channel = FakeChannel()
    box = Threaded(tmp_path, channel)
    time.sleep(0.05)  # it has found nothing and sleeps for half a minute
    box.outbox.enqueue(make_alert("a"))
    began = time.monotonic()
    box.worker.wake()
    while not channel.sent:
        assert time.monotonic() < began + 5
        time.sleep(0.005)
    began = time.monotonic()
    assert box.worker.stop()
    assert time.monotonic() - began < 1


def test_stopping_during_a_send_gives_up_waiting_for_it(tmp_path: Path) -> None:
    inside, release = threading.Event(), threading.Event()

    def hang(_: Alert) -> None:
        inside.set()
        release.wait(20)

    box = Threaded(tmp_path, FakeChannel(hang))
    box.outbox.enqueue(make_alert("a"))
    box.worker.wake()
    assert inside.wait(5)
    assert box.worker.stop(timeout_s=0.2) is False
    release.set()
    assert box.worker.stop(timeout_s=5)


def test_the_returned_network_ends_the_pause_and_spares_what_was_refused(bench: Bench) -> None:
    bench.put("bad")
    bench.channel.refuse = refusing("bad", error=lambda: PermanentRefusal("no such mailbox"))
    bench.run(1)
    bench.channel.refuse = refusing("a", "b", error=no_route)
    bench.put("a", "b")
    bench.run(200)
    assert bench.sent == []
    tried = len(bench.tried)
    bench.channel.refuse = refusing("bad", error=lambda: PermanentRefusal("no such mailbox"))
    bench.worker.line_is_back()
    bench.run(1)
    assert bench.sent == ["a", "b"]
    # What was refused for good goes again because the channel works, as after any delivery, and not because of the line.
    assert bench.tried[tried:] == ["a", "b"]


def test_a_bad_password_is_no_matter_of_the_network(bench: Bench) -> None:
    bench.put("a", severity=Severity.CRITICAL)
    bench.channel.refuse = refusing("a", error=lambda: PermanentRefusal("bad password", channel_wide=True))
    bench.run(1)
    for _ in range(5):
        bench.worker.line_is_back()
        bench.run(1)
    assert bench.tried == ["a"]


def test_an_attempt_from_before_the_return_says_nothing(bench: Bench) -> None:
    """The network comes back while a connection hangs: its failure must not begin another pause."""
    calls = 0

    def hang(_: Alert) -> Exception | None:
        nonlocal calls
        calls += 1
        if calls > 1:
            return None
        bench.clock.advance(5)
        bench.worker.line_is_back()
        bench.clock.advance(5)
        return no_route()

    bench.channel.refuse = hang
    bench.put("a")
    bench.worker.step()
    assert bench.worker.channel_error == ""
    bench.worker.step()
    assert bench.sent == ["a"]


def test_a_critical_alert_waits_at_most_fifteen_seconds_for_a_line_that_nobody_announces(bench: Bench) -> None:
    bench.channel.refuse = refusing("a", error=no_route)
    bench.put("a", severity=Severity.CRITICAL)
    bench.run(3600)
    before = len(bench.tried)
    bench.run(60)
    assert len(bench.tried) - before >= 3
