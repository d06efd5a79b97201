"""``loitering``: one person stays in the lobby longer than customers do, at once or in several visits; worse in time."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edge.rules.appearance import Look, colours_of, is_grey
from edge.rules.distance import feet_of, to_edge_px
from edge.rules.dwell import Stays, zones_of
from edge.types import Observation, Severity, ZoneKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from edge.types import Bool, Scene, Zone

_GRACE_S = 2.0
_WALKS_IN_FROM_S = 5.0  # below such a limit two seconds of presumed walking are too much of it
_FORGET_S = 60.0  # a track that was not published for this long does not come back: ids are never used again
_HALVES = 2.0
_LOOK_EVERY_S = 0.2
_NEAR_EDGE = 1.0  # body heights: where somebody is first seen who has just come in
_ALIKE = 0.92  # rendered people: all who came back are above, no two different ones
_MOST_KEPT = 300  # people who left, whose colours are kept


@dataclass(slots=True)
class _Person:
    began_s: float  # of the present visit
    dwell_s: float = 0.0  # of it so far
    machine_s: float = 0.0  # of that, at the machine
    last_s: float = 0.0  # last seen in the lobby
    at_machine: bool = False
    visits: deque[tuple[float, float]] = field(default_factory=deque)  # earlier ones: (end, seconds not at the machine)
    look: Look = field(default_factory=Look)
    looked_s: float = float("-inf")
    came_in: bool = False  # over the zone's edge: who appears in the middle was there before, hidden or overlooked

    @property
    def idle_s(self) -> float:
        return max(0.0, self.dwell_s - self.machine_s)


@dataclass(frozen=True, slots=True)
class _Excess:
    value: float
    limit: float
    worse_at: float
    what: str
    unit: str = "s"

    @property
    def rank(self) -> tuple[bool, float]:
        return self.value > self.worse_at, self.value / self.limit


class Loitering:
    """True while one of these holds for one person in a ``lobby`` zone.

    - They were there for longer than ``dwell_s``, the time in a ``machine`` zone not counted; or
    - they used the machine, and were there for longer than ``machine_dwell_s`` in all; or
    - they came back again and again: within the last ``window_s``, all visits together, the time at the machine not
      counted, were longer than ``window_dwell_s``; or
    - this is visit number ``visits`` or more within the last ``window_s``.

    A person is one track: who leaves the tracker's memory (out of sight for longer than it remembers) and comes back
    is somebody new. The limit on time therefore finds people who go in and out of the zone before the camera's eyes.
    ``visits`` also counts those who left the picture and came back in the same clothes: a guess, which takes people in
    uniform for one and knows nobody under infrared light.

    :param visits: 0: visits are not counted, and nobody's clothes are looked at.

    :param escalate_s: from this much on, instead of ``dwell_s``, the observation has ``escalated`` severity; the other
        limits escalate at the same multiple of themselves.
    """

    name = "loitering"

    def __init__(
        self,
        *,
        person_classes: Collection[int],
        dwell_s: float,
        escalate_s: float,
        machine_dwell_s: float = 600.0,
        window_s: float = 1800.0,
        window_dwell_s: float = 240.0,
        visits: int = 0,
        severity: Severity = Severity.LOW,
        escalated: Severity = Severity.HIGH,
    ) -> None:
        self._person_classes = person_classes
        self._dwell_s = dwell_s
        self._worse = escalate_s / dwell_s
        self._machine_dwell_s = machine_dwell_s
        self._window_s = window_s
        self._window_dwell_s = window_dwell_s
        self._visits = visits
        self._severity = severity
        self._escalated = escalated
        self._stays: dict[str, Stays] = {}
        self._people: dict[str, dict[int, _Person]] = {}
        self._here: dict[str, tuple[int, ...]] = {}  # zone -> who is in it in the newest frame

    def stays(self) -> dict[int, tuple[float, float]]:
        """Track id -> seconds that count, and seconds at the machine, of who is in the lobby now; of several zones the longest."""
        found: dict[int, tuple[float, float]] = {}
        for zone, here in self._here.items():
            for track in here:
                person = self._people[zone][track]
                found[track] = max(found.get(track, (0.0, 0.0)), (person.idle_s, person.machine_s))
        return found

    def update(self, scene: Scene) -> list[Observation]:
        machine = np.zeros(len(scene.tracks), np.bool_)
        for _, row in zones_of(scene, ZoneKind.MACHINE):
            machine |= row
        found = []
        self._here = {}
        for zone, inside in zones_of(scene, ZoneKind.LOBBY):
            if zone.name not in self._stays:
                self._stays[zone.name] = Stays(
                    person_classes=self._person_classes,
                    grace_s=_GRACE_S,
                    walks_in=self._dwell_s >= _WALKS_IN_FROM_S,
                )
                self._people[zone.name] = {}
            dwell = self._stays[zone.name].update(scene, zone, inside)
            over = self._judge(self._people[zone.name], dwell, machine, scene, zone)
            self._here[zone.name] = tuple(dwell)
            if not over:
                continue
            worst = max(over.values(), key=lambda e: e.rank)
            found.append(
                Observation(
                    camera=scene.frame.camera,
                    rule=self.name,
                    zone=zone.name,
                    severity=self._escalated if worst.value > worst.worse_at else self._severity,
                    track_ids=tuple(sorted(over)),
                    t_mono_s=scene.frame.t_mono_s,
                    what=f"one person {worst.what}" if len(over) == 1 else f"{len(over)} persons, one {worst.what}",
                    value=worst.value,
                    threshold=worst.limit,
                    unit=worst.unit,
                )
            )
        return found

    def _judge(
        self, people: dict[int, _Person], dwell: Mapping[int, float], machine: Bool, scene: Scene, zone: Zone
    ) -> dict[int, _Excess]:
        now = scene.frame.t_mono_s
        at_machine = set(scene.tracks.track_id[machine].tolist())
        over = {}
        for track, stay_s in dwell.items():
            person = people.setdefault(track, _Person(began_s=now - stay_s, last_s=now - stay_s))
            if now - stay_s > person.last_s:  # the clock started anew: this is another visit
                person.visits.append((person.last_s, person.idle_s))
                person.began_s, person.machine_s, person.last_s = now - stay_s, 0.0, now - stay_s
                person.at_machine = False
            here = track in at_machine
            # Where the person was between two frames is known at its ends only: a change happened half-way.
            person.machine_s += (now - person.last_s) * (person.at_machine + here) / _HALVES
            person.dwell_s, person.last_s, person.at_machine = stay_s, now, here
            while person.visits and person.visits[0][0] < now - self._window_s:
                person.visits.popleft()
        if self._visits:
            self._look(people, dwell, scene, zone)
        for track in dwell:
            excess = self._excess(people[track], self._earlier(people, track, now))
            if excess:
                over[track] = excess
        self._forget(people, set(scene.tracks.track_id.tolist()), now)
        return over

    def _forget(self, people: dict[int, _Person], present: set[int], now: float) -> None:
        keep_s = max(_FORGET_S, self._window_s)
        gone = {t: p for t, p in people.items() if t not in present and now - p.last_s > _FORGET_S}
        if self._visits:  # they may come back as somebody new
            newest = sorted(gone, key=lambda t: gone[t].last_s)[-_MOST_KEPT:]
            for track in newest:
                if gone[track].look.count:
                    del gone[track]
        for track in [t for t, p in people.items() if t in gone or now - p.last_s > keep_s]:
            del people[track]

    def _look(self, people: dict[int, _Person], dwell: Mapping[int, float], scene: Scene, zone: Zone) -> None:
        """Look at the clothes of those in the zone."""
        now, tracks, image = scene.frame.t_mono_s, scene.tracks, scene.frame.image
        due = [t for t in dwell if now - people[t].looked_s >= _LOOK_EVERY_S - 1e-6]
        if not due or is_grey(image):
            return
        boxes = dict(zip(tracks.track_id.tolist(), tracks.xyxy, strict=True))
        firsts = boxes if tracks.first_xyxy is None else dict(zip(boxes, tracks.first_xyxy, strict=True))
        for track in due:
            if not people[track].look.count:
                first = firsts[track][None]
                away = float(to_edge_px(feet_of(first), zone, scene.frame.size)[0])
                people[track].came_in = away < _NEAR_EDGE * max(float(first[0, 3] - first[0, 1]), 1.0)
            people[track].looked_s = now
            colours = colours_of(image, boxes[track])
            if colours is not None:
                people[track].look.add(colours)

    def _earlier(self, people: Mapping[int, _Person], track: int, now: float) -> int:
        """How often this person was there before, within the window."""
        if not self._visits:
            return 0
        person = people[track]
        since = now - self._window_s
        own = len(person.visits)
        if not person.came_in:
            return own
        others = (
            1 + len(p.visits)
            for t, p in people.items()
            if t != track and since <= p.last_s < person.began_s and person.look.likeness(p.look) >= _ALIKE
        )
        return own + sum(others)

    def _excess(self, person: _Person, earlier: int) -> _Excess | None:
        """The limit that this person exceeds most, if any; ``earlier``: so often they were there before."""
        together = person.idle_s + sum(s for _, s in person.visits)
        beside = " beside the machine" if person.machine_s > 1 else ""
        measures = (
            (person.idle_s, self._dwell_s, f"has stayed{beside} for"),
            (person.dwell_s if person.machine_s > 0 else 0.0, self._machine_dwell_s, "has been at the machine for"),
            (
                together if person.visits else 0.0,
                self._window_dwell_s,
                f"in {len(person.visits) + 1} visits has stayed for",
            ),
        )
        over = [_Excess(v, limit, limit * self._worse, what) for v, limit, what in measures if v > limit]
        if self._visits and earlier + 1 >= self._visits:
            limit = self._visits - 1.0
            over.append(_Excess(earlier + 1.0, limit, limit * self._worse, "has come in again and again", "visits"))
        return max(over, key=lambda e: e.rank, default=None)
