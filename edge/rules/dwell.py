"""How long has each of them been there: seconds of capture time, forgiving short absences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from edge.types import I64, Bool, Scene, Zone, ZoneKind


class DwellClock:
    """Measures stays. A stay goes on over absences up to ``grace_s`` (a detector's gap, a step over the line)."""

    def __init__(self, *, grace_s: float) -> None:
        self._grace_s = grace_s
        self._stay: dict[int, tuple[float, float]] = {}  # id -> (since, last inside)

    def update(self, inside: Iterable[int], t_s: float) -> dict[int, float]:
        """Take who is inside at ``t_s``; returns id -> seconds for each of them."""
        dwell = {}
        for track in inside:
            since, last = self._stay.get(track, (t_s, t_s))
            if t_s - last > self._grace_s:
                since = t_s
            self._stay[track] = (since, t_s)
            dwell[track] = t_s - since
        self._stay = {k: v for k, v in self._stay.items() if t_s - v[1] <= self._grace_s}
        return dwell


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
