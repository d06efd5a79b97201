"""A contact sheet: small pictures from before to after an event in one, each with its time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.alerts.ring import Kept
    from edge.types import U8

COLUMNS = 3
MOST = 12
_BAR = 22


def pick(kept: Sequence[Kept], at_s: float, *, most: int = MOST) -> list[Kept]:
    """At most so many, spread evenly over the time, the one nearest to ``at_s`` among them; in order."""
    if len(kept) <= most:
        return list(kept)
    nearest = min(range(len(kept)), key=lambda i: abs(kept[i].t_mono_s - at_s))
    chosen = {round(i * (len(kept) - 1) / (most - 1)) for i in range(most)}
    if nearest not in chosen:
        chosen.discard(min(chosen, key=lambda i: abs(i - nearest)))
        chosen.add(nearest)
    return [kept[i] for i in sorted(chosen)]


def contact_sheet(kept: Sequence[Kept], at_s: float) -> U8 | None:
    """Rows of pictures, each with its time and its distance from ``at_s`` below; the first at or after it in red.

    :returns: uint8 (H, W, 3) BGR; None: none of the pictures can be read.
    """
    tiles: list[U8] = []
    marked = False
    size: tuple[int, int] | None = None
    for item in kept:
        image = cv2.imdecode(np.frombuffer(item.jpeg, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            continue
        size = size or (image.shape[1], image.shape[0])
        if (image.shape[1], image.shape[0]) != size:  # the camera changed its format meanwhile
            image = cv2.resize(image, size)
        offset_s = item.t_mono_s - at_s
        hot = not marked and offset_s > -0.05
        marked |= hot
        bar = np.full((_BAR, size[0], 3), (48, 48, 200) if hot else (40, 40, 40), np.uint8)
        text = f"{item.t_utc:%H:%M:%S} UTC  {offset_s:+.1f} s"
        cv2.putText(bar, text, (6, _BAR - 7), cv2.FONT_HERSHEY_SIMPLEX, 0.48, (255, 255, 255), 1, cv2.LINE_AA)
        tiles.append(np.concatenate([image, bar]).astype(np.uint8))
    if not tiles:
        return None
    columns = min(COLUMNS, len(tiles))
    blank = np.zeros_like(tiles[0])
    tiles += [blank] * (-len(tiles) % columns)
    rows = [np.concatenate(tiles[i : i + columns], axis=1) for i in range(0, len(tiles), columns)]
    return np.concatenate(rows)
