"""How long has each of them been there: seconds of capture time, forgiving short absences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from edge.types import I64, Bool, Scene, Zone, ZoneKind

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

    A stay begins when the person was first seen, not when the tracker was sure of it; who is known from before and
    walks in does so, as far as anybody can tell, half-way between the two frames.

    :param grace_s: a stay outlasts an absence up to this long, seconds.
    """

    def __init__(self, *, person_classes: Collection[int], grace_s: float) -> None:
        self._classes = list(person_classes)
        self._clock = DwellClock(grace_s=grace_s)
        self._known: set[int] = set()
        self._last_s: float | None = None

    def update(self, scene: Scene, inside: Bool) -> dict[int, float]:
        """Take a scene and its row (M,) of the zone's occupancy; returns track id -> seconds for all who are inside."""
        now, tracks = scene.frame.t_mono_s, scene.tracks
        people = np.isin(tracks.class_id, self._classes)
        seen = tracks.unseen_s == 0
        half_gap_s = 0.0 if self._last_s is None else min((now - self._last_s) / 2, _MAX_CREDIT_S)
        here = people & seen & inside
        since = {
            track: now - half_gap_s - (0.0 if track in self._known else age)
            for track, age in zip(tracks.track_id[here].tolist(), tracks.age_s[here].tolist(), strict=True)
        }
        self._known = set(tracks.track_id[people].tolist())
        self._last_s = now
        return self._clock.update(since, now, hidden=tracks.track_id[people & ~seen].tolist(), since=since)


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
