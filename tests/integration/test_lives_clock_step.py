"""A wall clock that jumps by a day, either way, in the middle of a lobby's life: nothing changes but the dates.

Random lives (tests/fakes/lives.py) through tracker, zones, all rules about people, and incidents with a cooldown.
"""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta, timezone

import numpy as np
import pytest
from fakes.lives import DOOR, LOBBY, ZONES, Story, story
from fakes.scenes import BLACK, PERSON, SIZE

from edge.incidents import Incidents
from edge.rules.closed_hours import ClosedHours
from edge.rules.crowding import Crowding
from edge.rules.loitering import Loitering
from edge.rules.opening_hours import OpeningHours, parse_span
from edge.rules.person_down import PersonDown
from edge.rules.restricted_area import RestrictedArea
from edge.track.exits import Exits
from edge.track.tracker import Tracker
from edge.types import ChangeKind, Frame, Scene
from edge.zones import ZoneMap

NIGHT = datetime(2026, 3, 4, 3, tzinfo=timezone.utc)  # closed, as on the day before and after


def play(made: Story, *, steps: dict[float, float]) -> list[tuple[float, str, str, str, str, float]]:
    """What becomes of incidents; ``steps``: at these seconds the wall clock jumps by so many."""
    rng, numbers = np.random.default_rng(made.seed), itertools.count(1)
    tracker = Tracker(exits=Exits(doors=[DOOR.polygon], rooms=[LOBBY.polygon]))
    zones = ZoneMap("lobby", ZONES)
    people = {PERSON}
    hours = OpeningHours(week=[[parse_span("08:00-18:00")]] * 7, timezone=timezone.utc)
    rules = [
        Loitering(person_classes=people, dwell_s=6.0, escalate_s=12.0, window_s=60.0, window_dwell_s=20.0),
        RestrictedArea(person_classes=people, dwell_s=1.0),
        ClosedHours(person_classes=people, hours=hours, dwell_s=3.0, margin_s=300.0),
        Crowding(person_classes=people, max_persons=1, dwell_s=3.0),
        PersonDown(person_classes=people, down_s=3.0),
    ]
    incidents = Incidents(new_id=lambda: str(next(numbers)), close_after_s=2.0, cooldown_s=8.0)
    told = []
    for k in range(int((made.ends_s + 12) * 5)):
        t = k / 5
        utc = NIGHT + timedelta(seconds=t + sum(jump for at, jump in steps.items() if t >= at))
        detections, _ = made.detections(t, rng)
        tracks = tracker.update(detections, t, size=SIZE)
        scene = Scene(
            Frame(BLACK, k, t, utc, "lobby"), tracks, zones.zones, zones.occupancy(tracks, SIZE), clock_synced=True
        )
        seen = [o for rule in rules for o in rule.update(scene)]
        for change in incidents.update("lobby", seen, t_mono_s=t, t_utc=utc):
            incident = change.incident
            if change.kind is ChangeKind.OPENED:
                incidents.alert_queued(incident.incident_id, incident.severity)
            told.append(
                (t, change.kind.value, incident.rule, incident.zone, incident.severity.label, incident.peak.value)
            )
    return told


@pytest.mark.parametrize("day_s", [86_400.0, -86_400.0])
@pytest.mark.parametrize("seed", range(8))
def test_a_step_of_a_day_changes_no_dwell_opens_nothing_and_loses_nothing(seed: int, day_s: float) -> None:
    made = story(seed, people=2, limit_s=8.0)
    plain = play(made, steps={})
    assert {rule for _, _, rule, _, _, _ in plain} >= {"closed_hours"}
    middle = made.ends_s / 2
    assert play(made, steps={middle: day_s}) == plain
    assert play(made, steps={middle / 2: day_s, middle: -day_s}) == plain


def test_there_is_something_to_lose() -> None:
    rules = {rule for seed in range(8) for _, _, rule, _, _, _ in play(story(seed, people=2, limit_s=8.0), steps={})}
    assert rules >= {"loitering", "restricted_area", "closed_hours", "crowding"}
