"""How long has each of them been there: seconds of capture time, forgiving short absences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.rules.distance import feet_of, feet_px, in_zone, to_edge_px

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from edge.types import F64, I64, Bool, Scene, Zone, ZoneKind

_MAX_WALK_S = 2.0  # between the last sighting outside a zone and the first one inside
_WALK = 0.65  # body heights a second: 1.1 m/s
_MAX_CREDIT_S = 0.5  # of the time between two frames; a longer gap proves nothing about what happened in it


class DwellClock:
    """Measures stays. A stay goes on over absences up to ``grace_s`` (a detector's gap, a step over the line).

    An absence lasts from the first frame that shows it: the time between two frames proves nothing, so that a slow or
    uneven rate neither shortens nor ends a stay.
    """

    def __init__(self, *, grace_s: float) -> None:
        self._grace_s = grace_s
        self._since: dict[int, float] = {}
        self._absent_since: dict[int, float] = {}

    def update(
        self,
        inside: Iterable[int],
        t_s: float,
        *,
        hidden: Iterable[int] = (),
        since: Mapping[int, float] | None = None,
    ) -> dict[int, float]:
        """Take who is inside at ``t_s``; returns id -> seconds for each of them.

        :param hidden: who is out of sight but still expected back: they are neither inside nor gone.
        :param since: when the stay of a newcomer began, where that is known better than "now".
        """
        here = set(inside)
        for key in self._since.keys() - here - set(hidden):
            self._absent_since.setdefault(key, t_s)
        for key in [k for k, gone in self._absent_since.items() if t_s - gone > self._grace_s]:
            del self._since[key], self._absent_since[key]
        for key in here:
            self._since.setdefault(key, t_s if since is None else since.get(key, t_s))
            self._absent_since.pop(key, None)
        return {key: t_s - self._since[key] for key in sorted(here)}


class Stays:
    """The stays of people in one zone.

    Only who is seen in this frame counts as inside: a person who left through the door is expected for some seconds
    more, and must not stay longer for that. Who is out of sight in the zone and comes back has been there all along.

    A stay begins when the person stepped over the zone's edge, between the last sighting outside and the first one
    inside, in proportion to the way; for who appeared inside, half a frame before the first sighting, even if the
    tracker was sure only later.

    :param grace_s: a stay outlasts an absence up to this long, seconds.
    :param walks_in: who is first seen well inside has walked there from the zone's edge, up to two seconds. True to life
        at a slow rate; not for limits so short that a detector's ghost would exceed them at once.
    """

    def __init__(self, *, person_classes: Collection[int], grace_s: float, walks_in: bool = False) -> None:
        self._classes = list(person_classes)
        self._walks_in = walks_in
        self._clock = DwellClock(grace_s=grace_s)
        self._outside: dict[int, tuple[float, F64]] = {}  # last sighting outside: when, and the feet (px)
        self._inside: set[int] = set()
        self._last_s: float | None = None

    def update(self, scene: Scene, zone: Zone, inside: Bool, *, counted: Bool | None = None) -> dict[int, float]:
        """Take a scene and its row (M,) of the zone's occupancy; returns track id -> seconds for all who are inside.

        :param counted: who of those inside counts (M,); None: all of them.
        """
        now, tracks = scene.frame.t_mono_s, scene.tracks
        people = among(tracks.class_id, self._classes)
        seen = people & (tracks.unseen_s == 0)
        here = (seen & (inside if counted is None else counted)).nonzero()[0]
        half_gap_s = 0.0 if self._last_s is None else min((now - self._last_s) / 2, _MAX_CREDIT_S)
        names = tracks.track_id.tolist()
        since = {names[k]: now for k in here if names[k] in self._inside}
        since |= {names[k]: self._entered_s(scene, zone, k, half_gap_s) for k in here if names[k] not in self._inside}
        if self._outside:
            present = set(names)
            self._outside = {track: last for track, last in self._outside.items() if track in present}
        beyond = (seen & ~inside).nonzero()[0]
        if len(beyond):
            feet = feet_px(tracks)
            self._outside |= {names[k]: (now, feet[k]) for k in beyond}
        self._inside = set(since)
        self._last_s = now
        return self._clock.update(since, now, hidden=tracks.track_id[people & ~seen].tolist(), since=since)

    def _entered_s(self, scene: Scene, zone: Zone, index: np.intp, half_gap_s: float) -> float:
        """When the person at ``index`` came in, who was not inside in the last frame."""
        now, tracks, size = scene.frame.t_mono_s, scene.tracks, scene.frame.size
        track, age_s = int(tracks.track_id[index]), float(tracks.age_s[index])
        last = self._outside.get(track)
        if last is None and tracks.first_xyxy is not None and age_s > 0:
            first = feet_of(tracks.first_xyxy[index : index + 1])
            if not in_zone(zone, first, size)[0]:
                last = (now - age_s, first[0])
        if last is None:
            walked_s = self._walk_s(scene, zone, index) if self._walks_in else 0.0
            return now - age_s - max(half_gap_s, walked_s)
        before_s, before = last
        ways = to_edge_px(np.stack([before, feet_px(tracks)[index]]), zone, size)
        share = float(ways[0] / ways.sum()) if 0 < ways.sum() < np.inf else 0.5
        return max(before_s + share * (now - before_s), now - _MAX_WALK_S)

    def _walk_s(self, scene: Scene, zone: Zone, index: np.intp) -> float:
        """How long somebody who was first seen well inside will have walked from the zone's edge, seconds."""
        tracks = scene.tracks
        if self._last_s is None or tracks.first_xyxy is None:
            return 0.0
        first = tracks.first_xyxy[index : index + 1]
        height = max(float(first[0, 3] - first[0, 1]), 1.0)
        away = float(to_edge_px(feet_of(first), zone, scene.frame.size)[0])
        return min(away / (_WALK * height), _MAX_WALK_S)


def among(values: I64, wanted: Collection[int]) -> Bool:
    """Which values (M,) are among a few wanted ones; for a handful of them quicker than ``np.isin``."""
    found: Bool | None = None
    for one in wanted:
        found = values == one if found is None else found | (values == one)
    return np.zeros(len(values), np.bool_) if found is None else found


def persons(scene: Scene, person_classes: Collection[int], *, max_unseen_s: float) -> Bool:
    """Which tracks (M,) are people who were seen at most ``max_unseen_s`` ago."""
    tracks = scene.tracks
    mask: Bool = among(tracks.class_id, person_classes) & (tracks.unseen_s <= max_unseen_s)
    return mask


def zones_of(scene: Scene, kind: ZoneKind) -> Iterator[tuple[Zone, Bool]]:
    """The scene's zones of one kind, each with its row of the occupancy (M,)."""
    for zone, row in zip(scene.zones, scene.occupancy, strict=True):
        if zone.kind is kind:
            yield zone, row


def ids(scene: Scene, mask: Bool) -> I64:
    """Track ids where ``mask`` (M,) holds."""
    return scene.tracks.track_id[mask]
