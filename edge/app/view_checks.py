"""Whether each camera sees what it is to see, in words for the technician: the watch over the view, told before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.health.interface import Check, Status
from edge.rules.camera_tamper import BLINDED, COVERED, DARK, DEFOCUSED, FROZEN, HIDDEN, MOVED, SPRAYED, TURNED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.cameras.interface import Camera
    from edge.pipeline import Pipeline

_SOON_S = 10.0  # a picture without the slightest change is told so early; what people do in front of a lens is not
_ADVICE = {
    COVERED: "the lens is covered. Take away what hangs or stands in front of it",
    SPRAYED: "part of the picture shows nothing any more. Clean the lens or its dome",
    BLINDED: "a lamp or the sun shines into the lens. Shade it, or turn the camera a little",
    DARK: "the picture is dark, or the lens is covered. Switch the light on, then look at the lens",
    DEFOCUSED: "the picture is out of focus. Wipe the lens, then focus it",
    TURNED: "the camera looks elsewhere. Turn it back to where it looked",
    MOVED: "the camera looks a little beside where it looked. Turn it back, and fasten it",
    HIDDEN: "something hides a part of the picture. Take away what hangs or stands in front of the lens",
    FROZEN: "the very same picture comes again and again. Take the camera's power away for ten seconds",
}
_MOVED = {COVERED, DEFOCUSED, HIDDEN, MOVED, TURNED}


def view_checks(pipeline: Pipeline, cameras: Sequence[Camera]) -> list[Check]:
    """For the board: one line a camera that delivers. Where its rule is off or no picture comes, there is nothing to say."""
    return [check_view(c.name, pipeline.wrong_view(c.name)) for c in cameras if c.status().state == "live"]


def looks_moved(wrong: tuple[str, float, float] | None) -> bool:
    """Whether it may be that the camera hangs otherwise now, and somebody has to say that this is right."""
    return wrong is not None and wrong[0] in _MOVED and wrong[1] >= wrong[2]


def check_view(camera: str, wrong: tuple[str, float, float] | None) -> Check:
    """One camera. :param wrong: as ``Pipeline.wrong_view``."""
    name = f"view:{camera}"
    if wrong is None:
        return Check(name, Status.PASS)
    state, lasted_s, limit_s = wrong
    words = f"for {lasted_s:.0f} s {_ADVICE.get(state, state)}"
    if lasted_s >= limit_s:
        if looks_moved(wrong):
            words += '. If the picture is right as it is, press "The view is right" on the page'
        return Check(name, Status.FAIL, words, state)
    if state == FROZEN and lasted_s >= _SOON_S:
        return Check(name, Status.WARN, words, state)
    return Check(name, Status.PASS)
