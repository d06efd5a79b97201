"""How long something took, counted into a few ranges: cheap enough for every frame."""

from __future__ import annotations

from bisect import bisect_left

# Seconds. A box that judges five frames a second has 0.2 for each; below 0.01 and above 5 nobody acts differently.
BOUNDS_S = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)


class Durations:
    """Written by one thread, read by any; a reader may miss the newest value, never more."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum_s = 0.0

    def add(self, seconds: float) -> None:
        self._counts[bisect_left(BOUNDS_S, seconds)] += 1
        self._sum_s += seconds

    @property
    def sum_s(self) -> float:
        return self._sum_s

    def cumulated(self) -> list[tuple[float, int]]:
        """(upper bound in seconds, how many took at most that long), the last bound infinite."""
        total, found = 0, []
        for bound, count in zip((*BOUNDS_S, float("inf")), tuple(self._counts), strict=True):
            total += count
            found.append((bound, total))
        return found
