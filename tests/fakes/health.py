"""A health source whose answers a test sets, and every figure that a box can tell."""

from __future__ import annotations

import threading

from edge.durations import Durations
from edge.health.interface import Check, Report, Status
from edge.health.metrics import CameraFigures, Figures


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


def full_figures() -> Figures:
    """Every figure that there is."""
    inference = Durations()
    for seconds in (0.004, 0.02, 0.021, 9.0):
        inference.add(seconds)
    return Figures(
        model={"name": "kiosk", "version": "1.0", "precision": "int8"},
        cameras=[CameraFigures("lobby", live=True, frame_age_s=0.25, frames=100, dropped=7, reconnects=2)],
        frames_judged=93,
        frames_still=3,
        inference=inference.cumulated(),
        inference_sum_s=inference.sum_s,
        incidents={("loitering", "low"): 3, ("knife", "critical"): 1},
        incidents_open=1,
        verdicts={("loitering", "false"): 2},
        suppressed={"cooldown": 5},
        outbox_waiting=4,
        outbox_held=1,
        outbox_oldest_s=61.5,
        outbox_dropped={"outbox full": 2},
        delivered=11,
        delivered_at_s=1_700_000_000.0,
        pictures_lost=1,
        outputs={"siren": True, "lamp": False},
        blind_s={"power": 3600.5},
        maintenance=True,
        clock_synchronised=False,
        disk_free_bytes=5_000_000,
        disk_size_bytes=9_000_000,
        memory_available_bytes=7_000_000,
        temperature_c=61.5,
        throttled=False,
    )
