"""A camera that plays a script: frames and losses, in order, without waiting."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Protocol

import cv2
import numpy as np

from edge.cameras.interface import CameraStatus
from edge.errors import CameraEnded, CameraError, CameraLost
from edge.types import Frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from edge.types import U8

START_UTC = datetime(2026, 1, 5, 9, 0, tzinfo=timezone.utc)


class Advances(Protocol):
    """A clock that a test moves by hand."""

    def monotonic_s(self) -> float: ...

    def advance(self, seconds: float) -> None: ...


def make_frames(
    count: int,
    *,
    camera: str = "lobby",
    fps: float = 10.0,
    start_mono_s: float = 100.0,
    start_utc: datetime = START_UTC,
    first_seq: int = 0,
    size: tuple[int, int] = (64, 36),
    image: U8 | None = None,
) -> list[Frame]:
    """``count`` frames at ``fps``, ``size`` (width, height) px, each of another grey unless ``image`` is given."""
    width, height = size
    frames = []
    for i in range(count):
        picture = np.full((height, width, 3), (first_seq + i) % 256, np.uint8) if image is None else image
        t_s = i / fps
        frames.append(Frame(picture, first_seq + i, start_mono_s + t_s, start_utc + timedelta(seconds=t_s), camera))
    return frames


class FakeCamera:
    """Implements ``edge.cameras.interface.Camera``.

    :param script: what each ``read`` does, in order: a ``Frame`` is returned, a ``CameraError`` is raised; where the
        script is over, ``CameraEnded``. May be a generator, which then runs in step with the reader.
    :param clock: moved to a frame's ``t_mono_s`` when the frame is returned, and by ``timeout_s`` when a scripted
        ``CameraLost`` is raised, as if the reader had waited.
    """

    def __init__(
        self, script: Iterable[Frame | CameraError], *, name: str = "lobby", clock: Advances | None = None
    ) -> None:
        self._script: Iterator[Frame | CameraError] = iter(script)
        self._name = name
        self._clock = clock
        self._state = "starting"
        self._detail = ""
        self._frames = 0
        self._restarts = 0
        self.closed = False
        self.reads = 0

    @property
    def name(self) -> str:
        return self._name

    def read(self, timeout_s: float) -> Frame:
        self.reads += 1
        if self.closed:
            raise CameraLost(f'camera "{self._name}" is closed')
        step = next(self._script, None)
        if step is None:
            step = CameraEnded(f'camera "{self._name}": the script is over')
        if isinstance(step, Frame):
            return self._give(step)
        self._detail = step.message
        if isinstance(step, CameraLost):
            self._restarts += self._state == "live"
            self._state = "lost"
            if self._clock is not None:
                self._clock.advance(timeout_s)
        else:
            self._state = "ended"
        raise step

    def _give(self, frame: Frame) -> Frame:
        self._state, self._detail = "live", ""
        self._frames += 1
        if self._clock is not None:
            self._clock.advance(max(0.0, frame.t_mono_s - self._clock.monotonic_s()))
        return frame

    def status(self) -> CameraStatus:
        return CameraStatus(self._state, self._detail, self._frames, 0, self._restarts)

    def close(self) -> None:
        self.closed = True


def write_video(path: Path, count: int, *, fps: float = 10.0, size: tuple[int, int] = (64, 48)) -> Path:
    """A small MP4 of ``count`` grey pictures of growing brightness."""
    width, height = size
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
    for i in range(count):
        writer.write(np.full((height, width, 3), 20 + i * 200 // max(1, count), np.uint8))
    writer.release()
    return path
