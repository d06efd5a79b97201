"""The last seconds of each person, as one row of numbers for a classifier; and the mean of what it said of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edge.behaviour.motion import MAX_GAP_S
from edge.behaviour.rows import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.types import F32, F64

_FORGET_S = 3.0
_REACHES_BACK = 0.7  # share of the window that the oldest row must reach back
_COVERED = 0.5  # share of the window that frames must cover
_SETTLED = 0.5  # share of the mean's time that must have passed before it counts
_ENDS = 4  # rows at either end of a window that say where somebody was
_CLOSE = 0.7  # heights: two people this near can get at each other
STATISTICS = ("median", "q80", "spread")  # spread: standard deviation

_OVER: dict[str, Callable[[F32], F32]] = {
    "median": lambda rows: np.median(rows, axis=0),
    "q80": lambda rows: np.quantile(rows, 0.8, axis=0),
    "spread": lambda rows: rows.std(axis=0),
}


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """What is looked at, and of whom.

    :param seconds: length of the window.
    :param mean_s: the answer is the mean over this many seconds, so that one odd moment decides nothing.
    :param features: "STATISTIC:COLUMN" over the window, in the classifier's order.
    :param max_move: who moved farther than this, in own heights, from the window's start to its end comes or goes.
    :param max_edge: who touched the picture's left or right border for a larger share of the window is half out of it.
    :param min_close: share of the window that somebody else must have been near; 0: nobody need be.
    :param together: all people are one to look at (``edge.behaviour.rows.together``): in a struggle nobody is sure
        whose arm it is, and the tracker mixes them up.
    """

    seconds: float
    mean_s: float
    features: tuple[str, ...]
    max_move: float
    max_edge: float
    min_close: float
    together: bool = False

    def __post_init__(self) -> None:
        for name in self.features:
            statistic, _, column = name.partition(":")
            if statistic not in STATISTICS or column not in COLUMNS:
                raise ValueError(f"feature {name!r}: wanted STATISTIC:COLUMN of {STATISTICS} and {COLUMNS}")


@dataclass(slots=True)
class _Person:
    rows: deque[tuple[float, F32, F64, bool]] = field(default_factory=deque)  # time, row, box, at the border
    said: deque[tuple[float, float]] = field(default_factory=deque)  # time, probability


class Windows:
    """Windows of one behaviour and one camera. One thread.

    First :meth:`features`, then the classifier, then :meth:`mean` with its answers, once a frame.
    """

    def __init__(self, spec: WindowSpec) -> None:
        self.spec = spec
        self._columns = {
            statistic: [
                (i, COLUMNS.index(n.partition(":")[2])) for i, n in enumerate(spec.features) if n.startswith(statistic)
            ]
            for statistic in STATISTICS
        }
        self._people: dict[int, _Person] = {}

    def features(self, names: list[int], rows: F32, xyxy: F32, t_s: float, width: int) -> tuple[list[int], F32]:
        """Take one frame; returns which of ``names`` can be judged now, and a row of features for each.

        :param names: track ids (M); ``rows``: (M, columns); ``xyxy``: boxes (M, 4), frame pixels.
        :param width: of the frame, pixels.
        """
        ready: list[int] = []
        found: list[F32] = []
        for name, row, box in zip(names, rows, xyxy.astype(np.float64), strict=True):
            person = self._people.setdefault(name, _Person())
            border = bool(box[0] <= 0.01 * width or box[2] >= 0.99 * width)
            person.rows.append((t_s, row, box, border))
            while person.rows[0][0] <= t_s - self.spec.seconds:
                person.rows.popleft()
            if self._judged(person, t_s):
                ready.append(name)
                found.append(self._summary(person))
        for name in [n for n, p in self._people.items() if t_s - p.rows[-1][0] > _FORGET_S]:
            del self._people[name]
        return ready, np.stack(found) if found else np.zeros((0, len(self.spec.features)), np.float32)

    def mean(self, ready: list[int], probability: F32, names: list[int], t_s: float) -> F32:
        """What was said of each of ``names`` (M,), on average over the last ``mean_s``; 0 before that is known.

        :param ready: who was judged in this frame, with ``probability`` (R,); the others count as 0 in it.
        """
        said = dict(zip(ready, probability.tolist(), strict=True))
        out = np.zeros(len(names), np.float32)
        for k, name in enumerate(names):
            person = self._people[name]
            if name in said or person.said:
                person.said.append((t_s, said.get(name, 0.0)))
            while person.said and person.said[0][0] < t_s - self.spec.mean_s - 1e-6:
                person.said.popleft()
            if person.said and (self.spec.mean_s == 0 or t_s - person.said[0][0] >= _SETTLED * self.spec.mean_s - 1e-6):
                out[k] = np.mean([p for _, p in person.said])
        return out

    def _judged(self, person: _Person, t_s: float) -> bool:
        rows = person.rows
        if rows[0][0] > t_s - _REACHES_BACK * self.spec.seconds:
            return False
        times = np.array([t for t, _, _, _ in rows])
        gaps = np.diff(times)
        if float(gaps[gaps <= MAX_GAP_S].sum()) < _COVERED * self.spec.seconds:
            return False
        if np.mean([b for _, _, _, b in rows]) >= self.spec.max_edge:
            return False
        if self.spec.min_close > 0:
            gap = COLUMNS.index("gap")
            if np.mean([row[gap] < _CLOSE for _, row, _, _ in rows]) < self.spec.min_close:
                return False
        boxes = np.stack([b for _, _, b, _ in rows])
        height = float(np.median(boxes[:, 3] - boxes[:, 1]))
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        way = np.median(middle[-_ENDS:], axis=0) - np.median(middle[:_ENDS], axis=0)
        return bool(np.hypot(*way) < self.spec.max_move * max(height, 1.0))

    def _summary(self, person: _Person) -> F32:
        rows = np.stack([r for _, r, _, _ in person.rows])
        out = np.zeros(len(self.spec.features), np.float32)
        for statistic, pairs in self._columns.items():
            if pairs:
                to, of = zip(*pairs, strict=True)
                out[list(to)] = _OVER[statistic](rows[:, of])
        return out
