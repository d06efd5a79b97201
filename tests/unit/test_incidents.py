from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from fakes.scenes import observation, utc
from hypothesis import given
from hypothesis import strategies as st

from edge.incidents import Incidents
from edge.types import ChangeKind, Incident, IncidentChange, Observation, Severity, Withheld

if TYPE_CHECKING:
    from collections.abc import Sequence

OPENED, ESCALATED, CLOSED = ChangeKind.OPENED, ChangeKind.ESCALATED, ChangeKind.CLOSED


def incidents(**kwargs: float) -> Incidents:
    numbers = itertools.count(1)
    values = {"close_after_s": 5.0, "cooldown_s": 60.0, **kwargs}
    return Incidents(new_id=lambda: f"i{next(numbers)}", close_after_by_rule={"slow": 20.0}, **values)


def look(box: Incidents, t_s: float, *seen: Observation, camera: str = "lobby") -> list[IncidentChange]:
    """One frame."""
    return box.update(camera, seen, t_mono_s=t_s, t_utc=utc(t_s))


def feed(box: Incidents, t_s: float, *seen: Observation, camera: str = "lobby") -> list[IncidentChange]:
    """A frame a second up to here; what is seen is seen in the last one."""
    last_s = box._looked_s.get(camera, t_s)
    steps = [last_s + k for k in range(1, 1000) if last_s + k < t_s]
    return [c for at_s in steps for c in look(box, at_s, camera=camera)] + look(box, t_s, *seen, camera=camera)


def kinds(changes: Sequence[IncidentChange]) -> list[ChangeKind]:
    return [c.kind for c in changes]


def test_one_condition_is_one_incident_however_often_it_is_seen() -> None:
    box = incidents()
    changes = [c for k in range(300) for c in feed(box, k * 0.2, observation(k * 0.2, value=k))]
    assert kinds(changes) == [OPENED]
    (incident,) = box.open_incidents
    assert incident.opened_mono_s == 0
    assert incident.peak.value == 299
    assert dict(box.opened_total) == {("loitering", "low"): 1}


def test_it_closes_when_the_condition_was_away_long_enough_and_ended_when_last_seen() -> None:
    box = incidents()
    feed(box, 0, observation(0))
    feed(box, 7, observation(7))
    assert feed(box, 12) == []
    (change,) = feed(box, 12.1)
    assert change.kind is CLOSED
    assert change.t_mono_s == 12.1
    assert change.incident.closed_mono_s == 7
    assert change.incident.closed_utc == utc(7)
    assert change.incident.close_reason == "condition ended"
    assert box.open_incidents == ()


def test_a_condition_that_comes_back_soon_is_the_same_incident() -> None:
    box = incidents()
    changes = feed(box, 0, observation(0)) + feed(box, 4) + feed(box, 4.9, observation(4.9)) + feed(box, 9)
    assert kinds(changes) == [OPENED]


def test_rules_zones_and_cameras_are_apart() -> None:
    box = incidents()
    changes = feed(box, 0, observation(0), observation(0, zone="b"), observation(0, rule="crowding"))
    changes += feed(box, 0, observation(0, camera="yard"), camera="yard")
    assert kinds(changes) == [OPENED] * 4
    assert kinds(feed(box, 10)) == [CLOSED] * 3
    assert [i.camera for i in box.open_incidents] == ["yard"]


def test_a_rule_can_have_its_own_patience() -> None:
    box = incidents()
    feed(box, 0, observation(0, rule="slow"))
    assert feed(box, 19) == []
    assert kinds(feed(box, 21)) == [CLOSED]


def test_it_escalates_once_for_each_higher_severity_and_never_back() -> None:
    box = incidents()
    seen = (Severity.LOW, Severity.HIGH, Severity.LOW, Severity.HIGH, Severity.CRITICAL)
    changes = [c for k, s in enumerate(seen) for c in feed(box, k, observation(k, severity=s, value=10 - k))]
    assert kinds(changes) == [OPENED, ESCALATED, ESCALATED]
    assert [c.incident.severity for c in changes] == [Severity.LOW, Severity.HIGH, Severity.CRITICAL]
    (incident,) = box.open_incidents
    assert incident.peak.severity is Severity.CRITICAL


