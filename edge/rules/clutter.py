"""What belongs to the room: places where a detector sees a thing also while nobody is there to hold it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.track.likeness import iou

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.types import F32, Bool

_LEARN_S = 5.0  # seen alone for so long: a person whom the detector loses is expected back for three seconds
_FORGET_S = 6 * 3600.0  # not seen for so long: it was carried away, or the light that made it is another one
_SAME = 0.6  # overlap of a box that does not move; hands do not hold a thing that still
_AT_MOST = 64
_MAX_STEP_S = 0.5  # a gap between frames longer than this proves nothing about the time in between


@dataclass(slots=True)
class _Place:
    box: F32  # (1, 4) px; where it was first seen: what drifts along with a hand is not learnt
    last_s: float
    alone_s: float = 0.0


class Clutter:
    """Remembers where things of one kind stood or hung while nobody held them.

    A crutch in the corner, a picture on the wall, a machine that a detector takes for a tool: who stands before
    such a place does not hold what is there. What is taken away from it is elsewhere then, and counts.
    """

    def __init__(self) -> None:
        self._places: list[_Place] = []
        self._last_s: float | None = None

    def update(self, boxes: F32, alone: Bool, t_s: float, *, stands_s: Sequence[float]) -> Bool:
        """Take the boxes (N, 4) px seen at ``t_s``, and which of them nobody holds; returns which lie in a known place (N,).

        :param stands_s: for how long each of them was not looked at so closely before (N,).
        """
        step_s = 0.0 if self._last_s is None else min(t_s - self._last_s, _MAX_STEP_S)
        known = np.zeros(len(boxes), np.bool_)
        for k in range(len(boxes)):
            place = self._at(boxes[k : k + 1])
            if place is None and alone[k]:
                place = _Place(boxes[k : k + 1].copy(), t_s)
                self._places.append(place)
            if place is not None:
                place.last_s = t_s
                place.alone_s += max(step_s, min(stands_s[k], _MAX_STEP_S)) if alone[k] else 0.0
                known[k] = place.alone_s >= _LEARN_S
        self.wait(t_s)
        return known

    def wait(self, t_s: float) -> None:
        """Nothing more is seen at ``t_s``."""
        self._last_s = t_s
        if len(self._places) > _AT_MOST or any(t_s - p.last_s > _FORGET_S for p in self._places):
            fresh = [p for p in self._places if t_s - p.last_s <= _FORGET_S]
            self._places = sorted(fresh, key=lambda p: (p.alone_s >= _LEARN_S, p.last_s))[-_AT_MOST:]

    def _at(self, box: F32) -> _Place | None:
        """The place that this box (1, 4) lies in, if there is one: of several the one known best."""
        if not self._places:
            return None
        overlap = iou(np.concatenate([p.box for p in self._places]), box)[:, 0]
        there = [p for p, share in zip(self._places, overlap.tolist(), strict=True) if share >= _SAME]
        return max(there, key=lambda p: p.alone_s, default=None)
