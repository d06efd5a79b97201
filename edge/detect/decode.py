"""From the model's raw output to candidate boxes: few enough that suppression costs next to nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge.types import F32, I64


class Candidates:
    """Boxes before suppression, N of them.

    ``xyxy``: float32 (N, 4), the model's input pixels; ``score``: float32 (N,); ``class_id``: int64 (N,).
    """

    __slots__ = ("class_id", "score", "xyxy")

    def __init__(self, xyxy: F32, score: F32, class_id: I64) -> None:
        self.xyxy = xyxy
        self.score = score
        self.class_id = class_id

    def __len__(self) -> int:
        return len(self.score)


class Decoder:
    """Keeps what reaches its class's threshold, in one pass over the scores.

    An anchor may stand for several classes: a thing that looks like a firearm and like a phone is reported as both,
    and the rules weigh it.

    :param thresholds: float32 (C,), lowest score per class, 0..1.
    :param class_ids: which classes to look at, ascending; None: all. Ids index the full list either way.
    :param limit: how many candidates to hand on at the most, best first.
    """

    def __init__(self, thresholds: F32, *, class_ids: I64 | None = None, limit: int) -> None:
        self._ids: I64 | None = None if class_ids is None else np.asarray(class_ids, np.int64)
        chosen = thresholds if self._ids is None else thresholds[self._ids]
        self._thresholds: F32 = chosen.astype(np.float32)
        self._limit = limit

    def __call__(self, boxes: F32, scores: F32) -> Candidates:
        """Candidates of one picture.

        :param boxes: float32 (4, A), centre x, centre y, width, height in the model's input pixels.
        :param scores: float32 (C, A), 0..1.
        """
        if self._ids is not None:
            scores = scores[self._ids]
        # Most classes are nowhere in the picture: one look at each row's best leaves a few rows to search.
        # "Not below", because an undefined score would otherwise hide its whole row.
        some = np.flatnonzero(~(scores.max(axis=1) < self._thresholds))
        rows = scores[some]
        row, anchor = np.nonzero(rows >= self._thresholds[some, None])
        score = rows[row, anchor]
        row = some[row]
        if len(score) > self._limit:
            best = np.argpartition(-score, self._limit)[: self._limit]
            best.sort()
            row, anchor, score = row[best], anchor[best], score[best]
        centre, half = boxes[:2, anchor], boxes[2:, anchor] * np.float32(0.5)
        xyxy = np.concatenate((centre - half, centre + half)).T
        # A hostile or broken model may give infinities; such a box is no box.
        sound = np.isfinite(xyxy).all(axis=1)
        if not sound.all():
            xyxy, score, row = xyxy[sound], score[sound], row[sound]
        class_id = row if self._ids is None else self._ids[row]
        return Candidates(xyxy, score, class_id.astype(np.int64, copy=False))
