"""What a tracker knows of everything that it follows, as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.track.motion import Motion, to_centre

if TYPE_CHECKING:
    from edge.types import F32, F64, I64, Bool, Detections


class Followed:
    """M tracks; row k is the same one in every column, and in ``motion``. What is started comes last.

    ``box``, ``sure_box``, ``first_box`` float32 (M, 4) px: as last seen, as last seen by more than a faint box, and as first seen;
    ``last_s``, ``sure_s``, ``first_s``: when that was; ``missed_s``: when first missed since last seen, inf: seen in the newest frame.
    """

    def __init__(self) -> None:
        self.motion = Motion()
        self.track_id: I64 = np.zeros(0, np.int64)
        self.class_id: I64 = np.zeros(0, np.int64)
        self.score: F32 = np.zeros(0, np.float32)
        self.box: F32 = np.zeros((0, 4), np.float32)
        self.sure_box: F32 = np.zeros((0, 4), np.float32)
        self.first_box: F32 = np.zeros((0, 4), np.float32)
        self.last_s: F64 = np.zeros(0)
        self.sure_s: F64 = np.zeros(0)
        self.first_s: F64 = np.zeros(0)
        self.missed_s: F64 = np.zeros(0)
        self.hits: I64 = np.zeros(0, np.int64)
        self.confirmed: Bool = np.zeros(0, np.bool_)
        self._next_id = 1

    def __len__(self) -> int:
        return len(self.track_id)

    def start(self, seen: Detections, now: float) -> None:
        """A new track, with an id that none ever had, for each of these."""
        n = len(seen)
        self.motion.add(to_centre(seen.xyxy))
        self.track_id = np.concatenate([self.track_id, np.arange(self._next_id, self._next_id + n, dtype=np.int64)])
        self._next_id += n
        self.class_id = np.concatenate([self.class_id, seen.class_id])
        self.score = np.concatenate([self.score, seen.score])
        self.box = np.concatenate([self.box, seen.xyxy])
        self.sure_box = np.concatenate([self.sure_box, seen.xyxy])
        self.first_box = np.concatenate([self.first_box, seen.xyxy])
        self.last_s = np.concatenate([self.last_s, np.full(n, now)])
        self.sure_s = np.concatenate([self.sure_s, np.full(n, now)])
        self.first_s = np.concatenate([self.first_s, np.full(n, now)])
        self.missed_s = np.concatenate([self.missed_s, np.full(n, np.inf)])
        self.hits = np.concatenate([self.hits, np.ones(n, np.int64)])
        self.confirmed = np.concatenate([self.confirmed, np.zeros(n, np.bool_)])

    def keep(self, mask: Bool) -> None:
        """Forget the tracks where ``mask`` (M,) is false."""
        self.motion.keep(mask)
        self.track_id, self.class_id, self.score = self.track_id[mask], self.class_id[mask], self.score[mask]
        self.box, self.sure_box, self.first_box = self.box[mask], self.sure_box[mask], self.first_box[mask]
        self.last_s, self.sure_s, self.first_s = self.last_s[mask], self.sure_s[mask], self.first_s[mask]
        self.missed_s, self.hits, self.confirmed = self.missed_s[mask], self.hits[mask], self.confirmed[mask]
