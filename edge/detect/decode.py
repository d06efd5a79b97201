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
    :param limit: how many candidates to hand on at the most, best first, and what is faint last.
    :param faint: float32 (C,), lower scores from which on a box is kept all the same; None: the thresholds.
    """

    def __init__(self, thresholds: F32, *, class_ids: I64 | None = None, limit: int, faint: F32 | None = None) -> None:
        self._thresholds = thresholds.astype(np.float32)
        least: F32 = (thresholds if faint is None else np.minimum(faint, thresholds)).astype(np.float32)[:, None]
        if class_ids is not None:
            least[np.setdiff1d(np.arange(len(least)), class_ids)] = np.nan  # nothing, not even infinity, reaches that
        self._least = least
        self._limit = limit

    def __call__(self, boxes: F32, scores: F32) -> Candidates:
        """Candidates of one picture.

        :param boxes: float32 (4, A), centre x, centre y, width, height in the model's input pixels.
        :param scores: float32 (C, A), 0..1.
        """
        # Hardly any score reaches its threshold: a look at the flat answer is several times quicker than one by rows.
        hits = (scores >= self._least).ravel().nonzero()[0]
        if not len(hits):
            return Candidates(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), hits)
        score = scores.ravel()[hits]
        row, anchor = np.divmod(hits, scores.shape[1])
        if len(score) > self._limit:
            rank = score + (score >= self._thresholds[row])
            best = np.argpartition(-rank, self._limit)[: self._limit]
            best.sort()
            row, anchor, score = row[best], anchor[best], score[best]
        picked = boxes[:, anchor]
        centre, half = picked[:2], picked[2:] * np.float32(0.5)
        xyxy = np.concatenate((centre - half, centre + half)).T
        # A hostile or broken model may give infinities; such a box is no box.
        sound = np.isfinite(xyxy).all(axis=1)
        if not sound.all():
            xyxy, score, row = xyxy[sound], score[sound], row[sound]
        return Candidates(xyxy, score, row)
