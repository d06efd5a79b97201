"""The parent's end of one capture process: start it, hear it, kill it."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import edge
from edge.cameras import wire
from edge.cameras.opencv import TALKATIVE, USUAL

if TYPE_CHECKING:
    from edge.types import U8

# The child runs from where this very package was loaded, whatever the current directory is.
_PACKAGE_ROOT = Path(edge.__file__).resolve().parent.parent
_KEPT_LINES = 100


class ChildLink:
    """One life of a capture process. Create it in the thread that hears it: the kernel ends the child with that thread.

    :param order: what it shall read; its ``target`` never shows in a process list or an environment.
    :param talkative: let FFmpeg tell all, because it keeps quiet about why HTTP was refused.
    :raises OSError: no process can be started.
    """

    def __init__(self, order: wire.Order, *, talkative: bool = False) -> None:
        self._lock = threading.Lock()  # the reader returns slots while the supervisor closes the socket
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)
        self._rest = b""
        self._block = -1
        self._pictures: U8 | None = None
        env = {
            **os.environ,
            "OPENCV_FFMPEG_LOGLEVEL": TALKATIVE if talkative else USUAL,
            "OPENCV_LOG_LEVEL": "OFF",
            "OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT": str(max(1, round(order.read_timeout_s))),
        }
        with theirs:
            try:
                self._process = subprocess.Popen(
                    # -u: C's standard output, into which FFmpeg says why, would else wait in a buffer that a kill loses.
                    [sys.executable, "-u", "-m", "edge.cameras.child", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,  # where OpenCV's FFmpeg lines go
                    stderr=subprocess.STDOUT,
                    pass_fds=[theirs.fileno()],
                    cwd=_PACKAGE_ROOT,
                    env=env,
                    start_new_session=True,  # Ctrl-C in a terminal is the parent's to handle
                )
            except OSError:
                self._sock.close()
                raise
        assert self._process.stdout is not None  # noqa: S101 - it was asked for above
        self._output = self._process.stdout.fileno()
        self._output_open = True
        os.set_blocking(self._output, False)
        self._sock.settimeout(0.0)
        with contextlib.suppress(OSError):  # it died at once: the next poll says so
            self._sock.send(order.encode())

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lines(self) -> list[str]:
        """The last lines of its stderr, unredacted: for ``reasons`` only."""
        return list(self._lines)

    def poll(self, timeout_s: float, wake_fd: int) -> list[wire.Message] | None:
        """What the child said, waiting at most ``timeout_s`` or until ``wake_fd`` is readable; None: it is gone.

        :raises wire.WireError: it said something that makes no sense.
        """
        watched = select.poll()
        fds = [self._sock.fileno(), wake_fd, *([self._output] if self._output_open else [])]
        for fd in fds:
            watched.register(fd, select.POLLIN)
        ready = {fd for fd, _ in watched.poll(max(0.0, timeout_s) * 1000.0)}
        if self._output in ready:
            self._read_lines()
        return self._receive() if self._sock.fileno() in ready else []

    def slot(self, frame: wire.FrameMessage) -> U8:
        """The picture that ``frame`` speaks of, in shared memory: not to be touched after its return.

        :raises wire.WireError: there is no such picture.
        """
        if self._pictures is None or frame.block != self._block:
            raise wire.WireError(f"frame in block {frame.block}, the current one is {self._block}")
        picture: U8 = self._pictures[frame.slot]
        return picture

    def give_back(self, frame: wire.FrameMessage) -> None:
        """Let the child write that slot again."""
        # It may be gone, or so hung that many returns wait: then it is about to be killed.
        with self._lock, contextlib.suppress(OSError):
            self._sock.send(wire.encode_return(frame.block, frame.slot))

    def kill(self) -> bool:
        """End the child; False: it will not die (stuck in the kernel, as with a broken USB driver)."""
        self._process.kill()
        try:
            self._process.wait(2.0)
        except subprocess.TimeoutExpired:
            return False
        finally:
            self._read_lines()
            with self._lock:
                self._sock.close()
            if self._process.stdout is not None:
                self._process.stdout.close()
        return True

    def _receive(self) -> list[wire.Message] | None:
        packets, is_open = wire.receive(self._sock)
        messages: list[wire.Message] = []
        try:
            for data, fds in packets:
                message = wire.decode(data)
                if isinstance(message, wire.PicturesMessage):
                    self._map(message, fds)
                messages.append(message)
        finally:
            for fd in (fd for _, fds in packets for fd in fds):
                os.close(fd)
        return messages if messages or is_open else None

    def _map(self, message: wire.PicturesMessage, fds: list[int]) -> None:
        if len(fds) != 1:
            raise wire.WireError("pictures without their memory")
        self._pictures = wire.map_pictures(fds[0], message.width, message.height)
        self._block = message.block

    def _read_lines(self) -> None:
        try:
            data = os.read(self._output, 65536)
        except OSError:
            return
        if not data:  # a child that is hushed closes it, and goes on
            self._output_open = False
            return
        *lines, self._rest = (self._rest[-4096:] + data).split(b"\n")
        self._lines.extend(line[:500].decode("utf-8", "replace") for line in lines)
