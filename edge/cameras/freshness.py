"""Which frames of a live stream are fresh: pure arithmetic on arrival times, in seconds."""

from __future__ import annotations

import math

_USUAL_FPS = 25.0
_WAITED_ENOUGH = 2


class BurstFilter:
    """Tells frames that waited in a buffer from frames that come from the camera now.

    After opening, and after a pause, buffered frames arrive faster than the camera can make them. They are stale until
    two in a row had to be waited for (one alone may only mean that this process was held up). Time stamps of the stream are not used: cheap cameras send none worth having.

    :param fps: the stream's stated rate; only a first guess, it may be nonsense.
    :param limit_s: a source that always delivers fast is believed after this long.
    """

    def __init__(self, fps: float, *, limit_s: float = 5.0) -> None:
        self._interval_s = 1.0 / min(max(fps if fps > 0.0 else _USUAL_FPS, 1.0), 60.0)
        self._limit_s = limit_s
        self._last_s: float | None = None
        self._catching_up_since_s: float | None = None
        self._waited = 0

    def fresh(self, arrival_s: float) -> bool:
        """Judge the frame that arrived now; ``arrival_s`` must not decrease."""
        last_s, self._last_s = self._last_s, arrival_s
        if last_s is None:
            self._catching_up_since_s, self._waited = arrival_s, 0
            return False
        gap_s = arrival_s - last_s
        if self._catching_up_since_s is not None:
            waited = gap_s >= 0.5 * self._interval_s
            self._waited = self._waited + 1 if waited else 0
            if self._waited < _WAITED_ENOUGH and arrival_s - self._catching_up_since_s < self._limit_s:
                return False
            self._catching_up_since_s = None
            return True
        if gap_s > max(1.0, 4.0 * self._interval_s):
            # The stream paused: this frame may have been under way all that time, and more may follow it.
            self._catching_up_since_s, self._waited = arrival_s, 0
            return False
        # A slow average, so that a jittering network does not move the measure.
        self._interval_s += 0.1 * (gap_s - self._interval_s)
        return True


class RateLimit:
    """Thins a stream to at most ``max_fps`` (None: all of it)."""

    def __init__(self, max_fps: float | None) -> None:
        self._interval_s = 1.0 / max_fps if max_fps else 0.0
        self._due_s = float("-inf")

    def due(self, t_s: float) -> bool:
        """Whether the frame of ``t_s`` is wanted; asks to be called in order of time."""
        if t_s < self._due_s - 0.1 * self._interval_s:
            return False
        on_schedule_s = self._due_s + self._interval_s
        self._due_s = on_schedule_s if on_schedule_s > t_s else t_s + self._interval_s
        return True


class Timeline:
    """Turns a file's presentation times into seconds that only grow.

    Files repeat, skip or restart their times (cut clips, missing indexes, loops); where a step is not believable, the
    nominal interval stands in and the rest of the file moves along with it.

    :param nominal_interval_s: time between two frames by the file's stated rate.
    """

    LONGEST_STEP_S = 60.0

    def __init__(self, nominal_interval_s: float) -> None:
        self._interval_s = nominal_interval_s if 0.001 <= nominal_interval_s <= 10.0 else 1.0 / _USUAL_FPS
        self._offset_s = 0.0
        self._last_s: float | None = None

    def place(self, pts_s: float) -> float:
        """The frame's time since the start of the file; strictly greater than the one before."""
        if self._last_s is None:
            believable = 0.0 <= pts_s <= 1.0
            t_s = pts_s if believable else 0.0
        else:
            t_s = pts_s + self._offset_s
            believable = 0.0 < t_s - self._last_s <= self.LONGEST_STEP_S
            if not believable:
                t_s = self._last_s + self._interval_s
        if not believable and math.isfinite(pts_s):
            self._offset_s = t_s - pts_s
        self._last_s = t_s
        return t_s
