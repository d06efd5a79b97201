"""The capture process: ``python -m edge.cameras.child FD``. Reads one source and offers its frames, until killed.

It may hang in a driver or a library at any point: its parent judges it by the age of its frames and kills it.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from edge.cameras import wire
from edge.cameras.freshness import BurstFilter, RateLimit, Timeline
from edge.cameras.opencv import TALKATIVE, OpenCvReader, stream_options
from edge.cameras.rpicam import RpicamReader
from edge.cameras.source import Kind, Source
from edge.errors import CameraError, CameraLost, SourceInvalid, SourceNotFound

if TYPE_CHECKING:
    from edge.types import U8

_PR_SET_PDEATHSIG = 1
_LONGEST_PACED_WAIT_S = 1.0
_DAMAGED_IN_A_ROW = 100
# A file's frames wait for their parent, as a stream's cannot: above all the last one.
_FILE_PATIENCE_S = 0.5


class Offer:
    """The child's side of the picture slots: a frame is written where the parent reads nothing."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._pictures: U8 | None = None
        self._block = 0
        self._free: list[int] = []
        self._missed = 0

    def put(self, reader: OpenCvReader | RpicamReader, count: int, t_mono_s: float, *, patience_s: float = 0.0) -> bool:
        """Decode the grabbed frame into a free slot and tell the parent; False: the frame is damaged.

        Where no slot becomes free within ``patience_s``, the frame is missed.
        """
        self.take_returns(0.0)
        if self._pictures is not None and not self._free:
            self.take_returns(patience_s)
        if self._pictures is not None and not self._free:
            self._missed += 1
            return True
        slot = self._free[-1] if self._free else 0
        picture = reader.retrieve(None if self._pictures is None else self._pictures[slot])
        if picture is None:
            return False
        if self._pictures is None or picture.shape != self._pictures.shape[1:]:
            self._pictures = self._new_block(picture)
            slot = self._free[-1]
        target = self._pictures[slot]
        if picture.ctypes.data != target.ctypes.data:
            target[:] = picture
        self._free.pop()
        self._say(wire.FrameMessage(self._block, slot, count, t_mono_s, self._missed))
        self._missed = 0
        return True

    def take_returns(self, wait_s: float) -> None:
        """Collect slots that the parent has done with, for at most ``wait_s``; ends the process when it has gone."""
        while select.select([self._sock], [], [], wait_s)[0]:
            try:
                message = self._sock.recv(16)
            except OSError:
                message = b""
            if not message:
                os._exit(0)
            if message[0] == self._block:
                self._free.append(message[1])
            if wait_s:
                return

    def over(self, reason: str, words: str, hint: str = "") -> NoReturn:
        """Say why there will be no further frame, and leave without waiting for any library."""
        self._say(wire.OverMessage(reason, words[:2000], hint[:2000]))
        sys.stderr.flush()
        os._exit(0)

    def _new_block(self, picture: U8) -> U8:
        height, width = picture.shape[:2]
        self._block = (self._block + 1) % 256
        fd, pictures = wire.create_pictures(width, height)
        message = wire.encode(wire.PicturesMessage(self._block, width, height))
        try:
            socket.send_fds(self._sock, [message], [fd])
        except OSError:
            os._exit(0)
        os.close(fd)
        self._free = list(range(wire.SLOTS))
        return pictures

    def _say(self, message: wire.Message) -> None:
        try:
            self._sock.send(wire.encode(message))
        except OSError:
            os._exit(0)


def run_live(reader: OpenCvReader | RpicamReader, order: wire.Order, offer: Offer) -> None:
    """Offer every fresh frame of a live source until it stops giving any."""
    burst = BurstFilter(reader.fps)
    limit = RateLimit(order.max_fps)
    count = damaged = 0
    while reader.grab():
        t_mono_s = time.monotonic()
        count += 1
        if burst.fresh(t_mono_s) and limit.due(t_mono_s):
            damaged = 0 if offer.put(reader, count, t_mono_s) else damaged + 1
            if damaged > _DAMAGED_IN_A_ROW:
                break


def run_file(source: Source, order: wire.Order, offer: Offer) -> None:
    """Offer a file's frames at the pace of their presentation times; for ever, if the order says loop."""
    start_mono_s = time.monotonic()
    limit = RateLimit(order.max_fps)
    count = good = 0
    timeline: Timeline | None = None
    while True:
        reader = OpenCvReader(source)
        timeline = timeline or Timeline(1.0 / reader.fps if reader.fps else 0.04)
        before = good
        while reader.grab():
            t_mono_s = start_mono_s + timeline.place(reader.pts_s)
            now_s = time.monotonic()
            if t_mono_s - now_s > _LONGEST_PACED_WAIT_S:  # a hole in the file: nobody wants to wait for it
                start_mono_s -= t_mono_s - now_s - _LONGEST_PACED_WAIT_S
                t_mono_s = now_s + _LONGEST_PACED_WAIT_S
            while (wait_s := t_mono_s - time.monotonic()) > 0:
                offer.take_returns(wait_s)
            count += 1
            if limit.due(t_mono_s):
                good += offer.put(reader, count, time.monotonic(), patience_s=_FILE_PATIENCE_S)
        reader.close()
        if good == before:
            raise SourceInvalid(f'video file "{source.label}" holds no readable picture')
        if not order.loop:
            offer.over("ended", f'video file "{source.label}" is over after {count} frames')


def open_live(source: Source, order: wire.Order) -> OpenCvReader | RpicamReader:
    """Open a device or a stream. Half a second of a stream tells its format nearly always; if not, look longer."""
    if source.kind is Kind.RPICAM:
        return RpicamReader(source, program=order.program)
    for analyze_s, last in ((0.5, False), (5.0, True)):
        if source.kind is not Kind.V4L2:
            os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = stream_options(analyze_s)
        began_s = time.monotonic()
        try:
            return OpenCvReader(
                source,
                open_timeout_s=order.open_timeout_s,
                read_timeout_s=order.read_timeout_s,
                size=order.size,
                threads=1,
            )
        except CameraLost:
            if last or not analyze_s <= time.monotonic() - began_s < 0.5 * order.open_timeout_s:
                raise
    raise AssertionError  # the loop returns or raises


def hush() -> None:
    """Send all further output nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def main() -> None:
    """Take the order from the socket whose number is the only argument, and carry it out."""
    sock = socket.socket(fileno=int(sys.argv[1]))
    order = wire.Order.decode(sock.recv(wire.MAX_MESSAGE))
    # Whatever this process is stuck in, it ends with its parent.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != order.parent_pid:
        os._exit(0)
    source = Source(Kind(order.kind), order.target, order.label)
    offer = Offer(sock)
    try:
        if source.kind is Kind.FILE:
            run_file(source, order, offer)
        reader = open_live(source, order)
        if os.environ.get("OPENCV_FFMPEG_LOGLEVEL") == TALKATIVE:
            hush()  # it was to tell why opening fails; a live stream talks too much
        run_live(reader, order, offer)
        offer.over("lost", f"{source.label} sends no further frame")
    except SourceNotFound as error:
        offer.over("not_found", error.message, error.hint)
    except SourceInvalid as error:
        offer.over("invalid", error.message, error.hint)
    except CameraError as error:
        offer.over("lost", error.message, error.hint)


if __name__ == "__main__":
    main()
