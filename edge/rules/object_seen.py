"""An object of a given kind is seen (``firearm``, ``knife``, any other by name): long enough, and sure enough."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from edge.rules.clutter import Clutter
from edge.rules.dwell import among
from edge.rules.sway import Sway, longer_side
from edge.types import Observation, Severity, Withheld

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.types import I64, Bool, Scene

PART_OF_THE_ROOM = "it is where such a thing is also seen while nobody is near"
NOT_MOVED = "it has not moved lately, and without that it is not sure enough"
SURE = 0.6
"""A score from which on hardly a box was false on photographs: such a weapon counts also where a hand keeps it still."""

_MAX_STEP_S = 0.5  # a gap between frames longer than this proves nothing about the time in between
_CLOSE_UP = 0.3  # of the picture's shorter side: the person who holds something so large does not fit into the picture


def stands_for_s(scene: Scene, rows: Bool | I64) -> list[float]:
    """For how many seconds the sight of each of these tracks stands, by the closer look at it; 0 where there was none.

    Who is looked at closer only in some frames was not found to hold nothing in the others.
    """
    box = scene.tracks.xyxy[rows]
    if scene.look is None or not len(box):
        return [0.0] * len(box)
    x1, y1, x2, y2 = scene.look.xyxy
    x, y = (box[:, 0] + box[:, 2]) / 2, (box[:, 1] + box[:, 3]) / 2
    inside = (x >= x1) & (x <= x2) & (y >= y1) & (y <= y2)
    return [float(s) for s in np.where(inside, scene.look.stands_for_s, 0.0)]


class Sightings:
    """Seconds, and seconds times score, for which each of several things was seen within the last ``window_s``.

    Time between two frames counts as seen when the later one shows the thing; so does time between two closer looks.
    """

    def __init__(self, *, window_s: float) -> None:
        self._window_s = window_s
        self._seen: dict[int, deque[tuple[float, float, float]]] = {}  # end, seconds, seconds times score
        self._last_s: float | None = None

    def update(self, seen: Collection[tuple[int, float, float]], t_s: float) -> None:
        """Take what is seen at ``t_s``: (key, score 0..1, seconds since the last closer look at it); of several with one key the best."""
        step = 0.0 if self._last_s is None else min(t_s - self._last_s, _MAX_STEP_S)
        self._last_s = t_s
        if not seen and not self._seen:  # as in most frames
            return
        best: dict[int, tuple[float, float]] = {}
        for key, score, stands_s in seen:
            known = best.get(key, (0.0, 0.0))
            best[key] = (max(score, known[0]), max(stands_s, known[1]))
        for key, (score, stands_s) in best.items():
            moments = self._seen.setdefault(key, deque())
            own = max(step, min(stands_s, _MAX_STEP_S))
            if moments:  # no moment counts twice
                own = min(own, t_s - moments[-1][0])
            moments.append((t_s, own, own * score))
        for key, moments in list(self._seen.items()):
            while moments and moments[0][0] <= t_s - self._window_s:
                moments.popleft()
            if not moments:
                del self._seen[key]

    def seconds(self, key: int) -> float:
        return sum(s for _, s, _ in self._seen.get(key, ()))

    def score_seconds(self, key: int) -> float:
        return sum(s for _, _, s in self._seen.get(key, ()))


class _Evidence:
    """What adds up for the person who holds a thing, and for the thing itself."""

    def __init__(self, *, window_s: float) -> None:
        self._by_holder = Sightings(window_s=window_s)
        self._by_object = Sightings(window_s=window_s)

    def update(self, scene: Scene, seen: Bool, proven: Bool, *, score_s: float) -> float:
        """Take which tracks (M,) are seen; the longest time for which a ``proven`` one was, 0 where the score does not suffice."""
        tracks, now = scene.tracks, scene.frame.t_mono_s
        scores = tracks.score[seen].tolist()
        things, holders = tracks.track_id[seen].tolist(), tracks.holder_id[seen].tolist()
        stands = stands_for_s(scene, seen)
        self._by_object.update(list(zip(things, scores, stands, strict=True)), now)
        self._by_holder.update(list(zip(holders, scores, stands, strict=True)), now)
        totals = [
            sightings.seconds(key)
            for sightings, keys in (
                (self._by_object, tracks.track_id[seen & proven].tolist()),
                (self._by_holder, [h for h in tracks.holder_id[seen & proven].tolist() if h >= 0]),
            )
            for key in keys
            if sightings.score_seconds(key) >= score_s
        ]
        return max(totals, default=0.0)

    def wait(self, t_s: float) -> None:
        """Nothing is seen at ``t_s``."""
        self._by_object.update((), t_s)
        self._by_holder.update((), t_s)


class ObjectSeen:
    """True while the object was seen for more than ``seen_s`` of the last ``window_s`` seconds, with enough score.

    What is seen adds up for the person who holds it, and for the object itself: one doubtful frame never alarms, an
    object that flickers in and out of the detector's sight still does, and two flickers on two people do not add up.
    What stays where it was also seen while nobody was near (``Clutter``) is withheld, with that reason.

    :param name: the rule's name, in incidents and mails.
    :param classes: class ids that count.
    :param min_score: detections below this do not count, 0..1.
    :param score_s: the scores of what was seen, each times the seconds it stands for, must add up to this.
    :param near_person: count only objects that a person holds or stands at, or, with ``close_up``, that are so near to
        the camera that whoever holds them cannot be seen.
    :param sure_score: what is less sure than this counts only once it has moved, and is withheld until then, with that
        reason: a slot in a machine beside somebody's hand is taken for a pistol, and does not sway as a hand does.
        Not where a thing counts that nobody holds.
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
        close_up: bool = True,
        sure_score: float = SURE,
        severity: Severity = Severity.CRITICAL,
    ) -> None:
        self.name = name
        self._classes = list(classes)
        self._min_score = min_score
        self._seen_s = seen_s
        self._window_s = window_s
        self._score_s = score_s
        self._near_person = near_person
        self._close_up = close_up
        self._sure_score = sure_score if near_person else 0.0
        self._severity = severity
        self._sure = _Evidence(window_s=window_s)
        self._doubted = _Evidence(window_s=window_s)
        self._clutter = Clutter()
        self._sway = Sway(window_s=window_s)

    def update(self, scene: Scene) -> list[Observation | Withheld]:
        tracks = scene.tracks
        there = among(tracks.class_id, self._classes) & (tracks.unseen_s == 0)
        if not there.any():
            self._nothing(scene)
            return []
        mask = there & (tracks.score >= self._min_score)
        clutter, moved = np.zeros((2, len(tracks)), np.bool_)
        moved[there] = self._sway.update(tracks.xyxy[there], scene.frame.t_mono_s)
        if self._near_person:
            mask &= (tracks.holder_id >= 0) | (moved & self._fills_the_picture(scene))
            clutter[there] = self._clutter.update(
                tracks.xyxy[there],
                tracks.holder_id[there] < 0,
                scene.frame.t_mono_s,
                stands_s=stands_for_s(scene, there),
            )
        mask &= self.counts(scene)
        proven = moved | (tracks.score >= self._sure_score)
        sure_s = self._sure.update(scene, mask & ~clutter, proven, score_s=self._score_s)
        doubted_s = self._doubted.update(scene, mask, mask, score_s=self._score_s)
        if sure_s > self._seen_s:
            return [self._observation(scene, mask & ~clutter & proven, sure_s)]
        if doubted_s > self._seen_s:
            reason = PART_OF_THE_ROOM if (mask & clutter).any() else NOT_MOVED
            harmless = not (mask & ~clutter).any()
            return [Withheld(self._observation(scene, mask, doubted_s), reason, harmless=harmless)]
        return []

    def _nothing(self, scene: Scene) -> None:
        """No such thing is there, as in most frames: time goes on, and nothing else needs to be asked."""
        now = scene.frame.t_mono_s
        self._sway.wait(now)
        if self._near_person:
            self._clutter.wait(now)
        self._sure.wait(now)
        self._doubted.wait(now)

    def counts(self, scene: Scene) -> Bool:
        """Which tracks (M,) stand where the rule cares; here: all."""
        return np.ones(len(scene.tracks), np.bool_)

    def _observation(self, scene: Scene, mask: Bool, seconds: float) -> Observation:
        tracks = scene.tracks
        holders = [h for h in tracks.holder_id[mask].tolist() if h >= 0]
        return Observation(
            camera=scene.frame.camera,
            rule=self.name,
            zone="",
            severity=self._severity,
            track_ids=tuple(sorted({*tracks.track_id[mask].tolist(), *holders})),
            t_mono_s=scene.frame.t_mono_s,
            what=f"{self.name} in sight (score {float(tracks.score[mask].max()):.2f}) for",
            value=seconds,
            threshold=self._seen_s,
            unit="s",
        )

    def _fills_the_picture(self, scene: Scene) -> Bool:
        """Which tracks (M,) are so large that a person who holds them does not fit into the picture."""
        if not self._close_up:
            return np.zeros(len(scene.tracks), np.bool_)
        large: Bool = longer_side(scene.tracks.xyxy) >= _CLOSE_UP * min(scene.frame.size)
        return large
