"""A thousand random lives through tracker, zones, rules and incidents, at 2, 5 and 15 frames a second, 30 % dropped.

``KIOSK_GUARD_LIVES=N`` in the environment asks for another number of lives (two to a story).
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pytest
from fakes.lives import DOOR, LOBBY, LOBBY_X, RESTRICTED_X, ZONES, Story, story
from fakes.scenes import PERSON, SIZE, frame

from edge.incidents import Incidents
from edge.rules.dwell import Stays
from edge.rules.loitering import Loitering
from edge.rules.restricted_area import RestrictedArea
from edge.track.exits import Exits
from edge.track.tracker import Tracker
from edge.types import ChangeKind, IncidentChange, Scene
from edge.zones import ZoneMap

LIVES = int(os.environ.get("KIOSK_GUARD_LIVES", "1000"))
DROPPED = 0.3
LIMIT_S = 8.0
ENTRY_S = 1.0
CLOSE_AFTER_S = 5.0
# Stories by rate: the same number of lives is dearer at a higher rate.
SHARES = {2.0: 0.5, 5.0: 0.4, 15.0: 0.1}


@dataclass
class Run:
    """What became of one story. ``dwell``: person -> (measured, true, time without a sighting around the entry), seconds."""

    story: Story
    times: list[float]
    changes: list[IncidentChange] = field(default_factory=list)
    dwell: dict[int, tuple[float, float, float]] = field(default_factory=dict)
    tracks: dict[int, set[int]] = field(default_factory=dict)
    sighted: dict[int, list[float]] = field(default_factory=dict)


def play(made: Story, fps: float) -> Run:
    rng = np.random.default_rng(made.seed + 77)
    times = [k / fps for k in range(int((made.ends_s + 12) * fps)) if rng.random() >= DROPPED]
    run, numbers = Run(made, times), itertools.count(1)
    tracker = Tracker(exits=Exits(doors=[DOOR.polygon], rooms=[LOBBY.polygon]))
    zones, stays = ZoneMap("lobby", ZONES), Stays(person_classes={PERSON}, grace_s=2.0, walks_in=True)
    rules = [
        Loitering(person_classes={PERSON}, dwell_s=LIMIT_S, escalate_s=1000.0, window_dwell_s=1000.0),
        RestrictedArea(person_classes={PERSON}, dwell_s=ENTRY_S),
    ]
    incidents = Incidents(new_id=lambda: f"i{next(numbers)}", close_after_s=CLOSE_AFTER_S, cooldown_s=0.0)
    for t in times:
        detections, names = made.detections(t, rng)
        tracks = tracker.update(detections, t, size=SIZE)
        shot = frame(t)
        scene = Scene(shot, tracks, zones.zones, zones.occupancy(tracks, SIZE), clock_synced=True)
        seen = [o for rule in rules for o in rule.update(scene)]
        run.changes += incidents.update("lobby", seen, t_mono_s=t, t_utc=shot.t_utc)
        measured = stays.update(scene, LOBBY, scene.occupancy[0])
        # A track belongs to the person whose box it took over as it is.
        for name in names:
            run.sighted.setdefault(name, []).append(t)
        owner = {tuple(box): name for box, name in zip(detections.xyxy.tolist(), names, strict=True) if name >= 0}
        for track, box in zip(tracks.track_id.tolist(), tracks.xyxy.tolist(), strict=True):
            name = owner.get(tuple(box))
            if name is None:
                continue
            run.tracks.setdefault(name, set()).add(track)
            since = made.people[name].stays(LOBBY_X)[0][0]
            if track in measured and t > since:
                before = max((u for u in run.sighted[name] if u < since), default=None)
                after = min(u for u in run.sighted[name] if u >= since)
                # Whoever was never seen outside came in after the last frame that did not show them.
                before = max((u for u in times if u < after), default=since) if before is None else before
                run.dwell[name] = (measured[track], t - since, after - min(before, since))
    return run


def expected(made: Story, beyond_x: float, threshold_s: float) -> list[tuple[float, float]]:
    """When each incident should open and end: the stays over the threshold, as one where they are close together."""
    spans = sorted(
        (since + threshold_s, until)
        for p in made.people
        for since, until in p.stays(beyond_x)
        if until - since > threshold_s
    )
    merged: list[tuple[float, float]] = []
    for opens, ends in spans:
        if merged and opens - merged[-1][1] <= CLOSE_AFTER_S:
            merged[-1] = (merged[-1][0], max(merged[-1][1], ends))
        else:
            merged.append((opens, ends))
    return merged


def decided(made: Story, beyond_x: float, threshold_s: float) -> bool:
    """Whether the truth itself leaves no doubt: no two incidents about as far apart as what makes them one."""
    alone = sorted(
        (since + threshold_s, until)
        for p in made.people
        for since, until in p.stays(beyond_x)
        if until - since > threshold_s
    )
    gaps = [b[0] - max(end for _, end in alone[: k + 1]) for k, b in enumerate(alone[1:])]
    return all(abs(gap - CLOSE_AFTER_S) > 2.5 for gap in gaps)


def stories(fps: float) -> list[Story]:
    number = round(LIVES * SHARES[fps] / 2)
    return [story(int(fps) * 100_000 + k, people=2, limit_s=LIMIT_S) for k in range(number)]


@pytest.fixture(scope="module", params=sorted(SHARES), ids=lambda fps: f"{fps:g} frames a second")
def runs(request: pytest.FixtureRequest) -> tuple[float, list[Run]]:
    return request.param, [play(made, request.param) for made in stories(request.param)]


def test_dwell_is_within_half_a_second_of_the_truth(runs: tuple[float, list[Run]]) -> None:
    """Half a second; where nothing showed the person for longer while they came in, half of that time.

    At 2 frames a second with 30 % dropped, steps of a second and a half occur: some people are then mistaken for each
    other, or first seen well inside. The shares are what was reached, rounded down.
    """
    fps, played = runs
    wrong, errors = [], []
    for run in played:
        for person in run.story.people:
            measured, true, gap = run.dwell.get(person.name, (0.0, 99.0, 0.0))
            errors.append(abs(measured - true))
            if abs(measured - true) > max(0.5, gap / 2):
                wrong.append((run.story.seed, person.name, round(measured, 2), round(true, 2), round(gap, 2)))
    within = sum(e <= 0.5 for e in errors) / len(errors)
    right = 1 - len(wrong) / len(errors)
    print(f"{fps:g}/s: {len(errors)} lives, {100 * within:.1f} % within 0.5 s, {100 * right:.1f} % with half the gap")
    assert right >= {2.0: 0.97, 5.0: 0.99, 15.0: 0.99}[fps], wrong


@pytest.mark.parametrize(
    ("rule", "beyond_x", "threshold_s"), [("loitering", LOBBY_X, LIMIT_S), ("restricted_area", RESTRICTED_X, ENTRY_S)]
)
def test_no_incident_is_missed_or_doubled(
    runs: tuple[float, list[Run]], rule: str, beyond_x: float, threshold_s: float
) -> None:
    fps, played = runs
    wrong, judged = [], 0
    for run in played:
        truth = expected(run.story, beyond_x, threshold_s)
        if not decided(run.story, beyond_x, threshold_s):
            continue
        judged += 1
        mine = [c for c in run.changes if c.incident.rule == rule]
        opened = [c.t_mono_s for c in mine if c.kind is ChangeKind.OPENED]
        closed = [c for c in mine if c.kind is ChangeKind.CLOSED]
        if len(opened) != len(truth) or len(closed) != len(truth):
            wrong.append(
                (run.story.seed, [round(t, 1) for t in opened], [(round(a, 1), round(b, 1)) for a, b in truth])
            )
    print(f"{fps:g}/s, {rule}: {judged} stories, {len(wrong)} wrong")
    assert judged > 0.8 * len(played)
    assert len(wrong) <= (0 if LIVES == 1000 else 0.01 * judged), wrong  # others than these: 2 of 1,500 at 2 a second


def test_everybody_is_one_person(runs: tuple[float, list[Run]]) -> None:
    fps, played = runs
    wrong = []
    for run in played:
        owners = Counter(track for tracks in run.tracks.values() for track in tracks)
        if any(len(tracks) != 1 for tracks in run.tracks.values()) or max(owners.values()) > 1:
            wrong.append((run.story.seed, run.tracks))
    print(f"{fps:g}/s: {len(played)} stories, {len(wrong)} with an identity lost or changed")
    assert len(wrong) <= {2.0: 0.025, 5.0: 0.015, 15.0: 0.0}[fps] * len(played), wrong
