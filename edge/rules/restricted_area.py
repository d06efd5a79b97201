"""``restricted_area``: a person stands where only service staff may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.rules.dwell import DwellClock, ids, persons, zones_of
from edge.types import Observation, Severity, ZoneKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.types import Scene

_GRACE_S = 0.6


class RestrictedArea:
    """True while a person is in a ``restricted`` zone for longer than ``dwell_s``: entered, not grazed its edge."""

    name = "restricted_area"

    def __init__(self, *, person_classes: Collection[int], dwell_s: float, severity: Severity = Severity.HIGH) -> None:
        self._person_classes = person_classes
        self._dwell_s = dwell_s
        self._severity = severity
        self._clocks: dict[str, DwellClock] = {}

    def update(self, scene: Scene) -> list[Observation]:
        people = persons(scene, self._person_classes, max_unseen_s=_GRACE_S)
        found = []
        for zone, inside in zones_of(scene, ZoneKind.RESTRICTED):
            clock = self._clocks.setdefault(zone.name, DwellClock(grace_s=_GRACE_S))
            dwell = clock.update(ids(scene, people & inside).tolist(), scene.frame.t_mono_s)
            over = {track: s for track, s in dwell.items() if s > self._dwell_s}
            if over:
                found.append(
                    Observation(
                        camera=scene.frame.camera,
                        rule=self.name,
                        zone=zone.name,
                        severity=self._severity,
                        track_ids=tuple(sorted(over)),
                        t_mono_s=scene.frame.t_mono_s,
                        what="a person has been inside for"
                        if len(over) == 1
                        else f"{len(over)} persons inside, one for",
                        value=max(over.values()),
                        threshold=self._dwell_s,
                        unit="s",
                    )
                )
        return found
