"""The live picture: copied while somebody looks, drawn and encoded by whoever asks; the pipeline only hands it by."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.annotate import annotate
from edge.health.acts import ActRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from edge.clock import Clock
    from edge.types import U8, Frame, Tracks, Zone

_DWELL_FROM_S = 1.0
_RATE_OVER = 20  # frames
_PATIENCE_STEP_S = 0.05
_OLD_S, _OLD_FRAMES = 5.0, 3  # what is older than both is no live picture


@dataclass(frozen=True, slots=True)
class _Seen:
    frame: Frame
    tracks: Tracks
    zones: tuple[Zone, ...]
    alarmed: frozenset[int]
    withheld: bool
    stays: Mapping[int, tuple[float, float]]


class LiveView:
    """The newest judged picture of each camera, for people.

    Pictures come as people may see them: with every privacy mask, all black while they are withheld.

    :param classes: of the detector, for the labels.
    :param wanted_s: seconds after the last question within which pictures are still kept.
    :param patience_s: longest wait for a picture where none was kept.
    :param width: of what is sent, pixels at the most: a phone's screen is no wider.
    """

    def __init__(
        self,
        *,
        classes: Sequence[str],
        clock: Clock,
        wanted_s: float = 10.0,
        patience_s: float = 2.0,
        width: int = 960,
        quality: int = 75,
    ) -> None:
        self._classes = classes
        self._clock = clock
        self._wanted_s = wanted_s
        self._patience_s = patience_s
        self._width = width
        self._quality = quality
        self._wanted_until_s: dict[str, float] = {}
        self._kept: dict[str, _Seen] = {}
        self._times: dict[str, deque[float]] = {}
        self._drawn: dict[tuple[str, bool], tuple[int, bytes]] = {}
        self._lock = threading.Lock()
        self._drawing = threading.Lock()
        self._never = threading.Event()

    def know(self, classes: Sequence[str]) -> None:
        """Other class names: another model is there."""
        self._classes = classes

    def see(
        self,
        frame: Frame,
        tracks: Tracks,
        zones: tuple[Zone, ...],
        *,
        alarmed: Collection[int] = (),
        withheld: bool = False,
        stays: Callable[[], Mapping[int, tuple[float, float]]] = dict,
    ) -> None:
        """Called by the pipeline with every frame: looks at a number, and copies the picture if somebody looks.

        :param stays: track id -> seconds in the lobby that count, and seconds at the machine; asked if somebody looks.
        """
        camera = frame.camera
        self._times.setdefault(camera, deque(maxlen=_RATE_OVER)).append(frame.t_mono_s)
        if self._clock.monotonic_s() > self._wanted_until_s.get(camera, 0.0):
            if self._kept:
                self._kept.pop(camera, None)  # what nobody looks at is not kept
            return
        copy = replace(frame, image=frame.image.copy())  # the camera may reuse its memory
        self._kept[camera] = _Seen(copy, tracks, zones, frozenset(alarmed), withheld, stays())

    def fps(self, camera: str) -> float | None:
        """Judged frames a second, over the last ones; None: too few were seen."""
        times = list(self._times.get(camera, ()))
        if len(times) < 2:
            return None
        # What has not come counts, too: the rate falls while a camera hangs.
        span_s = max(times[-1], self._clock.monotonic_s() - (times[-1] - times[-2])) - times[0]
        return (len(times) - 1) / span_s if span_s > 0 else None

    def jpeg(self, camera: str, *, plain: bool = False) -> bytes:
        """The newest picture; ``plain``: without boxes, zones and names.

        :raises ActRefused: no picture came, or none lately: an old one must not pass for what is there now.
        """
        self._wanted_until_s[camera] = self._clock.monotonic_s() + self._wanted_s
        seen = self._wait(camera)
        if seen is None:
            raise ActRefused(
                f'camera "{camera}": no picture came within {self._patience_s:g} s',
                hint="The camera's line on the page says why.",
                status=503,
            )
        old_s = self._clock.monotonic_s() - seen.frame.t_mono_s
        if old_s > max(_OLD_S, _OLD_FRAMES * self._interval_s(camera)):
            raise ActRefused(
                f'camera "{camera}": no new picture for {old_s:.0f} s',
                hint="What is wrong stands at the top of the page.",
                status=503,
            )
        with self._drawing:  # several that look share one drawing
            seq, drawn = self._drawn.get((camera, plain), (-1, b""))
            if seq != seen.frame.seq:
                drawn = self._encode(seen, plain=plain)
                self._drawn[camera, plain] = (seen.frame.seq, drawn)
            return drawn

    def picture(self, camera: str) -> U8:
        """The newest picture with its drawings, uint8 (H, W, 3) BGR. :raises ActRefused: as :meth:`jpeg`."""
        coded = np.frombuffer(self.jpeg(camera), np.uint8)
        return cv2.imdecode(coded, cv2.IMREAD_COLOR)  # type: ignore[return-value]

    def _interval_s(self, camera: str) -> float:
        times = list(self._times.get(camera, ()))
        return times[-1] - times[-2] if len(times) > 1 else 0.0

    def _wait(self, camera: str) -> _Seen | None:
        until_s = self._clock.monotonic_s() + self._patience_s
        while (seen := self._kept.get(camera)) is None and self._clock.monotonic_s() < until_s:
            self._clock.wait(self._never, _PATIENCE_STEP_S)
        return seen

    def _encode(self, seen: _Seen, *, plain: bool) -> bytes:
        image, tracks = seen.frame.image, seen.tracks
        height, width = image.shape[:2]
        scale = min(1.0, self._width / width)
        if scale < 1.0:
            size = (self._width, max(1, round(height * scale)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
            tracks = replace(tracks, xyxy=tracks.xyxy * np.float32(scale))
        if seen.withheld:
            image = _say(image, "withheld: the camera was moved; if it rests, confirm the masks")
        elif not plain:
            glimpsed = tracks.track_id[tracks.age_s == 0].tolist()  # seen once: no rule goes by that alone
            notes = dict.fromkeys(glimpsed, "glimpse")
            notes |= {i: words for i, stay in seen.stays.items() if (words := _dwell(*stay))}
            image = annotate(image, tracks, classes=self._classes, zones=seen.zones, alarmed=seen.alarmed, notes=notes)
        ok, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        if not ok:
            raise ActRefused("the picture cannot be encoded", hint="Report this error.", status=503)
        return coded.tobytes()


def _dwell(counted_s: float, machine_s: float) -> str:
    """As the rule counts it, and not since when somebody is followed: where they stand makes the difference."""
    words = [f"{counted_s:.0f} s"] if counted_s >= _DWELL_FROM_S else []
    return ", ".join([*words, *([f"machine {machine_s:.0f} s"] if machine_s >= _DWELL_FROM_S else [])])


def _say(image: U8, words: str) -> U8:
    canvas: U8 = image.copy()
    at = (12, canvas.shape[0] // 2)
    cv2.putText(canvas, words, at, cv2.FONT_HERSHEY_SIMPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA)
    return canvas
