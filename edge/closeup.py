"""The close-up of an incident: what it is about, cut out of the picture at the picture's own resolution."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.annotate import with_caption

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from edge.types import U8, Tracks

MARGIN = 0.35  # of the longer side of what is shown, on each side: whose hand it is belongs to it
MIN_SIDE = 0.12  # of the picture's shorter side
MIN_PX = 96
SHORT_SIDE_PX = 360  # a smaller cut is enlarged to this
MAX_ENLARGED = 2.5  # beyond it there is only blur
MIN_GAIN = 1.3  # less than this much nearer is the picture over again


def closeup_box(tracks: Tracks, about: Collection[int], width: int, height: int) -> tuple[int, int, int, int] | None:
    """What to cut out, x1, y1, x2, y2 in pixels inside the picture; None: nothing is there, or it fills the picture.

    :param about: ids of the tracks that it is about; those not seen in this frame do not count.
    """
    boxes = tracks.xyxy[np.isin(tracks.track_id, list(about)) & (tracks.unseen_s == 0)].astype(np.float64)
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    boxes = np.clip(boxes, 0, (width, height, width, height))
    boxes = boxes[(boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])]
    if len(boxes) == 0:
        return None
    (x1, y1), (x2, y2) = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    margin = MARGIN * max(x2 - x1, y2 - y1)
    least = max(MIN_PX, MIN_SIDE * min(width, height))
    high = max(y2 - y1 + 2 * margin, least)
    wide = max(x2 - x1 + 2 * margin, high)  # never upright: the mail shows it as wide as the whole picture
    high = max(high, wide * 9 / 16)
    left, right = _span((x1 + x2) / 2, wide, width)
    top, bottom = _span((y1 + y2) / 2, high, height)
    if min(width / (right - left), height / (bottom - top)) < MIN_GAIN:
        return None
    return left, top, right, bottom


def _span(middle: float, length: float, limit: int) -> tuple[int, int]:
    """Of ``length`` around ``middle``, pushed inside 0 to ``limit``."""
    whole = min(int(np.ceil(length)), limit)
    start = min(max(int(np.floor(middle - whole / 2)), 0), limit - whole)
    return start, start + whole


def closeup(image: U8, tracks: Tracks, *, about: Collection[int], caption: Sequence[str] = ()) -> U8 | None:
    """Cut out of ``image`` (H, W, 3) BGR; nothing is drawn into it, so that no label covers what is held.

    :param caption: lines of text in a bar below.
    :returns: uint8 (h, w, 3); None as :func:`closeup_box`.
    """
    box = closeup_box(tracks, about, image.shape[1], image.shape[0])
    if box is None:
        return None
    x1, y1, x2, y2 = box
    cut = image[y1:y2, x1:x2].copy()
    factor = min(MAX_ENLARGED, SHORT_SIDE_PX / min(cut.shape[:2]))
    if factor > 1:
        size = (round(cut.shape[1] * factor), round(cut.shape[0] * factor))
        cut = np.asarray(cv2.resize(cut, size, interpolation=cv2.INTER_CUBIC), np.uint8)
    return with_caption(cut, caption, 0.7)
