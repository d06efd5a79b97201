"""Non-maximum suppression: of boxes of one class that cover the same thing, only the best stays."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge.types import F32, I64, Bool


def iou_matrix(a: F32, b: F32) -> F32:
    """Intersection over union of every box of ``a`` (N, 4) with every box of ``b`` (M, 4): float32 (N, M), 0..1.

    Boxes are x1 y1 x2 y2 in one unit. A box without area overlaps nothing, not even itself.
    """
    ax1, ay1, ax2, ay2 = a.T[:, :, None]
    bx1, by1, bx2, by2 = b.T
    width = np.minimum(ax2, bx2) - np.maximum(ax1, bx1)
    height = np.minimum(ay2, by2) - np.maximum(ay1, by1)
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared
    ratio: F32 = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return ratio


def nms(xyxy: F32, score: F32, class_id: I64, *, iou: float, limit: int) -> I64:
    """Rows to keep, best score first.

    A box goes when a kept box of its own class with a higher score (or the same score and an earlier row) overlaps
    it by more than ``iou``. Classes never suppress each other.

    :param xyxy: float32 (N, 4); N = 0 gives no rows.
    :param score: float32 (N,).
    :param class_id: int64 (N,).
    :param iou: 0..1; 1 keeps everything.
    :param limit: how many rows to return at the most.
    """
    order = np.argsort(-score, kind="stable")
    if len(order) > 1:
        boxes, classes = xyxy[order], class_id[order]
        order = order[_greedy(iou_matrix(boxes, boxes) > iou, classes)]
    return order[:limit].astype(np.int64, copy=False)


def _greedy(overlaps: Bool, classes: I64) -> Bool:
    """Which of N boxes, best first, greedy suppression would keep: bool (N,).

    Greedy suppression is the one answer in which a box stays exactly when no better box that stays overlaps it. Asking
    that of all boxes at once, starting from "all stay", settles the first undecided box for good in each round, and in
    practice nearly all in two or three.

    :param overlaps: bool (N, N), which are the same thing, if they are of one class; is written to.
    :param classes: int64 (N,).
    """
    n = len(classes)
    if classes.min() != classes.max():
        overlaps &= classes[:, None] == classes
    overlaps &= _worse(1 << (n - 1).bit_length())[:n, :n]  # few sizes, so that what is kept stays small
    gone = overlaps.any(axis=0)
    while True:
        again = overlaps[~gone].any(axis=0)
        if (again == gone).all():
            return np.logical_not(again)
        gone = again


@lru_cache(maxsize=12)
def _worse(n: int) -> Bool:
    """Which columns come after each row: bool (n, n)."""
    after: Bool = np.triu(np.ones((n, n), np.bool_), k=1)
    after.setflags(write=False)
    return after
