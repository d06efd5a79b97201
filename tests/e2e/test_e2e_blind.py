"""What a box did not watch: counted over a kill and an orderly stop, by the real service."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

from edge.alerts.blind_store import BlindStore
from edge.alerts.database import open_database
from edge.clock import SystemClock, boot_id

if TYPE_CHECKING:
    from pathlib import Path

    from e2e.appliance_process import Config


def _totals(state: Path) -> dict[str, float]:
    clock = SystemClock()
    database = open_database(state, clock=clock)
    try:
        return BlindStore(database, clock=clock, boot_id=boot_id()).totals()
    finally:
        database.close()


def test_the_time_without_the_service_is_counted(start: Any, config: Config) -> None:
    config.cameras[0]["loop"] = True
    path = config.write()
    state = path.parent / "state"
    started_s = time.monotonic()
    first = start(path)
    first.wait_for("started")
    assert first.said("was_dark") == []
    first.signal(signal.SIGKILL)
    first.wait(10)
    assert _totals(state) == {}  # nothing can be known of it yet

    second = start(path)
    gap = second.wait_for("was_dark")
    second.wait_for("started")
    assert (gap["reason"], gap["clean"]) == ("stopped", False)
    dark_s = _totals(state)["stopped"]
    # From the last sign of life, before the kill, to the start of the second service.
    assert dark_s > 0
    assert abs(dark_s - gap["seconds"]) < 0.01
    assert dark_s < time.monotonic() - started_s
    second.signal(signal.SIGTERM)
    assert second.wait(10) == 0

    third = start(path)
    gap = third.wait_for("was_dark")
    assert (gap["reason"], gap["clean"]) == ("stopped", True)
    assert gap["seconds"] < 30
    assert _totals(state)["stopped"] > dark_s
