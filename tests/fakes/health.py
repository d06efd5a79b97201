"""A health source whose answers a test sets."""

from __future__ import annotations

import threading

from edge.health.interface import Check, Report, Status


class FakeSource:
    """Implements ``edge.health.interface.HealthSource``.

    ``raises``: raised by every answer; ``stuck``: clear it, and answers wait until it is set.
    """

    def __init__(self) -> None:
        self.live_answer = (True, "")
        self.ready_answer = (True, "a picture was judged 0.2 s ago")
        self.report_answer = Report((Check("camera:lobby", Status.PASS, "", "live"),))
        self.raises: Exception | None = None
        self.stuck = threading.Event()
        self.stuck.set()
        self.asked = 0

    def live(self) -> tuple[bool, str]:
        self._answer()
        return self.live_answer

    def ready(self) -> tuple[bool, str]:
        self._answer()
        return self.ready_answer

    def report(self) -> Report:
        self._answer()
        return self.report_answer

    def _answer(self) -> None:
        self.asked += 1
        self.stuck.wait(30.0)
        if self.raises is not None:
            raise self.raises
