from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from fakes.alarms import BOOT, UTC, make_change, make_incident, make_ref
from fakes.clocks import FakeClock
from fakes.detectors import FakeDetector
from fakes.scenes import KNIFE, Thing, frame, tracks

from edge.alerts.database import open_database
from edge.alerts.outbox import Outbox
from edge.app.hand_over import AlertMaker, Annotator, told_again
from edge.types import ChangeKind, Severity

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("severity", "closed_from", "told"),
    [
        (Severity.LOW, Severity.HIGH, False),
        (Severity.HIGH, Severity.HIGH, True),
        (Severity.CRITICAL, Severity.HIGH, True),
        (Severity.CRITICAL, None, False),
    ],
)
def test_the_end_is_told_of_what_was_bad_enough(severity: Severity, closed_from: Severity | None, told: bool) -> None:
    make = AlertMaker("m 1", "boot-1", FakeClock(), closed_from=closed_from)
    change = make_change(make_incident(severity=severity, closed=True), ChangeKind.CLOSED)
    alert = make(change, (make_ref(),))
    assert (alert is not None) is told
    if alert is not None:
        assert (alert.kind, alert.evidence, alert.extra) == ("closed", (), (("Ended because", "over"),))
    assert make(make_change(make_incident(severity=severity)), (make_ref(),)) is not None


def test_what_began_before_the_clock_was_set_is_told_in_the_right_time_afterwards() -> None:
    clock = FakeClock(synced=False)
    make = AlertMaker("m 1", "boot-1", clock, closed_from=Severity.LOW)
    incident = make_incident(opened_s=clock.monotonic_s())
    opened = make(make_change(incident), ())
    assert opened is not None
    assert (opened.clock_synced, opened.opened_utc, opened.extra) == (False, UTC, ())
    clock.advance(20)
    lasted_until_s, wrong_end = clock.monotonic_s(), clock.utc_now()
    clock.synced = True
    clock.step_wall(3 * 86400)
    right = UTC + timedelta(days=3)

    worse = make(replace(make_change(incident, ChangeKind.ESCALATED), t_utc=clock.utc_now()), ())
    assert worse is not None
    assert (worse.clock_synced, worse.opened_utc, worse.created_utc) == (True, right, right + timedelta(seconds=20))
    ended = replace(incident, closed_utc=wrong_end, closed_mono_s=lasted_until_s, close_reason="over")
    clock.advance(5)
    over = make(replace(make_change(ended, ChangeKind.CLOSED), t_utc=clock.utc_now()), ())
    assert over is not None
    assert (over.opened_utc, over.closed_utc) == (right, right + timedelta(seconds=20))
    assert [label for label, _ in over.extra] == ["Ended because", "Corrected"]

    # What begins afterwards needs no correction, whatever the clock does then.
    later = make_incident("inc-2", opened_s=clock.monotonic_s())
    make(make_change(later), ())
    clock.step_wall(-40)
    end = make(make_change(replace(later, closed_utc=UTC, closed_mono_s=clock.monotonic_s()), ChangeKind.CLOSED), ())
    assert end is not None
    assert (end.opened_utc, [label for label, _ in end.extra]) == (UTC, ["Ended because"])


@pytest.mark.parametrize("day_s", [86_400, -86_400])
@pytest.mark.parametrize("synced", [True, False])
def test_a_clock_that_is_set_meanwhile_does_not_change_how_long_it_lasted(day_s: float, synced: bool) -> None:
    clock = FakeClock(synced=synced)
    make = AlertMaker("m 1", "boot-1", clock, closed_from=Severity.LOW)
    incident = make_incident(opened_s=clock.monotonic_s())
    make(make_change(incident), ())
    clock.advance(10)
    clock.step_wall(day_s)
    clock.advance(30)
    ended = replace(incident, closed_utc=clock.utc_now(), closed_mono_s=clock.monotonic_s(), close_reason="over")
    clock.advance(5)
    over = make(replace(make_change(ended, ChangeKind.CLOSED), t_utc=clock.utc_now()), ())
    assert over is not None
    assert over.closed_utc is not None
    assert over.closed_utc - over.opened_utc == timedelta(seconds=40)
    assert over.opened_utc == (UTC + timedelta(seconds=day_s) if synced else UTC)
    assert ("Corrected" in dict(over.extra)) is synced


@pytest.mark.parametrize(("score", "alarmed", "shown"), [(0.45, False, False), (0.45, True, True), (0.7, False, True)])
def test_a_doubtful_thing_is_in_the_picture_only_of_an_alert_about_it(score: float, alarmed: bool, shown: bool) -> None:
    draw = Annotator(FakeDetector())
    person, knife = Thing(3, score=0.3), Thing(9, x=360, feet=220, height=20, cls=KNIFE, score=score, holder=3)
    incident = make_incident()
    if alarmed:
        incident = replace(incident, peak=replace(incident.peak, track_ids=(3, 9)))
    nothing = draw(frame(0.0), tracks(person), incident, ())
    assert (draw(frame(0.0), tracks(person, knife), incident, ()) != nothing).any() == shown
    assert (nothing != draw(frame(0.0), tracks(), incident, ())).any(), "people are always shown"


@pytest.mark.parametrize("told", [None, Severity.LOW, Severity.HIGH])
def test_what_a_kill_kept_from_being_told_is_told_after_the_restart(tmp_path: Path, told: Severity | None) -> None:
    clock = FakeClock()
    outbox = Outbox(open_database(tmp_path, clock=clock), clock=clock, boot_id=BOOT)
    make = AlertMaker("m 1", BOOT, clock)
    if told is not None:
        opened = make(make_change(make_incident(severity=told)), ())
        assert opened is not None
        outbox.enqueue(opened)
    worse = make_incident(severity=Severity.HIGH)  # as it stands in its row, which is written before the alert
    for _ in range(2):  # however often it starts
        stored = outbox.about([worse.incident_id])[worse.incident_id]
        alert = make(told_again(worse, stored, now_s=clock.monotonic_s(), now_utc=clock.utc_now()), ())
        assert alert is not None
        outbox.enqueue(alert)
    assert [(e.alert_id, e.severity) for e in reversed(outbox.entries())] == {
        None: [("inc-1.opened", Severity.HIGH)],
        Severity.LOW: [("inc-1.opened", Severity.LOW), ("inc-1.escalated-high", Severity.HIGH)],
        Severity.HIGH: [("inc-1.opened", Severity.HIGH)],
    }[told]
