"""An object of a given kind is seen (``knife``, later ``firearm`` and ``tool``): long enough, and sure enough."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from edge.types import Observation, Severity

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.types import Scene

_MAX_STEP_S = 0.5  # a gap between frames longer than this proves nothing about the time in between


class ObjectSeen:
    """True while the object was seen for more than ``seen_s`` of the last ``window_s`` seconds.

    Time between two frames counts as seen when the later one shows the object. One doubtful frame therefore never
    alarms, and an object that flickers in and out of the detector's sight still does.

    :param name: the rule's name, in incidents and mails.
    :param classes: class ids that count.
    :param min_score: detections below this do not count, 0..1.
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
        near_person: bool = True,
        severity: Severity = Severity.CRITICAL,
    ) -> None:
        self.name = name
        self._classes = list(classes)
        self._min_score = min_score
        self._seen_s = seen_s
        self._window_s = window_s
        self._near_person = near_person
        self._severity = severity
        self._seen: deque[tuple[float, float]] = deque()  # (end of the interval, its seconds)
        self._last_s: float | None = None

    def update(self, scene: Scene) -> list[Observation]:
        now, tracks = scene.frame.t_mono_s, scene.tracks
        step = 0.0 if self._last_s is None else min(now - self._last_s, _MAX_STEP_S)
        self._last_s = now
        mask = np.isin(tracks.class_id, self._classes) & (tracks.unseen_s == 0) & (tracks.score >= self._min_score)
        if self._near_person:
            mask &= tracks.holder_id >= 0
        if mask.any():
            self._seen.append((now, step))
        while self._seen and self._seen[0][0] <= now - self._window_s:
            self._seen.popleft()
        total = sum(s for _, s in self._seen)
        if total <= self._seen_s or not mask.any():
            return []
        return [
            Observation(
                camera=scene.frame.camera,
                rule=self.name,
                zone="",
                severity=self._severity,
                track_ids=tuple(tracks.track_id[mask].tolist()),
                t_mono_s=now,
                what=f"{self.name} in sight (score {float(tracks.score[mask].max()):.2f}) for",
                value=total,
                threshold=self._seen_s,
                unit="s",
            )
        ]