class TestCooldown:
    def closed_after_alert(self, *, acknowledge: bool = True, severity: Severity = Severity.LOW) -> Incidents:
        box = incidents()
        feed(box, 0, observation(0, severity=severity))
        if acknowledge:
            box.alert_queued("i1", severity)
        assert kinds(feed(box, 6)) == [CLOSED]
        return box

    def test_it_holds_back_the_same_again_and_says_why(self) -> None:
        box = self.closed_after_alert()
        assert feed(box, 7, observation(7)) == []
        assert feed(box, 8, observation(8)) == []
        (note,) = box.suppressions
        assert (note.reason, note.rule, note.zone, note.count, note.t_utc) == (
            "cooldown",
            "loitering",
            "lobby",
            2,
            utc(8),
        )
        assert box.suppressed_total["cooldown"] == 1
        assert kinds(feed(box, 66.1, observation(66.1))) == [OPENED]

    def test_it_never_holds_back_what_is_worse(self) -> None:
        assert kinds(feed(self.closed_after_alert(), 7, observation(7, severity=Severity.HIGH))) == [OPENED]

    @pytest.mark.parametrize("late", [False, True])
    def test_it_holds_back_no_severity_of_which_no_alert_was_queued(self, late: bool) -> None:
        box = incidents()
        feed(box, 0, observation(0))
        box.alert_queued("i1", Severity.LOW)
        assert kinds(feed(box, 1, observation(1, severity=Severity.HIGH))) == [ESCALATED]  # and the disk is full
        assert kinds(feed(box, 7)) == [CLOSED]
        if late:
            box.alert_queued("i1", Severity.HIGH)
        assert feed(box, 8, observation(8)) == []
        assert kinds(feed(box, 9, observation(9, severity=Severity.HIGH))) == ([] if late else [OPENED])

    def test_it_concerns_its_own_zone_and_rule_only(self) -> None:
        box = self.closed_after_alert()
        assert kinds(feed(box, 7, observation(7, zone="b"), observation(7, rule="crowding"))) == [OPENED, OPENED]

    def test_it_starts_only_when_an_alert_was_queued(self) -> None:
        assert kinds(feed(self.closed_after_alert(acknowledge=False), 7, observation(7))) == [OPENED]

    def test_an_acknowledgement_after_the_end_still_counts(self) -> None:
        box = self.closed_after_alert(acknowledge=False)
        box.alert_queued("i1", Severity.LOW)
        assert feed(box, 7, observation(7)) == []

    def test_one_that_comes_late_does_not_shorten_a_later_cooldown(self) -> None:
        box = self.closed_after_alert(acknowledge=False)
        feed(box, 7, observation(7))
        box.alert_queued("i2", Severity.LOW)
        feed(box, 60)
        box.alert_queued("i1", Severity.LOW)
        assert feed(box, 67, observation(67)) == []

    def test_what_maintenance_has_ended_opens_after_it_as_if_it_had_just_begun(self) -> None:
        box = incidents()
        feed(box, 0, observation(0))
        box.alert_queued("i1", Severity.LOW)
        box.silence("maintenance")
        assert kinds(feed(box, 1, observation(1))) == [CLOSED]
        box.silence("")
        assert kinds(feed(box, 2, observation(2))) == [OPENED]

    def test_an_unknown_acknowledgement_is_of_no_consequence(self) -> None:
        box = incidents()
        box.alert_queued("nobody", Severity.LOW)
        assert kinds(feed(box, 0, observation(0))) == [OPENED]


class TestRestart:
    def before(self) -> Incident:
        box = incidents()
        feed(box, 0, observation(0))
        return box.open_incidents[0]

    def test_an_incident_whose_condition_is_seen_again_goes_on_without_opening_again(self) -> None:
        box = incidents()
        assert box.restore([self.before()], sources={"lobby"}, t_mono_s=100, t_utc=utc(100)) == []
        assert feed(box, 130) == []
        assert feed(box, 159, observation(159)) == []
        assert [i.incident_id for i in box.open_incidents] == ["i1"]
        (change,) = feed(box, 165)
        assert change.incident.close_reason == "condition ended"

    def test_otherwise_it_is_closed_as_interrupted(self) -> None:
        box = incidents()
        assert box.restore([self.before()], sources={"lobby"}, t_mono_s=100, t_utc=utc(100)) == []
        assert feed(box, 160) == []
        (change,) = feed(box, 160.1)
        assert change.kind is CLOSED
        assert change.incident.close_reason == "interrupted by a restart"

    def test_the_time_until_the_camera_is_there_does_not_count(self) -> None:
        box = incidents()
        assert box.restore([self.before()], sources={"lobby"}, t_mono_s=100, t_utc=utc(100)) == []
        assert [c for t in range(190, 240) for c in look(box, t)] == []
        assert look(box, 240, observation(240)) == []
        assert [i.incident_id for i in box.open_incidents] == ["i1"]

    def test_what_a_camera_saw_that_is_not_there_any_more_is_over(self) -> None:
        box = incidents()
        (change,) = box.restore([self.before()], sources={"yard"}, t_mono_s=100, t_utc=utc(100))
        assert (change.kind, change.incident.close_reason) == (CLOSED, "lobby is not configured any more")
        assert box.open_incidents == ()


