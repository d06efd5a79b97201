"""An IP camera on loopback that sends JPEG pictures over HTTP, and can misbehave as cameras do."""

from __future__ import annotations

import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from edge.types import U8


class HttpCamera:
    """Serves grey pictures, each of another shade, as multipart/x-mixed-replace; use as a context manager.

    :param fps: pictures per second.
    :param burst: so many pictures are sent at once after each connect, and after each thaw: a buffer running empty.
    :param refuse: answer with this HTTP status instead.
    :param size: (width, height) px.
    :param clip: a video whose pictures it sends instead, over and over.
    """

    def __init__(
        self,
        *,
        fps: float = 20.0,
        burst: int = 0,
        refuse: int = 0,
        size: tuple[int, int] = (160, 120),
        clip: Path | None = None,
    ) -> None:
        self.fps = fps
        self.burst = burst
        self.refuse = refuse
        self.mute = False  # take connections and answer nothing
        self.size = size
        self.connect_times: list[float] = []
        self.requests: list[str] = []
        self.same = False  # from now on the same picture is sent again and again
        self._clip = _jpegs(clip) if clip else []
        self._sent = b""
        self._frozen = threading.Event()
        self._stop = threading.Event()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                camera.requests.append(self.path)
                with contextlib.suppress(OSError):
                    camera._serve(self)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})

    def __enter__(self) -> HttpCamera:  # noqa: PYI034 - typing.Self is newer than Python 3.10
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def connects(self) -> int:
        return len(self.connect_times)

    def url(self, credentials: str = "", query: str = "") -> str:
        return f"http://{credentials}127.0.0.1:{self._server.server_port}/video{query}"

    def freeze(self) -> None:
        """Send nothing more; connections stay open."""
        self._frozen.set()

    def thaw(self) -> None:
        self._frozen.clear()

    def _serve(self, request: BaseHTTPRequestHandler) -> None:
        self.connect_times.append(time.monotonic())
        while self.mute and not self._stop.is_set():
            time.sleep(0.02)
        if self.refuse:
            request.send_error(self.refuse)
            return
        request.send_response(200)
        request.send_header("Content-Type", "multipart/x-mixed-replace; boundary=next")
        request.end_headers()
        number, at_once = 0, self.burst
        while not self._stop.is_set():
            if self._frozen.is_set():
                time.sleep(0.02)
                at_once = self.burst
                continue
            parts = [self._part(number + i) for i in range(max(1, at_once))]
            request.wfile.write(b"".join(parts))
            number += len(parts)
            at_once = 0
            time.sleep(1.0 / self.fps)

    def _part(self, number: int) -> bytes:
        if not (self.same and self._sent):
            width, height = self.size
            self._sent = (
                self._clip[number % len(self._clip)]
                if self._clip
                else _jpeg(np.full((height, width, 3), 10 + number % 230, np.uint8))
            )
        data = self._sent
        return f"--next\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data + b"\r\n"


def _jpeg(picture: U8) -> bytes:
    ok, jpeg = cv2.imencode(".jpg", picture)
    assert ok
    return jpeg.tobytes()


def _jpegs(clip: Path) -> list[bytes]:
    capture, found = cv2.VideoCapture(str(clip)), []
    while (answer := capture.read())[0]:
        found.append(_jpeg(answer[1]))
    return found
