"""Non-maximum suppression: of boxes of one class that cover the same thing, only the best stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge.types import F32, I64, Bool


def iou_matrix(a: F32, b: F32) -> F32:
    """Intersection over union of every box of ``a`` (N, 4) with every box of ``b`` (M, 4): float32 (N, M), 0..1.

    Boxes are x1 y1 x2 y2 in one unit. A box without area overlaps nothing, not even itself.
    """
    width = np.minimum(a[:, None, 2], b[None, :, 2]) - np.maximum(a[:, None, 0], b[None, :, 0])
    height = np.minimum(a[:, None, 3], b[None, :, 3]) - np.maximum(a[:, None, 1], b[None, :, 1])
    shared = np.maximum(width, 0) * np.maximum(height, 0)
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    union = area_a[:, None] + area_b[None, :] - shared
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
        kept = np.zeros(len(order), np.bool_)
        classes = class_id[order]
        for one in np.unique(classes):  # few: the classes in this picture
            rows = np.flatnonzero(classes == one)
            kept[rows] = _greedy(xyxy[order[rows]], iou)
        order = order[kept]
    return order[:limit].astype(np.int64, copy=False)


def _greedy(xyxy: F32, iou: float) -> Bool:
    """Which boxes (N, 4), best first, greedy suppression would keep: bool (N,).

    Greedy suppression is the one answer in which a box stays exactly when no better box that stays overlaps it. Asking
    that of all boxes at once, starting from "all stay", settles the first undecided box for good in each round, and in
    practice nearly all in two or three.
    """
    overlaps = np.triu(iou_matrix(xyxy, xyxy) > iou, k=1)
    stays: Bool = np.ones(len(xyxy), np.bool_)
    while True:
        again: Bool = np.logical_not(overlaps[stays].any(axis=0))
        if np.array_equal(again, stays):
            return stays
        stays = again
