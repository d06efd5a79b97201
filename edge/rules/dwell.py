"""How long has each of them been there: seconds of capture time, forgiving short absences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from edge.types import I64, Bool, Scene, Zone, ZoneKind


class DwellClock:
    """Measures stays. A stay goes on over absences up to ``grace_s`` (a detector's gap, a step over the line).

    An absence lasts from the first frame that shows it: the time between two frames proves nothing, so that a slow or
    uneven rate neither shortens nor ends a stay.
    """

    def __init__(self, *, grace_s: float) -> None:
        self._grace_s = grace_s
        self._since: dict[int, float] = {}
        self._absent_since: dict[int, float] = {}

    def update(self, inside: Iterable[int], t_s: float) -> dict[int, float]:
        """Take who is inside at ``t_s``; returns id -> seconds for each of them."""
        here = set(inside)
        for key in self._since.keys() - here:
            self._absent_since.setdefault(key, t_s)
        for key in [k for k, gone in self._absent_since.items() if t_s - gone > self._grace_s]:
            del self._since[key], self._absent_since[key]
        for key in here:
            self._since.setdefault(key, t_s)
            self._absent_since.pop(key, None)
        return {key: t_s - self._since[key] for key in sorted(here)}


def persons(scene: Scene, person_classes: Collection[int], *, max_unseen_s: float) -> Bool:
    """Which tracks (M,) are people who were seen at most ``max_unseen_s`` ago."""
    tracks = scene.tracks
    mask: Bool = np.isin(tracks.class_id, list(person_classes)) & (tracks.unseen_s <= max_unseen_s)
    return mask


def zones_of(scene: Scene, kind: ZoneKind) -> Iterator[tuple[Zone, Bool]]:
    """The scene's zones of one kind, each with its row of the occupancy (M,)."""
    for zone, row in zip(scene.zones, scene.occupancy, strict=True):
        if zone.kind is kind:
            yield zone, row


def ids(scene: Scene, mask: Bool) -> I64:
    """Track ids where ``mask`` (M,) holds."""
    return scene.tracks.track_id[mask]
