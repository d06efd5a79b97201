"""Mails of one incident go in the order in which they were made, whatever happens between."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from fakes.alarms import BOOT, make_alert
from fakes.channels import FakeChannel
from fakes.clocks import FakeClock

from edge.alerts.database import open_database
from edge.alerts.flood import FloodGate
from edge.alerts.outbox import Outbox
from edge.alerts.worker import DeliveryWorker
from edge.errors import ChannelError, PermanentRefusal, TemporaryRefusal
from edge.types import Severity

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.types import Alert


class Bench:
    """Outbox, fake channel and worker; ``run`` steps the worker by hand while the fake clock passes."""

    def __init__(self, folder: Path, *, seed: int = 1, per_hour: int = 0) -> None:
        self.clock = FakeClock()
        self.channel = FakeChannel()
        self.database = open_database(folder, clock=self.clock)
        self._seed = seed
        self._per_hour = per_hour
        self.start()

    def start(self) -> None:
        """A process begins: nothing is remembered but what is on disk."""
        self._seed += 1
        self.outbox = Outbox(self.database, clock=self.clock, boot_id=BOOT, rng=random.Random(self._seed))
        self.worker = DeliveryWorker(
            outbox=self.outbox,
            channel=self.channel,
            resolve=lambda _: None,
            clock=self.clock,
            rng=random.Random(self._seed + 1000),
            flood=FloodGate(per_hour=self._per_hour, digest_s=60, clock=self.clock) if self._per_hour else None,
        )

    def put(self, kind: str, severity: Severity = Severity.HIGH, *, incident: str = "inc") -> None:
        self.outbox.enqueue(make_alert(incident, kind=kind, severity=severity, created_mono_s=self.clock.monotonic_s()))

    def run(self, seconds: float) -> int:
        """Returns the number of steps that it took."""
        end_s, steps = self.clock.monotonic_s() + seconds, 0
        while self.clock.monotonic_s() < end_s:
            wait_s, steps = self.worker.step(), steps + 1
            self.clock.advance(min(wait_s, end_s - self.clock.monotonic_s()))
        return steps

    @property
    def sent(self) -> list[str]:
        return [name.removeprefix("inc.") for name in self.channel.ids]


class Memory:
    """Alerts that the disk did not take."""

    def __init__(self, *alerts: Alert) -> None:
        self._alerts = alerts

    def unstored(self) -> tuple[Alert, ...]:
        return self._alerts

    def forget(self, alert_id: str) -> None:
        self._alerts = tuple(a for a in self._alerts if a.alert_id != alert_id)


def refuse(bench: Bench, error: Callable[[], ChannelError] | None, *kinds: str) -> None:
    """These kinds of mail, or all, are refused from now on; None: nothing is."""

    def answer(alert: Alert) -> Exception | None:
        return error() if error is not None and (not kinds or alert.kind in kinds) else None

    bench.channel.refuse = answer


def no_route() -> ChannelError:
    return TemporaryRefusal("no route", channel_wide=True)


def greylisted() -> ChannelError:
    return TemporaryRefusal("450 4.2.0 greylisted")


@pytest.mark.parametrize("severity", [Severity.HIGH, Severity.CRITICAL])
@pytest.mark.parametrize("down_s", [40, 300])
@pytest.mark.parametrize("killed", [False, True])
def test_an_outage_and_a_kill_do_not_turn_an_incident_round(
    tmp_path: Path, severity: Severity, down_s: float, killed: bool
) -> None:
    for seed in range(4):
        folder = tmp_path / str(seed)
        folder.mkdir()
        bench = Bench(folder, seed=seed)
        refuse(bench, no_route)
        bench.put("opened", severity)
        bench.run(down_s * 0.8)
        bench.put("closed", severity)
        bench.run(down_s * 0.2)
        if killed:
            bench.start()
        refuse(bench, None)
        bench.run(700)
        assert bench.sent == ["opened", "closed"], f"seed {seed}"


def test_what_one_mail_alone_is_refused_for_keeps_the_next_one_waiting_but_not_for_ever(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    refuse(bench, greylisted, "opened")
    bench.put("opened")
    bench.run(3)
    bench.put("sheet")
    bench.put("sheet", incident="other")
    bench.run(120)
    assert bench.sent == ["other.sheet"]
    refuse(bench, None)
    bench.run(320)
    assert bench.sent == ["other.sheet", "opened", "sheet"]
    # One that is never taken does not keep the rest of its story from being told.
    refuse(bench, greylisted, "opened")
    bench.put("opened", incident="bad")
    bench.put("closed", incident="bad")
    bench.run(900)
    assert bench.sent[3:] == ["bad.closed"]


def test_a_refusal_of_its_own_after_an_outage_counts_from_the_beginning(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    refuse(bench, no_route)
    bench.put("opened")
    bench.put("closed")
    bench.run(2000)
    refuse(bench, greylisted, "opened")
    bench.run(250)
    refuse(bench, None)
    bench.run(600)
    assert bench.sent == ["opened", "closed"]


def test_what_is_refused_for_good_holds_back_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    refuse(bench, lambda: PermanentRefusal("554 spam"), "opened")
    bench.put("opened")
    bench.put("closed")
    bench.run(10)
    assert bench.sent == ["closed"]


def test_waiting_for_an_earlier_one_is_no_busy_loop(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    refuse(bench, greylisted, "opened")
    bench.put("opened")
    bench.put("closed")
    assert bench.run(60) < 60
    assert bench.sent == []


def test_an_incident_that_turns_critical_takes_its_beginning_along(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    refuse(bench, no_route)
    for number in range(5):
        bench.put("opened", incident=f"old-{number}")
    bench.put("opened", Severity.LOW)
    bench.run(1000)
    bench.put("escalated", Severity.CRITICAL)
    bench.run(60)
    refuse(bench, None)
    bench.run(700)
    assert bench.sent[:2] == ["opened", "escalated-critical"]
    assert len(bench.sent) == 7


def test_a_critical_mail_waits_for_no_other_that_is_refused_for_a_reason_of_its_own(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    refuse(bench, greylisted, "opened")
    bench.put("opened", Severity.LOW)
    bench.run(3)
    bench.put("escalated", Severity.CRITICAL)
    bench.run(1)
    assert bench.sent == ["escalated-critical"]


def test_a_beginning_that_waits_for_a_digest_keeps_no_critical_mail_waiting(tmp_path: Path) -> None:
    bench = Bench(tmp_path, per_hour=1)
    bench.put("opened", incident="first")
    bench.run(2)
    bench.put("opened", Severity.LOW)
    bench.put("escalated", Severity.CRITICAL)
    bench.run(2)
    assert bench.sent == ["first.opened", "escalated-critical"]


def test_a_digest_takes_whole_incidents(tmp_path: Path) -> None:
    bench = Bench(tmp_path, per_hour=1)
    bench.put("opened", incident="first")
    bench.run(2)
    for incident in ("a", "b"):
        for kind in ("opened", "closed"):
            bench.put(kind, incident=incident)
    bench.run(120)
    assert bench.sent[0] == "first.opened"
    (digest,) = bench.channel.sent[1:]
    assert digest.alert.kind == "digest"
    assert digest.alert.value == 4


def test_what_is_in_memory_waits_for_what_is_on_disk(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    refuse(bench, greylisted, "opened")
    bench.put("opened")
    bench.run(1)
    bench.worker.also_deliver(Memory(make_alert("inc", kind="sheet"), make_alert("inc", kind="closed")))
    bench.run(20)
    assert bench.sent == []
    refuse(bench, greylisted, "sheet")
    bench.run(60)
    assert bench.sent == ["opened"]
    refuse(bench, None)
    bench.run(60)
    assert bench.sent == ["opened", "sheet", "closed"]


def test_a_database_that_cannot_be_asked_keeps_nothing_from_being_sent(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.worker.also_deliver(Memory(make_alert("inc", kind="closed")))
    bench.database.close()
    bench.run(20)
    assert bench.sent == ["closed"]
