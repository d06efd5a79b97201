"""The Raspberry Pi's own camera: ``rpicam-vid`` as a child process that writes raw frames into a pipe.

Its Python binding is a build of the system's Python and breaks on NumPy 2; the program is there on every Raspberry Pi OS.
A raw stream has no marks between its pictures, so that where they begin is watched: a torn picture ends the reader, and
with the next child the stream begins anew.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, cast

import cv2
import numpy as np

from edge.cameras.geometry import PROGRAM, parse_geometry
from edge.errors import EX_UNAVAILABLE, CameraError, CameraLost

if TYPE_CHECKING:
    from edge.cameras.geometry import Geometry
    from edge.cameras.source import Source
    from edge.types import U8

_PR_SET_PDEATHSIG = 1
_F_SETPIPE_SZ = 1031
_PIPE_BYTES = 1 << 20  # the most that an ordinary user may ask for
_TORN_S = 1.0  # the rest of a picture follows its beginning within milliseconds
_MISPLACED = 12  # so many more pictures with a pause inside than without


class ProgramMissing(CameraError):  # noqa: N818 - reads as the fact it states
    """``rpicam-vid`` is not installed."""

    exit_code = EX_UNAVAILABLE


def find_program(program: str = PROGRAM) -> str:
    """Its path. :raises ProgramMissing: there is none."""
    found = shutil.which(program)
    if found is None:
        raise ProgramMissing(
            f"the program {program} is not there, which reads the Raspberry Pi's camera",
            hint="on Raspberry Pi OS: apt install rpicam-apps; a USB camera is named as /dev/video0 instead",
        )
    return found


def arguments(geometry: Geometry) -> list[str]:
    """What ``rpicam-vid`` is told: raw pictures of this size to its standard output, until it is killed."""
    return [
        *("--camera", str(geometry.camera)),
        *("--width", str(geometry.width)),
        *("--height", str(geometry.height)),
        *("--framerate", f"{geometry.fps:g}"),
        *("--codec", "yuv420"),
        *("--timeout", "0"),
        "--nopreview",
        "--flush",
        *("--verbose", "0"),
        *("--output", "-"),
    ]


class RpicamReader:
    """One run of ``rpicam-vid``; used as ``opencv.OpenCvReader`` is. Not thread-safe.

    :param source: of kind RPICAM.
    :param program: name or path of the program.
    :raises ProgramMissing: it is not installed.
    :raises CameraLost: it cannot be started.
    """

    def __init__(self, source: Source, *, program: str = PROGRAM) -> None:
        geometry = parse_geometry(source.target)
        if geometry is None:  # parse_source would not have let it through
            raise CameraLost(f"{source.label} names no camera")
        self._geometry = geometry
        self._label = source.label
        self.fps = geometry.fps
        self._buffer = np.zeros(geometry.frame_bytes, np.uint8)
        self._view = self._buffer.data
        self._misplaced = 0
        try:
            self._process = subprocess.Popen(
                [find_program(program), *arguments(geometry)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                env={**os.environ, "LIBCAMERA_LOG_LEVELS": "*:ERROR"},
                # Whatever it is stuck in, it must not keep the camera from the next one.
                preexec_fn=_end_with_parent,  # noqa: PLW1509 - this process has one thread
            )
        except OSError as error:
            raise CameraLost(f"{self._label}: {program} cannot be started: {error.strerror}") from error
        assert self._process.stdout is not None  # noqa: S101 - it was asked for above
        self._pipe = self._process.stdout.fileno()
        os.set_blocking(self._pipe, False)
        with contextlib.suppress(OSError):  # fewer wake-ups a picture; works without
            fcntl.fcntl(self._pipe, _F_SETPIPE_SZ, _PIPE_BYTES)

    def grab(self) -> bool:
        """Wait for the next picture; False never comes: whoever waits too long kills this process.

        :raises CameraLost: ``rpicam-vid`` ended, a picture is torn, or pictures begin in the wrong place.
        """
        got, longest_s, began_s = 0, 0.0, 0.0
        while got < len(self._view):
            waits_s = time.monotonic()
            self._wait(got, began_s)
            now_s = time.monotonic()
            if got:
                longest_s = max(longest_s, now_s - waits_s)
            else:
                began_s = now_s
            count = os.readv(self._pipe, [self._view[got:]])
            if not count:
                raise self._ended(got)
            got += count
        # The pause belongs between two pictures. More often within one: they have another size than was asked for.
        self._misplaced = max(0, self._misplaced + (1 if longest_s > 0.5 / self.fps else -1))
        if self._misplaced >= _MISPLACED:
            size = f"{self._geometry.width}x{self._geometry.height}"
            raise CameraLost(
                f"{self._label}: {PROGRAM} does not send pictures of {size}",
                hint=f"choose a size that this camera has: {PROGRAM} --list-cameras",
            )
        return True

    def retrieve(self, out: U8 | None = None) -> U8 | None:
        """The picture grabbed last, uint8 (H, W, 3) BGR; into ``out`` where its shape fits."""
        planes = self._buffer.reshape(self._geometry.height * 3 // 2, self._geometry.width)
        shape = (self._geometry.height, self._geometry.width, 3)
        target = out if out is not None and out.shape == shape else None
        return cast("U8", cv2.cvtColor(planes, cv2.COLOR_YUV2BGR_I420, dst=target))

    def close(self) -> None:
        """End the program; may be called twice."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _wait(self, got: int, began_s: float) -> None:
        """Until there is something to read. :raises CameraLost: the rest of a picture does not come."""
        if not got:
            select.select([self._pipe], [], [])
            return
        left_s = began_s + _TORN_S - time.monotonic()
        if left_s <= 0 or not select.select([self._pipe], [], [], left_s)[0]:
            raise CameraLost(f"{self._label}: {PROGRAM} stopped in the middle of a picture")

    def _ended(self, got: int) -> CameraLost:
        self.close()
        code = self._process.returncode
        how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        cut = f", {got} bytes into a picture of {len(self._view)}" if got else ""
        return CameraLost(f"{self._label}: {PROGRAM} ended ({how}){cut}")


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
