"""Follows detections from frame to frame. All limits are seconds of capture time: correct at any and at uneven rates.

Passes as in ByteTrack (Zhang et al. 2022): all boxes, the clear cases first, then confident ones that are less likely; last,
what the detector itself does not take for a person any more (``Detections.faint``) shows for a moment that somebody known is
still there. A life: tentative (seen once), confirmed (published), lost (published with ``unseen_s`` > 0), forgotten.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.track.assignment import assign
from edge.track.exits import Exits
from edge.track.followed import Followed
from edge.track.likeness import MAX_REACH, at_hand, behind, doubles, unlike_people, unlike_things
from edge.track.motion import to_centre, to_corners
from edge.types import F32, F64, I64, Bool, Detections, Tracks

if TYPE_CHECKING:
    from collections.abc import Collection

_BLIND_S = 2.0  # between two frames this long nobody is taken for gone, at a slow rate with frames dropped
_BEHIND_S = 10.0  # somebody behind somebody else is remembered for longer
_SETTLED_S = 2.0  # who is first seen later than this after the first frame has come in
_CROWDED = 60  # tracks from which on a doubtful thing starts none: a picture full of them says nothing
_CLEAR = 0.4  # a cost below this leaves no doubt, ...
_LIKELY = 0.6  # ... below this little, ...
_HARDLY = 0.85  # ... and above this it is rather somebody else
_STOPPED_S = 0.8  # after this long without a frame somebody may as well have stopped where they were last seen
_SAME_LOG_RATIO = 0.35  # a faint box is as tall as the last sure one but for a factor of 1.4

NOBODY = Tracks(
    track_id=np.zeros(0, np.int64),
    xyxy=np.zeros((0, 4), np.float32),
    score=np.zeros(0, np.float32),
    class_id=np.zeros(0, np.int64),
    age_s=np.zeros(0),
    unseen_s=np.zeros(0),
    holder_id=np.zeros(0, np.int64),
    first_xyxy=np.zeros((0, 4), np.float32),
)


class Tracker:
    """Tracks of one camera.

    :param new_score: a person's track starts only from a detection at least this sure, 0..1; a thing's from any.
    :param confirm_s: a track is published once it was seen for this long, and at least twice; a thing's at every sight.
    :param tentative_s: an unconfirmed track is forgotten when frames did not show it for this long.
    :param remember_s: a confirmed track is forgotten when frames did not show it for this long.
    :param exit_remember_s: the same for one last seen at an exit: who comes in soon after somebody left is somebody
        else.
    :param faint_s: faint boxes alone keep a person in sight for this long after the last sure one, at an exit for
        ``exit_remember_s``: a coat where somebody stood must not stand there for them.
    :param exits: where people leave; the default knows the picture's left and right borders only.
    :param person_classes: classes that can hold an object.
    :param held_classes: classes that a person may hold.
    """

    def __init__(
        self,
        *,
        new_score: float = 0.45,
        confirm_s: float = 0.15,
        tentative_s: float = 0.8,
        remember_s: float = 3.0,
        exit_remember_s: float = 0.7,
        faint_s: float = 2.0,
        exits: Exits | None = None,
        person_classes: Collection[int] = (0,),
        held_classes: Collection[int] = (),
    ) -> None:
        self._new_score = new_score
        self._confirm_s = confirm_s
        self._tentative_s = tentative_s
        self._remember_s = remember_s
        self._exit_remember_s = exit_remember_s
        self._faint_s = faint_s
        self._exits = exits or Exits()
        self._person_classes = tuple(sorted(person_classes))
        self.held_classes = tuple(sorted(held_classes))  # may be replaced: from the next frame on
        self._all = Followed()
        self._now_s: float | None = None
        self._began_s = 0.0

    @property
    def exits(self) -> Exits:
        """Where people leave."""
        return self._exits

    @property
    def follows(self) -> int:
        """How many tracks there are, also the tentative and the lost; of things those that are sure.

        Of a doubtful glimpse on the furniture an empty room must not be watched as if somebody were in it.
        """
        doubtful = _among(self._all.class_id, self.held_classes) & ~(
            self._all.confirmed & (self._all.score >= self._new_score)
        )
        return int(np.count_nonzero(~doubtful))

    def update(self, detections: Detections, t_mono_s: float, *, size: tuple[int, int] | None = None) -> Tracks:
        """Take one frame's detections; ``t_mono_s`` is its capture time.

        :param size: (width, height) of the frame in pixels; None: exits are not looked at.

        A frame that is not newer than the last one is judged as if it came at the same time.
        """
        now = t_mono_s if self._now_s is None else max(t_mono_s, self._now_s)
        if self._now_s is None:
            self._began_s = now
        dt = 0.0 if self._now_s is None else now - self._now_s
        if not len(self._all) and not len(detections):
            self._now_s = now
            return NOBODY
        detections = self._without_doubles(detections)
        self._all.motion.predict(dt, self._all.last_s < (self._now_s or now))
        self._now_s = now

        # How sure a thing must be was measured for its class, and a rule weighs it over time; nobody is made up by one.
        confident = (detections.score >= self._new_score) | _among(detections.class_id, self.held_classes)
        if len(self._all) > _CROWDED:
            confident = detections.score >= self._new_score
        free_track = np.ones(len(self._all), np.bool_)
        free_detection = np.ones(len(detections), np.bool_)
        # Who is clearly who comes first, also by a weak box: else a false box beside a person would shift everybody by one, or
        # lead somebody away who stands where they stood. A weak box keeps people where they are; it leads nobody elsewhere.
        every = np.ones_like(confident)
        for stage, limit in ((every, _CLEAR), (every, _LIKELY), (confident, _HARDLY)):
            self._match(detections, stage & free_detection, free_track, free_detection, now, limit=limit)
        if detections.faint is not None:
            self._continue(detections.faint, free_track, now, size)
        fresh = confident & free_detection
        if fresh.any():
            self._all.start(detections.where(fresh), now)
        if free_track.any():
            missed = free_track.nonzero()[0]  # started ones come after all others
            self._all.missed_s[missed] = np.minimum(self._all.missed_s[missed], now)
            self._forget(now, size)
        return self._published(now)

    def _without_doubles(self, detections: Detections) -> Detections:
        people = _among(detections.class_id, self._person_classes).nonzero()[0]
        if len(people) < 2:
            return detections
        double = people[doubles(detections.xyxy[people], detections.score[people])]
        return detections.where(np.delete(np.arange(len(detections)), double)) if len(double) else detections

    def _match(
        self,
        detections: Detections,
        candidates: Bool,
        free_track: Bool,
        free_detection: Bool,
        now: float,
        *,
        limit: float,
        faint: bool = False,
    ) -> None:
        d, t = candidates.nonzero()[0], free_track.nonzero()[0]
        if not len(d) or not len(t):
            return
        measured = to_centre(detections.xyxy[d])
        cost = self._cost(t, measured, now)
        cost[(cost > limit) | (self._all.class_id[t][:, None] != detections.class_id[d])] = np.inf
        if faint:
            tall = np.maximum(self._all.sure_box[t, 3:] - self._all.sure_box[t, 1:2], 1.0)
            cost[np.abs(np.log(tall / np.maximum(measured[:, 3], 1.0))) > _SAME_LOG_RATIO] = np.inf
        row, col = assign(cost)
        if not len(row):
            return
        track, det = t[row], d[col]
        self._all.motion.correct(track, measured[col])
        self._all.box[track] = detections.xyxy[det]
        self._all.last_s[track] = now
        self._all.missed_s[track] = np.inf
        free_track[track] = False
        free_detection[det] = False
        if faint:  # of age, score and sure place it says nothing
            return
        self._all.score[track] = detections.score[det]
        self._all.sure_s[track] = now
        self._all.sure_box[track] = detections.xyxy[det]
        self._all.hits[track] += 1
        for new in track[~self._all.confirmed[track]]:
            if self._all.hits[new] >= 2 and now - self._all.first_s[new] >= self._confirm_s:
                self._all.confirmed[new] = True
                self._learn_exit(int(new))

    def _continue(self, faint: Detections, free_track: Bool, now: float, size: tuple[int, int] | None) -> None:
        """A faint box where somebody is clearly expected, and of their size, shows that they are still there."""
        unsure_s = now - self._all.sure_s
        may = (
            free_track
            & self._all.confirmed
            & (unsure_s <= self._faint_s)
            & _among(self._all.class_id, self._person_classes)
        )
        overdue = may & (unsure_s > self._exit_remember_s)
        if size is not None and overdue.any():
            may &= ~(overdue & self._exits.at_exit(self._all.sure_box, size))
        if not may.any():
            return
        missed, every = may.copy(), np.ones(len(faint), np.bool_)
        self._match(faint, every, missed, every.copy(), now, limit=_CLEAR, faint=True)
        free_track[may & ~missed] = False

    def _learn_exit(self, new: int) -> None:
        """Where somebody comes from out of nothing there is a way out too; at the start everybody does."""
        if self._all.first_s[new] - self._began_s < _SETTLED_S or self._all.class_id[new] not in self._person_classes:
            return
        lost = np.isfinite(self._all.missed_s) & self._all.confirmed
        first = self._all.first_box[new]
        away = np.abs(self._all.box[lost] - first)
        if not (away[:, [0, 3]].max(axis=1, initial=0.0) < MAX_REACH * (first[3] - first[1])).any():
            self._exits.appeared(first)

    def _cost(self, tracks: I64, measured: F64, now: float) -> F64:
        """How unlike each track's prediction each measurement is, 0..1; (T, D), ``inf`` where out of reach."""
        cost = self._unlike(tracks, self._all.motion.position[tracks], measured, now)
        # Out of sight people stop and turn: they may as well be where they were last seen. Between two frames, too, if they are
        # as far apart as at a slow rate with one dropped.
        lost = np.isfinite(self._all.missed_s[tracks]) | (now - self._all.last_s[tracks] > _STOPPED_S)
        if lost.any():
            there = self._unlike(tracks[lost], to_centre(self._all.box[tracks[lost]]), measured, now)
            cost[lost] = np.minimum(cost[lost], there)
        return cost

    def _unlike(self, tracks: I64, expected: F64, measured: F64, now: float) -> F64:
        unseen_s = now - self._all.last_s[tracks]
        cost = unlike_people(expected, measured, unseen_s)
        thing = ~_among(self._all.class_id[tracks], self._person_classes)
        if thing.any():
            cost[thing] = unlike_things(
                expected[thing], measured, unseen_s[thing], holder_tall=self._holder_tall(expected[thing])
            )
        return cost

    def _holder_tall(self, things: F64) -> F64:
        """Height (T,) of the person nearest to each thing (T, 4: centre and size), 0 where nobody is within reach."""
        people = to_centre(self._all.box[_among(self._all.class_id, self._person_classes)])
        if not len(people):
            return np.zeros(len(things))
        nearest, within = at_hand(things, people)
        found: F64 = np.where(within, people[nearest, 3], 0.0)
        return found

    def _forget(self, now: float, size: tuple[int, int] | None) -> None:
        # From the first frame that misses them: time without frames proves nothing, up to a point.
        missing = np.maximum(now - self._all.missed_s, now - self._all.last_s - _BLIND_S)
        limit = np.where(self._all.confirmed, self._remember_s, self._tentative_s)
        late = missing > limit
        if (late & self._all.confirmed).any():
            limit[late & self._all.confirmed & self._behind_others()] = _BEHIND_S
        keep = missing <= limit
        overdue = missing > self._exit_remember_s
        if size is not None and overdue.any():
            keep &= ~(overdue & self._exits.at_exit(self._all.box, size))
        if keep.all():
            return
        self._all.keep(keep)

    def _behind_others(self) -> Bool:
        """Which tracks (M,) are expected behind somebody nearer who is in sight: they may well still be there."""
        seen = np.isinf(self._all.missed_s) & _among(self._all.class_id, self._person_classes)
        return behind(to_corners(self._all.motion.position), self._all.box[seen])

    def _published(self, now: float) -> Tracks:
        # A knife that flickers past may be seen once in each place: it is told as often as it is seen.
        glimpsed = (self._all.last_s == now) & _among(self._all.class_id, self.held_classes)
        m = (self._all.confirmed | glimpsed).nonzero()[0]
        last_s, track_id, class_id, xyxy = (
            self._all.last_s[m],
            self._all.track_id[m],
            self._all.class_id[m],
            self._all.box[m],
        )
        unseen = last_s != now
        if unseen.any():  # what is seen is shown as seen; what is not, where it is expected
            xyxy[unseen] = to_corners(self._all.motion.position[m[unseen]])
        return Tracks(
            track_id=track_id,
            xyxy=xyxy,
            score=self._all.score[m],
            class_id=class_id,
            age_s=now - self._all.first_s[m],
            unseen_s=now - last_s,
            holder_id=self._holders(track_id, xyxy, class_id),
            first_xyxy=self._all.first_box[m],
        )

    def _holders(self, track_id: I64, xyxy: F32, class_id: I64) -> I64:
        holder = np.full(len(track_id), -1, np.int64)
        things = _among(class_id, self.held_classes).nonzero()[0]
        people = _among(class_id, self._person_classes).nonzero()[0] if len(things) else things
        if not len(people) or not len(things):
            return holder
        nearest, within = at_hand(to_centre(xyxy[things]), to_centre(xyxy[people]))
        holder[things[within]] = track_id[people[nearest[within]]]
        return holder


def _among(class_id: I64, wanted: Collection[int]) -> Bool:
    found: Bool | None = None
    for one in wanted:
        found = class_id == one if found is None else found | (class_id == one)
    return np.zeros(len(class_id), np.bool_) if found is None else found
