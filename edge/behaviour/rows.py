"""One person in one frame as a row of numbers. Lengths are in the person's own box heights, so that neither distance nor resolution matters."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.behaviour.motion import MotionField
    from edge.types import C64, F32, F64

COLUMNS = (
    "speed",  # mean flow in the box, heights a second
    "peak",  # its 90th percentile
    "inner",  # how much the flow in the box differs from the box's own movement: limbs
    "change",  # mean change of the picture in the box
    "jerk",  # how much the flow in the box differs from the last frame's
    "around",  # mean flow in a ring around the box: things that are moved, arms that the box cut off
    "around_change",  # mean change in that ring
    "upper",  # share of the movement in the upper half of the box, 0..1
    "move",  # speed of the box's feet and centre, heights a second
    "reshape",  # how fast the box's shape changes, logarithm of width and height, per second
    "wide",  # width over height
    "stature",  # height over the person's own upright height
    "gap",  # to the nearest other person, heights, 0: overlapping, at most 3
    "overlap",  # share of the smaller box that the nearest other person covers, 0..1
    "other_inner",  # the nearest other person's "inner", 0 if farther than a height
    "other_move",  # and "move"
    "people",  # how many others are within a height
    "size",  # height over the picture's height
    "stirred",  # share of the whole picture that moves
)
_INDEX = {name: i for i, name in enumerate(COLUMNS)}
_OTHERS = frozenset({"gap", "overlap", "other_inner", "other_move", "people"})
_FAR = 3.0
_NEAR = 1.0
_REMEMBER_S = 20.0
_FORGET_S = 4.0


@dataclass(slots=True)
class _Before:
    """What is remembered of a person."""

    t_s: float
    box: F64
    flow: F32 | None = None
    tall: deque[tuple[float, float]] = field(default_factory=deque)  # time, height


class Rows:
    """Turns people and movement into rows, frame by frame. One camera, one thread.

    :param columns: the columns that are needed; what only the others need is not computed, and they may stay 0.
    """

    def __init__(self, columns: Collection[str] = COLUMNS) -> None:
        self._wanted = frozenset(columns)
        self._company = bool(self._wanted & _OTHERS)
        if self._company:  # who is near is told with how they move
            self._wanted |= {"inner", "move"}
        self._before: dict[int, _Before] = {}

    def update(self, names: list[int], xyxy: F32, motion: MotionField | None, t_s: float, size: tuple[int, int]) -> F32:
        """Rows (M, len(COLUMNS)) of people, float32.

        :param names: track ids (M).
        :param xyxy: their boxes (M, 4), frame pixels.
        :param motion: what moved; None: not known, all movement is 0.
        :param size: (width, height) of the frame, pixels.
        """
        rows = np.zeros((len(names), len(COLUMNS)), np.float32)
        boxes = xyxy.astype(np.float64)
        for k, (name, box) in enumerate(zip(names, boxes, strict=True)):
            known = self._before.get(name)
            before = self._before[name] = known or _Before(t_s, box)
            for column, value in self._own(before, box, motion, t_s, size).items():
                rows[k, _INDEX[column]] = value if motion is None else min(value, 10.0)
            before.t_s, before.box = t_s, box
        if self._company:
            self._others(rows, boxes, np.maximum(boxes[:, 3] - boxes[:, 1], 4.0))
        for name in [n for n, b in self._before.items() if t_s - b.t_s > _FORGET_S]:
            del self._before[name]
        return rows

    def _own(
        self, before: _Before, box: F64, motion: MotionField | None, t_s: float, size: tuple[int, int]
    ) -> dict[str, float]:
        wanted = self._wanted
        x1, y1, x2, y2 = box.tolist()
        width, height = max(x2 - x1, 2.0), max(y2 - y1, 4.0)
        row = self._shape(before, (width, height), t_s, size)
        dt = t_s - before.t_s
        if dt > 0:
            old = before.box.tolist()
            if "move" in wanted:
                steps = [
                    float(np.hypot((x1 + x2 - old[0] - old[2]) / 2, now - then))
                    for now, then in ((y1, old[1]), (y2, old[3]))
                ]  # the head's and the feet's: a box that only grows at one end is no walk
                row["move"] = min(min(steps) / height / dt, 5.0)
            if "reshape" in wanted:
                shape = np.log([width / max(old[2] - old[0], 2.0), height / max(old[3] - old[1], 4.0)])
                row["reshape"] = min(float(np.abs(shape).sum()) / dt, 5.0)
        if motion is None:
            before.flow = None
            return row
        row |= self._moving(before, box, motion, height)
        before.flow = motion.flow
        return row

    def _shape(self, before: _Before, own: tuple[float, float], t_s: float, size: tuple[int, int]) -> dict[str, float]:
        """What the box alone says. ``own``: its width and height, px; ``size``: the frame's."""
        width, height = own
        row = {"wide": min(width / height, 3.0), "size": height / max(size[1], 1)}
        if "stature" in self._wanted:
            before.tall.append((t_s, height))
            while before.tall[0][0] < t_s - _REMEMBER_S:
                before.tall.popleft()
            row["stature"] = height / float(np.quantile([h for _, h in before.tall], 0.9))
        return row

    def _moving(self, before: _Before, box: F64, motion: MotionField, height: float) -> dict[str, float]:
        """What the movement in and around the box says, as far as it is wanted."""
        wanted, row = self._wanted, {}
        h, w = motion.flow.shape[:2]
        x1, y1, x2, y2 = _pixels(box, motion.scale, w, h)
        unit = height * motion.scale  # of the small picture, px
        flow = motion.flow[y1:y2, x1:x2]
        if "jerk" in wanted and before.flow is not None and before.flow.shape == motion.flow.shape:
            jerk = _vectors(motion.flow)[y1:y2, x1:x2] - _vectors(before.flow)[y1:y2, x1:x2]
            row["jerk"] = float(np.hypot(jerk.real, jerk.imag).mean()) / unit
        if "inner" in wanted:
            own = np.median(flow.reshape(-1, 2), axis=0)
            row["inner"] = float(np.hypot(flow[..., 0] - own[0], flow[..., 1] - own[1]).mean()) / unit
        if "stirred" in wanted:
            row["stirred"] = motion.stirred
        if not wanted & {"speed", "peak", "change", "upper", "around", "around_change"}:
            return row
        speed, change = _length(flow) / np.float64(unit), motion.change[y1:y2, x1:x2]
        row |= {"speed": float(speed.mean()), "peak": float(np.quantile(speed, 0.9)), "change": float(change.mean())}
        total = float(change.sum())
        row["upper"] = float(change[: max(1, (y2 - y1) // 2)].sum()) / total if total > 0 else 0.5
        pad = 0.25 * height
        a1, b1, a2, b2 = _pixels(box + np.array([-pad, -pad, pad, pad]), motion.scale, w, h)
        ring = (a2 - a1) * (b2 - b1) - (x2 - x1) * (y2 - y1)
        if ring > 0:
            fast = float(_length(motion.flow[b1:b2, a1:a2]).sum()) / unit
            row["around"] = max(fast - float(speed.sum()), 0.0) / ring
            row["around_change"] = max(float(motion.change[b1:b2, a1:a2].sum()) - total, 0.0) / ring
        return row

    @staticmethod
    def _others(rows: F32, boxes: F64, tall: F64) -> None:
        rows[:, _INDEX["gap"]] = _FAR
        if len(boxes) < 2:
            return
        apart = np.maximum(boxes[:, None, :2], boxes[None, :, :2]) - np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
        gap = np.hypot(*np.moveaxis(np.maximum(apart, 0.0), 2, 0)) / np.minimum(tall[:, None], tall[None, :])
        shared = np.prod(np.maximum(-apart, 0.0), axis=2)
        area = np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0), axis=1)
        overlap = shared / np.minimum(area[:, None], area[None, :])
        # The nearest: first by overlap, then by distance.
        rank = gap - overlap
        np.fill_diagonal(rank, np.inf)
        nearest = rank.argmin(axis=1)
        every = np.arange(len(boxes))
        rows[:, _INDEX["gap"]] = np.minimum(gap[every, nearest], _FAR)
        rows[:, _INDEX["overlap"]] = overlap[every, nearest]
        near = gap[every, nearest] < _NEAR
        rows[:, _INDEX["other_inner"]] = np.where(near, rows[nearest, _INDEX["inner"]], 0.0)
        rows[:, _INDEX["other_move"]] = np.where(near, rows[nearest, _INDEX["move"]], 0.0)
        np.fill_diagonal(gap, np.inf)
        rows[:, _INDEX["people"]] = np.minimum((gap < _NEAR).sum(axis=1), 5)


def _vectors(flow: F32) -> C64:
    """(h, w, 2) as complex numbers (h, w), the same memory: NumPy is several times slower over pairs."""
    return flow.view(np.complex64)[..., 0]


def _length(flow: F32) -> F32:
    """(..., 2) to (...)."""
    long: F32 = np.hypot(flow[..., 0], flow[..., 1])
    return long


def _pixels(box: F64, scale: float, width: int, height: int) -> tuple[int, int, int, int]:
    """A box in the small picture, at least 2 by 2 pixels."""
    left, top, right, bottom = (box * scale).tolist()
    x1 = int(min(max(left, 0), width - 2))
    y1 = int(min(max(top, 0), height - 2))
    x2 = int(min(max(math.ceil(right), x1 + 2), width))
    y2 = int(min(max(math.ceil(bottom), y1 + 2), height))
    return x1, y1, x2, y2
