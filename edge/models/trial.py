"""Whether a newly installed model proves itself. Pure: told what is seen, says what follows."""

from __future__ import annotations

from dataclasses import dataclass

STILL_S = 30.0  # no frame judged for so long, though a camera delivers
SLOW_S = 60.0  # too slow for so long, where the model before was quick enough


@dataclass(frozen=True, slots=True)
class Pulse:
    """What is seen now. ``frames``: judged so far; ``live``: some camera delivers; ``slow``: the wanted rate is not kept."""

    frames: int
    live: bool
    slow: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """``over``: the trial has ended, well if ``fault`` is empty."""

    over: bool
    fault: str = ""


class Trial:
    """One model's trial.

    :param began_s: monotonic seconds at which it began to run here.
    :param trial_s: how long it must do well.
    :param slow_before: the model before was too slow as well: then slowness is no fault of this one.
    """

    def __init__(self, *, began_s: float, trial_s: float, frames: int, slow_before: bool) -> None:
        self._began_s = began_s
        self._trial_s = trial_s
        self._slow_before = slow_before
        self._first_frames = self._frames = frames
        self._moved_s = began_s
        self._quick_s = began_s

    def left_s(self, now_s: float) -> float:
        return max(0.0, self._began_s + self._trial_s - now_s)

    def look(self, now_s: float, pulse: Pulse) -> Verdict:
        """What follows from what is seen; asked every few seconds."""
        if pulse.frames != self._frames or not pulse.live:
            self._frames, self._moved_s = pulse.frames, now_s
        if not pulse.slow or self._slow_before:
            self._quick_s = now_s
        if now_s - self._moved_s > STILL_S:
            return Verdict(
                over=True, fault=f"no picture was judged for {now_s - self._moved_s:.0f} s while the camera delivered"
            )
        if now_s - self._quick_s > SLOW_S:
            return Verdict(
                over=True, fault=f"it was too slow for {now_s - self._quick_s:.0f} s, unlike the model before"
            )
        # A trial in which the camera was away proves nothing: it goes on until pictures were judged.
        return Verdict(self.left_s(now_s) <= 0 and pulse.frames > self._first_frames)
