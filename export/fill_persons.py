"""Persons whom nobody labelled, found by a model that knows persons: an unlabelled person teaches that people are nothing."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatch
from typing import TYPE_CHECKING

import numpy as np
from ultralytics import YOLO

from edge.detect.nms import iou_matrix
from export.dataset import read_image
from export.errors import DatasetError, MissingInputError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.types import F32
    from export.dataset import Dataset

# A box that shares so much with a labelled person is that person.
_SAME = 0.4


@dataclass(frozen=True, slots=True)
class Filled:
    """How many pictures were looked at, and how many persons were added in how many of them."""

    images: int
    changed: int
    persons: int


def fill_persons(
    dataset: Dataset,
    weights: Path,
    out: Path,
    *,
    conf: float = 0.4,
    only: str = "*",
    imgsz: int = 416,
    device: str = "cpu",
) -> Filled:
    """Write the data set's split anew under ``out``: images as links, labels with the persons that were missing.

    :param weights: ultralytics weights with a class "person", as COCO's.
    :param conf: lowest score of a person to add, 0..1.
    :param only: pattern of the image names to look at; the others' labels are copied as they are.
    :raises MissingInputError: no such weights.
    :raises DatasetError: the data set or the weights know no class "person".
    """
    if not weights.is_file():
        raise MissingInputError(f"{weights}: no such file", hint="name COCO weights, for example yolov8n.pt")
    model = YOLO(str(weights))
    theirs = [i for i, name in model.names.items() if name == "person"]
    if "person" not in dataset.names or not theirs:
        raise DatasetError("persons can be filled in only where data set and weights know a class 'person'")
    ours = dataset.names.index("person")
    images, labels = out / "images" / dataset.split, out / "labels" / dataset.split
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    looked = changed = persons = 0
    for number, image in enumerate(dataset.images):
        name = f"{number:06}_{image.path.name}"  # folders may hold the same name twice
        link = images / name
        if not link.is_symlink():
            link.symlink_to(image.path.resolve())
        xyxy, class_id = image.xyxy, image.class_id
        if fnmatch(image.path.name, only):
            looked += 1
            found = model.predict(
                read_image(image.path), conf=conf, classes=theirs, imgsz=imgsz, device=device, verbose=False
            )[0].boxes.xyxyn
            new = _unlabelled(np.asarray(found.cpu().numpy(), np.float32), xyxy[class_id == ours])
            changed += bool(len(new))
            persons += len(new)
            xyxy = np.concatenate((xyxy, new))
            class_id = np.concatenate((class_id, np.full(len(new), ours, np.int64)))
        lines = [
            f"{c} {(x1 + x2) / 2:.6f} {(y1 + y2) / 2:.6f} {x2 - x1:.6f} {y2 - y1:.6f}\n"
            for c, (x1, y1, x2, y2) in zip(class_id.tolist(), xyxy.tolist(), strict=True)
        ]
        (labels / name).with_suffix(".txt").write_text("".join(lines))
    return Filled(looked, changed, persons)


def _unlabelled(found: F32, labelled: F32) -> F32:
    """Those of ``found`` that are nobody in ``labelled``."""
    found = found.reshape(-1, 4).clip(0, 1)
    if not len(labelled) or not len(found):
        return found
    new: F32 = found[iou_matrix(found, labelled).max(axis=1) < _SAME]
    return new
