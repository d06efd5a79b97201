"""The watchdog is fed while every stage keeps its own promise to move; one that hangs has the whole service restarted."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.app.notify import Notifier
    from edge.clock import Clock

log = logging.getLogger(__name__)

LOOK_EVERY_S = 1.0
_STATUS_EVERY_S = 5.0
_HELD_UP_S = 3.0  # a look that comes so late says that the whole process was held up: everybody gets another second


class Mover(Protocol):
    """A part with a thread that must move."""

    @property
    def due_s(self) -> float:
        """The monotonic time by which it will have moved again unless it hangs; infinity: it has ended for good.

        What it waits for has its own limit, and that limit is in it.
        """


@dataclass(frozen=True, slots=True)
class Stage:
    """A part with the name that it has in words."""

    name: str
    part: Mover


class Watchdog:
    """Tells the service manager that the service is ready, how it is, that it lives, and when it hangs.

    Without a manager nothing runs. ``watch`` is called again whenever the stages are others: guarding, or fault mode.
    """

    def __init__(self, notifier: Notifier, *, clock: Clock) -> None:
        self._notifier = notifier
        self._clock = clock
        self._stages: Sequence[Stage] = ()
        self._state: Callable[[], tuple[bool, str]] = lambda: (False, "starting")
        self._is_ready = False
        self._status = ""
        self._status_at_s = float("-inf")
        self._looked_s = clock.monotonic_s()
        self._late: frozenset[str] = frozenset()
        self._told: frozenset[str] = frozenset()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        if self._notifier.heard:
            self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
            self._thread.start()

    def watch(self, stages: Sequence[Stage], state: Callable[[], tuple[bool, str]]) -> None:
        """From now on these stages count.

        :param state: whether the service has begun its work, and how it is, in words; answers from memory.
        """
        self._stages, self._state = tuple(stages), state
        self._status_at_s = float("-inf")

    def rest(self, words: str) -> None:
        """Between two sets of stages: nothing but time counts."""
        self.watch((), lambda: (False, words))

    def stop(self) -> None:
        """The service ends; the manager's own limit for that counts from here."""
        self._notifier.stopping()
        self._stop.set()
        if self._thread is not None:
            self._thread.join(LOOK_EVERY_S)

    def look(self) -> None:
        """One look at all stages."""
        now_s = self._clock.monotonic_s()
        held_up, self._looked_s = now_s - self._looked_s > _HELD_UP_S, now_s
        late = frozenset(stage.name for stage in self._stages if now_s > stage.part.due_s)
        hung, self._late = late & self._late, late  # twice in a row: once may be this very machine's hiccup
        if hung and not held_up:
            self._tell_hung(hung)
            return
        ready, words = self._state()
        if ready and not self._is_ready:
            self._is_ready = True
            self._notifier.ready()
        if words != self._status and now_s - self._status_at_s >= _STATUS_EVERY_S:
            self._status, self._status_at_s = words, now_s
            self._notifier.status(words)
        if not late:
            self._notifier.alive()

    def _tell_hung(self, hung: frozenset[str]) -> None:
        if hung - self._told:
            words = f"{', '.join(sorted(hung))}: hangs; the service is to be restarted"
            log.critical(words, extra={"kg": {"event": "stage_hung", "stages": sorted(hung)}})
            self._notifier.status(words)
        self._told |= hung
        self._notifier.hung()

    def _run(self) -> None:
        while not self._stop.is_set():
            name_threads()
            try:
                self.look()
            except Exception:
                # Not fed: whatever is wrong here, a restart is the better guess.
                log.exception("the watchdog cannot look", extra={"kg": {"event": "watchdog_fault"}})
            self._clock.wait(self._stop, LOOK_EVERY_S)


def name_threads() -> None:
    """Give the kernel the threads' names, for ``top -H`` and core dumps; Python does so itself from 3.14 on."""
    for thread in threading.enumerate():
        if thread.native_id is not None and thread is not threading.main_thread():
            with contextlib.suppress(OSError):
                Path(f"/proc/self/task/{thread.native_id}/comm").write_text(thread.name[:15], encoding="utf-8")
