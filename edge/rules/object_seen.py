"""An object of a given kind is seen (``firearm``, ``knife``, any other by name): long enough, and sure enough."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from edge.rules.dwell import among
from edge.types import Observation, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from edge.types import Bool, Scene

_MAX_STEP_S = 0.5  # a gap between frames longer than this proves nothing about the time in between


class Sightings:
    """Seconds, and seconds times score, for which each of several things was seen within the last ``window_s``.

    Time between two frames counts as seen when the later one shows the thing.
    """

    def __init__(self, *, window_s: float) -> None:
        self._window_s = window_s
        self._seen: dict[int, deque[tuple[float, float, float]]] = {}  # end, seconds, seconds times score
        self._last_s: float | None = None

    def update(self, seen: Iterable[tuple[int, float]], t_s: float) -> None:
        """Take what is seen at ``t_s``, as (key, score 0..1); of several with one key the best counts."""
        step = 0.0 if self._last_s is None else min(t_s - self._last_s, _MAX_STEP_S)
        self._last_s = t_s
        best: dict[int, float] = {}
        for key, score in seen:
            best[key] = max(score, best.get(key, 0.0))
        for key, score in best.items():
            self._seen.setdefault(key, deque()).append((t_s, step, step * score))
        for key, moments in list(self._seen.items()):
            while moments and moments[0][0] <= t_s - self._window_s:
                moments.popleft()
            if not moments:
                del self._seen[key]

    def seconds(self, key: int) -> float:
        return sum(s for _, s, _ in self._seen.get(key, ()))

    def score_seconds(self, key: int) -> float:
        return sum(s for _, _, s in self._seen.get(key, ()))


class ObjectSeen:
    """True while the object was seen for more than ``seen_s`` of the last ``window_s`` seconds, with enough score.

    What is seen adds up for the person who holds it, and for the object itself: one doubtful frame never alarms, an
    object that flickers in and out of the detector's sight still does, and two flickers on two people do not add up.

    :param name: the rule's name, in incidents and mails.
    :param classes: class ids that count.
    :param min_score: detections below this do not count, 0..1.
    :param score_s: the scores of what was seen, each times the seconds it stands for, must add up to this.
    :param near_person: count only objects that a person holds or stands at.
    """

    def __init__(
        self,
        *,
        name: str,
        classes: Collection[int],
        min_score: float,
        seen_s: float,
        window_s: float,
        score_s: float = 0.0,
        near_person: bool = True,
        severity: Severity = Severity.CRITICAL,
    ) -> None:
        self.name = name
        self._classes = list(classes)
        self._min_score = min_score
        self._seen_s = seen_s
        self._score_s = score_s
        self._near_person = near_person
        self._severity = severity
        self._by_holder = Sightings(window_s=window_s)
        self._by_object = Sightings(window_s=window_s)

    def update(self, scene: Scene) -> list[Observation]:
        now, tracks = scene.frame.t_mono_s, scene.tracks
        mask = among(tracks.class_id, self._classes) & (tracks.unseen_s == 0) & (tracks.score >= self._min_score)
        if self._near_person:
            mask &= tracks.holder_id >= 0
        mask &= self.counts(scene)
        scores = tracks.score[mask].tolist()
        things, holders = tracks.track_id[mask].tolist(), tracks.holder_id[mask].tolist()
        self._by_object.update(zip(things, scores, strict=True), now)
        self._by_holder.update(zip(holders, scores, strict=True), now)
        totals = [
            self._enough(sightings, key)
            for sightings, keys in ((self._by_object, things), (self._by_holder, [h for h in holders if h >= 0]))
            for key in keys
        ]
        total = max(totals, default=0.0)
        if total <= self._seen_s:
            return []
        return [
            Observation(
                camera=scene.frame.camera,
                rule=self.name,
                zone="",
                severity=self._severity,
                track_ids=tuple(sorted({*things, *(h for h in holders if h >= 0)})),
                t_mono_s=now,
                what=f"{self.name} in sight (score {max(scores):.2f}) for",
                value=total,
                threshold=self._seen_s,
                unit="s",
            )
        ]

    def counts(self, scene: Scene) -> Bool:
        """Which tracks (M,) stand where the rule cares; here: all."""
        return np.ones(len(scene.tracks), np.bool_)

    def _enough(self, sightings: Sightings, key: int) -> float:
        """Seconds seen; 0 where the score does not suffice."""
        return sightings.seconds(key) if sightings.score_seconds(key) >= self._score_s else 0.0
