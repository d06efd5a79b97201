"""From a frame and its tracks to how people move and what that looks like. Costs nothing while nobody is there."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from edge.behaviour.looks import Looks, LookSpec, LookWindow
from edge.behaviour.motion import Motion, shrink
from edge.behaviour.rows import COLUMNS, Rows
from edge.behaviour.windows import Windows, WindowSpec
from edge.types import BEHAVIOURS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from edge.behaviour.interface import Classifier
    from edge.types import F32, U8, Bool, Features, Frame, Tracks

log = logging.getLogger(__name__)

_INNER = COLUMNS.index("inner")
MAX_UNSEEN_S = 0.7  # people out of sight for longer are no longer looked for where they are expected
LINGER_S = 10.0  # looks go on so long after the last person: in a struggle detectors lose people
MAX_LOST_S = 2.0  # what is found by looks is said of people out of sight no longer than this


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
        self._moving: list[tuple[int, Classifier, Windows]] = []
        self._looking: list[tuple[int, Classifier, LookWindow]] = []
        for one in classifiers:
            if isinstance(one.spec, WindowSpec):
                self._moving.append((BEHAVIOURS.index(one.name), one, Windows(one.spec)))
            else:
                self._looking.append((BEHAVIOURS.index(one.name), one, LookWindow(one.spec)))
        self._motion = Motion()
        self._rows = Rows(_columns(classifiers) | ({"inner"} if limbs else set()))
        self._looked: tuple[U8, U8] | None = None  # a picture, and it made small
        self._looks = Looks()
        self._busy_s = -np.inf
        self._liveliest = -1
        self._strange = ""  # the map that nothing here has learnt from, once that was told

    def look(self, frame: Frame) -> None:
        if self._moving or self._limbs:
            self._looked = (frame.image, shrink(frame.image))

    def update(self, frame: Frame, tracks: Tracks, features: Features | None) -> tuple[F32 | None, F32]:
        m = len(tracks)
        limbs = np.zeros(m, np.float32) if self._limbs else None
        behaviour = np.zeros((m, len(BEHAVIOURS)), np.float32)
        known = np.zeros(m, np.bool_)
        for one in self._person_classes:
            known |= tracks.class_id == one
        people = known & (tracks.unseen_s <= MAX_UNSEEN_S)
        if people.any():
            self._busy_s = frame.t_mono_s
            if self._moving or limbs is not None:
                self._moves(frame, tracks, people, limbs, behaviour)
        else:
            self._motion.forget()
        self._looked = None  # never kept: the picture's memory is somebody else's
        if self._looking:
            if frame.t_mono_s - self._busy_s <= LINGER_S:
                self._look(features, frame.t_mono_s, tracks, known & (tracks.unseen_s <= MAX_LOST_S), behaviour)
            else:
                self._looks.forget()
        return limbs, behaviour

    def _moves(self, frame: Frame, tracks: Tracks, people: Bool, limbs: F32 | None, behaviour: F32) -> None:
        """Each person by themselves."""
        looked = self._looked
        small = looked[1] if looked is not None and looked[0] is frame.image else shrink(frame.image)
        width, _ = frame.size
        field = self._motion.update(small, frame.t_mono_s, width=width)
        names, xyxy = tracks.track_id[people].tolist(), tracks.xyxy[people]
        rows = self._rows.update(names, xyxy, field, frame.t_mono_s, frame.size)
        if limbs is not None:
            limbs[people] = rows[:, _INNER]
        for column, classifier, windows in self._moving:
            ready, found = windows.features(names, rows, xyxy, frame.t_mono_s, width)
            behaviour[people, column] = windows.mean(ready, classifier.probability(found), names, frame.t_mono_s)

    def _look(self, features: Features | None, t_s: float, tracks: Tracks, people: Bool, behaviour: F32) -> None:
        """The whole picture; what is found is said of the person in whose box most moves."""
        glance = None if features is None else self._looks.update(features, t_s)
        if glance is not None and people.any():
            stirred = glance.stirred(tracks.xyxy[people])
            self._liveliest = int(tracks.track_id[people][stirred.argmax()])
        who = people & (tracks.track_id == self._liveliest)
        for column, classifier, window in self._looking:
            said = np.zeros(0, np.float32)
            if glance is not None and features is not None and self._learnt(window.spec, features):
                said = classifier.probability(window.features(glance.looks, t_s))
            behaviour[who if who.any() else people, column] = window.mean(said, t_s)

    def _learnt(self, spec: LookSpec, features: Features) -> bool:
        """Whether this map is the one that was learnt from: another network's numbers mean something else."""
        same = features.map_name == spec.map_name and len(features.values) == spec.channels
        if not same and self._strange != features.map_name:
            self._strange = features.map_name
            log.warning(
                f"a struggle is not looked for: that was learnt with the model {spec.model}, this is another one's map",
                extra={"kg": {"event": "behaviour_rests", "learnt_with": spec.model, "map": features.map_name}},
            )
        return same


def _columns(classifiers: Sequence[Classifier]) -> set[str]:
    """The columns that the classifiers' windows look at."""
    moving = [c.spec for c in classifiers if isinstance(c.spec, WindowSpec)]
    wanted = {feature.partition(":")[2] for spec in moving for feature in spec.features}
    return wanted | ({"gap"} if any(spec.min_close > 0 for spec in moving) else set())
