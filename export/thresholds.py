"""Each class's operating threshold, by a stated rule from labelled pictures: never a guess."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.matches import curve

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from edge.types import Bool
    from export.evaluate import Judged
    from export.matches import Curve

# What an alarm hangs on: a false one costs trust.
PRECISE = ("firearm", "knife", "tool", "face_cover", "helmet")
PRECISION = 0.90
# With fewer labelled boxes a threshold of our own would be noise.
MIN_BOXES = 10
# One lucky hit at the top of the list is a precision of 1.00 and proves nothing. So many in each view.
MIN_DETECTIONS = 5


@dataclass(frozen=True, slots=True)
class Thresholds:
    """By the model's class name. ``low_precision``: never as precise as asked. ``unmeasured``: too few boxes to tell."""

    values: dict[str, float]
    low_precision: tuple[str, ...]
    unmeasured: tuple[str, ...]


def choose(
    looks: Sequence[Sequence[Judged]],
    classes: Sequence[str],
    pairs: Mapping[int, int],
    *,
    precise: Collection[str] = PRECISE,
    floor: float = 0.25,
    default: float = 0.35,
) -> Thresholds:
    """A threshold for each of the model's classes.

    For a class in ``precise`` the lowest score at which precision is 0.90 or more, where a box is right that marks a
    labelled thing: an alarm says that it is there, and a box too long by its handle is no false alarm. Where that is never so,
    and for every other class, the score with the best F1, of boxes that fit (IoU 0.5).

    :param looks: labelled pictures that neither calibrated nor trained the model, the same ones in each view: a few
        dozen boxes decide, and one view of them alone decides by luck.
    :param classes: the model's class names. ``pairs``: the model's class id to the data set's.
    :param floor: lowest threshold of any class. ``default``: for a class with fewer than ``MIN_BOXES`` boxes.
    """
    values = dict.fromkeys(classes, max(default, floor))
    low, unmeasured = [], []
    for ours, name in enumerate(classes):
        measured = _one(looks, pairs[ours], precise=name in precise) if ours in pairs else None
        if measured is None:
            unmeasured.append(name)
            continue
        threshold, reached = measured
        values[name] = max(threshold, floor)
        if not reached:
            low.append(name)
    return Thresholds(values, tuple(low), tuple(unmeasured))


def rule(precise: Collection[str], *, views: int, floor: float, default: float) -> str:
    """The rule in words, for the manifest."""
    return (
        f"{', '.join(precise) or 'no class'}: the lowest score with precision >= {PRECISION:.2f} over {MIN_DETECTIONS} or more detections a view, a box being right "
        f"that shares half of the smaller of both with a labelled one (IoU 0.1 or more; a second one on the same thing is not counted), "
        f"or the best F1 and low_precision where that is never reached; every other class: the score with the best F1 at IoU 0.5; "
        f"over the threshold images in {views} views, at least {floor}; fewer than {MIN_BOXES} labelled boxes: {max(default, floor)}, not measured"
    )


def _one(looks: Sequence[Sequence[Judged]], class_id: int, *, precise: bool) -> tuple[float, bool] | None:
    """The threshold, and whether the precision asked for was reached; None: too few boxes."""
    judged = list(itertools.chain.from_iterable(looks))
    boxes = sum(int(np.count_nonzero(one.truth.class_id == class_id)) for one in looks[0])
    fitting = curve(judged, class_id)
    if boxes < MIN_BOXES or not len(fitting.score):
        return None
    if precise:
        marking = curve(judged, class_id, marking=True)
        enough = np.arange(1, len(marking.score) + 1) >= MIN_DETECTIONS * len(looks)
        good = np.flatnonzero(_whole(marking) & enough & (marking.precision >= PRECISION))
        if len(good):
            return _down(marking.score[good[-1]]), True
    best = int(np.argmax(np.where(_whole(fitting), fitting.f1, -1)))
    return _down(fitting.score[best]), not precise


def _whole(found: Curve) -> Bool:
    """Where a score ends: detections of the same score come together or not at all."""
    return np.append(found.score[1:] != found.score[:-1], True)


def _down(score: float) -> float:
    """Three digits, never above the score: what reached it still does."""
    return math.floor(float(score) * 1000) / 1000
