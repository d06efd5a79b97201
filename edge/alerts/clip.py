"""A short film of an event, from the pictures that are in memory anyway."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.alerts.ring import Kept
    from edge.types import U8

MEDIA_TYPE = "video/mp4"
# MPEG-4 part 2: what OpenCV's own build writes and phones, Windows, macOS and VLC play without an extra; browsers do not.
_FOURCC = "mp4v"
_SPARSER = (1, 2, 4)
_MARK_S = 0.5  # how long the frame is red around the moment


def make_clip(kept: Sequence[Kept], at_s: float, *, fps: float, max_bytes: int, folder: Path) -> bytes | None:
    """The pictures as MP4, each with its time and distance from ``at_s``; red around the moment itself.

    One picture is decoded at a time. A film that grows past ``max_bytes`` is made of every second or fourth picture.

    :param kept: in order; gaps stand still.
    :param fps: of the film, at most; pictures that come more often are left out.
    :param folder: for the temporary file; on the state's disk there is room, ``/tmp`` may be memory.
    :returns: None: nothing can be read, or it is too large even so.
    :raises StateError: it cannot be written.
    """
    for sparser in _SPARSER:
        data = _write(kept, at_s, fps / sparser, folder)
        if data is None or len(data) <= max_bytes:
            return data
    return None


def _write(kept: Sequence[Kept], at_s: float, fps: float, folder: Path) -> bytes | None:
    try:
        descriptor, name = tempfile.mkstemp(prefix=".clip-", suffix=".mp4", dir=folder)
        os.close(descriptor)
    except OSError as error:
        raise StateError(f"no clip can be written in {folder}: {error.strerror}", hint="Check free space.") from error
    path = Path(name)
    writer: cv2.VideoWriter | None = None
    size = (0, 0)
    try:
        for item in _evenly(kept, fps):
            image = cv2.imdecode(np.frombuffer(item.jpeg, np.uint8), cv2.IMREAD_COLOR)
            if image is None:
                continue
            if writer is None:
                size = (image.shape[1] // 2 * 2, image.shape[0] // 2 * 2)  # the codec wants even numbers
                writer = cv2.VideoWriter(name, cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*_FOURCC), fps, size)
            if (image.shape[1], image.shape[0]) != size:
                image = cv2.resize(image, size)
            writer.write(_labelled(image.astype(np.uint8), item, at_s))
        if writer is None or not writer.isOpened():
            return None
        writer.release()
        writer = None
        return path.read_bytes()
    except OSError as error:
        raise StateError(f"a clip cannot be read back: {error.strerror}", hint="Check the card.") from error
    finally:
        if writer is not None:
            writer.release()
        path.unlink(missing_ok=True)


def _evenly(kept: Sequence[Kept], fps: float) -> list[Kept]:
    """For each moment of the film the newest picture that was there."""
    if not kept:
        return []
    found: list[Kept] = []
    at = 0
    length_s = kept[-1].t_mono_s - kept[0].t_mono_s
    for number in range(int(length_s * fps + 1e-6) + 1):
        moment_s = kept[0].t_mono_s + number / fps + 1e-6
        while at + 1 < len(kept) and kept[at + 1].t_mono_s <= moment_s:
            at += 1
        found.append(kept[at])
    return found


def _labelled(image: U8, item: Kept, at_s: float) -> U8:
    offset_s = item.t_mono_s - at_s
    text = f"{item.t_utc:%H:%M:%S} UTC  {offset_s:+.1f} s"
    place = (6, image.shape[0] - 8)
    for colour, thick in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(image, text, place, cv2.FONT_HERSHEY_SIMPLEX, 0.48, colour, thick, cv2.LINE_AA)
    if -0.05 < offset_s < _MARK_S:
        cv2.rectangle(image, (0, 0), (image.shape[1] - 1, image.shape[0] - 1), (0, 0, 200), 4)
    return image
