"""Why a struggle or tampering was missed: what the product's own watch over behaviour says while it lasts."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from edge.behaviour.looks import LookSpec
from edge.behaviour.onnx import load_classifiers
from edge.behaviour.watch import BehaviourWatch
from edge.detect.closer import EVERY_S, CloserLooks, look_closer
from edge.detect.onnx import OnnxDetector
from edge.models.shipped import shipped_behaviour
from edge.track.tracker import Tracker
from edge.types import BEHAVIOURS, Frame
from export.scenes.measure import frames_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from edge.types import F32

UNLIKE = "what people do does not look like it to the behaviour's model"
_ACTIONS = {"assault": ("struggle", "snatch"), "machine_tampering": ("pry",)}  # the truth's words
_AFTER_S = 1.0  # an opening so late still answers


class Behaved:
    """Watches a clip as the product does, with its detector, tracker and shipped behaviours.

    :param bundle: the detector's model.
    :raises KioskError: it or the behaviours cannot be loaded.
    """

    def __init__(self, bundle: Path) -> None:
        self._detector = OnnxDetector(bundle, threads=1, features=True)
        self._known = load_classifiers(shipped_behaviour())

    def of(self, truth_file: Path, missed: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
        """For each missed entry of the truth's ``expected``: what was measured and the reason that follows; "": none."""
        wanted = list(missed)
        asked = any(one["rule"] in self._known for one in wanted)
        said = list(self._said(truth_file)) if asked else []
        return [self._one(one, said) if one["rule"] in self._known else ("", "") for one in wanted]

    def _one(self, one: Mapping[str, Any], said: list[tuple[dict[str, Any], F32]]) -> tuple[str, str]:
        rule = str(one["rule"])
        model, column = self._known[rule], BEHAVIOURS.index(rule)
        if isinstance(model.spec, LookSpec) and model.spec.map_name != self._detector.map_name:
            return "", f"the rule rests with this model: it was learnt with {model.spec.model}"
        last_s = float("inf") if one["closes_s"] is None else one["closes_s"] + _AFTER_S
        scores: list[float] = []
        for frame, likely in said:
            doing = any(p["id"] in one["persons"] and p["action"] in _ACTIONS[rule] for p in frame["persons"])
            if (doing or scores) and frame["t_s"] <= last_s:
                scores.append(float(likely[:, column].max(initial=0.0)))
        if not scores:
            return "", ""
        text = f"the behaviour scores {max(scores):.2f} at the most while it lasts, {model.threshold:.2f} are asked for"
        return text, UNLIKE if max(scores) < model.threshold else ""

    def _said(self, truth_file: Path) -> Iterator[tuple[dict[str, Any], F32]]:
        """Each frame of the truth, and (M, len(BEHAVIOURS)): how likely each person does what."""
        person = {self._detector.classes.index("person")}
        tracker, closer = Tracker(person_classes=person), CloserLooks(every_s=EVERY_S, person_classes=person)
        watch = BehaviourWatch(person_classes=person, classifiers=list(self._known.values()))
        for _, told, picture in frames_of(truth_file.parent, only=truth_file.name):
            frame = Frame(picture, told["i"], told["t_s"], EPOCH, "scene")
            found, _ = look_closer(
                closer, self._detector.detect_image, picture, self._detector.detect(frame), frame.t_mono_s
            )
            tracks = tracker.update(found, frame.t_mono_s, size=frame.size)
            yield told, watch.update(frame, tracks, found.features)[1]


EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)
