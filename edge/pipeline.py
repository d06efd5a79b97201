"""From a frame to incident changes, and the loop that does it for ever. Touches neither disk nor network."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from edge.durations import Durations
from edge.errors import CameraEnded, CameraLost, IndicatorError
from edge.masks import Masks
from edge.rules.camera_tamper import TURNED, CameraTamper
from edge.types import Detections, Frame, IncidentChange, Observation, Scene, Severity, Tracks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from edge.alerts.interface import Indicator
    from edge.behaviour.interface import Behaviour
    from edge.cameras.interface import Camera
    from edge.clock import Clock
    from edge.detect.gate import StillGate
    from edge.detect.interface import Detector
    from edge.incidents import Incidents
    from edge.masks import Mask
    from edge.rules.interface import Rule
    from edge.track.tracker import Tracker
    from edge.types import Zone
    from edge.zones import ZoneMap

log = logging.getLogger(__name__)

CAMERA_LOST = "camera_lost"
CAMERA_TAMPER = "camera_tamper"
_TURN_S = 10.0  # the longest honest turn of the loop with one camera, by far
_SMOOTHING = 0.1  # weight of the newest frame in the shown inference time


@dataclass(frozen=True, slots=True)
class Line:
    """What follows one camera: nothing here is shared with another camera."""

    tracker: Tracker
    zones: ZoneMap
    rules: Sequence[Rule]
    masks: Masks = field(default_factory=lambda: Masks(""))
    gate: StillGate | None = None  # None: the detector sees every frame
    behaviour: Behaviour | None = None  # None: no rule asks how people move


@dataclass(frozen=True, slots=True)
class Judged:
    """One frame, judged. ``changes``: what became of incidents; ``observations``: what is true now.

    ``frame`` is what people may see: all privacy masks are black in it, and all of it while pictures are ``withheld``.
    """

    frame: Frame
    tracks: Tracks
    zones: tuple[Zone, ...]
    observations: tuple[Observation, ...]
    changes: tuple[IncidentChange, ...]
    withheld: bool = False


@dataclass(slots=True)
class Vitals:
    """How the pipeline is doing; written by its thread, read by any. Each field is replaced as a whole."""

    frames_judged: int = 0
    frames_still: int = 0  # of these, judged without the detector: empty, and nothing moved
    judged_mono_s: dict[str, float] = field(default_factory=dict)  # camera -> when its newest frame was judged
    captured_mono_s: dict[str, float] = field(default_factory=dict)  # camera -> when that frame was captured
    inference_s: float = 0.0  # smoothed
    inference: Durations = field(default_factory=Durations)  # of every frame that the detector has seen
    step_s: float = 0.0  # smoothed: the whole way from frame to changes
    turn_mono_s: float = 0.0  # when the loop last had done with one camera
    indicator_error: str = ""


class Pipeline:
    """Detector, trackers, rules and incidents as one pure step.

    :param lines: camera name -> what follows it.
    :param now_s: monotonic seconds, for measuring only.
    :param clock_synced: whether the wall clock can be trusted; rules about opening hours ask for it.
    """

    def __init__(
        self,
        *,
        detector: Detector,
        lines: Mapping[str, Line],
        incidents: Incidents,
        now_s: Callable[[], float],
        clock_synced: Callable[[], bool],
    ) -> None:
        self._detector = detector
        self._lines = dict(lines)
        self._redrawing = threading.Lock()
        self._now_s = now_s
        self._clock_synced = clock_synced
        self.incidents = incidents
        self.vitals = Vitals()

    def step(self, frame: Frame) -> Judged:
        """Judge one frame.

        :raises DetectorError: the model cannot be run.
        """
        line = self._lines[frame.camera]
        frame = line.masks.for_detector(frame)
        began = self._now_s()
        if line.behaviour is not None and line.tracker.follows:
            line.behaviour.look(frame)
        asked = self._now_s()
        detections = self._detect(line, frame)
        detected = self._now_s()
        seen_now = Detections.empty() if detections is None else detections  # with no box it may have faint ones
        tracks = line.tracker.update(seen_now, frame.t_mono_s, size=frame.size)
        counted = line.zones.counted(tracks, frame.size)
        if not counted.all():
            tracks = tracks.where(counted)
        motion = behaviour = None
        if line.behaviour is not None:
            features = None if detections is None else detections.features  # a frame without a box has them, too
            motion, behaviour = line.behaviour.update(frame, tracks, features)
        scene = Scene(
            frame=frame,
            tracks=tracks,
            zones=line.zones.zones,
            occupancy=line.zones.occupancy(tracks, frame.size),
            clock_synced=self._clock_synced(),
            motion=motion,
            behaviour=behaviour,
        )
        seen = tuple(o for rule in line.rules for o in rule.update(scene))
        changes = self.incidents.update(frame.camera, seen, t_mono_s=frame.t_mono_s, t_utc=frame.t_utc)
        self._measure(frame, None if detections is None else detected - asked, self._now_s() - began)
        observations = tuple(o for o in seen if isinstance(o, Observation))
        if line.masks and any(o.rule == CAMERA_TAMPER and TURNED in o.what for o in observations):
            line.masks.withheld = True  # they lie somewhere else now: until somebody has looked, nobody gets a picture
        shown = line.masks.for_people(frame)
        return Judged(shown, tracks, line.zones.zones, observations, tuple(changes), withheld=line.masks.withheld)

    def redraw(self, camera: str, *, zones: ZoneMap, masks: Sequence[Mask]) -> None:
        """Other zones and masks for one camera, from its next frame on; any thread.

        Who is followed stays followed, and a rule keeps what it knows about a zone whose name stays. What a
        "never seen" mask blackens looks like a covered lens: the watch over the view begins anew.
        """
        line = self._lines[camera]
        line.masks.redraw(masks)
        line.tracker.exits.redraw(doors=zones.doors, rooms=zones.rooms)
        self.relearn(camera)
        with self._redrawing:
            line = self._lines[camera]
            self._lines[camera] = replace(
                line, zones=zones
            )  # one step: a frame is judged by the old ones or the new ones

    def relearn(self, camera: str) -> None:
        """What this camera sees from now on is what it is to see; any thread."""
        for rule in self._view_rules(camera):
            rule.relearn()

    def wrong_view(self, camera: str) -> tuple[str, float, float] | None:
        """What is wrong with this camera's view, for how many seconds, and from how many on it is an incident."""
        return next((rule.wrong for rule in self._view_rules(camera)), None)

    def _view_rules(self, camera: str) -> list[CameraTamper]:
        return [rule for rule in self._lines[camera].rules if isinstance(rule, CameraTamper)]

    def exchange(self, camera: str, *, rules: Sequence[Rule], held_classes: Collection[int]) -> None:
        """Other rules for one camera, from its next frame on; any thread. Open incidents and tracks stay."""
        self._lines[camera].tracker.held_classes = tuple(sorted(held_classes))
        with self._redrawing:
            self._lines[camera] = replace(self._lines[camera], rules=rules)

    def _detect(self, line: Line, frame: Frame) -> Detections | None:
        """What the detector finds; ``None`` where the scene is empty and still, and was looked at lately."""
        gate = line.gate
        if gate and not gate.wants(frame.image, frame.t_mono_s, followed=line.tracker.follows > 0):
            return None
        detections = self._detector.detect(frame)
        if gate:
            gate.found(len(detections.score))
        return detections

    def _measure(self, frame: Frame, inference_s: float | None, step_s: float) -> None:
        v, weight = self.vitals, _SMOOTHING if self.vitals.frames_judged else 1.0
        if inference_s is None:
            v.frames_still += 1
        else:
            v.inference_s += weight * (inference_s - v.inference_s)
            v.inference.add(inference_s)
        v.step_s += weight * (step_s - v.step_s)
        v.captured_mono_s = {**v.captured_mono_s, frame.camera: frame.t_mono_s}
        v.judged_mono_s = {**v.judged_mono_s, frame.camera: self._now_s()}
        v.frames_judged += 1


class Loop:
    """Takes each camera's newest frame in turn until told to stop or until every source has ended.

    :param lost_after_s: camera name -> seconds without a frame that are an incident of their own.
    :param hand_over: gets every incident change with the frame and tracks it came from (the frame's picture is only
        valid during the call; ``None`` where there is none). Must not block.
    :param also: asked at every turn for incident changes that come from no camera: switches, buttons.
    :param look_on: gets every judged frame, to keep a small copy of it. Must not block.
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
        look_on: Callable[[Frame], None] | None = None,
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
                self._look_on(judged.frame)  # as people may see it
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
