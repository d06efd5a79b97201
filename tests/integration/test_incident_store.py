from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from fakes.alarms import BOOT, UTC, make_change, make_incident
from fakes.clocks import FakeClock

from edge.alerts.database import Database, open_database
from edge.alerts.incident_store import IncidentStore
from edge.types import ChangeKind, Severity

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database(tmp_path: Path, clock: FakeClock) -> Database:
    return open_database(tmp_path, clock=clock)


@pytest.fixture
def store(database: Database, clock: FakeClock) -> IncidentStore:
    return IncidentStore(database, clock=clock, boot_id=BOOT)


def test_an_incident_is_remembered_as_it_stands_after_each_change(store: IncidentStore) -> None:
    incident = make_incident(severity=Severity.LOW)
    store.save(make_change(incident))
    assert store.load_open() == [incident]
    worse = replace(incident, severity=Severity.CRITICAL)
    store.save(make_change(worse, ChangeKind.ESCALATED))
    assert store.load_open() == [worse]
    over = replace(worse, closed_utc=UTC + timedelta(seconds=9), closed_mono_s=1009.0, close_reason="over")
    store.save(make_change(over, ChangeKind.CLOSED))
    assert store.load_open() == []
    assert store.recent() == [over]
    assert store.get("inc-1") == over
    assert store.get("other") is None


def test_a_late_opening_does_not_reopen_what_is_closed(store: IncidentStore) -> None:
    store.save(make_change(make_incident(closed=True), ChangeKind.CLOSED))
    store.save(make_change(make_incident()))
    assert store.load_open() == []


def test_open_ones_come_back_after_a_restart_in_their_order(
    store: IncidentStore, database: Database, clock: FakeClock
) -> None:
    for name in ("c", "a", "b"):
        store.save(make_change(make_incident(name)))
    again = IncidentStore(database, clock=clock, boot_id=BOOT)
    assert [i.incident_id for i in again.load_open()] == ["c", "a", "b"]
    assert [i.incident_id for i in again.recent(2)] == ["b", "a"]


def test_after_a_reboot_monotonic_times_belong_to_the_new_boot(
    store: IncidentStore, database: Database, clock: FakeClock
) -> None:
    store.save(make_change(make_incident(opened_s=990.0)))
    clock.advance(30)
    clock.reboot(mono_s=7.0)
    (back,) = IncidentStore(database, clock=clock, boot_id="another").load_open()
    assert back.opened_mono_s == pytest.approx(7.0 - 30)
    assert back.peak.t_mono_s == pytest.approx(7.0 - 30)
    assert back.opened_utc == UTC
    clock.step_wall(-(10**8))  # it cannot have been opened in the future
    (back,) = IncidentStore(database, clock=clock, boot_id="another").load_open()
    assert back.opened_mono_s == 7.0


def test_a_row_that_cannot_be_read_is_left_out(
    store: IncidentStore, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    for name in "ab":
        store.save(make_change(make_incident(name)))
    with database.transaction() as db:
        db.execute("UPDATE incidents SET payload = '{' WHERE incident_id = 'a'")
    assert [i.incident_id for i in store.load_open()] == ["b"]
    assert "cannot be read" in caplog.text


def test_only_the_newest_closed_ones_are_kept_and_every_open_one(database: Database, clock: FakeClock) -> None:
    store = IncidentStore(database, clock=clock, boot_id=BOOT, keep_closed=2)
    store.save(make_change(make_incident("open")))
    for name in "abcd":
        store.save(make_change(make_incident(name, closed=True), ChangeKind.CLOSED))
    assert [i.incident_id for i in store.recent()] == ["d", "c", "open"]
