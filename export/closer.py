"""The kiosk's closer look, at everybody in one picture: for measuring what it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.detect.closer import cut, joined, region_of, things_of
from edge.types import Look

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.detect.onnx import OnnxDetector
    from edge.types import F32, U8, Detections

PERSON = "person"


def with_closer_looks(detector: OnnxDetector, image: U8, found: Detections, people: Iterable[F32]) -> Detections:
    """What was found in a picture (H, W, 3) BGR, and what a closer look at each of these people shows besides.

    :param people: a box (4,) in pixels for each of them.
    :raises DetectorError: the model cannot be run.
    """
    size = (image.shape[1], image.shape[0])
    person_classes = [i for i, name in enumerate(detector.classes) if name == PERSON]
    for box in people:
        region = region_of(box, size)
        if region is not None:
            look = Look(region, stands_for_s=0.0)
            found = joined(found, things_of(detector.detect_image(cut(image, look)), look, size, person_classes))
    return found


def people_in(detector: OnnxDetector, found: Detections) -> list[F32]:
    """The boxes of the people whom the kiosk would take for such: at the manifest's threshold."""
    if PERSON not in detector.classes:
        return []
    sure = found.score >= detector.manifest.thresholds[PERSON]
    return list(found.xyxy[sure & (found.class_id == detector.classes.index(PERSON))])
