"""``machine_tampering``: somebody stays at the machine and moves as its use does not: prying, striking, working bent over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.rules.distance import near_zone
from edge.rules.dwell import DwellClock, ids, persons, zones_of
from edge.types import BEHAVIOURS, Observation, Severity, ZoneKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from edge.types import Bool, Scene, Zone

_COLUMN = BEHAVIOURS.index("machine_tampering")
_GRACE_S = 2.0


class MachineTampering:
    """True while the behaviour of a person at the machine looks like tampering, at least as likely as ``threshold``.

    At the machine: in a ``machine`` zone or within ``reach`` of it. Where the camera has none, the whole lobby counts
    (``anywhere_without_machine``). Scenes without behaviour give nothing.

    :param threshold: probability, 0..1, that the scene's behaviour must reach.
    :param window_s: the seconds that such a probability rests on; they count as part of what was seen.
    :param reach: own heights on the floor, from the zone.
    """

    name = "machine_tampering"

    def __init__(
        self,
        *,
        person_classes: Collection[int],
        threshold: float,
        window_s: float,
        reach: float = 0.3,
        anywhere_without_machine: bool = True,
        severity: Severity = Severity.HIGH,
    ) -> None:
        self._person_classes = person_classes
        self._threshold = threshold
        self._window_s = window_s
        self._reach = reach
        self._anywhere = anywhere_without_machine
        self._severity = severity
        self._clock = DwellClock(grace_s=_GRACE_S)

    def update(self, scene: Scene) -> list[Observation]:
        people = persons(scene, self._person_classes, max_unseen_s=_GRACE_S)
        likely = np.zeros(len(people), np.bool_)
        if scene.behaviour is not None:
            likely = people & (scene.behaviour[:, _COLUMN] >= self._threshold)
        if not likely.any():  # as in nearly all frames: where they stand need not be asked
            self._clock.update((), scene.frame.t_mono_s)
            return []
        places = [(zone, likely & there) for zone, there in self._places(scene)]
        doing = {int(t) for _, who in places for t in ids(scene, who)}
        since = self._clock.update(doing, scene.frame.t_mono_s)
        found, told = [], set()
        for zone, who in places:
            here = {int(t): since[int(t)] for t in ids(scene, who) if int(t) not in told}
            told |= set(here)
            if here:
                found.append(
                    Observation(
                        camera=scene.frame.camera,
                        rule=self.name,
                        zone=zone.name,
                        severity=self._severity,
                        track_ids=tuple(sorted(here)),
                        t_mono_s=scene.frame.t_mono_s,
                        what="at the machine, moving as in prying or striking, somebody has been for",
                        value=self._window_s + max(here.values()),
                        threshold=self._window_s,
                        unit="s",
                    )
                )
        return found

    def _places(self, scene: Scene) -> Iterator[tuple[Zone, Bool]]:
        """Zones that count, with who is there (M,)."""
        machines = list(zones_of(scene, ZoneKind.MACHINE))
        for zone, inside in machines:
            yield zone, near_zone(scene, zone, inside, reach=self._reach)
        if not machines and self._anywhere:
            yield from zones_of(scene, ZoneKind.LOBBY)
