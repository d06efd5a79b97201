"""``assault``: two persons struggle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.rules.distance import heights_px
from edge.rules.dwell import DwellClock, persons, zones_of
from edge.types import BEHAVIOURS, Observation, Severity, ZoneKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.types import F64, Bool, Scene

_COLUMN = BEHAVIOURS.index("assault")
_GRACE_S = 2.0
_NEAR = 1.0  # own heights
_TOGETHER = 0  # a clock's only key: the struggle goes on, whoever is found in it


class Assault:
    """True while somebody in a ``lobby`` zone behaves as in a struggle, at least as likely as ``threshold``.

    The nearest other person within a body height is named with them. Scenes without behaviour give nothing.

    :param threshold: probability, 0..1, that the scene's behaviour must reach.
    :param window_s: the seconds that such a probability rests on; they count as part of what was seen.
    """

    name = "assault"

    def __init__(
        self,
        *,
        person_classes: Collection[int],
        threshold: float,
        window_s: float,
        severity: Severity = Severity.CRITICAL,
    ) -> None:
        self._person_classes = person_classes
        self._threshold = threshold
        self._window_s = window_s
        self._severity = severity
        self._clocks: dict[str, DwellClock] = {}

    def update(self, scene: Scene) -> list[Observation]:
        people = persons(scene, self._person_classes, max_unseen_s=_GRACE_S)
        likely = np.zeros(len(people), np.bool_)
        if scene.behaviour is not None:
            likely = people & (scene.behaviour[:, _COLUMN] >= self._threshold)
        at_machine = np.zeros(len(people), np.bool_)
        for _, inside in zones_of(scene, ZoneKind.MACHINE):
            at_machine |= inside
        found, told = [], np.zeros(len(people), np.bool_)
        for zone, inside in zones_of(scene, ZoneKind.LOBBY):
            who = likely & inside & ~told
            told |= who
            clock = self._clocks.setdefault(zone.name, DwellClock(grace_s=_GRACE_S))
            since = clock.update([_TOGETHER] if who.any() else [], scene.frame.t_mono_s)
            if not since:
                continue
            fighters = who | self._beside(scene, who, people)
            place = " at the machine" if (fighters & at_machine).any() else ""
            count = "two persons have" if int(fighters.sum()) == 2 else "persons have"
            found.append(
                Observation(
                    camera=scene.frame.camera,
                    rule=self.name,
                    zone=zone.name,
                    severity=self._severity,
                    track_ids=tuple(scene.tracks.track_id[fighters].tolist()),
                    t_mono_s=scene.frame.t_mono_s,
                    what=f"{count} been struggling{place} for",
                    value=self._window_s + since[_TOGETHER],
                    threshold=self._window_s,
                    unit="s",
                )
            )
        return found

    @staticmethod
    def _beside(scene: Scene, who: Bool, people: Bool) -> Bool:
        """The person nearest to each of ``who`` (M,), where within a height."""
        beside = np.zeros(len(who), np.bool_)
        box: F64 = scene.tracks.xyxy.astype(np.float64)
        tall = heights_px(scene.tracks)
        for k in np.flatnonzero(who):
            others = np.flatnonzero(people & (np.arange(len(who)) != k))
            if len(others):
                apart = np.maximum(box[k, :2], box[others, :2]) - np.minimum(box[k, 2:], box[others, 2:])
                gap = np.hypot(*np.maximum(apart, 0.0).T) / tall[k]
                shared = np.prod(np.maximum(-apart, 0.0), axis=1) / tall[k] ** 2
                nearest = int(np.argmin(gap - shared))  # among those that overlap, the one that overlaps most
                beside[others[nearest]] |= bool(gap[nearest] < _NEAR)
        return beside
