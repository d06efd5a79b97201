"""What moves in the picture, as the middle of the detector's own network sees it, and how that changes. No boxes, no tracks.

Where two people struggle, a detector loses them and a tracker mixes them up; what their limbs look like while they
move stays.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.behaviour.motion import MAX_GAP_S

if TYPE_CHECKING:
    from edge.types import F32, F64, Features

MIN_STEP_S = 0.15  # between two looks: faster cameras are looked at less often, so that a change means the same
_STIR = 1.5  # times the median change of the picture: less is noise
_REACHES_BACK = 0.7  # share of the window that the oldest glance must reach back
_COVERED = 0.5  # share of the window that glances must cover
_SETTLED = 0.5  # share of the mean's time that must have passed before it counts


@dataclass(frozen=True, slots=True)
class LookSpec:
    """What is looked at.

    :param seconds: length of the window.
    :param mean_s: the answer is the mean over this many seconds, so that one odd moment decides nothing.
    :param model: the detector whose map was learnt from, for people.
    :param map_name: that map's name; of another one nothing is said.
    :param channels: of its map. A window has four numbers for each: mean and spread, over the window, of
        what the moving parts look like, and of how they change.
    """

    seconds: float
    mean_s: float
    model: str
    map_name: str
    channels: int

    @property
    def width(self) -> int:
        """How many numbers a window is."""
        return 4 * self.channels


@dataclass(frozen=True, slots=True)
class Glance:
    """One frame against the one before.

    ``looks``: float32 (2 C,), the network's map where the picture moves, and how much it changes there;
    ``stir``: float32 (h, w), how much what changes, 0 and up; ``across``: the map's cells per frame pixel (x, y);
    ``origin``: where the frame's corner lies in the map, cells (x, y).
    """

    looks: F32
    stir: F32
    across: F64
    origin: F64

    def stirred(self, xyxy: F32) -> F32:
        """How much moves in boxes (M, 4), frame pixels: (M,), the mean of ``stir``."""
        h, w = self.stir.shape
        low = np.floor(xyxy[:, :2] * self.across + self.origin).astype(np.int64).clip(0, (w - 1, h - 1))
        high = np.maximum(np.ceil(xyxy[:, 2:] * self.across + self.origin).astype(np.int64), low + 1)
        return np.array(
            [self.stir[y1:y2, x1:x2].mean() for (x1, y1), (x2, y2) in zip(low, high, strict=True)], np.float32
        )


class Looks:
    """Looks from frame to frame of one camera. One thread at a time."""

    def __init__(self) -> None:
        self._last: tuple[Features, float] | None = None

    def forget(self) -> None:
        """Nobody has been there for a while: the next picture starts anew."""
        self._last = None

    def update(self, features: Features, t_s: float) -> Glance | None:
        """What changed since the last picture; None where there is none, it is too long ago, or hardly past.

        :param features: of the whole picture.
        :param t_s: its capture time, seconds.
        """
        if self._last is not None and 0 <= t_s - self._last[1] < MIN_STEP_S:
            return None
        last, self._last = self._last, (features, t_s)
        if last is None or not 0 < t_s - last[1] <= MAX_GAP_S:
            return None
        before, (x1, y1, x2, y2) = last[0], features.inside
        if before.map_name != features.map_name or before.inside != features.inside or x2 <= x1 or y2 <= y1:
            return None
        seen = features.values[:, y1:y2, x1:x2]
        count = len(seen)
        change = np.abs(seen - before.values[:, y1:y2, x1:x2]).reshape(count, -1)
        size = np.sqrt(np.mean(change * change, axis=0))
        # A camera's noise and its exposure change all of the picture.
        weight = np.maximum(size - _STIR * np.median(size), 0.0)
        total = float(weight.sum())
        share = weight / np.float32(total) if total > 1e-6 else np.zeros_like(weight)
        looks = np.concatenate([seen.reshape(count, -1) @ share, change @ share]).astype(np.float32)
        stir = np.zeros(features.values.shape[1:], np.float32)
        stir[y1:y2, x1:x2] = weight.reshape(y2 - y1, x2 - x1)
        return Glance(looks, stir, np.array(features.across), np.array(features.origin))


class LookWindow:
    """The last seconds as one row for a classifier, and the mean of what it said. One camera, one behaviour.

    First :meth:`features`, then the classifier, then :meth:`mean` with its answer, once a glance.
    """

    def __init__(self, spec: LookSpec) -> None:
        self.spec = spec
        self._rows: deque[tuple[float, F32]] = deque()
        self._said: deque[tuple[float, float]] = deque()

    def features(self, looks: F32, t_s: float) -> F32:
        """Take one glance's ``looks``; (1, width) features, or (0, width) while the window is not full."""
        rows = self._rows
        rows.append((t_s, looks))
        while rows[0][0] <= t_s - self.spec.seconds:
            rows.popleft()
        gaps = np.diff([t for t, _ in rows])
        covered = float(gaps[gaps <= MAX_GAP_S].sum())
        if rows[0][0] > t_s - _REACHES_BACK * self.spec.seconds or covered < _COVERED * self.spec.seconds:
            return np.zeros((0, self.spec.width), np.float32)
        every = np.stack([row for _, row in rows])
        return np.concatenate([every.mean(axis=0), every.std(axis=0)])[None].astype(np.float32)

    def mean(self, probability: F32, t_s: float) -> float:
        """What was said, on average over the last ``mean_s``; 0 before that is known.

        :param probability: (1,), or (0,) where there was no row: the last answers stand as long as they are young.
        """
        said = self._said
        said.extend((t_s, float(p)) for p in probability)
        while said and said[0][0] < t_s - self.spec.mean_s - 1e-6:
            said.popleft()
        if not said or said[-1][0] - said[0][0] < _SETTLED * self.spec.mean_s - 1e-6:
            return 0.0
        return float(np.mean([p for _, p in said]))
