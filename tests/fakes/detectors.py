"""A detector that sees what its script says, for tests of everything behind it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge.errors import DetectorError
from edge.types import Detections

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from edge.types import Frame

COCO_LIKE = ("person", "cell phone", "knife", "backpack")


@dataclass(frozen=True)
class Seen:
    """One box of the script, frame pixels."""

    name: str
    xyxy: tuple[float, float, float, float]
    score: float = 0.9


class FakeDetector:
    """Implements ``edge.detect.interface.Detector``.

    :param script: what is seen, by ``Frame.seq``; or a function of the frame. A frame not in it is empty.
    :param classes: class names; a scripted name must be among them.
    :param faint: what it only half sees, by frame.
    :param failing: frames (by ``seq``) at which ``detect`` raises ``DetectorError``.

    ``asked`` holds the ``seq`` of every frame judged so far.
    """

    def __init__(
        self,
        script: Mapping[int, Sequence[Seen]] | Callable[[Frame], Sequence[Seen]] | None = None,
        *,
        classes: Sequence[str] = COCO_LIKE,
        model: str = "fake 1",
        map_name: str = "",
        faint: Callable[[Frame], Sequence[Seen]] | None = None,
        failing: Collection[int] = (),
    ) -> None:
        self._faint = faint
        self._script = script if script is not None else {}
        self._classes = tuple(classes)
        self._model = model
        self._map_name = map_name or model
        self._failing = frozenset(failing)
        self.asked: list[int] = []

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes

    @property
    def model(self) -> str:
        return self._model

    @property
    def map_name(self) -> str:
        return self._map_name

    def detect(self, frame: Frame) -> Detections:
        self.asked.append(frame.seq)
        if frame.seq in self._failing:
            raise DetectorError(f"the fake detector fails at frame {frame.seq}", hint="the test asked for it")
        seen = self._script(frame) if callable(self._script) else self._script.get(frame.seq, ())
        faint = self._faint(frame) if self._faint else ()
        return replace(self._boxes(seen, frame), faint=self._boxes(faint, frame) if faint else None)

    def _boxes(self, seen: Sequence[Seen], frame: Frame) -> Detections:
        if not seen:
            return Detections.empty()
        width, height = frame.size
        xyxy = np.array([s.xyxy for s in seen], np.float32)
        xyxy[:, 0::2] = xyxy[:, 0::2].clip(0, width)
        xyxy[:, 1::2] = xyxy[:, 1::2].clip(0, height)
        score = np.array([s.score for s in seen], np.float32)
        class_id = np.array([self._classes.index(s.name) for s in seen], np.int64)
        visible = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
        order = np.argsort(-score, kind="stable")
        order = order[visible[order]]
        return Detections(xyxy[order], score[order], class_id[order])
