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

_REACH = 0.5  # of its longer side: farther from one sight to the next it is another place
_JUMP = 6.0  # longer sides: farther away it is another thing
_JUMP_S = 1.0
_MOST = (10, 90)  # percentiles: one box that is off is no movement


@dataclass(slots=True)
class _Way:
    sights: deque[tuple[float, float, float, float, float]] = field(default_factory=deque)  # when, and its box (px)

    def spread(self) -> tuple[float, float]:
        """How far it has moved, and the longest side it had, px.

        As far as opposite sides move together: a box that grows or shrinks stands still, whether at one side or at both, and so
        does one whose sides tremble each for itself, as a detector's do about what it is not sure of.
        """
        boxes = np.array(self.sights)[:, 1:]
        centre, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
        low, high = np.percentile(np.hstack([centre, size]), _MOST, axis=0)
        spread = high - low
        together = np.maximum(spread[:2] - spread[2:] / 2, 0.0)
        return float(np.hypot(*together)), float(size.max())


class Sway:
    """Follows where things of one kind were seen within the last ``window_s`` seconds.

    By place, whatever a tracker calls them: a slot in a machine that a detector takes for a pistol now and then is lost
    by the tracker in between, and is in the same place each time. A place that is new while another one near it is
    seen no more is a thing that has moved there; one that was seen before is not.
    """

    def __init__(self, *, window_s: float) -> None:
        self._window_s = window_s
        self._ways: list[_Way] = []

    def wait(self, t_s: float) -> None:
        """Nothing is seen at ``t_s``."""
        self._ways = [w for w in self._ways if w.sights[-1][0] > t_s - self._window_s]

    def update(self, boxes: F32, t_s: float) -> Bool:
        """Take the boxes (N, 4) px seen at ``t_s``; returns which have moved (N,)."""
        self.wait(t_s)
        moved = np.zeros(len(boxes), np.bool_)
        fresh = []
        for k, box in enumerate(boxes.astype(np.float64).tolist()):
            way = self._nearest(box, before_s=t_s)
            if way is None:
                fresh.append((k, box))
                continue
            way.sights.append((t_s, *box))
            while way.sights[0][0] <= t_s - self._window_s:
                way.sights.popleft()
            spread, longest = way.spread()
            moved[k] = spread >= MOVED * longest
        for k, box in fresh:
            left = self._nearest(box, before_s=t_s, jumps=True)
            moved[k] = left is not None and left.sights[-1][0] >= t_s - _JUMP_S
        self._ways += [_Way(deque([(t_s, *box)])) for _, box in fresh]
        return moved

    def _nearest(self, box: list[float], *, before_s: float, jumps: bool = False) -> _Way | None:
        """The way whose newest sight is nearest, within reach; not one that has got a sight of this very moment.

        :param jumps: reach as of a thing that moves fast, by the smaller of the two: what is much larger is another thing.
        """
        ways = [w for w in self._ways if w.sights[-1][0] < before_s]
        if not ways:
            return None
        newest = np.array([w.sights[-1][1:] for w in ways])
        off = (newest[:, :2] + newest[:, 2:] - np.array(box[:2]) - np.array(box[2:])) / 2
        away = np.hypot(off[:, 0], off[:, 1])
        size = max(box[2] - box[0], box[3] - box[1])
        reach = _JUMP * np.minimum(longer_side(newest), size) if jumps else np.full(len(ways), _REACH * size)
        near = away < reach
        return ways[int(np.argmin(np.where(near, away, np.inf)))] if near.any() else None


def longer_side(boxes: F32 | F64) -> F64:
    """Of each box (N, 4): (N,), px."""
    sides = boxes[:, 2:].astype(np.float64) - boxes[:, :2]
    longer: F64 = sides.max(axis=1) if len(sides) else np.zeros(0)
    return longer
