"""A camera whose capture can be killed: the appliance's only way to a live source."""

from __future__ import annotations

import logging
import os
import select
import threading
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from edge.cameras import wire
from edge.cameras.geometry import PROGRAM
from edge.cameras.interface import CameraStatus
from edge.cameras.link import ChildLink
from edge.cameras.reasons import explain, is_refused
from edge.cameras.source import Kind
from edge.clock import SystemClock
from edge.errors import CameraEnded, CameraError, CameraLost, SourceInvalid, SourceNotFound
from edge.types import Frame

if TYPE_CHECKING:
    from edge.cameras.source import Source
    from edge.clock import Clock
    from edge.types import U8

log = logging.getLogger(__name__)

# Many cameras lock an account after a few wrong passwords within minutes.
_REFUSED_DELAY_S = 60.0
# A life with frames for this long counts as success: the next loss starts with a short delay again.
_GOOD_LIFE_S = 3.0
# What supervising may take beside its waits: starting and killing a process on a busy machine.
_SUPERVISE_S = 12.0
# Between starting the child and the open time-out that it keeps itself.
_START_GRACE_S = 5.0
# A camera that opened in half a second does so again: one that is away for a while is tried more often than every ten
# seconds. If it does not come back like that, it is given its whole time again.
_AS_LONG_AS_BEFORE, _AT_LEAST_S, _HASTY_TRIES = 3.0, 2.0, 3
_CLOSE_S = 5.0


@dataclass(slots=True)
class _Pending:
    link: ChildLink
    message: wire.FrameMessage
    picture: U8
    seq: int


