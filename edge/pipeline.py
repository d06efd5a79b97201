"""From a frame to incident changes, as one pure step. Touches neither disk nor network."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from edge.detect.closer import look_closer
from edge.durations import Durations
from edge.masks import Masks
from edge.rules.camera_tamper import CameraTamper
from edge.rules.loitering import Loitering
from edge.types import Detections, Frame, IncidentChange, Observation, Scene, Tracks

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from edge.behaviour.interface import Behaviour
    from edge.detect.closer import CloserLooks
    from edge.detect.gate import StillGate
    from edge.detect.interface import Detector
    from edge.incidents import Incidents
    from edge.masks import Mask
    from edge.rules.interface import Rule
    from edge.track.tracker import Tracker
    from edge.types import U8, Look, Zone
    from edge.zones import ZoneMap

log = logging.getLogger(__name__)

_SMOOTHING = 0.1  # weight of the newest frame in the shown inference time
_BEING_MOVED_S = 2.0  # a camera that is pushed slowly has been moving for so long before it is noticed


@dataclass(frozen=True, slots=True)
class Line:
    """What follows one camera: nothing here is shared with another camera."""

    tracker: Tracker
    zones: ZoneMap
    rules: Sequence[Rule]
    masks: Masks = field(default_factory=lambda: Masks(""))
    gate: StillGate | None = None  # None: the detector sees every frame
    behaviour: Behaviour | None = None  # None: no rule asks how people move
    closer: CloserLooks | None = None  # None: nobody is looked at closer


@dataclass(frozen=True, slots=True)
class Judged:
    """One frame, judged. ``changes``: what became of incidents; ``observations``: what is true now.

    ``frame`` is what people may see: all privacy masks are black in it, and all of it while pictures are ``withheld``.
    ``unfit_s``: earlier pictures, so far back, must not be used any more: masks may not have lain where they should.
    """

    frame: Frame
    tracks: Tracks
    zones: tuple[Zone, ...]
    observations: tuple[Observation, ...]
    changes: tuple[IncidentChange, ...]
    withheld: bool = False
    unfit_s: float = 0.0


@dataclass(slots=True)
class Vitals:
    """How the pipeline is doing; written by its thread, read by any. Each field is replaced as a whole."""

    frames_judged: int = 0
    frames_still: int = 0  # of these, judged without the detector: empty, and nothing moved
    closer_looks: int = 0  # second looks of the detector, at one person
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
        detections, look = self._detect(line, frame)
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
            look=look,
        )
        seen = tuple(o for rule in line.rules for o in rule.update(scene))
        changes = self.incidents.update(frame.camera, seen, t_mono_s=frame.t_mono_s, t_utc=frame.t_utc)
        self._measure(frame, None if detections is None else detected - asked, self._now_s() - began)
        observations = tuple(o for o in seen if isinstance(o, Observation))
        unfit_s = self._see_to_masks(line)
        shown, shut = line.masks.for_people(frame), line.masks.shut
        return Judged(shown, tracks, line.zones.zones, observations, tuple(changes), withheld=shut, unfit_s=unfit_s)

    @staticmethod
    def _see_to_masks(line: Line) -> float:
        """Nobody gets a picture whose masks may lie elsewhere; returns ``Judged.unfit_s``."""
        masks = line.masks
        anew, masks.drawn_anew = masks.drawn_anew, False
        views = [rule for rule in line.rules if isinstance(rule, CameraTamper)]
        masks.doubted = bool(masks) and any(rule.doubtful for rule in views)
        if masks and any(rule.moved for rule in views):
            masks.withheld = True  # until somebody has looked
        return float("inf") if anew else _BEING_MOVED_S if masks.shut else 0.0

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

    def stays(self, camera: str) -> dict[int, tuple[float, float]]:
        """Track id -> seconds in the lobby that count, and seconds at the machine, as ``loitering`` has them; the pipeline's thread."""
        rules = (rule for rule in self._lines[camera].rules if isinstance(rule, Loitering))
        return next((rule.stays() for rule in rules), {})

    def _view_rules(self, camera: str) -> list[CameraTamper]:
        return [rule for rule in self._lines[camera].rules if isinstance(rule, CameraTamper)]

    def exchange(self, camera: str, *, rules: Sequence[Rule], held_classes: Collection[int]) -> None:
        """Other rules for one camera, from its next frame on; any thread. Open incidents and tracks stay."""
        self._lines[camera].tracker.held_classes = tuple(sorted(held_classes))
        with self._redrawing:
            self._lines[camera] = replace(self._lines[camera], rules=rules)

    def _detect(self, line: Line, frame: Frame) -> tuple[Detections | None, Look | None]:
        """What the detector finds, and where it looked closer; nothing where the scene is empty and still, and was looked at lately."""
        gate, closer = line.gate, line.closer
        if gate:
            wanted = gate.wants(frame.image, frame.t_mono_s, followed=line.tracker.follows > 0)
            if not wanted and not (closer and closer.waits(frame.t_mono_s)):
                return None, None
        detections = self._detector.detect(frame)
        if gate:
            gate.found(len(detections.score))
        if closer is None:
            return detections, None

        def part(image: U8) -> Detections:
            self.vitals.closer_looks += 1
            return self._detector.detect(replace(frame, image=image))

        return look_closer(closer, part, frame.image, detections, frame.t_mono_s)

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
