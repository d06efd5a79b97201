"""Whether a thing moves as a hand does, or stays where it is as a part of the room does."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge.types import F32, F64, Bool

MOVED = 0.1
"""Of its own longer side: a hand sways by more, a false box on the furniture does not."""

STILL_S = 0.6
"""What has not moved within this time is still. Sooner than a doubtful weapon adds up to an alarm: 0.4 at less than 0.6 takes longer."""


@dataclass(slots=True)
class _Way:
    sights: deque[tuple[float, float, float]] = field(default_factory=deque)  # when, and its centre (px)


class Sway:
    """Follows where things of one kind were seen within the last ``window_s`` seconds.

    By place, whatever a tracker calls them: a slot in a machine that a detector takes for a pistol now and then is lost
    by the tracker in between, and is in the same place each time. What moves by its own size from one sight to the next
    is another thing here, and one that moves.
    """

    def __init__(self, *, window_s: float) -> None:
        self._window_s = window_s
        self._ways: list[_Way] = []

    def wait(self, t_s: float) -> None:
        """Nothing is seen at ``t_s``."""
        self._ways = [w for w in self._ways if w.sights[-1][0] > t_s - self._window_s]

    def update(self, boxes: F32, t_s: float) -> tuple[Bool, Bool]:
        """Take the boxes (N, 4) px seen at ``t_s``; returns which have moved, and which have stayed for ``STILL_S`` (N,)."""
        self.wait(t_s)
        swayed, still = np.zeros(len(boxes), np.bool_), np.zeros(len(boxes), np.bool_)
        for k, (x1, y1, x2, y2) in enumerate(boxes.astype(np.float64).tolist()):
            size, x, y = longer_side(boxes[k : k + 1])[0], (x1 + x2) / 2, (y1 + y2) / 2
            way = self._nearest(x, y, reach=size, before_s=t_s) or self._begin()
            way.sights.append((t_s, x, y))
            while way.sights[0][0] <= t_s - self._window_s:
                way.sights.popleft()
            spread = np.ptp(np.array(way.sights)[:, 1:], axis=0)
            swayed[k] = float(np.hypot(*spread)) >= MOVED * size
            still[k] = not swayed[k] and t_s - way.sights[0][0] >= STILL_S
        return swayed, still

    def _begin(self) -> _Way:
        self._ways.append(_Way())
        return self._ways[-1]

    def _nearest(self, x: float, y: float, *, reach: float, before_s: float) -> _Way | None:
        """The way whose newest sight is nearest, within ``reach`` px; not one that has got a sight of this very moment."""
        ways = [w for w in self._ways if w.sights and w.sights[-1][0] < before_s]
        away = [float(np.hypot(w.sights[-1][1] - x, w.sights[-1][2] - y)) for w in ways]
        best = min(range(len(ways)), key=away.__getitem__, default=None)
        return ways[best] if best is not None and away[best] < reach else None


def longer_side(boxes: F32) -> F64:
    """Of each box (N, 4): (N,), px."""
    sides = boxes[:, 2:].astype(np.float64) - boxes[:, :2]
    longer: F64 = sides.max(axis=1) if len(sides) else np.zeros(0)
    return longer
