"""Why an incident of the truth was missed, as far as the detector is to blame: measured on the clip's own pictures."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.detect.nms import iou_matrix
from edge.detect.onnx import OnnxDetector
from edge.types import Frame
from export.closer import with_closer_looks
from export.scenes.measure import frames_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from edge.types import Detections

_FLOOR = 0.02  # the lowest score that is looked at
_BEFORE_S, _AFTER_S = 5.0, 5.0  # what is looked at when people are missed: rules need some seconds of them
_LEAST_VISIBLE = 0.5
_ABOUT_THERE = 0.2  # overlap: a rule asks whose hand a thing is near, not for its outline
_BLAME = 0.5  # of the pictures: a detector that finds less is reason enough for a rule that says nothing
_PEOPLE = frozenset({"person_down", "crowding", "closed_hours", "loitering", "restricted_area"})
UNSEEN = "the detector does not see it"


class Causes:
    """Looks at the pictures that an incident rests on.

    :param bundle: the model.
    :raises DetectorError: it cannot be loaded.
    """

    def __init__(self, bundle: Path) -> None:
        self._detector = OnnxDetector(bundle, threads=1, score_floor=_FLOOR)
        self._thresholds = self._detector.manifest.thresholds

    def of(self, truth_file: Path, missed: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
        """For each missed entry of the truth's ``expected``: what was measured, and the reason that follows; "": none."""
        wanted = list(missed)
        seen = [
            (frame, self._found(Frame(picture, frame["i"], frame["t_s"], _EPOCH, "scene"), frame))
            for _, frame, picture in frames_of(truth_file.parent, only=truth_file.name)
        ] if any(one["rule"] in self._detector.classes or one["rule"] in _PEOPLE for one in wanted) else []  # fmt: skip
        return [self._thing(one, seen) or self._people(one, seen) or ("", "") for one in wanted]

    def _found(self, picture: Frame, frame: Mapping[str, Any]) -> Detections:
        """What the model sees, also by a closer look at each person who holds or wears something."""
        holders = {o["person"] for o in frame["objects"]}
        people = [np.array(p["box"], np.float32) for p in frame["persons"] if p["id"] in holders]
        return with_closer_looks(self._detector, picture.image, self._detector.detect(picture), people)

    def _thing(self, one: Mapping[str, Any], seen: list[tuple[dict[str, Any], Detections]]) -> tuple[str, str] | None:
        """What is held or worn: its best scores."""
        if one["rule"] not in self._detector.classes:
            return None
        last_s = one["closes_s"] if one["closes_s"] is not None else float("inf")
        best, kinds = [], set()
        for frame, found in seen:
            things = [o for o in frame["objects"] if o["label"] == one["rule"] and o["person"] in one["persons"]]
            if things and one["opens_s"] - _BEFORE_S <= frame["t_s"] <= last_s:
                kinds |= {str(o["kind"]) for o in things}
                best.append(max(self._scores(found, one["rule"], [o["box"] for o in things])))
        if not best:
            return None
        threshold = self._thresholds[one["rule"]]
        enough = sum(s >= threshold for s in best)
        text = (
            f"the model scores the rendered {' and '.join(sorted(kinds))} {max(best):.2f} at the most in {len(best)} "
            f"pictures, each also looked at closer, {threshold:.2f} or more in {enough}"
        )
        return text, UNSEEN if enough < _BLAME * len(best) else ""

    def _people(self, one: Mapping[str, Any], seen: list[tuple[dict[str, Any], Detections]]) -> tuple[str, str] | None:
        """Who is concerned: in how many pictures they are found, all of them at once."""
        if one["rule"] not in _PEOPLE:
            return None
        from_s, to_s = one["opens_s"] - _BEFORE_S, one["opens_s"] + _AFTER_S
        found_all = []
        for frame, found in seen:
            people = [
                p["box"] for p in frame["persons"] if p["id"] in one["persons"] and p["visibility"] >= _LEAST_VISIBLE
            ]
            if people and from_s <= frame["t_s"] <= to_s:
                found_all.append(min(self._scores(found, "person", people)) >= self._thresholds["person"])
        if not found_all:
            return None
        who = "the person" if len(one["persons"]) == 1 else f"all {len(one['persons'])} persons"
        text = f"the model finds {who} in {sum(found_all)} of {len(found_all)} pictures around that time"
        return text, UNSEEN if sum(found_all) < _BLAME * len(found_all) else ""

    def _scores(self, found: Detections, label: str, boxes: list[list[float]]) -> list[float]:
        """The best score of a detection of this class that lies about where each box is, 0 for none."""
        mine = found.where(found.class_id == self._detector.classes.index(label))
        overlap = iou_matrix(np.array(boxes, np.float32).reshape(-1, 4), mine.xyxy)
        best = np.where(overlap >= _ABOUT_THERE, mine.score[None, :], 0.0)
        return [float(score) for score in best.max(axis=1, initial=0.0)]


_EPOCH = datetime(2000, 1, 1, tzinfo=timezone.utc)
