from __future__ import annotations

import math
import socket
from typing import TYPE_CHECKING

from fakes.clocks import FakeClock

from edge.app.notify import Notifier
from edge.app.watchdog import Stage, Watchdog

if TYPE_CHECKING:
    from pathlib import Path


class Ear(Notifier):
    """A service manager that notes what it is told."""

    def __init__(self) -> None:
        super().__init__("heard by nobody else")
        self.told: list[str] = []

    def _tell(self, message: str) -> None:
        self.told.append(message)

    def since(self) -> list[str]:
        told, self.told = self.told, []
        return told


class Part:
    def __init__(self, due_s: float) -> None:
        self.due_s = due_s


class Box:
    def __init__(self) -> None:
        self.clock, self.ear = FakeClock(mono_s=100.0), Ear()
        self.dog = Watchdog(self.ear, clock=self.clock)
        self.writer, self.pipeline = Part(120.0), Part(120.0)
        self.state = (False, "starting")
        self.dog.watch([Stage("writer", self.writer), Stage("pipeline", self.pipeline)], lambda: self.state)

    def look_after(self, seconds: float) -> list[str]:
        self.clock.advance(seconds)
        self.dog.look()
        return self.ear.since()


def test_fed_while_all_move_and_ready_only_once_work_has_begun() -> None:
    box = Box()
    assert box.look_after(0) == ["STATUS=starting", "WATCHDOG=1"]
    box.state = (True, "guards")
    assert box.look_after(1) == ["READY=1", "WATCHDOG=1"]
    assert box.look_after(1) == ["WATCHDOG=1"]


def test_a_new_status_is_told_but_not_in_every_second() -> None:
    box = Box()
    box.look_after(0)
    box.state = (False, "two words,\n on one line")
    assert box.look_after(1) == ["WATCHDOG=1"]
    box.clock.advance(2)
    box.look_after(2)
    box.state = (False, "later")
    assert box.look_after(2.5) == ["WATCHDOG=1"]


def test_a_stage_past_its_promise_is_not_fed_and_then_told_by_name() -> None:
    box = Box()
    box.pipeline.due_s = math.inf
    box.look_after(0)
    for _ in range(10):
        box.look_after(2)
    assert box.look_after(1) == []  # late for the first time: not fed, not accused yet
    assert box.look_after(1) == ["STATUS=writer: hangs; the service is to be restarted", "WATCHDOG=trigger"]
    assert box.look_after(1) == ["WATCHDOG=trigger"]


def test_a_stage_that_moves_in_time_is_never_accused() -> None:
    box = Box()
    for _ in range(60):
        box.clock.advance(1)
        box.writer.due_s = box.pipeline.due_s = box.clock.monotonic_s() + 0.5
        box.dog.look()
    assert "WATCHDOG=trigger" not in box.ear.told
    assert box.ear.told.count("WATCHDOG=1") == 60


def test_after_the_whole_process_was_held_up_everybody_gets_another_second() -> None:
    box = Box()
    box.look_after(0)
    assert box.look_after(500) == []
    box.writer.due_s = box.pipeline.due_s = math.inf
    assert box.look_after(1) == ["WATCHDOG=1"]


def test_between_two_sets_of_stages_nobody_is_accused() -> None:
    box = Box()
    box.dog.rest("leaving fault mode")
    for _ in range(100):
        assert "WATCHDOG=1" in box.look_after(1)


def test_what_the_environment_says(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        notifier = Notifier.from_environment({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "15000000"})
        assert notifier.heard
        assert notifier.watchdog_s == 15.0
        notifier.ready()
        notifier.status("all\nwell")
        assert [manager.recv(100) for _ in range(2)] == [b"READY=1", b"STATUS=all well"]


def test_a_watchdog_meant_for_another_process_is_not_ours() -> None:
    assert Notifier.from_environment({"WATCHDOG_USEC": "15000000", "WATCHDOG_PID": "1"}).watchdog_s is None


def test_nobody_listens() -> None:
    assert not Notifier.from_environment({}).heard
    Notifier("/nowhere/at/all").ready()
    Notifier("").ready()
