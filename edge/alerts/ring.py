"""The last seconds of each camera as small pictures in memory: what came before an incident is known when it opens."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2

if TYPE_CHECKING:
    from datetime import datetime

    from edge.types import Frame

_QUALITY = 75


@dataclass(frozen=True, slots=True)
class Kept:
    """One small picture: monotonic and UTC time of capture, JPEG bytes."""

    t_mono_s: float
    t_utc: datetime
    jpeg: bytes


class PictureRing:
    """Fed by the pipeline, read by the writer's thread.

    :param max_bytes: bound on all pictures together; beyond it the oldest go, whatever their age.
    :param keep_s: older pictures of a camera go, seconds.
    :param every_s: at most one picture in so many seconds per camera: encoding costs time.
    :param width: of the kept pictures, pixels; smaller ones stay as they are.
    """

    def __init__(self, *, max_bytes: int, keep_s: float, every_s: float = 1.0, width: int = 480) -> None:
        self._max_bytes = max_bytes
        self._keep_s = keep_s
        self._every_s = every_s
        self._width = width
        self._lock = threading.Lock()
        self._kept: dict[str, deque[Kept]] = {}
        self._bytes = 0

    @property
    def bytes(self) -> int:
        """Bytes of all pictures now."""
        return self._bytes

    def look(self, frame: Frame) -> None:
        """Keep this frame, if it is time for one. Never raises for a picture that cannot be encoded."""
        with self._lock:
            mine = self._kept.setdefault(frame.camera, deque())
            last_s = mine[-1].t_mono_s if mine else None
        if last_s is not None and 0 <= frame.t_mono_s - last_s < self._every_s:
            return
        width, height = frame.size
        image = frame.image
        if width > self._width:
            size = (self._width, max(1, round(height * self._width / width)))
            image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        try:
            ok, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        except cv2.error:
            return
        if not ok:
            return
        kept = Kept(frame.t_mono_s, frame.t_utc, coded.tobytes())
        with self._lock:
            mine.append(kept)
            self._bytes += len(kept.jpeg)
            while mine and mine[0].t_mono_s < frame.t_mono_s - self._keep_s:
                self._bytes -= len(mine.popleft().jpeg)
            while self._bytes > self._max_bytes:
                oldest = min((q for q in self._kept.values() if q), key=lambda q: q[0].t_mono_s)
                self._bytes -= len(oldest.popleft().jpeg)

    def forget(self, camera: str, since_s: float) -> None:
        """Let go of the camera's pictures from ``since_s`` on, monotonic seconds."""
        with self._lock:
            mine = self._kept.get(camera, deque())
            while mine and mine[-1].t_mono_s >= since_s:
                self._bytes -= len(mine.pop().jpeg)

    def cameras(self) -> list[str]:
        """Cameras of which there are pictures now."""
        with self._lock:
            return [name for name, kept in self._kept.items() if kept]

    def between(self, camera: str, begin_s: float, end_s: float) -> list[Kept]:
        """The camera's pictures of that time, in order; monotonic seconds, both ends included."""
        with self._lock:
            return [k for k in self._kept.get(camera, ()) if begin_s <= k.t_mono_s <= end_s]
