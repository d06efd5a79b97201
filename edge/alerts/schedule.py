"""When to try again: the delays, and a moment that survives a reboot and a wall clock that jumps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random


@dataclass(frozen=True, slots=True)
class Backoff:
    """Delays between attempts, in seconds.

    ``first_min_s``..``first_max_s``: the first one, drawn evenly; then doubling up to ``longest_s``; each but the first
    is spread by plus or minus ``jitter`` (a share), so that a city of kiosks does not call at the same second.
    ``refused_s``: after a permanent refusal.
    """

    first_min_s: float = 5.0
    first_max_s: float = 15.0
    longest_s: float = 300.0
    jitter: float = 0.2
    refused_s: float = 3600.0

    def next_s(self, last_s: float, rng: random.Random) -> float:
        """The delay after one of ``last_s`` (0: there was none yet)."""
        if last_s <= 0:
            return rng.uniform(self.first_min_s, self.first_max_s)
        doubled = 2 * last_s * rng.uniform(1 - self.jitter, 1 + self.jitter)
        return min(max(doubled, self.first_min_s), self.longest_s)

    def refused(self, rng: random.Random) -> float:
        """The delay after a permanent refusal."""
        return self.refused_s * rng.uniform(1 - self.jitter, 1 + self.jitter)


def remaining_s(*, next_utc: datetime, delay_s: float, now_utc: datetime) -> float:
    """What is left of a delay after a reboot, when only the wall clock is there to tell.

    Never more than the delay itself: a clock that starts in 1970 must not hold an alert for decades.

    >>> from datetime import timezone
    >>> t = datetime(2026, 1, 1, tzinfo=timezone.utc)
    >>> remaining_s(next_utc=t + timedelta(seconds=40), delay_s=60, now_utc=t)
    40.0
    >>> remaining_s(next_utc=t + timedelta(days=9999), delay_s=60, now_utc=t)
    60
    """
    return max(0.0, min((next_utc - now_utc) / timedelta(seconds=1), delay_s))
