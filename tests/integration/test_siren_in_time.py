"""The siren sounds within a second of the decision while the network swallows everything and the disk stands still."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fakes.blackhole import blackhole
from fakes.cameras import FakeCamera
from fakes.chain import build_chain
from fakes.detectors import FakeDetector
from fakes.own_disk import mounted_disk
from fakes.scenes import zone
from gpiozero.pins.mock import MockFactory, MockPin

from edge.alerts.database import DATABASE_NAME
from edge.alerts.gpio import GpioIndicator, OutputSpec
from edge.alerts.incident_log import LOG_NAME
from edge.app.hand_over import hand_over
from edge.clock import SystemClock
from edge.incidents import Incidents
from edge.loop import Loop
from edge.pipeline import Line, Pipeline
from edge.track.tracker import Tracker
from edge.types import Frame, Observation, Severity, ZoneKind
from edge.zones import ZoneMap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.types import Scene

PIN = 17
EPISODES = 12
ON_S, OFF_S = 0.3, 0.6


class StampedPin(MockPin):  # type: ignore[misc]
    """Remembers when it was driven high, monotonic seconds."""

    def __init__(self, factory: Any, info: Any) -> None:
        self.high_s: list[float] = []
        super().__init__(factory, info)

    def _set_state(self, value: Any) -> None:
        super()._set_state(value)
        if value:
            self.high_s.append(time.monotonic())


class OnAndOff:
    """A rule that holds for a moment again and again, and remembers when it said so first."""

    name = "panic"

    def __init__(self) -> None:
        self.decided_s: list[float] = []
        self._holds = False

    def update(self, scene: Scene) -> Sequence[Observation]:
        now_s = time.monotonic()
        holds = now_s % (ON_S + OFF_S) < ON_S
        if holds and not self._holds:
            self.decided_s.append(now_s)
        self._holds = holds
        seen = Observation("lobby", self.name, "", Severity.HIGH, (), scene.frame.t_mono_s, "seen for", 1.0, 0.5, "s")
        return [seen] if holds else []


def live_frames(stop: threading.Event) -> Iterator[Frame]:
    """Ten pictures a second, large enough that encoding and syncing them costs something."""
    image = np.random.default_rng(1).integers(0, 255, (720, 1280, 3), dtype=np.uint8)
    clock = SystemClock()
    for number in range(10_000):
        if stop.wait(0.1):
            return
        yield Frame(image, number, clock.monotonic_s(), clock.utc_now(), "lobby")


@contextlib.contextmanager
def locked_state(folder: Path) -> Iterator[None]:
    """Database and incident log are held by somebody who does not let go: the writer's thread stands still."""
    with (
        contextlib.closing(sqlite3.connect(folder / DATABASE_NAME, isolation_level=None)) as db,
        (folder / LOG_NAME).open("ab") as log,
    ):
        fcntl.flock(log, fcntl.LOCK_EX)
        db.execute("BEGIN EXCLUSIVE")
        yield
        db.execute("ROLLBACK")


@contextlib.contextmanager
def frozen_disk(folder: Path) -> Iterator[None]:
    """The file system itself is frozen: every write to it waits in the kernel, as with a card that has died on us."""
    # Whatever becomes of this process, somebody thaws it.
    with subprocess.Popen(["sh", "-c", f'sleep 60; fsfreeze -u "{folder}"'], start_new_session=True) as rescue:
        subprocess.run(["fsfreeze", "-f", str(folder)], check=True)
        try:
            yield
        finally:
            subprocess.run(["fsfreeze", "-u", str(folder)], check=True)
            os.killpg(rescue.pid, 15)


@pytest.fixture
def own_disk(tmp_path: Path) -> Iterator[Path]:
    with mounted_disk(tmp_path) as folder:
        yield folder


def sound(folder: Path, stalled: contextlib.AbstractContextManager[None], port: int) -> tuple[list[float], list[str]]:
    """Seconds from each decision to the pin, and what was stored once the stall was over."""
    stored: list[str] = []
    clock = SystemClock()
    chain = build_chain(folder, port, timeout_s=20.0, on_stored=lambda alert: stored.append(alert.incident_id))
    chain.start()
    chain.incident("first", severity=Severity.CRITICAL)  # the delivery hangs in the blackhole from now on
    assert chain.writer.flush(20)
    stored.clear()
    factory = MockFactory(revision="c03114", pin_class=StampedPin)
    indicator = GpioIndicator(
        {"siren": OutputSpec(PIN, severities=frozenset({Severity.HIGH}))}, pin_factory=factory, clock=clock
    )
    rule, stop, numbers = OnAndOff(), threading.Event(), iter(range(10_000))
    pipeline = Pipeline(
        detector=FakeDetector({}),
        lines={"lobby": Line(Tracker(), ZoneMap("lobby", [zone(ZoneKind.LOBBY, 0, 0, 1, 1)]), [rule])},
        incidents=Incidents(new_id=lambda: f"i{next(numbers)}", close_after_s=0.2, cooldown_s=0.0),
        now_s=clock.monotonic_s,
        clock_synced=lambda: True,
    )
    loop = Loop(
        cameras=[FakeCamera(live_frames(stop))],
        pipeline=pipeline,
        indicator=indicator,
        hand_over=lambda change, judged: hand_over(change, judged, chain.writer),
        clock=clock,
        lost_after_s={"lobby": 60.0},
    )
    thread = threading.Thread(target=loop.run, args=(stop,), daemon=True)
    with stalled:
        thread.start()
        until_s = time.monotonic() + 4 * EPISODES * (ON_S + OFF_S)
        pin = factory.pin(PIN)
        while len(pin.high_s) < EPISODES and time.monotonic() < until_s:
            time.sleep(0.05)
        assert stored == []
        assert chain.writer.stats().queued > 0
        high_s, decided_s = list(pin.high_s), list(rule.decided_s)
    stop.set()
    thread.join(10)
    indicator.close()
    assert chain.writer.flush(60)
    chain.stop()
    assert len(high_s) >= EPISODES
    return [high - decided for high, decided in zip(high_s, decided_s, strict=False)], stored


def check(delays_s: list[float], stored: list[str], how: str) -> None:
    ordered = sorted(delays_s)
    print(
        f"{how}: {len(ordered)} times, median {ordered[len(ordered) // 2] * 1e3:.1f} ms, worst {ordered[-1] * 1e3:.1f} ms"
    )
    assert ordered[0] >= 0
    assert ordered[-1] < 1.0
    # What was decided meanwhile is stored as soon as the disk moves.
    assert {f"i{i}" for i in range(EPISODES)} <= set(stored)


def test_while_the_writer_stands_still(tmp_path: Path) -> None:
    with blackhole() as port:
        check(*sound(tmp_path, locked_state(tmp_path), port), "state locked")


def test_while_the_file_system_is_frozen(own_disk: Path) -> None:
    state = own_disk / "state"
    state.mkdir()
    with blackhole() as port:
        check(*sound(state, frozen_disk(own_disk), port), "disk frozen")
