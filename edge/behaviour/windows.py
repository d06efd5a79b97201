"""The last seconds of each person, as one row of numbers for a classifier; and the mean of what it said of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.behaviour.motion import MAX_GAP_S
from edge.behaviour.rows import COLUMNS

if TYPE_CHECKING:
    from edge.types import F32, F64, Bool

_FORGET_S = 3.0
_REACHES_BACK = 0.7  # share of the window that the oldest row must reach back
_COVERED = 0.5  # share of the window that frames must cover
_SETTLED = 0.5  # share of the mean's time that must have passed before it counts
_ENDS = 4  # rows at either end of a window that say where somebody was
_CLOSE = 0.7  # heights: two people this near can get at each other
STATISTICS = ("median", "q80", "spread")  # spread: standard deviation

_ROOM = 32  # frames that a new window has room for; it grows as it must


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """What is looked at, and of whom.

    :param seconds: length of the window.
    :param mean_s: the answer is the mean over this many seconds, so that one odd moment decides nothing.
    :param features: "STATISTIC:COLUMN" over the window, in the classifier's order.
    :param max_move: who moved farther than this, in own heights, from the window's start to its end comes or goes.
    :param max_edge: who touched the picture's left or right border for a larger share of the window is half out of it.
    :param min_close: share of the window that somebody else must have been near; 0: nobody need be.
    """

    seconds: float
    mean_s: float
    features: tuple[str, ...]
    max_move: float
    max_edge: float
    min_close: float

    @property
    def width(self) -> int:
        """How many numbers a window is."""
        return len(self.features)

    def __post_init__(self) -> None:
        for name in self.features:
            statistic, _, column = name.partition(":")
            if statistic not in STATISTICS or column not in COLUMNS:
                raise ValueError(f"feature {name!r}: wanted STATISTIC:COLUMN of {STATISTICS} and {COLUMNS}")


class _Person:
    """What is kept of one person: the frames of the window, oldest first, and what was said of them."""

    def __init__(self) -> None:
        self.said: deque[tuple[float, float]] = deque()  # time, probability
        self._first = self._end = 0
        self._t_s: F64 = np.zeros(_ROOM)
        self._rows: F32 = np.zeros((_ROOM, len(COLUMNS)), np.float32)
        self._box: F64 = np.zeros((_ROOM, 4))
        self._border: Bool = np.zeros(_ROOM, np.bool_)
        self.last_s = 0.0

    def add(self, t_s: float, row: F32, box: F64, *, border: bool, oldest_s: float) -> None:
        """One more frame; those not newer than ``oldest_s`` are forgotten."""
        if self._end == len(self._t_s):
            self._make_room()
        at = self._end
        self._t_s[at], self._rows[at], self._box[at], self._border[at] = t_s, row, box, border
        self.last_s, self._end = t_s, at + 1
        while self._t_s[self._first] <= oldest_s:
            self._first += 1

    @property
    def t_s(self) -> F64:
        """Capture times (n,)."""
        return self._t_s[self._first : self._end]

    @property
    def rows(self) -> F32:
        """(n, columns)."""
        return self._rows[self._first : self._end]

    @property
    def box(self) -> F64:
        """(n, 4), frame pixels."""
        return self._box[self._first : self._end]

    @property
    def border(self) -> Bool:
        """(n,): touched the picture's left or right border."""
        return self._border[self._first : self._end]

    def _make_room(self) -> None:
        kept = self._end - self._first
        room = max(_ROOM, 2 * kept)
        for name in ("_t_s", "_rows", "_box", "_border"):
            old = getattr(self, name)
            new = np.zeros((room, *old.shape[1:]), old.dtype)
            new[:kept] = old[self._first : self._end]
            setattr(self, name, new)
        self._first, self._end = 0, kept


class Windows:
    """Windows of one behaviour and one camera. One thread.

    First :meth:`features`, then the classifier, then :meth:`mean` with its answers, once a frame.
    """

    def __init__(self, spec: WindowSpec) -> None:
        self.spec = spec
        self._columns: dict[str, tuple[list[int], list[int]]] = {}  # statistic -> places in the answer, columns
        for place, feature in enumerate(spec.features):
            statistic, _, column = feature.partition(":")
            to, of = self._columns.setdefault(statistic, ([], []))
            to.append(place)
            of.append(COLUMNS.index(column))
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
            person.add(t_s, row, box, border=border, oldest_s=t_s - self.spec.seconds)
            if self._judged(person, t_s):
                ready.append(name)
                found.append(self._summary(person))
        for name in [n for n, p in self._people.items() if t_s - p.last_s > _FORGET_S]:
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
        times = person.t_s
        if times[0] > t_s - _REACHES_BACK * self.spec.seconds:
            return False
        gaps = times[1:] - times[:-1]
        if float(gaps[gaps <= MAX_GAP_S].sum()) < _COVERED * self.spec.seconds:
            return False
        if np.count_nonzero(person.border) / len(times) >= self.spec.max_edge:
            return False
        if self.spec.min_close > 0:
            close = person.rows[:, COLUMNS.index("gap")] < _CLOSE
            if np.count_nonzero(close) / len(times) < self.spec.min_close:
                return False
        boxes = person.box
        height = float(_median(boxes[:, 3] - boxes[:, 1]))
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        way = _median(middle[-_ENDS:]) - _median(middle[:_ENDS])
        return bool(np.hypot(*way) < self.spec.max_move * max(height, 1.0))

    def _summary(self, person: _Person) -> F32:
        rows = person.rows
        out = np.zeros(len(self.spec.features), np.float32)
        for statistic, (to, of) in self._columns.items():
            out[to] = _over(statistic, rows[:, of])
        return out


def _over(statistic: str, rows: F32) -> F32:
    """(n, k) to (k,)."""
    if statistic == "spread":
        spread: F32 = rows.std(axis=0)
        return spread
    return _median(rows) if statistic == "median" else _upper(rows)


def _median(values: Any) -> Any:
    """Along the first axis, as NumPy's, which takes ten times as long for so few values."""
    ordered, half = np.sort(values, axis=0), len(values) // 2
    return ordered[half] if len(values) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _upper(rows: F32) -> F32:
    """The 80 % quantile along the first axis, between two values by distance, as NumPy's."""
    place = (len(rows) - 1) * 0.8
    low = int(place)
    share = place - low
    ordered = np.sort(rows, axis=0)
    below, above = ordered[low], ordered[min(low + 1, len(rows) - 1)]
    between: F32 = above - (above - below) * (1 - share) if share >= 0.5 else below + (above - below) * share
    return between
