"""OpenCV as a reader of files, V4L2 devices and network streams, in this process.

A live source can block for ever in here: the appliance reads it in a process that can be killed (``capture``).
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from edge.cameras.source import Kind
from edge.errors import CameraLost, SourceInvalid, SourceNotFound

if TYPE_CHECKING:
    from edge.cameras.source import Source
    from edge.types import U8

# A hostile stream may claim any size; this is more than any camera here delivers (8K).
MAX_PIXELS = 7680 * 4320
_FILE_TIMEOUT_S = 120.0
# FFmpeg's log levels in OPENCV_FFMPEG_LOGLEVEL: nothing, warnings, all that it does.
SILENT, USUAL, TALKATIVE = "-8", "24", "56"


def stream_options(analyze_s: float) -> str:
    """FFmpeg's options for a network stream, as OpenCV takes them (environment OPENCV_FFMPEG_CAPTURE_OPTIONS).

    TCP tears no picture and passes firewalls; nothing is buffered; only the protocols of a stream are allowed, because
    a hostile one may point to files.

    :param analyze_s: how long to watch the stream before it counts as open.
    """
    protocols = "rtsp,rtsps,rtp,srtp,udp,tcp,tls,http,https,httpproxy,crypto"
    return (
        f"rtsp_transport;tcp|fflags;nobuffer|flags;low_delay|analyzeduration;{analyze_s * 1e6:.0f}"
        f"|protocol_whitelist;{protocols}"
    )


def silence() -> None:
    """Keep OpenCV's and FFmpeg's own lines off stderr; errors are told by exceptions. An explicit setting wins."""
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", SILENT)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def check_file(path: Path, label: str) -> None:
    """Say what is wrong with a video file before any decoder sees it.

    :raises SourceNotFound: it does not exist.
    :raises SourceInvalid: it is no regular file, empty, or may not be read.
    """
    hint = "check the path; a relative one is taken from the current directory"
    try:
        info = path.stat()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceNotFound(f'video file "{label}" does not exist', hint=hint) from error
    except OSError as error:
        raise SourceInvalid(f'video file "{label}" cannot be read: {error.strerror}', hint=hint) from error
    if not stat.S_ISREG(info.st_mode):
        raise SourceInvalid(f'"{label}" is no regular file', hint="give a video file (MP4, MKV, AVI, ...)")
    if info.st_size == 0:
        raise SourceInvalid(f'video file "{label}" is empty', hint="copy it again; was the recording cut short?")
    if not os.access(path, os.R_OK):
        raise SourceInvalid(f'video file "{label}" may not be read by this user', hint=f'check "ls -l {label}"')


class OpenCvReader:
    """One opened source. Not thread-safe.

    :param source: what to open.
    :param open_timeout_s: give up on a network source after this long.
    :param read_timeout_s: so too for each of its frames.
    :param size: (width, height) px asked of a V4L2 device; it may choose another.
    :param threads: decoder threads; more than one costs a live stream a frame of delay each. 0: as many as cores.
    :raises SourceNotFound: the file does not exist.
    :raises SourceInvalid: the file holds no readable video.
    :raises CameraLost: the live source cannot be opened.
    """

    def __init__(
        self,
        source: Source,
        *,
        open_timeout_s: float = 10.0,
        read_timeout_s: float = 5.0,
        size: tuple[int, int] | None = None,
        threads: int = 0,
    ) -> None:
        self._source = source
        if source.kind is Kind.V4L2:
            self._capture = _open_v4l2(source, size)
        else:
            if source.kind is Kind.FILE:
                check_file(Path(source.target), source.label)
                # A file does not hang; a machine so busy that its first picture takes seconds makes it no bad file.
                open_timeout_s = read_timeout_s = _FILE_TIMEOUT_S
            options = [
                *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(open_timeout_s * 1000)),
                *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(read_timeout_s * 1000)),
                *(cv2.CAP_PROP_N_THREADS, threads),
            ]
            self._capture = cv2.VideoCapture(source.target, cv2.CAP_FFMPEG, options)
        if not self._capture.isOpened():
            self.close()
            raise self._unreadable("cannot be opened")
        width, height = self._get(cv2.CAP_PROP_FRAME_WIDTH), self._get(cv2.CAP_PROP_FRAME_HEIGHT)
        if width * height > MAX_PIXELS:
            self.close()
            raise self._unreadable(f"claims {width:.0f}x{height:.0f} pixels, more than 7680x4320")
        self.fps = self._get(cv2.CAP_PROP_FPS)

    def grab(self) -> bool:
        """Wait for the next frame, without turning it into a picture; False: there is none."""
        return bool(self._capture.grab())

    @property
    def pts_s(self) -> float:
        """Presentation time of the frame grabbed last; may be any number at all."""
        return float(self._capture.get(cv2.CAP_PROP_POS_MSEC)) / 1000.0

    def retrieve(self, out: U8 | None = None) -> U8 | None:
        """The frame grabbed last, uint8 (H, W, 3) BGR; into ``out`` where its shape fits. None: it is damaged."""
        try:
            ok, picture = self._capture.retrieve() if out is None else self._capture.retrieve(out)
        except cv2.error:
            return None
        if not ok or picture is None or picture.size == 0 or picture.dtype != np.uint8:
            return None
        if picture.ndim == 2:
            picture = cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR)
        if picture.ndim != 3 or picture.shape[2] != 3 or picture.shape[0] * picture.shape[1] > MAX_PIXELS:
            return None
        return cast("U8", picture)

    def close(self) -> None:
        """Let the source go; may be called twice."""
        self._capture.release()

    def _get(self, prop: int) -> float:
        value = float(self._capture.get(prop))
        return value if 0.0 < value < 1e9 else 0.0

    def _unreadable(self, what: str) -> SourceInvalid | CameraLost:
        if self._source.kind is Kind.FILE:
            return SourceInvalid(
                f'video file "{self._source.label}" {what}', hint="it must be a video that FFmpeg reads (MP4, MKV, ...)"
            )
        return CameraLost(f"{self._source.label} {what}")


def _open_v4l2(source: Source, size: tuple[int, int] | None) -> cv2.VideoCapture:
    device = Path(source.target)
    if not device.exists():
        raise CameraLost(
            f"{source.label} does not exist", hint="is the camera plugged in? ls /dev/v4l/by-id/ shows what is there"
        )
    if not os.access(device, os.R_OK | os.W_OK):
        raise CameraLost(f"{source.label} may not be opened by this user", hint='add the user to the group "video"')
    options = [cv2.CAP_PROP_FRAME_WIDTH, size[0], cv2.CAP_PROP_FRAME_HEIGHT, size[1]] if size else []
    return cv2.VideoCapture(str(device.resolve()), cv2.CAP_V4L2, options)
