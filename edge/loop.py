"""The loop: each camera's newest frame through the pipeline, outputs first, for as long as the service runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge.errors import CameraEnded, CameraLost, IndicatorError
from edge.types import Observation, Severity

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

    from edge.alerts.interface import Indicator
    from edge.cameras.interface import Camera
    from edge.clock import Clock
    from edge.pipeline import Judged, Pipeline
    from edge.types import IncidentChange

log = logging.getLogger(__name__)

CAMERA_LOST = "camera_lost"
_TURN_S = 10.0  # the longest honest turn of the loop with one camera, by far


class Loop:
    """Takes each camera's newest frame in turn until told to stop or until every source has ended.

    :param lost_after_s: camera name -> seconds without a frame that are an incident of their own.
    :param hand_over: gets every incident change with the frame and tracks it came from (the frame's picture is only
        valid during the call; ``None`` where there is none). Must not block.
    :param also: asked at every turn for incident changes that come from no camera: switches, buttons.
    :param look_on: gets every judgement, to keep a small copy of its frame. Must not block.
    :param watch: gets every judgement, for whoever looks at the live picture. Must not block.
    """

    def __init__(
        self,
        *,
        cameras: Sequence[Camera],
        pipeline: Pipeline,
        indicator: Indicator,
        hand_over: Callable[[IncidentChange, Judged | None], None],
        clock: Clock,
        lost_after_s: Mapping[str, float],
        look_on: Callable[[Judged], None] | None = None,
        also: Callable[[], Sequence[IncidentChange]] | None = None,
        watch: Callable[[Judged], None] | None = None,
    ) -> None:
        self._watch = watch
        self._cameras = {c.name: c for c in cameras}
        self._pipeline = pipeline
        self._indicator = indicator
        self._hand_over = hand_over
        self._clock = clock
        self._lost_after_s = dict(lost_after_s)
        self._look_on = look_on
        self._also = also
        self._ended: set[str] = set()
        self._fresh_s = {c.name: clock.monotonic_s() for c in cameras}
        self._built_s = clock.monotonic_s()

    @property
    def due_s(self) -> float:
        """Monotonic time by which the loop moves again unless it hangs."""
        return max(self._pipeline.vitals.turn_mono_s, self._built_s) + _TURN_S

    def run(self, stop: threading.Event) -> None:
        """Run in the calling thread.

        :raises DetectorError: the model cannot be run.
        :raises SourceNotFound, SourceInvalid: a video file cannot be read.
        """
        # With several cameras none may hold up the others; with one, waiting for it is the cheapest thing to do.
        patience_s = 0.5 if len(self._cameras) == 1 else 0.02
        while not stop.is_set() and len(self._ended) < len(self._cameras):
            for name, camera in self._cameras.items():
                if name in self._ended or stop.is_set():
                    continue
                self._turn(name, camera, patience_s)
                self._turn_also()
                self._pipeline.vitals.turn_mono_s = self._clock.monotonic_s()
        if not stop.is_set():
            changes = self._pipeline.incidents.finish(
                reason="source ended", t_mono_s=self._clock.monotonic_s(), t_utc=self._clock.utc_now()
            )
            self._show()
            for change in changes:
                self._hand_over(change, None)

    def _turn(self, name: str, camera: Camera, patience_s: float) -> None:
        judged = None
        try:
            frame = camera.read(patience_s)
        except CameraEnded:
            self._ended.add(name)
            return
        except CameraLost:
            changes = self._blind(name)
        else:
            judged = self._pipeline.step(frame)
            self._fresh_s[name] = self._clock.monotonic_s()
            changes = list(judged.changes)
        self._show()  # first of all: whoever looks on takes time
        if judged is not None:
            if self._look_on is not None:
                self._look_on(judged)
            if self._watch is not None:
                self._watch(judged)
        for change in changes:
            self._hand_over(change, judged)

    def _turn_also(self) -> None:
        changes = self._also() if self._also is not None else ()
        if changes:
            self._show()
        for change in changes:
            self._hand_over(change, None)

    def _blind(self, name: str) -> list[IncidentChange]:
        now, utc = self._clock.monotonic_s(), self._clock.utc_now()
        dark_s, limit = now - self._fresh_s[name], self._lost_after_s[name]
        if dark_s <= limit:
            return []
        seen = Observation(
            camera=name,
            rule=CAMERA_LOST,
            zone="",
            severity=Severity.HIGH,
            track_ids=(),
            t_mono_s=now,
            what="no picture from the camera for",
            value=dark_s,
            threshold=limit,
            unit="s",
        )
        return self._pipeline.incidents.update(name, [seen], t_mono_s=now, t_utc=utc, blind=True)

    def _show(self) -> None:
        vitals = self._pipeline.vitals
        try:
            self._indicator.show(self._pipeline.incidents.open_incidents, now_s=self._clock.monotonic_s())
        except IndicatorError as error:
            if vitals.indicator_error != error.message:
                log.exception("an output cannot be driven", extra={"kg": {"event": "output_failed"}})
            vitals.indicator_error = error.message
        else:
            vitals.indicator_error = ""
