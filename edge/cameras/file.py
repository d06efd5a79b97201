"""A video file as a camera, as fast as it is read: for replay, where the clip's own time is the only time."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from edge.cameras.freshness import RateLimit, Timeline
from edge.cameras.interface import CameraStatus
from edge.cameras.opencv import OpenCvReader, silence
from edge.cameras.source import parse_source
from edge.errors import CameraEnded, CameraError, CameraLost, SourceInvalid
from edge.types import Frame

if TYPE_CHECKING:
    from pathlib import Path

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class VideoFile:
    """The frames of a video file, in order; implements ``edge.cameras.interface.Camera``.

    Opened at the first ``read``. A frame's times are ``start_mono_s`` and ``start_utc`` plus its presentation time, so
    the same file gives the same times wherever it is replayed.

    :param path: the file.
    :param name: the camera's name.
    :param start_mono_s: monotonic time of the start of the clip.
    :param start_utc: wall time of the start of the clip.
    :param max_fps: thin the file to at most this rate; the other frames are decoded, as they must be, but never turned
        into pictures. None: every frame.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        name: str = "replay",
        start_mono_s: float = 0.0,
        start_utc: datetime = EPOCH,
        max_fps: float | None = None,
    ) -> None:
        silence()
        self._source = parse_source(f"file:{path}")
        self._name = name
        self._start_mono_s = start_mono_s
        self._start_utc = start_utc
        self._reader: OpenCvReader | None = None
        self._fps: float | None = None
        self._timeline = Timeline(0.04)
        self._limit = RateLimit(max_fps)
        self._frames = 0
        self._state = "starting"
        self._detail = ""
        self._over: CameraError | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def fps(self) -> float:
        """The file's stated frame rate; 0.0: unknown.

        :raises SourceNotFound: the video file does not exist.
        :raises SourceInvalid: the video file holds no readable video.
        """
        if self._fps is None:
            self._opened()
        return self._fps or 0.0

    def read(self, timeout_s: float) -> Frame:
        """The next frame; ``timeout_s`` is not needed, a file never waits."""
        del timeout_s
        reader = self._opened()
        while reader.grab():
            t_s = self._timeline.place(reader.pts_s)
            seq, self._frames = self._frames, self._frames + 1
            if not self._limit.due(t_s):
                continue
            picture = reader.retrieve()
            if picture is None:
                continue
            self._state = "live"
            return Frame(picture, seq, self._start_mono_s + t_s, self._start_utc + timedelta(seconds=t_s), self._name)
        if self._state == "starting":
            raise self._finish(
                SourceInvalid(
                    f'video file "{self._source.label}" holds no readable picture',
                    hint="play it elsewhere: is it damaged, or sound only?",
                )
            )
        raise self._finish(CameraEnded(f'video file "{self._source.label}" is over after {self._frames} frames'))

    def status(self) -> CameraStatus:
        return CameraStatus(self._state, self._detail, self._frames, 0, 0)

    def close(self) -> None:
        self._finish(CameraLost(f'camera "{self._name}" is closed'))

    def _opened(self) -> OpenCvReader:
        if self._over is not None:
            raise type(self._over)(self._over.message, hint=self._over.hint)
        if self._reader is None:
            try:
                self._reader = OpenCvReader(self._source)
            except CameraError as error:
                raise self._finish(error) from error
            self._fps = self._reader.fps
            self._timeline = Timeline(1.0 / self._fps if self._fps else 0.04)
        return self._reader

    def _finish(self, error: CameraError) -> CameraError:
        """Let the file go; every later read says ``error``."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
        self._state, self._detail, self._over = "ended", error.message, error
        return error