@pytest.mark.parametrize("told_lost", [True, False])
def test_a_camera_that_hangs_ends_nothing_of_what_it_shows_again(told_lost: bool) -> None:
    box = incidents()
    for k in range(50):
        look(box, k / 5, observation(k / 5))
    if told_lost:
        for t in range(30, 60):
            box.update("lobby", [observation(t, rule="camera_lost", zone="")], t_mono_s=t, t_utc=utc(t), blind=True)
    after = [c for k in range(15) for c in look(box, 60 + k / 5)]  # a rule needs some sights to be sure again
    assert [c for c in after if c.incident.rule == "loitering"] == []
    assert look(box, 63, observation(63)) == []
    (change,) = [c for k in range(1, 40) for c in look(box, 63 + k / 5) if c.incident.rule == "loitering"]
    assert (change.incident.incident_id, change.incident.closed_mono_s, change.t_mono_s) == ("i1", 63, 68.2)


def test_who_is_gone_when_a_camera_comes_back_is_over_after_the_usual_time() -> None:
    box = incidents()
    look(box, 0, observation(0))
    changes = [c for k in range(40) for c in look(box, 60 + k / 5)]
    assert [(c.kind, c.t_mono_s) for c in changes] == [(CLOSED, pytest.approx(63.2))]


def test_what_is_withheld_opens_nothing_and_ends_nothing() -> None:
    box = incidents()

    def doubted(t: float) -> list[IncidentChange]:
        return box.update("lobby", [Withheld(observation(t, value=99), "doubtful")], t_mono_s=t, t_utc=utc(t))

    assert doubted(0) == []
    assert box.open_incidents == ()
    assert kinds(feed(box, 1, observation(1))) == [OPENED]
    assert [c for t in range(2, 30) for c in doubted(t)] == []
    assert box.open_incidents[0].peak.value == 1
    (change,) = feed(box, 35)
    assert (change.kind, change.incident.closed_mono_s) == (CLOSED, 29)
    assert sum(s.count for s in box.suppressions) == 29


def test_what_is_known_to_be_nothing_keeps_no_incident_open() -> None:
    box = incidents()
    feed(box, 0, observation(0))
    part_of_the_room = Withheld(observation(1), "part of the room", harmless=True)
    changes = [c for t in range(1, 30) for c in box.update("lobby", [part_of_the_room], t_mono_s=t, t_utc=utc(t))]
    assert [(c.kind, c.incident.closed_mono_s) for c in changes] == [(CLOSED, 0)]


def test_a_blind_camera_ends_nothing() -> None:
    box = incidents()
    feed(box, 0, observation(0))
    lost = observation(60, rule="camera_lost", zone="")
    assert kinds(box.update("lobby", [lost], t_mono_s=60, t_utc=utc(60), blind=True)) == [OPENED]
    assert len(box.open_incidents) == 2


def test_the_end_of_the_source_closes_everything() -> None:
    box = incidents()
    feed(box, 0, observation(0), observation(0, zone="b"))
    changes = box.finish(reason="source ended", t_mono_s=1, t_utc=utc(1))
    assert kinds(changes) == [CLOSED, CLOSED]
    assert {c.incident.close_reason for c in changes} == {"source ended"}


@pytest.mark.parametrize("step_days", [1, -1])
def test_a_wall_clock_that_jumps_by_a_day_changes_nothing(step_days: int) -> None:
    box = incidents()
    changes = []
    for k in range(40):
        wall = utc(k * 0.5 + (86_400 * step_days if k > 10 else 0))
        seen = [observation(k * 0.5)] if k < 20 else []
        changes += box.update("lobby", seen, t_mono_s=k * 0.5, t_utc=wall)
    assert [(c.kind, c.t_mono_s) for c in changes] == [(OPENED, 0), (CLOSED, 15.0)]


@given(
    st.lists(st.tuples(st.floats(0.05, 8), st.booleans(), st.sampled_from(list(Severity)), st.booleans()), max_size=60)
)
def test_whatever_happens_lives_are_well_formed(steps: list[tuple[float, bool, Severity, bool]]) -> None:
    """Open first, close last, once each; severities only rise; never two open of one kind."""
    box, t, history = incidents(), 0.0, []
    for dt, present, severity, acknowledge in steps:
        t += dt
        changes = feed(box, t, *([observation(t, severity=severity)] if present else []))
        history += changes
        for change in changes:
            if acknowledge and change.kind is OPENED:
                box.alert_queued(change.incident.incident_id, change.incident.severity)
        assert len(box.open_incidents) <= 1
    history += box.finish(reason="end", t_mono_s=t, t_utc=utc(t))
    for name in {c.incident.incident_id for c in history}:
        life = [c for c in history if c.incident.incident_id == name]
        assert kinds(life)[0] is OPENED
        assert kinds(life)[-1] is CLOSED
        assert all(c.kind is ESCALATED for c in life[1:-1])
        severities = [c.incident.severity for c in life[:-1]]
        assert severities == sorted(set(severities))
        assert (life[-1].incident.closed_mono_s or 0) >= life[-1].incident.opened_mono_s