class CaptureProcess:
    """Reads a source in a child process, keeps the newest frame, restarts what hangs; an ``interface.Camera``.

    Starts at once. A child that delivers no fresh frame for ``fresh_timeout_s`` is killed and started again after a
    pause that doubles. A file is played at its own pace.

    :param name: the camera's name.
    :param source: from ``source.parse_source``.
    :param loop: play a file again and again.
    :param max_fps: thin the stream to at most this rate; None: every frame.
    :param fresh_timeout_s: a picture older than this is not fresh.
    :param lost_after_s: without a fresh picture for this long, the status says "lost".
    :param open_timeout_s: how long opening a stream may take; less for the first tries after a loss.
    :param retry_after_s: pause before the first new try; it doubles with every failure.
    :param retry_at_most_s: the longest pause.
    :param size: (width, height) px asked of a V4L2 device.
    :param rpicam: name or path of the program that reads a Raspberry Pi's camera.
    :param clock: the machine's; its monotonic time must be CLOCK_MONOTONIC, which the child shares.
    """

    def __init__(
        self,
        name: str,
        source: Source,
        *,
        loop: bool = False,
        max_fps: float | None = None,
        fresh_timeout_s: float = 5.0,
        lost_after_s: float = 20.0,
        open_timeout_s: float = 10.0,
        retry_after_s: float = 1.0,
        retry_at_most_s: float = 30.0,
        size: tuple[int, int] | None = None,
        rpicam: str = PROGRAM,
        clock: Clock | None = None,
    ) -> None:
        self._name = name
        self._source = source
        self._fresh_timeout_s = fresh_timeout_s
        self._lost_after_s = lost_after_s
        self._open_timeout_s = open_timeout_s
        self._retry_after_s = retry_after_s
        self._retry_at_most_s = retry_at_most_s
        self._clock = clock or SystemClock()
        self._order = wire.Order(
            kind=source.kind.value,
            target=source.target,
            label=source.label,
            loop=loop,
            max_fps=max_fps,
            open_timeout_s=open_timeout_s,
            read_timeout_s=fresh_timeout_s,
            size=size,
            parent_pid=os.getpid(),
            program=rpicam,
        )
        self._news = threading.Condition()  # guards all below
        self._pending: _Pending | None = None
        self._over: CameraError | None = None
        self._closed = False
        self._detail = ""
        self._frames = self._dropped = self._restarts = 0
        self._next_seq = 0
        self._last_t_mono_s = float("-inf")
        self._last_fresh_s = self._clock.monotonic_s()
        self._live_since_s = float("inf")  # of the present child
        self._opened_in_s = float("inf")  # how long the last child that sent pictures took to open
        self._failed_tries = 0  # since then
        self._within_s = open_timeout_s  # how long the present child may take
        self._child_pid: int | None = None
        self._due_s = self._clock.monotonic_s() + _SUPERVISE_S
        self._talkative = False
        self._wake_r, self._wake_w = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._supervise, name=f"capture-{name}", daemon=True)
        self._thread.start()

    @property
    def name(self) -> str:
        return self._name

    @property
    def child_pid(self) -> int | None:
        """The capture process that runs now; None between two of them."""
        return self._child_pid

    @property
    def due_s(self) -> float:
        """Monotonic time by which the supervising thread moves again unless it hangs; infinity: it has ended."""
        return self._due_s if self._thread.is_alive() else float("inf")

    def read(self, timeout_s: float) -> Frame:
        with self._news:
            self._news.wait_for(lambda: self._takeable() or self._over or self._closed, max(0.0, timeout_s))
            pending, self._pending = self._takeable(), None
            if pending is None:
                raise self._why_none(timeout_s)
        message = pending.message
        image = pending.picture.copy()  # the one copy: the slot goes back, the frame is the caller's for good
        pending.link.give_back(message)
        age_s = max(0.0, self._clock.monotonic_s() - message.t_mono_s)
        t_utc = self._clock.utc_now() - timedelta(seconds=age_s)
        return Frame(image, pending.seq, message.t_mono_s, t_utc, self._name)

    def status(self) -> CameraStatus:
        with self._news:
            silent_s = self._clock.monotonic_s() - self._last_fresh_s
            if self._over is not None:
                state = "ended"
            elif silent_s > self._lost_after_s:
                state = "lost"
            else:
                state = "live" if self._frames else "starting"
            return CameraStatus(state, self._detail, self._frames, self._dropped, self._restarts)

    def close(self) -> None:
        with self._news:
            if self._closed:
                return
            self._closed = True
            self._pending = None
            self._news.notify_all()
        os.write(self._wake_w, b"x")
        self._thread.join(_CLOSE_S)
        if not self._thread.is_alive():
            os.close(self._wake_w)
            os.close(self._wake_r)

    # -- the reader's side, under the lock

    def _takeable(self) -> _Pending | None:
        """The waiting frame, unless it grew old while nobody asked."""
        if self._pending is None or self._closed:
            return None
        age_s = self._clock.monotonic_s() - self._pending.message.t_mono_s
        return self._pending if age_s <= self._fresh_timeout_s else None

    def _why_none(self, timeout_s: float) -> CameraError:
        if self._closed:
            return CameraLost(f'camera "{self._name}" is closed')
        if self._over is not None:
            return type(self._over)(self._over.message, hint=self._over.hint)
        why = self._detail or "waiting for the next picture" if self._frames else self._detail or "still opening"
        return CameraLost(f'camera "{self._name}": no fresh picture within {timeout_s:.1f} s ({why})')

    # -- the supervisor's thread

    def _supervise(self) -> None:
        delay_s = self._retry_after_s
        while not self._closed:
            self._live_since_s = float("inf")
            why, refused = self._live_once()
            if self._closed or self._over is not None:
                return
            if self._last_fresh_s - self._live_since_s > _GOOD_LIFE_S:
                delay_s = self._retry_after_s
            wait_s = max(delay_s, _REFUSED_DELAY_S) if refused else delay_s
            self._tell_lost(why, wait_s)
            delay_s = min(delay_s * 2.0, self._retry_at_most_s)
            self._pause(wait_s)
            with self._news:
                self._restarts += 1

    def _pause(self, seconds: float) -> None:
        """Wait, unless ``close`` is called."""
        self._moved(seconds)
        wake = select.poll()
        wake.register(self._wake_r, select.POLLIN)
        wake.poll(seconds * 1000.0)

    def _moved(self, wait_s: float) -> None:
        self._due_s = self._clock.monotonic_s() + wait_s + _SUPERVISE_S

    def _live_once(self) -> tuple[str, bool]:
        """Run one child until it is gone or hangs; (why, whether the camera refused the credentials)."""
        self._moved(0.0)
        try:
            self._within_s = self._patience_s()
            link = ChildLink(replace(self._order, open_timeout_s=self._within_s), talkative=self._talkative)
        except OSError as error:
            return f"the capture process cannot be started: {error}", False
        self._child_pid = link.pid
        seq_before = self._next_seq
        over: wire.OverMessage | None = None
        try:
            why, over = self._pump(link)
        except wire.WireError as error:
            why = f"the capture process talks nonsense: {self._source.scrub(str(error))}"
        finally:
            self._child_pid = None
            if not link.kill():
                log.error(
                    f'camera "{self._name}": capture process {link.pid} cannot be killed; unplug the camera or restart',
                    extra={"kg": {"event": "capture_unkillable", "camera": self._name, "pid": link.pid}},
                )
        words, hint = explain(link.lines, self._source)
        if over is not None and over.reason in ("ended", "not_found", "invalid"):
            self._finish(over)
        if over is not None and over.reason == "lost" and words:
            where = self._source.place
            why = f"{where}: {words}" + (f"; {hint}" if hint else "")
        # A refusal without words: have the next child tell more, until one has opened the source.
        failed_to_open = over is not None and over.reason == "lost" and self._next_seq == seq_before
        self._talkative = self._source.kind is Kind.HTTP and failed_to_open
        return why, is_refused(link.lines)

    def _pump(self, link: ChildLink) -> tuple[str, wire.OverMessage | None]:
        """Take messages until there is a reason to end this child."""
        began_s = self._clock.monotonic_s()
        deadline_s = began_s + self._within_s + _START_GRACE_S
        opening = True
        self._failed_tries += 1  # unless a picture comes
        first_count = 0
        base_seq = self._next_seq
        while not self._closed:
            left_s = deadline_s - self._clock.monotonic_s()
            self._moved(max(0.0, left_s))
            messages = link.poll(left_s, self._wake_r)
            if messages is None:
                return "the capture process ended unexpectedly" + self._last_words(link), None
            if not messages and left_s <= 0:  # asked once more: it may be this process that was held up
                return self._hung(opening=opening), None
            for message in messages:
                if isinstance(message, wire.OverMessage):
                    text = f"{message.words}; {message.hint}" if message.hint else message.words
                    return self._source.scrub(text), message
                if isinstance(message, wire.FrameMessage):
                    if opening:
                        opening, first_count = False, message.count
                        self._live_since_s = message.t_mono_s
                        self._opened_in_s, self._failed_tries = self._clock.monotonic_s() - began_s, 0
                    self._offer(link, message, base_seq + message.count - first_count)
                    deadline_s = self._clock.monotonic_s() + self._fresh_timeout_s
        return "closed", None

    def _offer(self, link: ChildLink, message: wire.FrameMessage, seq: int) -> None:
        now_s = self._clock.monotonic_s()
        picture = link.slot(message)
        with self._news:
            if not self._last_t_mono_s < message.t_mono_s <= now_s + 0.1 or seq < self._next_seq:
                raise wire.WireError(f"frame {message.count} of {message.t_mono_s:.3f} s is out of order")
            was_lost = now_s - self._last_fresh_s > self._lost_after_s
            returning = self._frames > 0 and bool(self._detail)
            superseded, self._pending = self._pending, _Pending(link, message, picture, seq)
            self._frames += 1 + message.missed
            self._dropped += (superseded is not None) + message.missed
            self._next_seq = seq + 1
            self._last_t_mono_s = message.t_mono_s
            self._last_fresh_s = message.t_mono_s
            self._detail = ""
            self._news.notify_all()
        if superseded is not None and superseded.link is link:
            link.give_back(superseded.message)
        if returning or was_lost or self._frames == 1:
            log.info(
                f'camera "{self._name}" is live ({self._source.label})',
                extra={"kg": {"event": "camera_live", "camera": self._name, "restarts": self._restarts}},
            )

    def _patience_s(self) -> float:
        """How long the next child may take to open the source."""
        if self._failed_tries >= _HASTY_TRIES:
            return self._open_timeout_s
        return min(self._open_timeout_s, max(_AT_LEAST_S, _AS_LONG_AS_BEFORE * self._opened_in_s))

    def _hung(self, *, opening: bool) -> str:
        if opening:
            return f"{self._source.label} did not open within {self._within_s + _START_GRACE_S:.0f} s"
        return f"{self._source.label}: no picture for {self._fresh_timeout_s:.1f} s although it is open"

    def _last_words(self, link: ChildLink) -> str:
        words, hint = explain(link.lines, self._source)
        return (f": {words}" if words else "") + (f"; {hint}" if hint else "")

    def _tell_lost(self, why: str, wait_s: float) -> None:
        with self._news:
            self._detail = f"{why}; next try in {wait_s:.0f} s"
        log.warning(
            f'camera "{self._name}": {self._detail}',
            extra={
                "kg": {"event": "camera_retry", "camera": self._name, "detail": why, "wait_s": wait_s},
            },
        )

    def _finish(self, over: wire.OverMessage) -> None:
        kinds: dict[str, type[CameraError]] = {"ended": CameraEnded, "not_found": SourceNotFound}
        kind = kinds.get(over.reason, SourceInvalid)
        with self._news:
            self._over = kind(self._source.scrub(over.words), hint=self._source.scrub(over.hint))
            self._detail = self._over.message
            self._news.notify_all()
