"""Where people leave the picture: doors, drawn or learned, and its left and right borders."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from edge.zones import contains

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.types import F32, F64, Bool

_NEAR_DOOR = 0.4  # body heights: somebody seen through the door stands behind it, not in it
_NEAR_PLACE = 0.5  # body heights on the floor: the same for where somebody appeared
_PLACES = 16
_BORDER_PX = 3.0


class Exits:
    """Says of somebody who is out of sight whether they may simply have left.

    Where no door is drawn, a place where somebody appeared out of nothing is taken for one.

    :param doors: polygons (K, 2), x y normalised 0..1: in them and, outside ``rooms``, near them people leave.
    :param rooms: polygons of the same kind: in them, away from the doors and the borders, people stay.
    """

    def __init__(self, *, doors: Sequence[F32] = (), rooms: Sequence[F32] = ()) -> None:
        self.redraw(doors=doors, rooms=rooms)
        self._appeared: deque[tuple[float, float, float]] = deque(maxlen=_PLACES)  # feet x, y and height, px

    def redraw(self, *, doors: Sequence[F32], rooms: Sequence[F32]) -> None:
        """Other doors and rooms from now on; any thread."""
        self._doors = [_closed(d) for d in doors]
        self._rooms = [_closed(r) for r in rooms]

    def appeared(self, xyxy: F32) -> None:
        """Somebody was first seen as this box (4,), and nobody was missed near there."""
        if not self._doors:
            x1, y1, x2, y2 = (float(v) for v in xyxy)
            self._appeared.append(((x1 + x2) / 2, y2, y2 - y1))

    def at_exit(self, xyxy: F32, size: tuple[int, int]) -> Bool:
        """Which boxes (M, 4), as last seen, are at an exit: bool (M,). ``size``: (width, height) of the frame, px."""
        box = xyxy.astype(np.float64)
        found: Bool = (box[:, 0] <= _BORDER_PX) | (box[:, 2] >= size[0] - _BORDER_PX)
        if not len(box):
            return found
        for x, y, h in self._appeared:
            found |= np.hypot((box[:, 0] + box[:, 2]) / 2 - x, 2 * (box[:, 3] - y)) <= _NEAR_PLACE * h
        feet = np.stack([(box[:, 0] + box[:, 2]) / 2, box[:, 3]], axis=1) / size
        height = np.maximum(box[:, 3] - box[:, 1], 1.0)
        in_room = np.zeros(len(box), np.bool_)
        for start, end in self._rooms:
            in_room |= contains(start, end, feet)[0]
        for start, end in self._doors:
            near = _distance_px(feet, start[0], end[0], size) <= _NEAR_DOOR * height
            found |= contains(start, end, feet)[0] | (near & ~in_room)
        return found


def _closed(polygon: F32) -> tuple[F64, F64]:
    start = polygon.astype(np.float64)[None]
    return start, np.roll(start, -1, axis=1)


def _distance_px(points: F64, start: F64, end: F64, size: tuple[int, int]) -> F64:
    """From points (M, 2) to the nearest edge of a polygon (K, 2), (K, 2); all normalised, the result in pixels (M,)."""
    a, along = start * size, (end - start) * size
    part = np.clip(((points[:, None] * size - a) * along).sum(axis=2) / np.maximum((along**2).sum(axis=1), 1e-9), 0, 1)
    nearest = a + part[..., None] * along
    away: F64 = np.hypot(*np.moveaxis(points[:, None] * size - nearest, 2, 0)).min(axis=1)
    return away
