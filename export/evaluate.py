"""How good a bundle is, measured through the kiosk's own path: letterbox, onnxruntime, decode, suppression."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster

from edge.detect.letterbox import Geometry
from edge.detect.measured import ClassScore, Score
from edge.detect.onnx import OnnxDetector
from edge.types import Detections
from export.closer import people_in, with_closer_looks
from export.dataset import read_image
from export.views import ViewSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from edge.types import F64
    from export.dataset import Dataset

# Average precision needs the whole curve, down to scores that no kiosk would act on.
SCORE_FLOOR = 0.001
MAX_DETECTIONS = 300
_AS_IS = ViewSpec()


@dataclass(frozen=True, slots=True)
class Judged:
    """One picture after judging, everything in pixels and the data set's class ids; the truth's scores are 1.

    ``scale``: the model's input pixels to one pixel of the picture.
    """

    width: int
    height: int
    truth: Detections
    found: Detections
    scale: float = 1.0


def judge(
    bundle: Path,
    dataset: Dataset,
    classes: Mapping[int, int],
    *,
    threads: int = 0,
    view: ViewSpec = _AS_IS,
    session_config: Mapping[str, str] | None = None,
    closer: bool = False,
) -> tuple[Judged, ...]:
    """Run a bundle over a data set, keeping boxes down to ``SCORE_FLOOR``.

    :param classes: the model's class id to the data set's; other classes count for nothing.
    :param view: how the pictures are shown to it.
    :param session_config: further onnxruntime settings, by key.
    :param closer: look closer at everybody found, as the kiosk does in turn.
    :raises DatasetError: an image cannot be read.
    :raises DetectorError: the bundle cannot be run.
    """
    detector = OnnxDetector(
        bundle,
        threads=threads,
        score_floor=SCORE_FLOOR,
        max_detections=MAX_DETECTIONS,
        session_config=session_config,
    )
    translate = np.full(len(detector.classes), -1, np.int64)
    translate[list(classes.keys())] = list(classes.values())
    judged = []
    for labelled in dataset.images:
        image = read_image(labelled.path)
        pixels = labelled.xyxy * np.array([image.shape[1], image.shape[0]] * 2, np.float32)
        image, pixels = view(image, pixels, seed=labelled.path.name)
        height, width = image.shape[:2]
        truth = Detections(pixels, np.ones(len(pixels), np.float32), labelled.class_id)
        truth = truth.where(np.isin(truth.class_id, list(classes.values())))
        found = detector.detect_image(image)
        if closer:
            found = with_closer_looks(detector, image, found, people_in(detector, found))
        found = Detections(found.xyxy, found.score, translate[found.class_id])
        spec = detector.manifest.input
        fit = Geometry.fit(frame_width=width, frame_height=height, input_width=spec.width, input_height=spec.height)
        judged.append(Judged(width, height, truth, found.where(found.class_id >= 0), fit.height / height))
    return tuple(judged)


def score(judged: Iterable[Judged], names: tuple[str, ...]) -> Score:
    """COCO's average precision; the means are over the classes that have labelled boxes.

    :param names: the data set's class names.
    """
    judged = tuple(judged)
    counts = np.bincount(_column([j.truth.class_id for j in judged]), minlength=len(names))
    per_class = _average_precision(judged, len(names))
    rows = {
        name: ClassScore(boxes=int(n), ap50=_rounded(per_class[i, 0]), ap50_95=_rounded(per_class[i].mean()))
        for i, (name, n) in enumerate(zip(names, counts, strict=True))
        if n > 0
    }
    return Score(
        map50=_rounded(np.mean([per_class[i, 0] for i in np.flatnonzero(counts)]) if counts.any() else 0.0),
        map50_95=_rounded(np.mean([per_class[i] for i in np.flatnonzero(counts)]) if counts.any() else 0.0),
        classes=rows,
    )


def _average_precision(judged: tuple[Judged, ...], class_count: int) -> F64:
    """(class_count, 10): average precision at IoU 0.50, 0.55 ... 0.95; 0 where a class has no labelled box."""
    truth = _annotations(judged)
    found = _results(judged)
    result = np.zeros((class_count, 10), np.float64)
    if not truth["annotations"] or not found:
        return result
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO(truth)
        run = COCOeval_faster(reference, reference.loadRes(found), "bbox", print_function=lambda *_: None)
        run.params.maxDets = [1, 100, MAX_DETECTIONS]
        run.evaluate()
        run.accumulate()
    precision = np.asarray(run.eval["precision"])[:, :, :, 0, -1]  # (IoU, recall, class): all sizes, all boxes
    for column, category in enumerate(run.params.catIds):
        curve = precision[:, :, column]
        result[category - 1] = np.where(curve < 0, 0, curve).mean(axis=1)
    return result


def _annotations(judged: tuple[Judged, ...]) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    rows: list[dict[str, Any]] = []
    for number, one in enumerate(judged, start=1):
        images.append({"id": number, "width": one.width, "height": one.height, "file_name": str(number)})
        for box, class_id in zip(one.truth.xyxy.tolist(), one.truth.class_id.tolist(), strict=True):
            width, height = box[2] - box[0], box[3] - box[1]
            rows.append(
                {
                    "id": len(rows) + 1,
                    "image_id": number,
                    "category_id": class_id + 1,
                    "bbox": [box[0], box[1], width, height],
                    "area": width * height,
                    "iscrowd": 0,
                }
            )
    used = sorted({row["category_id"] for row in rows})
    return {"info": {}, "images": images, "annotations": rows, "categories": [{"id": i, "name": str(i)} for i in used]}


def _results(judged: tuple[Judged, ...]) -> list[dict[str, Any]]:
    return [
        {
            "image_id": number,
            "category_id": class_id + 1,
            "bbox": [box[0], box[1], box[2] - box[0], box[3] - box[1]],
            "score": value,
        }
        for number, one in enumerate(judged, start=1)
        for box, class_id, value in zip(
            one.found.xyxy.tolist(), one.found.class_id.tolist(), one.found.score.tolist(), strict=True
        )
    ]


def _column(parts: list[Any]) -> Any:
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _rounded(value: Any) -> float:
    return round(float(value), 4)
