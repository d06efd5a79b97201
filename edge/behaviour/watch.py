"""From a frame and its tracks to how people move and what that looks like. Costs nothing while nobody is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.behaviour.motion import Motion, shrink
from edge.behaviour.rows import COLUMNS, Rows, together
from edge.behaviour.windows import Windows
from edge.types import BEHAVIOURS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from edge.behaviour.interface import Classifier
    from edge.types import F32, U8, Frame, Tracks

_INNER = COLUMNS.index("inner")
MAX_UNSEEN_S = 0.7  # people out of sight for longer are no longer looked for where they are expected


class BehaviourWatch:
    """Implements ``edge.behaviour.interface.Behaviour`` for one camera. One thread.

    :param person_classes: the classes that are people.
    :param classifiers: one for each behaviour that is to be known; the others stay 0.
    :param limbs: whether anybody asks how fast limbs move; else that is not told.
    """

    def __init__(
        self, *, person_classes: Collection[int], classifiers: Sequence[Classifier], limbs: bool = False
    ) -> None:
        self._person_classes = tuple(person_classes)
        self._limbs = limbs
        self._motion = Motion()
        self._rows = Rows(_columns(classifiers) | ({"inner"} if limbs else set()))
        self._looked: tuple[U8, U8] | None = None  # a picture, and it made small
        self._known = [(BEHAVIOURS.index(c.name), c, Windows(c.spec)) for c in classifiers]

    def look(self, frame: Frame) -> None:
        self._looked = (frame.image, shrink(frame.image))

    def update(self, frame: Frame, tracks: Tracks) -> tuple[F32 | None, F32]:
        m = len(tracks)
        looked, self._looked = self._looked, None  # never kept: the picture's memory is somebody else's
        limbs = np.zeros(m, np.float32) if self._limbs else None
        behaviour = np.zeros((m, len(BEHAVIOURS)), np.float32)
        people = np.zeros(m, np.bool_)
        for one in self._person_classes:
            people |= tracks.class_id == one
        people &= tracks.unseen_s <= MAX_UNSEEN_S
        if not people.any():
            self._motion.forget()
            return limbs, behaviour
        width, _ = frame.size
        small = looked[1] if looked is not None and looked[0] is frame.image else shrink(frame.image)
        field = self._motion.update(small, frame.t_mono_s, width=width)
        names, xyxy = tracks.track_id[people].tolist(), tracks.xyxy[people]
        rows = self._rows.update(names, xyxy, field, frame.t_mono_s, frame.size)
        if limbs is not None:
            limbs[people] = rows[:, _INNER]
        for column, classifier, windows in self._known:
            who, what, where = together(rows, xyxy) if classifier.spec.together else (names, rows, xyxy)
            ready, features = windows.features(who, what, where, frame.t_mono_s, width)
            said = classifier.probability(features)
            mean = windows.mean(ready, said, who, frame.t_mono_s)
            # What all of them do together is said of the liveliest.
            likely = (
                np.where(rows[:, _INNER] == rows[:, _INNER].max(), mean[0], 0.0) if classifier.spec.together else mean
            )
            behaviour[people, column] = likely
        return limbs, behaviour


def _columns(classifiers: Sequence[Classifier]) -> set[str]:
    """The columns that the classifiers' windows look at."""
    wanted = {feature.partition(":")[2] for c in classifiers for feature in c.spec.features}
    wanted |= {"gap" for c in classifiers if c.spec.min_close > 0}
    return wanted | {"inner" for c in classifiers if c.spec.together}
