"""A model's own proof: a few pictures in the bundle, and what must be found in them on any box."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Annotated, Literal

import cv2
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edge.errors import ManifestError
from edge.types import Frame

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge.detect.interface import Detector
    from edge.types import Detections

GOLDEN_NAME = "golden"
EXPECTED_NAME = "golden/expected.json"
_MAX_BYTES = 1024 * 1024
_HINT = "the model answers otherwise here than where it was made: do not use it; see the software versions"

# A golden picture was taken at no time that matters.
_LONG_AGO = datetime(1970, 1, 1, tzinfo=timezone.utc)

_Unit = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ExpectedBox(_Strict):
    """One box, picture pixels x1 y1 x2 y2."""

    name: str
    score: _Unit
    xyxy: tuple[float, float, float, float]


class ExpectedPicture(_Strict):
    """One picture beside the file, and all that is found in it."""

    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+\.png$")]
    boxes: tuple[ExpectedBox, ...]


class Expected(_Strict):
    """``score_tolerance``: how far a score may be off; ``least_iou``: how well a box must cover the expected one.

    A box whose score is within the tolerance of its class's threshold may be there or not.
    """

    schema_version: Literal[1]
    score_tolerance: _Unit
    least_iou: _Unit
    pictures: Annotated[tuple[ExpectedPicture, ...], Field(min_length=1, max_length=20)]


@dataclass(frozen=True, slots=True)
class GoldenResult:
    """``faults``: in words, empty if all is as expected; ``worst_score``: the largest score difference that was allowed."""

    pictures: int
    boxes: int
    worst_score: float
    faults: tuple[str, ...]


def read_expected(bundle: Path) -> Expected:
    """What the bundle says must be found.

    :raises ManifestError: missing or malformed.
    """
    path = bundle / EXPECTED_NAME
    try:
        with path.open("rb") as file:
            return Expected.model_validate_json(file.read(_MAX_BYTES))
    except OSError as error:
        raise ManifestError(
            f"{path}: cannot be read: {error.strerror}", hint="the bundle has no golden pictures"
        ) from None
    except ValidationError as error:
        raise ManifestError(
            f"{path}: {error.errors(include_url=False)[0]['msg']}", hint="install the bundle anew"
        ) from None


def verify_golden(bundle: Path, detector: Detector, *, thresholds: Mapping[str, float]) -> GoldenResult:
    """Run the golden pictures through ``detector``, which must be the bundle's own with its own thresholds.

    :param thresholds: by class name, 0..1.
    :raises ManifestError: a picture or the list is missing, malformed, or the model answers otherwise.
    """
    result = compare_golden(bundle, detector, thresholds=thresholds)
    if result.faults:
        raise ManifestError("\n".join(result.faults[:10]), hint=_HINT)
    return result


def compare_golden(bundle: Path, detector: Detector, *, thresholds: Mapping[str, float]) -> GoldenResult:
    """As ``verify_golden``, but differences are returned.

    :raises ManifestError: a picture or the list is missing or malformed.
    """
    expected = read_expected(bundle)
    faults: list[str] = []
    worst, boxes = 0.0, 0
    for seq, picture in enumerate(expected.pictures):
        path = bundle / GOLDEN_NAME / picture.file
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise ManifestError(f"{path}: no readable picture", hint="install the bundle anew")
        frame = Frame(image=np.asarray(image, np.uint8), seq=seq, t_mono_s=0.0, t_utc=_LONG_AGO, camera="golden")
        found = detector.detect(frame)
        wrong, off = _compare(picture, found, detector.classes, thresholds, expected)
        faults.extend(f"{path}: {fault}" for fault in wrong)
        worst, boxes = max(worst, off), boxes + len(picture.boxes)
    return GoldenResult(len(expected.pictures), boxes, worst, tuple(faults))


def _compare(
    picture: ExpectedPicture,
    found: Detections,
    classes: tuple[str, ...],
    thresholds: Mapping[str, float],
    rules: Expected,
) -> tuple[list[str], float]:
    faults: list[str] = []
    worst = 0.0
    names = [classes[i] for i in found.class_id.tolist()]
    free = set(range(len(found)))
    for box in sorted(picture.boxes, key=lambda b: -b.score):
        overlaps = {i: _iou(box.xyxy, found.xyxy[i].tolist()) for i in free if names[i] == box.name}
        best = max(overlaps, key=lambda i: overlaps[i], default=-1)
        if best >= 0 and overlaps[best] >= rules.least_iou:
            free.discard(best)
            off = abs(float(found.score[best]) - box.score)
            worst = max(worst, off)
            if off > rules.score_tolerance:
                faults.append(f"{box.name}: score {found.score[best]:.3f}, expected {box.score:.3f}")
        elif box.score > thresholds.get(box.name, 0.0) + rules.score_tolerance:
            faults.append(f"{box.name} with score {box.score:.3f} is not found at {_at(box.xyxy)}")
    faults.extend(
        f"{names[i]} with score {found.score[i]:.3f} at {_at(found.xyxy[i].tolist())} is not expected"
        for i in sorted(free)
        if float(found.score[i]) > thresholds.get(names[i], 0.0) + rules.score_tolerance
    )
    return faults, worst


def _iou(a: tuple[float, float, float, float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    both = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / both if both > 0 else 0.0


def _at(xyxy: tuple[float, ...] | list[float]) -> str:
    return "(" + ", ".join(f"{v:.0f}" for v in xyxy) + ")"


def expected_json(pictures: tuple[ExpectedPicture, ...], *, score_tolerance: float, least_iou: float) -> str:
    """Text for ``golden/expected.json``: stable, ends with a newline."""
    expected = Expected(schema_version=1, score_tolerance=score_tolerance, least_iou=least_iou, pictures=pictures)
    return json.dumps(expected.model_dump(mode="json"), indent=1) + "\n"
