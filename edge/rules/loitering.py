"""``loitering``: one person stays in the lobby longer than a limit; worse after a second limit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.rules.dwell import DwellClock, ids, persons, zones_of
from edge.types import Observation, Severity, ZoneKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.types import Scene

_GRACE_S = 2.0


class Loitering:
    """True while a person's stay in a ``lobby`` zone is longer than ``dwell_s`` seconds.

    :param escalate_s: from this stay on the observation has ``escalated`` severity.
    """

    name = "loitering"

    def __init__(
        self,
        *,
        person_classes: Collection[int],
        dwell_s: float,
        escalate_s: float,
        severity: Severity = Severity.LOW,
        escalated: Severity = Severity.HIGH,
    ) -> None:
        self._person_classes = person_classes
        self._dwell_s = dwell_s
        self._escalate_s = escalate_s
        self._severity = severity
        self._escalated = escalated
        self._clocks: dict[str, DwellClock] = {}

    def update(self, scene: Scene) -> list[Observation]:
        people = persons(scene, self._person_classes, max_unseen_s=_GRACE_S)
        found = []
        for zone, inside in zones_of(scene, ZoneKind.LOBBY):
            clock = self._clocks.setdefault(zone.name, DwellClock(grace_s=_GRACE_S))
            dwell = clock.update(ids(scene, people & inside).tolist(), scene.frame.t_mono_s)
            over = {track: s for track, s in dwell.items() if s > self._dwell_s}
            if not over:
                continue
            longest = max(over.values())
            found.append(
                Observation(
                    camera=scene.frame.camera,
                    rule=self.name,
                    zone=zone.name,
                    severity=self._escalated if longest > self._escalate_s else self._severity,
                    track_ids=tuple(sorted(over)),
                    t_mono_s=scene.frame.t_mono_s,
                    what="one person has stayed for" if len(over) == 1 else f"{len(over)} persons have stayed, one for",
                    value=longest,
                    threshold=self._dwell_s,
                    unit="s",
                )
            )
        return found
