"""What somebody wears, as colours of the upper and the lower body: a guess that it is the same person who comes again.

Good for minutes to an hour, in one light, for people who are dressed differently from each other. No face is looked at, and
nothing of it leaves the memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from edge.types import F32, U8

_PARTS = ((0.16, 0.48), (0.55, 0.85))  # chest, and thighs to knees: shares of the height
_SIDES = 0.28  # left out on either side: arms and background
_BINS = (6, 12, 12)  # lightness, green to red, blue to yellow
_RANGES = (0.0, 256.0, 64.0, 192.0, 64.0, 192.0)  # clothes are hardly ever more colourful
_LEAST_PX = (6, 4)  # rows and columns of a part that tell anything
_GREY = 3.0  # mean difference of red and blue, grey levels, of a picture under infrared light
ENOUGH = 3  # looks at a person, before they are compared


class Look:
    """The mean of several looks at one person."""

    def __init__(self) -> None:
        self.count = 0
        self._sum = np.zeros(2 * int(np.prod(_BINS)), np.float32)

    def add(self, colours: F32) -> None:
        """One more look, from :func:`colours_of`."""
        self._sum += colours
        self.count += 1

    def likeness(self, other: Look) -> float:
        """0 (nothing in common) to 1 (the same); 0 as long as either was not looked at often enough."""
        if min(self.count, other.count) < ENOUGH:
            return 0.0
        return float(np.sqrt(self._sum / self.count * (other._sum / other.count)).sum())


def colours_of(image: U8, box: F32) -> F32 | None:
    """Shares of the colours of a person at ``box`` (4,) px in a BGR picture, float32, together 1.

    None: too small to tell.
    """
    x1, y1, x2, y2 = (float(v) for v in box)
    height, width = image.shape[:2]
    x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    left, right = int(x1 + _SIDES * (x2 - x1)), int(x2 - _SIDES * (x2 - x1))
    found = []
    for above, below in _PARTS:
        part = image[int(y1 + above * (y2 - y1)) : int(y1 + below * (y2 - y1)), left:right]
        if part.shape[0] < _LEAST_PX[0] or part.shape[1] < _LEAST_PX[1]:
            return None
        lab = cv2.cvtColor(part, cv2.COLOR_BGR2LAB)
        counts = cv2.calcHist([lab], [0, 1, 2], None, list(_BINS), list(_RANGES)).ravel()
        # What is more colourful than the ranges counts nowhere; little enough.
        found.append(counts / max(float(counts.sum()), 1.0) / len(_PARTS))
    together: F32 = np.concatenate(found).astype(np.float32)
    return together


def is_grey(image: U8) -> bool:
    """Whether a picture has no colour: infrared light. Then nobody can be told by colours."""
    small = cv2.resize(image, (32, 18), interpolation=cv2.INTER_AREA)
    return bool(cv2.mean(cv2.absdiff(small[..., 2], small[..., 0]))[0] < _GREY)
