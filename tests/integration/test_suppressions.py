"""Why there was no alert: suppressions on a real database, and the command that reads them back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest
from fakes.alarms import BOOT, make_alert
from fakes.clocks import START_UTC, FakeClock
from fakes.scenes import observation

from edge.alerts.database import open_database
from edge.alerts.incident_store import IncidentStore
from edge.alerts.maintenance_store import MaintenanceStore
from edge.alerts.outbox import Outbox
from edge.alerts.suppression_store import SuppressionStore
from edge.app.why import parse_since, why
from edge.config import Config
from edge.errors import EX_USAGE, KioskError, StateError
from edge.incidents import Incidents
from edge.models.shipped import shipped_bundle
from edge.suppressions import Suppression
from edge.types import ChangeKind, Severity, Withheld

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from edge.alerts.database import Database


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def database(tmp_path: Path, clock: FakeClock) -> Iterator[Database]:
    opened = open_database(tmp_path, clock=clock)
    yield opened
    opened.close()


def suppression(number: int = 1, *, count: int = 1, lasted_s: float = 0.0, **changes: Any) -> Suppression:
    seen = observation(5.0, value=41.2)
    made = Suppression(
        number, "lobby", "loitering", "lobby", Severity.LOW, "cooldown", START_UTC,
        START_UTC + timedelta(seconds=lasted_s), count, seen,
    )  # fmt: skip
    return replace(made, **changes)


def test_what_is_written_can_be_read_back(database: Database) -> None:
    store = SuppressionStore(database, run="a")
    assert store.save([suppression(1), suppression(2, zone="höhe", reason="maintenance")]) == 2
    first, second = SuppressionStore(database).since(START_UTC)
    assert (first.rule, first.reason, first.count, first.since_utc) == ("loitering", "cooldown", 1, START_UTC)
    assert (first.peak.what, first.peak.value, first.peak.unit) == ("has stayed for", 41.2, "s")
    assert (second.zone, second.reason) == ("höhe", "maintenance")


def test_one_that_goes_on_is_one_row_and_written_seldom(database: Database) -> None:
    store = SuppressionStore(database, run="a", again_s=60)
    assert store.save([suppression()]) == 1
    assert store.save([suppression(count=50, lasted_s=10)]) == 0
    assert store.save([suppression(count=400, lasted_s=61)]) == 1
    assert store.save([suppression(count=401, lasted_s=62, severity=Severity.HIGH)]) == 1
    assert store.save([suppression(count=402, lasted_s=63, severity=Severity.HIGH)], all_of_them=True) == 1
    (found,) = store.since(START_UTC)
    assert (found.count, found.severity) == (402, Severity.HIGH)


def test_the_next_start_counts_anew_without_overwriting(database: Database) -> None:
    SuppressionStore(database, run="a").save([suppression(1, rule="crowding")])
    SuppressionStore(database, run="b").save([suppression(1)])
    assert len(SuppressionStore(database).since(START_UTC)) == 2


def test_only_so_many_are_kept(database: Database) -> None:
    store = SuppressionStore(database, run="a", keep=50)
    for number in range(400):
        store.save([suppression(number)])
    kept = [s.number for s in store.since(START_UTC, limit=1000)]
    assert kept[-1] == 399
    assert 50 <= len(kept) <= 151


def test_only_the_late_ones_are_asked_for(database: Database) -> None:
    store = SuppressionStore(database, run="a")
    store.save([suppression(1), suppression(2, t_utc=START_UTC + timedelta(hours=2))])
    assert [s.number for s in store.since(START_UTC + timedelta(hours=1))] == [2]


def test_two_that_alternate_frame_by_frame_are_two_not_two_hundred() -> None:
    box = Incidents(new_id=iter("abc").__next__, close_after_s=5.0, cooldown_s=0.0)
    box.silence("maintenance")
    for k in range(100):
        t, now = k * 0.2, START_UTC + timedelta(seconds=k * 0.2)
        seen = [observation(t), observation(t, rule="knife", zone="", value=k, severity=Severity.CRITICAL)]
        box.update("lobby", seen, t_mono_s=t, t_utc=now)
    assert [(s.rule, s.count) for s in box.suppressions] == [("loitering", 100), ("knife", 100)]
    assert box.suppressions[1].peak.value == 99
    box.update("lobby", [observation(90)], t_mono_s=90, t_utc=START_UTC + timedelta(seconds=90))
    assert [s.number for s in box.suppressions] == [1, 2, 3]  # half a minute later it is another one


def test_what_a_rule_withholds_is_suppressed_for_its_reason_and_opens_nothing() -> None:
    box = Incidents(new_id=iter("abc").__next__, close_after_s=5.0, cooldown_s=0.0)
    held = Withheld(observation(1, rule="closed_hours"), "the clock is not synchronised")
    assert box.update("lobby", [held], t_mono_s=1, t_utc=START_UTC) == []
    assert [(s.rule, s.reason) for s in box.suppressions] == [("closed_hours", "the clock is not synchronised")]
    assert box.open_incidents == ()


def config(folder: Path) -> Config:
    return Config.model_validate(
        {
            "cameras": [{"name": "lobby", "source": "/dev/video0"}],
            "state": {"dir": str(folder)},
            "model": {"path": str(unarmed(folder))},
        }
    )


def unarmed(folder: Path) -> Path:
    """What a model says that knows no firearm."""
    bundle = folder / "unarmed"
    bundle.mkdir(exist_ok=True)
    text = (shipped_bundle() / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(text.replace('"firearm"', '"umbrella"'))
    return bundle


def test_why_tells_incidents_suppressions_and_maintenance_in_order(tmp_path: Path, clock: FakeClock) -> None:
    database = open_database(tmp_path, clock=clock)
    box = Incidents(new_id=lambda: "20260301-020000-abc", close_after_s=1.0, cooldown_s=600.0)

    def at(t: float) -> None:
        now = START_UTC + timedelta(seconds=t)
        for change in box.update("lobby", [observation(t)], t_mono_s=t, t_utc=now):
            incidents.save(change)
            if change.kind is ChangeKind.OPENED:
                alert = make_alert(change.incident.incident_id)
                outbox.enqueue(replace(alert, alert_id=f"{change.incident.incident_id}.opened"))
                box.alert_queued(change.incident.incident_id, change.incident.severity)

    incidents = IncidentStore(database, clock=clock, boot_id=BOOT)
    outbox = Outbox(database, clock=clock, boot_id=BOOT)
    at(0)
    for change in box.update("lobby", [], t_mono_s=10, t_utc=START_UTC + timedelta(seconds=10)):
        incidents.save(change)
    at(60)
    at(61)
    SuppressionStore(database, run="a").save(box.suppressions)
    clock.advance(120)
    MaintenanceStore(database, clock=clock, boot_id=BOOT).begin(minutes=15, reason="new lamp")
    database.close()

    lines = why(config(tmp_path), tmp_path / "kiosk.toml", since="1h", clock=clock)
    assert lines[0].startswith("2026-03-01 02:00:00  incident    loitering in lobby (low), until 02:00:00")
    assert "mail (opened) waiting" in lines[0]
    assert "; number 20260301-020000-abc; " in lines[0], "what `pictures`, `verdict` and `hold` want to be told"
    assert lines[1].startswith(
        "2026-03-01 02:01:00  suppressed  loitering in lobby (low), 2 times until 02:01:01: cooldown"
    )
    assert lines[2].startswith("2026-03-01 02:02:00  maintenance 15 min, running: new lamp")
    assert "rules that are off: face_cover" in lines
    assert any(line.startswith("rule firearm rests") for line in lines)

    clock.advance(86_400)
    (first, *_) = why(config(tmp_path), tmp_path / "kiosk.toml", since="1m", clock=clock)
    assert "maintenance" in first  # never ended by anybody: the service is not there to do it


def test_why_finds_the_mails_of_every_incident_and_names_the_camera_where_there_are_several(
    tmp_path: Path, clock: FakeClock
) -> None:
    database = open_database(tmp_path, clock=clock)
    numbers = (f"i{n}" for n in range(1, 1000))
    box = Incidents(new_id=numbers.__next__, close_after_s=0.1, cooldown_s=0.0)
    incidents = IncidentStore(database, clock=clock, boot_id=BOOT)
    outbox = Outbox(database, clock=clock, boot_id=BOOT)
    for t in range(520):
        now = START_UTC + timedelta(seconds=t)
        seen = [observation(t, camera="yard")] if t % 2 == 0 else []
        for change in box.update("yard", seen, t_mono_s=t, t_utc=now):
            incidents.save(change)
            told = f"{change.incident.incident_id}.{change.kind.value}"
            outbox.enqueue(replace(make_alert(change.incident.incident_id), alert_id=told))
        held = Withheld(observation(t, camera="hall", zone=f"zone{t}"), "of no interest")
        box.update("hall", [held], t_mono_s=t, t_utc=now)
        SuppressionStore(database, run=str(t)).save(box.suppressions[-1:])
    assert len(outbox.about(["i1"])["i1"]) == 2, "not those of i10 and the like"
    database.close()

    two = config(tmp_path)
    two.cameras.append(two.cameras[0].model_copy(update={"name": "hall"}))
    lines = why(two, tmp_path / "kiosk.toml", since="1h", clock=clock)
    told = [line for line in lines if "  incident    " in line]
    assert len(told) == 260
    assert all(line.endswith("mail (opened) waiting, mail (closed) waiting") for line in told)
    assert "incident    loitering in lobby of yard (low)" in told[0]
    assert sum("suppressed  loitering in zone" in line and "of hall (low)" in line for line in lines) == 520


def test_why_without_a_state_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StateError, match=r"kiosk\.db"):
        why(config(tmp_path), tmp_path / "kiosk.toml", since="1h")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", START_UTC - timedelta(minutes=90)),
        ("12h", START_UTC - timedelta(hours=12)),
        ("1.5d", START_UTC - timedelta(hours=36)),
        ("2026-02-28 12:00", START_UTC.replace(month=2, day=28, hour=12)),
        ("2026-02-28T12:00:00Z", START_UTC.replace(month=2, day=28, hour=12)),
    ],
)
def test_moments_that_can_be_named(text: str, expected: datetime) -> None:
    assert parse_since(text, START_UTC).astimezone(timezone.utc) == expected


@pytest.mark.parametrize("text", ["yesterday", "", "12", "5w", "99999999999999d"])
def test_moments_that_cannot(text: str) -> None:
    with pytest.raises(KioskError, match="not a time") as error:
        parse_since(text, START_UTC)
    assert error.value.exit_code == EX_USAGE
