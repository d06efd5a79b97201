"""The detector seam."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from edge.types import Detections, Frame


class Detector(Protocol):
    """Finds objects in a frame.

    Contract: boxes lie inside the frame, are ordered by descending score and have x1 < x2, y1 < y2; an empty picture
    gives N = 0; the same frame gives the same answer.
    """

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; ``Detections.class_id`` indexes them."""

    @property
    def model(self) -> str:
        """Name and version, for records: "yolov8n-coco 1"."""

    @property
    def map_name(self) -> str:
        """Whose map ``Detections.features`` is: one name for all models that make the same map."""

    def detect(self, frame: Frame) -> Detections:
        """Detections in frame pixels, scores at or above each class's threshold; below it there are only ``faint`` ones.

        :raises DetectorError: the model cannot be run.
        """
