"""From a frame of any size to the model's input: scaled to fit, centred, the rest filled with grey."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from edge.types import F32, U8


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where a frame lies inside the model's input; all fields in whole pixels, all sizes at least 1.

    The frame, ``frame_width`` x ``frame_height``, was scaled to ``width`` x ``height`` and put at (``left``, ``top``).
    The two scales differ by rounding only, and each is used exactly on the way back.
    """

    frame_width: int
    frame_height: int
    left: int
    top: int
    width: int
    height: int

    @classmethod
    def fit(cls, *, frame_width: int, frame_height: int, input_width: int, input_height: int) -> Geometry:
        """The largest centred placement that keeps the frame's shape.

        :raises ValueError: a size is below 1.
        """
        if min(frame_width, frame_height, input_width, input_height) < 1:
            raise ValueError(
                f"cannot fit {frame_width}x{frame_height} into {input_width}x{input_height}: every size must be 1 or more"
            )
        scale = min(input_width / frame_width, input_height / frame_height)
        # A very long picture would be scaled to nothing across; one pixel is the least that can be drawn.
        width = min(max(round(frame_width * scale), 1), input_width)
        height = min(max(round(frame_height * scale), 1), input_height)
        return cls(
            frame_width=frame_width,
            frame_height=frame_height,
            left=(input_width - width) // 2,
            top=(input_height - height) // 2,
            width=width,
            height=height,
        )

    def to_input(self, xyxy: F32) -> F32:
        """Boxes (N, 4), frame pixels, as the model's input pixels."""
        scale = np.array([self.width / self.frame_width, self.height / self.frame_height] * 2, np.float32)
        return xyxy * scale + np.array([self.left, self.top] * 2, np.float32)

    def to_frame(self, xyxy: F32) -> F32:
        """Boxes (N, 4), the model's input pixels, as frame pixels; cut at the frame's edges."""
        offset, scale, limit = _way_back(self)
        inside: F32 = np.minimum(np.maximum((xyxy - offset) * scale, np.float32(0)), limit)
        return inside


@lru_cache(maxsize=64)
def _way_back(place: Geometry) -> tuple[F32, F32, F32]:
    """What to take off the model's input pixels, the scale to frame pixels, and the frame's far edges: (4,) each."""
    return (
        np.array([place.left, place.top] * 2, np.float32),
        np.array([place.frame_width / place.width, place.frame_height / place.height] * 2, np.float32),
        np.array([place.frame_width, place.frame_height] * 2, np.float32),
    )


class Letterbox:
    """Writes frames into one buffer that lives as long as the letterbox. One thread at a time.

    :param width: the model's input width, pixels.
    :param height: the model's input height, pixels.
    :param fill: grey value around the picture, 0..255, as in training.
    """

    def __init__(self, *, width: int, height: int, fill: int = 114) -> None:
        self.width = width
        self.height = height
        self._buffer: U8 = np.full((1, height, width, 3), fill, np.uint8)
        self._fill = fill
        self._geometry: Geometry | None = None
        self._window: U8 = self._buffer[0]

    def __call__(self, image: U8) -> tuple[U8, Geometry]:
        """The model's input (1, H, W, 3) uint8 BGR, valid until the next call, and where the picture lies in it.

        :param image: uint8 (h, w, 3) BGR, h and w at least 1.
        :raises ValueError: the picture has no pixels.
        """
        height, width = image.shape[:2]
        known = self._geometry
        if known is None or known.frame_width != width or known.frame_height != height:
            known = self._place(width, height)
        # Straight into the window of the buffer: no intermediate picture, no border copy. Linear, as in training.
        cv2.resize(image, (known.width, known.height), dst=self._window, interpolation=cv2.INTER_LINEAR)
        return self._buffer, known

    def _place(self, width: int, height: int) -> Geometry:
        geometry = Geometry.fit(
            frame_width=width, frame_height=height, input_width=self.width, input_height=self.height
        )
        self._buffer.fill(self._fill)
        self._window = self._buffer[
            0, geometry.top : geometry.top + geometry.height, geometry.left : geometry.left + geometry.width
        ]
        self._geometry = geometry
        return geometry
