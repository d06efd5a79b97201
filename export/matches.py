"""Which labelled box was found, and by which score: what thresholds, recall and the confusion matrix are made of."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.detect.nms import iou_matrix

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from edge.types import F32, F64, I64, Bool
    from export.evaluate import Judged

IOU = 0.5
# A box marks a thing when it shares half of the smaller of both, and is not wildly larger or smaller.
_MARK_SHARED, _MARK_IOU = 0.5, 0.1
# Box heights in the model's input pixels; the last bin is open.
HEIGHTS_PX = (0, 16, 32, 64, 128)


@dataclass(frozen=True, slots=True)
class Curve:
    """One class, detections by descending score: ``score`` and, with all down to there, ``precision`` and ``recall``."""

    score: F64
    precision: F64
    recall: F64
    boxes: int

    @property
    def f1(self) -> F64:
        """The harmonic mean; 0 where both are."""
        total = self.precision + self.recall
        out: F64 = 2 * self.precision * self.recall / np.where(total > 0, total, 1)
        return out

    def at(self, threshold: float) -> tuple[float, float]:
        """Precision and recall of the detections at or above ``threshold``; precision is 1 where there is none."""
        count = int(np.searchsorted(-self.score, -threshold, side="right"))
        return (float(self.precision[count - 1]), float(self.recall[count - 1])) if count else (1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Operating:
    """One class on the gate's images: ``fp32`` and ``int8`` by boxes that fit, ``marking`` by INT8's that mark; where it is used."""

    fp32: Curve
    int8: Curve
    marking: Curve
    threshold: float


def hits(found: F32, truth: F32, iou: float = IOU) -> tuple[Bool, I64]:
    """Which boxes, best score first, are the first to claim a labelled box, and which one it is (-1: none).

    :param found: float32 (N, 4), by descending score. ``truth``: float32 (M, 4).
    """
    hit, claimed = np.zeros(len(found), np.bool_), np.full(len(found), -1, np.int64)
    if not len(found) or not len(truth):
        return hit, claimed
    overlap = iou_matrix(found, truth)
    free = np.ones(len(truth), np.bool_)
    for row in np.flatnonzero(overlap.max(axis=1) >= iou):
        candidate = int(np.argmax(np.where(free, overlap[row], -1)))
        if free[candidate] and overlap[row, candidate] >= iou:
            free[candidate] = False
            hit[row], claimed[row] = True, candidate
    return hit, claimed


def marks(found: F32, truth: F32) -> tuple[Bool, Bool]:
    """Which boxes, best score first, point at a labelled thing for the first time, and which point at one again.

    For an alarm it matters that somebody holds a knife, not where its handle ends: a box marks a thing when half of the
    smaller of both is shared (IoU 0.1 or more). The rest is false.

    :param found: float32 (N, 4), by descending score. ``truth``: float32 (M, 4).
    """
    first, again = np.zeros(len(found), np.bool_), np.zeros(len(found), np.bool_)
    if not len(found) or not len(truth):
        return first, again
    iou = iou_matrix(found, truth)
    areas = _areas(found)[:, None], _areas(truth)[None]
    shared = iou * (areas[0] + areas[1]) / (1 + iou)
    marked = (iou >= _MARK_IOU) & (shared >= _MARK_SHARED * np.minimum(*areas))
    # A box that lies on several things marks the one it fits best.
    best = np.argmax(np.where(marked, iou, -1), axis=1)
    right = np.flatnonzero(marked.any(axis=1))
    first[right[np.unique(best[right], return_index=True)[1]]] = True
    again[right] = ~first[right]
    return first, again


def curve(judged: Iterable[Judged], class_id: int, *, marking: bool = False) -> Curve:
    """Precision against recall of one class, over all pictures; boxes overlap by half (IoU 0.5) or they do not count.

    :param marking: count what ``marks`` a labelled thing instead; a second box on the same thing is left out.
    """
    scores, right, boxes = [], [], 0
    for one in judged:
        truth = one.truth.xyxy[one.truth.class_id == class_id]
        found = one.found.where(one.found.class_id == class_id)
        boxes += len(truth)
        if marking:
            first, again = marks(found.xyxy, truth)
            scores.append(found.score[~again])
            right.append(first[~again])
        else:
            scores.append(found.score)
            right.append(hits(found.xyxy, truth)[0])
    score = np.concatenate(scores).astype(np.float64) if scores else np.zeros(0)
    order = np.argsort(-score, kind="stable")
    hit = np.cumsum(np.concatenate(right)[order]) if scores else np.zeros(0)
    return Curve(score[order], hit / np.arange(1, len(hit) + 1), hit / max(boxes, 1), boxes)


def _areas(xyxy: F32) -> F32:
    out: F32 = (xyxy[:, 2] - xyxy[:, 0]) * (xyxy[:, 3] - xyxy[:, 1])
    return out


def found_boxes(judged: Sequence[Judged], thresholds: Mapping[int, float]) -> list[tuple[I64, F32, Bool]]:
    """For each picture: class, height in the model's input pixels, and whether it was found, of each labelled box.

    :param thresholds: the data set's class id to its operating threshold, 0..1.
    """
    rows = []
    for one in judged:
        was_found = np.zeros(len(one.truth), np.bool_)
        for class_id, threshold in thresholds.items():
            mine = np.flatnonzero(one.truth.class_id == class_id)
            usable = one.found.where((one.found.class_id == class_id) & (one.found.score >= threshold))
            _, claimed = hits(usable.xyxy, one.truth.xyxy[mine])
            was_found[mine[claimed[claimed >= 0]]] = True
        height = (one.truth.xyxy[:, 3] - one.truth.xyxy[:, 1]) * np.float32(one.scale)
        rows.append((one.truth.class_id, height, was_found))
    return rows


def recall_by_height(judged: Sequence[Judged], thresholds: Mapping[int, float]) -> dict[str, tuple[int, int]]:
    """Labelled and found boxes by their height in the model's input pixels, at the operating thresholds."""
    rows = found_boxes(judged, thresholds)
    class_id = np.concatenate([r[0] for r in rows]) if rows else np.zeros(0, np.int64)
    height = np.concatenate([r[1] for r in rows]) if rows else np.zeros(0)
    was_found = np.concatenate([r[2] for r in rows]) if rows else np.zeros(0, np.bool_)
    counted = np.isin(class_id, list(thresholds))
    edges = (*HEIGHTS_PX, np.inf)
    table = {}
    for low, high in itertools.pairwise(edges):
        chosen = counted & (height >= low) & (height < high)
        label = f"{low}-{high:.0f} px" if np.isfinite(high) else f"{low} px and more"
        table[label] = (int(chosen.sum()), int((chosen & was_found).sum()))
    return table


def confusion(judged: Sequence[Judged], thresholds: Mapping[int, float], class_count: int) -> I64:
    """(class_count + 1, class_count + 1): rows are what was labelled, columns what was found; the last is "nothing".

    Boxes meet whatever their class, best score first.
    """
    table = np.zeros((class_count + 1, class_count + 1), np.int64)
    floor = np.full(class_count, 2.0)
    floor[list(thresholds)] = list(thresholds.values())
    for one in judged:
        found = one.found.where(one.found.score >= floor[one.found.class_id])
        _, claimed = hits(found.xyxy, one.truth.xyxy)
        for class_id, box in zip(found.class_id.tolist(), claimed.tolist(), strict=True):
            table[one.truth.class_id[box] if box >= 0 else class_count, class_id] += 1
        missed = np.setdiff1d(np.arange(len(one.truth)), claimed)
        table[:, class_count] += np.bincount(one.truth.class_id[missed], minlength=class_count + 1)
    return table
