"""One person in one frame as a row of numbers. Lengths are in the person's own box heights, so that neither distance nor resolution matters."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge.behaviour.motion import MotionField
    from edge.types import F32, F64

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
    """Turns people and movement into rows, frame by frame. One camera, one thread."""

    def __init__(self) -> None:
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
        tall = np.maximum(boxes[:, 3] - boxes[:, 1], 4.0)
        for k, name in enumerate(names):
            known = self._before.get(name)
            before = self._before[name] = known or _Before(t_s, boxes[k])
            rows[k] = self._own(before, boxes[k], motion, t_s, size)
            before.t_s, before.box = t_s, boxes[k]
        self._others(rows, boxes, tall)
        for name in [n for n, b in self._before.items() if t_s - b.t_s > _FORGET_S]:
            del self._before[name]
        return rows

    @staticmethod
    def _own(before: _Before, box: F64, motion: MotionField | None, t_s: float, size: tuple[int, int]) -> F64:
        row = np.zeros(len(COLUMNS))
        width, height = max(box[2] - box[0], 2.0), max(box[3] - box[1], 4.0)
        row[_INDEX["wide"]] = min(width / height, 3.0)
        row[_INDEX["size"]] = height / max(size[1], 1)
        before.tall.append((t_s, height))
        while before.tall[0][0] < t_s - _REMEMBER_S:
            before.tall.popleft()
        upright = float(np.quantile([h for _, h in before.tall], 0.9))
        row[_INDEX["stature"]] = height / upright
        dt = t_s - before.t_s
        if dt > 0:
            old = before.box
            steps = [
                np.hypot((box[0] + box[2] - old[0] - old[2]) / 2, box[i] - old[i]) for i in (1, 3)
            ]  # the head's and the feet's: a box that only grows at one end is no walk
            row[_INDEX["move"]] = min(min(steps) / height / dt, 5.0)
            shape = np.log([width / max(old[2] - old[0], 2.0), height / max(old[3] - old[1], 4.0)])
            row[_INDEX["reshape"]] = min(float(np.abs(shape).sum()) / dt, 5.0)
        if motion is None:
            before.flow = None
            return row
        row[_INDEX["stirred"]] = motion.stirred
        h, w = motion.change.shape
        x1, y1, x2, y2 = _pixels(box, motion.scale, w, h)
        unit = height * motion.scale  # of the small picture, px
        flow = motion.flow[y1:y2, x1:x2]
        speed = np.hypot(flow[..., 0], flow[..., 1]) / unit
        change = motion.change[y1:y2, x1:x2]
        own = np.median(flow.reshape(-1, 2), axis=0)
        row[_INDEX["speed"]] = speed.mean()
        row[_INDEX["peak"]] = np.quantile(speed, 0.9)
        row[_INDEX["inner"]] = np.hypot(flow[..., 0] - own[0], flow[..., 1] - own[1]).mean() / unit
        row[_INDEX["change"]] = change.mean()
        total = float(change.sum())
        row[_INDEX["upper"]] = float(change[: max(1, (y2 - y1) // 2)].sum()) / total if total > 0 else 0.5
        if before.flow is not None and before.flow.shape == motion.flow.shape:
            jump = flow - before.flow[y1:y2, x1:x2]
            row[_INDEX["jerk"]] = np.hypot(jump[..., 0], jump[..., 1]).mean() / unit
        before.flow = motion.flow
        pad = 0.25 * height
        a1, b1, a2, b2 = _pixels(box + np.array([-pad, -pad, pad, pad]), motion.scale, w, h)
        ring = (a2 - a1) * (b2 - b1) - (x2 - x1) * (y2 - y1)
        if ring > 0:
            wide = motion.flow[b1:b2, a1:a2]
            fast = float((np.hypot(wide[..., 0], wide[..., 1])).sum()) / unit
            row[_INDEX["around"]] = max(fast - float(speed.sum()), 0.0) / ring
            row[_INDEX["around_change"]] = max(float(motion.change[b1:b2, a1:a2].sum()) - total, 0.0) / ring
        return np.minimum(row, 10.0)

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


def together(rows: F32, xyxy: F32) -> tuple[list[int], F32, F32]:
    """Everybody as one: the name 0, the highest of every column (the least gap) (1, columns), the box around all (1, 4).

    Nobody stays nobody.
    """
    if not len(rows):
        return [], rows, xyxy
    one = rows.max(axis=0, keepdims=True)
    one[0, _INDEX["gap"]] = rows[:, _INDEX["gap"]].min()
    box = np.concatenate([xyxy[:, :2].min(axis=0), xyxy[:, 2:].max(axis=0)])[None]
    return [0], one, box


def _pixels(box: F64, scale: float, width: int, height: int) -> tuple[int, int, int, int]:
    """A box in the small picture, at least 2 by 2 pixels."""
    x1 = int(np.clip(box[0] * scale, 0, width - 2))
    y1 = int(np.clip(box[1] * scale, 0, height - 2))
    x2 = int(np.clip(np.ceil(box[2] * scale), x1 + 2, width))
    y2 = int(np.clip(np.ceil(box[3] * scale), y1 + 2, height))
    return x1, y1, x2, y2
