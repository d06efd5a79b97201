"""The live picture: free of charge while nobody looks, masked whoever looks."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from fakes.cameras import make_frames
from fakes.clocks import FakeClock
from fakes.scenes import SIZE, Thing, tracks, zone

from edge.health.acts import ActRefused
from edge.health.live import LiveView, _dwell
from edge.types import Tracks, ZoneKind

if TYPE_CHECKING:
    from edge.types import U8

WHITE = np.full((720, 1280, 3), 255, np.uint8)


def decoded(jpeg: bytes) -> U8:
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)  # type: ignore[return-value]


def view(clock: FakeClock) -> LiveView:
    return LiveView(classes=("person", "knife"), clock=clock)


def test_while_nobody_looks_no_picture_is_kept() -> None:
    clock = FakeClock(mono_s=100)
    live = view(clock)
    for frame in make_frames(5):
        live.see(frame, Tracks.empty(), ())
    assert live._kept == {}


def test_who_looks_gets_the_next_picture_and_later_ones_until_they_go_away() -> None:
    clock = FakeClock(mono_s=100)
    live = view(clock)
    frames = make_frames(3, image=WHITE, size=(1280, 720))
    with pytest.raises(ActRefused) as caught:
        live.jpeg("lobby")
    assert "no picture came within 2 s" in caught.value.message
    live.see(frames[0], Tracks.empty(), ())
    first = live.jpeg("lobby", plain=True)
    assert decoded(first).shape == (540, 960, 3)
    assert live.jpeg("lobby", plain=True) is first  # two who look share one drawing
    clock.advance(20)
    live.see(frames[1], Tracks.empty(), ())
    assert live._kept == {}


def test_an_old_picture_is_not_shown_as_if_it_were_live() -> None:
    clock = FakeClock(mono_s=100)
    live = view(clock)
    live._wanted_until_s["lobby"] = 1000.0
    for frame, t_s in zip(make_frames(2, image=WHITE, size=(1280, 720)), (98.0, 100.0), strict=True):
        live.see(replace(frame, t_mono_s=t_s), Tracks.empty(), ())
    clock.advance(5.5)
    live.jpeg("lobby")  # one picture in two seconds: not old yet
    clock.advance(1.0)
    with pytest.raises(ActRefused) as caught:
        live.jpeg("lobby")
    assert caught.value.message == 'camera "lobby": no new picture for 6 s'


def test_boxes_zones_and_dwell_are_drawn_at_the_size_that_is_sent_and_not_when_plain() -> None:
    clock = FakeClock(mono_s=100)
    live = view(clock)
    live._wanted_until_s["lobby"] = 1000.0
    seen = tracks(Thing(1, age_s=12.0))
    (frame,) = make_frames(1, image=np.full((SIZE[1] * 3, SIZE[0] * 3, 3), 255, np.uint8))
    big = Tracks(**{**{k: getattr(seen, k) for k in Tracks.__slots__}, "xyxy": seen.xyxy * np.float32(3)})
    live.see(frame, big, (zone(ZoneKind.RESTRICTED, 0.8, 0.1, 0.9, 0.2),), alarmed={1})
    assert (decoded(live.jpeg("lobby", plain=True)) > 250).all()
    drawn = decoded(live.jpeg("lobby"))
    x1, y1, x2, y2 = (seen.xyxy[0] * 1.5).astype(int)
    assert drawn[(y1 + y2) // 2, x1].min() < 150  # its left edge
    assert drawn[int(0.15 * 540), 764:772].min() < 200  # the zone's
    assert drawn[(y1 + y2) // 2, (x1 + x2) // 2].min() > 200  # nothing inside


def test_seconds_are_those_that_the_rule_counts_and_not_since_when_somebody_is_followed() -> None:
    def drawn(age_s: float, stays: dict[int, tuple[float, float]]) -> U8:
        live = view(FakeClock(mono_s=100))
        live._wanted_until_s["lobby"] = 1000.0
        (frame,) = make_frames(1, image=np.full((SIZE[1], SIZE[0], 3), 255, np.uint8))
        live.see(frame, tracks(Thing(1, age_s=age_s)), (), stays=lambda: stays)
        return decoded(live.jpeg("lobby"))

    assert (drawn(40.0, {}) == drawn(0.4, {})).all()  # in no lobby: nothing is counted
    assert (drawn(40.0, {1: (12.0, 0.0)}) == drawn(0.4, {1: (12.0, 0.0)})).all()
    assert (drawn(40.0, {1: (12.0, 0.0)}) != drawn(40.0, {1: (12.0, 20.0)})).any()
    assert (drawn(0.0, {}) != drawn(0.4, {})).any()  # a glimpse is called one


@pytest.mark.parametrize(
    ("stay", "words"),
    [((0.4, 0.0), ""), ((12.2, 0.3), "12 s"), ((0.0, 31.0), "machine 31 s"), ((5, 9), "5 s, machine 9 s")],
)
def test_a_stay_in_words(stay: tuple[float, float], words: str) -> None:
    assert _dwell(*stay) == words


def test_withheld_pictures_stay_black_but_for_the_words() -> None:
    live = view(FakeClock(mono_s=100))
    live._wanted_until_s["lobby"] = 1000.0
    (frame,) = make_frames(1, image=np.zeros((360, 640, 3), np.uint8))
    live.see(frame, tracks(Thing(1)), (), withheld=True)
    shown = decoded(live.jpeg("lobby"))
    assert shown.max() > 100
    assert shown[:150].max() < 10  # no box, no label


def test_the_rate_falls_while_the_camera_hangs() -> None:
    clock = FakeClock(mono_s=100)
    live = view(clock)
    assert live.fps("lobby") is None
    for frame in make_frames(21, fps=10.0):
        live.see(frame, Tracks.empty(), ())
    clock.advance(2.0)
    assert live.fps("lobby") == pytest.approx(10.0, rel=0.06)
    clock.advance(18.0)
    assert (live.fps("lobby") or 0) < 1.1


def test_a_waiting_viewer_is_served_by_the_pipeline_s_next_frame() -> None:
    from edge.clock import SystemClock  # noqa: PLC0415

    live = LiveView(classes=("person",), clock=SystemClock(), patience_s=5.0)
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.append(live.jpeg("lobby")))
    thread.start()
    frames = iter(make_frames(200, image=WHITE))
    while thread.is_alive() and (frame := next(frames, None)) is not None:
        live.see(replace(frame, t_mono_s=time.monotonic()), Tracks.empty(), ())
        thread.join(0.01)
    assert got[0][:2] == b"\xff\xd8"
