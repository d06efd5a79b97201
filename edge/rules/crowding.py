"""``crowding``: more people in the lobby than it should hold, or somebody too close to the one at the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from edge.rules.distance import Footing, floor_gap
from edge.rules.dwell import DwellClock, ids, persons, zones_of
from edge.types import Observation, Severity, ZoneKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.types import F64, Scene, Zone

_GRACE_S = 1.0
_TOGETHER = 0  # a clock's only key: the crowd stays, whoever is in it


class Crowding:
    """True while one of these holds.

    - More than ``max_persons`` have been in a ``lobby`` zone for longer than ``dwell_s`` seconds; or
    - A second person has been within arm's reach of the one in a ``machine`` zone for longer than ``near_s`` seconds. The
      one at the machine has stood there for a while, and may turn round or lift their hands without being nearer for it;
      the other comes and goes, and is where their box says.

    :param reach: arm's reach, in body heights on the floor; 0.45 are about 0.75 m. 0: nobody is ever too near.
    """

    name = "crowding"

    def __init__(
        self,
        *,
        person_classes: Collection[int],
        max_persons: int,
        dwell_s: float,
        near_s: float = 20.0,
        reach: float = 0.45,
        severity: Severity = Severity.LOW,
    ) -> None:
        self._person_classes = person_classes
        self._max_persons = max_persons
        self._dwell_s = dwell_s
        self._near_s = near_s
        self._reach = reach
        self._severity = severity
        self._clocks: dict[str, DwellClock] = {}
        self._footing = Footing()

    def update(self, scene: Scene) -> list[Observation]:
        people = persons(scene, self._person_classes, max_unseen_s=_GRACE_S)
        found = []
        for zone, inside in zones_of(scene, ZoneKind.LOBBY):
            here = tuple(ids(scene, people & inside).tolist())
            if self._for(scene, zone, len(here) > self._max_persons) > self._dwell_s:
                found.append(
                    Observation(
                        camera=scene.frame.camera,
                        rule=self.name,
                        zone=zone.name,
                        severity=self._severity,
                        track_ids=here,
                        t_mono_s=scene.frame.t_mono_s,
                        what="together in the zone",
                        value=float(len(here)),
                        threshold=float(self._max_persons),
                        unit="persons",
                    )
                )
        machines = list(zones_of(scene, ZoneKind.MACHINE))
        at_machine = {int(k) for _, inside in machines for k in np.flatnonzero(people & inside)}
        stand = self._footing.update(scene, at_machine)
        for zone, inside in machines:
            pair = self._pair(scene, {k: feet for k, feet in stand.items() if inside[k]}, np.flatnonzero(people))
            near_s = self._for(scene, zone, bool(pair))
            if near_s > self._near_s:
                found.append(
                    Observation(
                        camera=scene.frame.camera,
                        rule=self.name,
                        zone=zone.name,
                        severity=self._severity,
                        track_ids=pair,
                        t_mono_s=scene.frame.t_mono_s,
                        what="within arm's reach of the person at the machine, somebody has stood for",
                        value=near_s,
                        threshold=self._near_s,
                        unit="s",
                    )
                )
        return found

    def _for(self, scene: Scene, zone: Zone, holds: bool) -> float:  # noqa: FBT001 - private
        """For how many seconds this has held; -1: it does not."""
        clock = self._clocks.setdefault(zone.name, DwellClock(grace_s=_GRACE_S))
        return clock.update([_TOGETHER] if holds else [], scene.frame.t_mono_s).get(_TOGETHER, -1.0)

    def _pair(self, scene: Scene, at_machine: dict[int, F64], people: npt.NDArray[np.intp]) -> tuple[int, ...]:
        """Somebody at the machine, with where they stand (row -> feet), and the one nearest to them, if within reach."""
        boxes, names = scene.tracks.xyxy.astype(np.float64), scene.tracks.track_id
        best: tuple[float, tuple[int, ...]] = (self._reach, ())
        for user, feet in at_machine.items():
            others = people[people != user]
            if not len(others):
                continue
            gap = floor_gap(boxes[user], boxes[others], feet=feet)
            nearest = int(np.argmin(gap))
            if gap[nearest] < best[0]:
                best = (float(gap[nearest]), tuple(sorted((int(names[user]), int(names[others[nearest]])))))
        return best[1]
