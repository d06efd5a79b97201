"""``crowding``: more people in the lobby than it should hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.rules.dwell import DwellClock, ids, persons, zones_of
from edge.types import Observation, Severity, ZoneKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.types import Scene

_GRACE_S = 1.0
_CROWD = 0  # the clock's only key: the crowd stays, whoever is in it


class Crowding:
    """True while more than ``max_persons`` have been in a ``lobby`` zone for longer than ``dwell_s`` seconds."""

    name = "crowding"

    def __init__(
        self,
        *,
        person_classes: Collection[int],
        max_persons: int,
        dwell_s: float,
        severity: Severity = Severity.LOW,
    ) -> None:
        self._person_classes = person_classes
        self._max_persons = max_persons
        self._dwell_s = dwell_s
        self._severity = severity
        self._clocks: dict[str, DwellClock] = {}

    def update(self, scene: Scene) -> list[Observation]:
        people = persons(scene, self._person_classes, max_unseen_s=_GRACE_S)
        found = []
        for zone, inside in zones_of(scene, ZoneKind.LOBBY):
            here = ids(scene, people & inside)
            clock = self._clocks.setdefault(zone.name, DwellClock(grace_s=_GRACE_S))
            crowd = clock.update([_CROWD] if len(here) > self._max_persons else [], scene.frame.t_mono_s)
            if crowd.get(_CROWD, -1.0) > self._dwell_s:
                found.append(
                    Observation(
                        camera=scene.frame.camera,
                        rule=self.name,
                        zone=zone.name,
                        severity=self._severity,
                        track_ids=tuple(here.tolist()),
                        t_mono_s=scene.frame.t_mono_s,
                        what="together in the zone",
                        value=float(len(here)),
                        threshold=float(self._max_persons),
                        unit="persons",
                    )
                )
        return found
