"""Movement in the picture: optical flow between two frames, small, without the camera's own movement."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

if TYPE_CHECKING:
    from edge.types import C64, F32, U8

LONG_SIDE = 192  # px of the small picture: limbs are still seen, and the flow costs half a millisecond
_COARSE = 384  # the first step down takes every n-th pixel, to about this size, because that costs nothing
MAX_GAP_S = 0.75  # between frames farther apart, flow would be guesswork
_STEP = 2  # pixels of the small picture to one of the field
_NOISE = 3.0  # grey levels: changes below are noise


class MotionField:
    """What moved between two frames.

    ``flow``: float32 (h, w, 2), x y, the field's own pixels per second, the whole picture's own movement taken out;
    ``scale``: the field's pixels per frame pixel. What is not asked for is not computed.

    :param before: uint8, the earlier small picture; ``after``: the later one, of the same size.
    """

    def __init__(self, flow: F32, scale: float, *, before: U8, after: U8) -> None:
        self.flow = flow
        self.scale = scale
        self._before = before
        self._after = after

    @cached_property
    def change(self) -> F32:
        """How much the grey level changed, in relation to the picture's contrast: float32 (h, w), 0 and up."""
        difference = cv2.absdiff(self._after, self._before)[::_STEP, ::_STEP].astype(np.float32)
        contrast = float(self._after[::_STEP, ::_STEP].std()) + 8.0
        # A lamp or the camera's exposure changes all of the picture at once.
        common = float(np.median(difference[::_STEP, ::_STEP]))
        changed: F32 = np.maximum(difference - common - _NOISE, 0.0).astype(np.float32) / np.float32(contrast)
        return changed

    @cached_property
    def stirred(self) -> float:
        """Share of the picture that moves, 0..1."""
        return float((self.change > 0.25).mean())


def shrink(image: U8) -> U8:
    """The green channel of a picture, uint8 (H, W, 3), made small: uint8 (h, w), the longer side ``LONG_SIDE`` px."""
    height, width = image.shape[:2]
    step = max(1, max(height, width) // _COARSE)
    green = np.ascontiguousarray(image[::step, ::step, 1])
    scale = LONG_SIDE / max(height, width)
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    small: U8 = np.asarray(cv2.resize(green, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small


class Motion:
    """Flow from frame to frame of one camera. One thread at a time."""

    def __init__(self) -> None:
        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)  # its stub knows no None
        self._last: tuple[U8, float] | None = None

    def forget(self) -> None:
        """Nobody is there: the next picture starts anew."""
        self._last = None

    def update(self, small: U8, t_s: float, *, width: int) -> MotionField | None:
        """What moved since the last picture; None where there is none, or it is too long ago.

        :param small: uint8 (h, w), see :func:`shrink`.
        :param t_s: its capture time, seconds.
        :param width: of the frame that it was made from, pixels.
        """
        last, self._last = self._last, (small, t_s)
        if last is None or last[0].shape != small.shape or not 0.02 < t_s - last[1] <= MAX_GAP_S:
            return None
        before, dt = last[0], t_s - last[1]
        flow = np.asarray(self._flow.calc(before, small, None), np.float32)
        # Every second pixel is enough to take means of, and a quarter of the work. A vector is copied and moved as one
        # complex number: NumPy is several times slower over pairs.
        field: C64 = np.ascontiguousarray(flow.view(np.complex64)[::_STEP, ::_STEP, 0])
        flow = field.view(np.float32).reshape(*field.shape, 2)
        flow /= np.float32(_STEP * dt)
        # The camera's own shaking: what most of the picture does.
        part = flow[::_STEP, ::_STEP]
        field -= np.complex64(complex(_median(part[..., 0]), _median(part[..., 1])))
        scale = small.shape[1] / max(width, 1) / _STEP
        return MotionField(flow, scale, before=before, after=small)


def _median(values: F32) -> np.float32:
    """As NumPy's, without its detours."""
    half = values.size // 2
    ordered = np.partition(values.ravel(), half if values.size % 2 else (half - 1, half))
    middle: np.float32 = ordered[half] if values.size % 2 else (ordered[half - 1] + ordered[half]) / np.float32(2)
    return middle
