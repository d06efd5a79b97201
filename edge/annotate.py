"""Drawing what the box saw onto a copy of the picture: boxes, ids, zones, a caption."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.types import ZoneKind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from edge.types import U8, Tracks, Zone

Colour = tuple[int, int, int]

# BGR; alarm red and calm green differ in brightness too, and an alarmed box is drawn thicker.
_ALARM: Colour = (48, 48, 255)
_CALM: Colour = (120, 220, 120)
_LOST: Colour = (160, 160, 160)
_ZONES: dict[ZoneKind, Colour] = {
    ZoneKind.LOBBY: (200, 160, 60),
    ZoneKind.MACHINE: (230, 200, 90),
    ZoneKind.RESTRICTED: (70, 90, 235),
    ZoneKind.DOOR: (150, 150, 150),
    ZoneKind.IGNORE: (90, 90, 90),
}
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def annotate(
    image: U8,
    tracks: Tracks,
    *,
    classes: Sequence[str],
    zones: Sequence[Zone] = (),
    alarmed: Collection[int] = (),
    notes: Mapping[int, str] | None = None,
    caption: Sequence[str] = (),
) -> U8:
    """Draw onto a copy of ``image`` (H, W, 3) BGR.

    :param classes: class names; ``tracks.class_id`` indexes them.
    :param alarmed: track ids that an incident is about: drawn in red and thicker.
    :param notes: text behind a track's label, by track id ("12 s").
    :param caption: lines of text in a bar below the picture, which is not covered.
    :returns: uint8 (H + bar, W, 3).
    """
    height, width = image.shape[:2]
    unit = max(0.7, min(width, 1920) / 1280)
    canvas = image.copy()
    for zone in zones:
        corners = np.rint(zone.polygon * (width - 1, height - 1)).astype(np.int32)
        cv2.polylines(canvas, [corners], isClosed=True, color=_ZONES[zone.kind], thickness=max(1, round(1.5 * unit)))
        at = corners[np.argmin(corners.sum(axis=1))]
        _label(canvas, zone.name, (int(at[0]) + 3, int(at[1]) + round(16 * unit) + 3), _ZONES[zone.kind], unit * 0.8)
    for i, track in enumerate(tracks.track_id.tolist()):
        hot = track in alarmed
        colour = _ALARM if hot else _CALM if tracks.unseen_s[i] == 0 else _LOST
        x1, y1, x2, y2 = (int(v) for v in np.rint(tracks.xyxy[i]))
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, max(1, round((4 if hot else 2) * unit)))
        note = (notes or {}).get(track, "")
        text = f"{_name(classes, int(tracks.class_id[i]))} {track} {tracks.score[i]:.0%} {note}".rstrip()
        _label(canvas, text, (x1, max(y1 - 4, round(18 * unit))), colour, unit)
    return with_caption(canvas, caption, unit)


def _name(classes: Sequence[str], class_id: int) -> str:
    return classes[class_id] if 0 <= class_id < len(classes) else f"class {class_id}"


def _label(canvas: U8, text: str, at: tuple[int, int], colour: Colour, unit: float) -> None:
    scale, thick = 0.6 * unit, max(1, round(1.4 * unit))
    (w, h), base = cv2.getTextSize(_ascii(text), _FONT, scale, thick)
    x = max(0, min(at[0], canvas.shape[1] - w - 2))
    y = min(max(at[1], h + 2), canvas.shape[0] - base)
    cv2.rectangle(canvas, (x, y - h - 3), (x + w + 2, y + base), colour, cv2.FILLED)
    dark = sum(colour) > 380
    cv2.putText(
        canvas, _ascii(text), (x + 1, y), _FONT, scale, (0, 0, 0) if dark else (255, 255, 255), thick, cv2.LINE_AA
    )


def with_caption(canvas: U8, caption: Sequence[str], unit: float) -> U8:
    if not caption:
        return canvas
    line = round(26 * unit)
    bar = np.zeros((line * len(caption) + round(8 * unit), canvas.shape[1], 3), np.uint8)
    for i, text in enumerate(caption):
        cv2.putText(
            bar,
            _ascii(text),
            (6, line * (i + 1) - round(6 * unit)),
            _FONT,
            0.6 * unit,
            (255, 255, 255),
            max(1, round(1.2 * unit)),
            cv2.LINE_AA,
        )
    return np.concatenate([canvas, bar])


def _ascii(text: str) -> str:
    # OpenCV's built-in font has no other letters; a mark is better than a wrong sign.
    return text.encode("ascii", "replace").decode()
