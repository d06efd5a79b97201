"""The detector that the whole box holds on to, whichever model is behind it at the moment."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np

from edge.errors import DetectorError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.detect.interface import Detector
    from edge.detect.manifest import Manifest
    from edge.detect.onnx import OnnxDetector
    from edge.types import I64, Detections, Frame


class PresentModel:
    """Implements ``edge.detect.interface.Detector`` over one that can be exchanged, from any thread, between two frames.

    A class keeps its number for as long as the process lives, whatever number another model gives it: trackers, rules
    and open incidents go on. ``classes`` therefore only grows; ``known`` are those of the model that runs.

    ``rescue``: asked when the model fails on a frame; true: it has exchanged it, and the frame is judged by that one.
    """

    def __init__(self, detector: Detector) -> None:
        self._classes = tuple(detector.classes)
        self._present: tuple[Detector, I64] = (detector, self._numbers(detector))
        self.rescue: Callable[[DetectorError], bool] | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        return self._classes

    @property
    def known(self) -> tuple[str, ...]:
        """The classes of the model that runs now."""
        return tuple(self._present[0].classes)

    @property
    def model(self) -> str:
        return self._present[0].model

    @property
    def map_name(self) -> str:
        return self._present[0].map_name

    @property
    def manifest(self) -> Manifest:
        """What the model that runs now says about itself."""
        return cast("OnnxDetector", self._present[0]).manifest

    def learn(self, classes: Sequence[str]) -> tuple[str, ...]:
        """Give numbers to names that have none yet; returns all names."""
        self._classes += tuple(name for name in classes if name not in self._classes)
        return self._classes

    def take(self, detector: Detector) -> None:
        """From the next frame on this one judges."""
        self.learn(detector.classes)
        self._present = (detector, self._numbers(detector))

    def detect(self, frame: Frame) -> Detections:
        try:
            return self._detect(frame)
        except DetectorError as error:
            if self.rescue is None or not self.rescue(error):
                raise
        return self._detect(frame)

    def _detect(self, frame: Frame) -> Detections:
        detector, numbers = self._present
        found = detector.detect(frame)
        faint = found.faint
        if faint is not None:
            faint = replace(faint, class_id=numbers[faint.class_id])
        return replace(found, class_id=numbers[found.class_id], faint=faint)

    def _numbers(self, detector: Detector) -> I64:
        return np.array([self._classes.index(name) for name in detector.classes], np.int64)
