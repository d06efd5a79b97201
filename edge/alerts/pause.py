"""The pause of a whole channel: ten thousand waiting alerts must not each wait for the same timeout."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

    from edge.alerts.schedule import Backoff
    from edge.clock import Clock


class ChannelPause:
    """Begins with a refusal that concerns the channel, grows by the backoff, ends with the first success.

    :param critical_s: while a critical alert waits the pause is at most so long, seconds; not after a permanent refusal.
    """

    def __init__(self, *, clock: Clock, backoff: Backoff, rng: random.Random, critical_s: float) -> None:
        self._clock = clock
        self._backoff = backoff
        self._rng = rng
        self._critical_s = critical_s
        self._from_s = 0.0
        self._length_s = 0.0
        self._capped = True
        self._error = ""

    @property
    def error(self) -> str:
        """Why the channel pauses; empty: it works."""
        return self._error

    def begin(self, error: str, *, permanent: bool) -> None:
        """The channel refused, again perhaps."""
        # A bad password is tried rarely, critical or not: each try counts against the mailbox's lock-out.
        self._capped = not permanent
        self._length_s = self._backoff.next_s(self._length_s, self._rng)
        self._from_s = self._clock.monotonic_s()
        self._error = error

    def end(self) -> None:
        """It works, or there is reason to think so."""
        self._length_s = 0.0
        self._error = ""

    def end_passing(self) -> None:
        """The network is back: a pause ends, unless the channel refused for good."""
        if self._capped:
            self.end()

    def __bool__(self) -> bool:
        """Whether a pause was begun and not ended, over or not."""
        return self._length_s > 0

    def left_s(self, *, critical_waits: bool) -> float:
        """Seconds until the channel may be tried; 0: now."""
        if self._length_s <= 0:
            return 0.0
        short = critical_waits and self._capped
        length_s = min(self._length_s, self._critical_s) if short else self._length_s
        return max(0.0, self._from_s + length_s - self._clock.monotonic_s())
