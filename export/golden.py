"""The golden pictures of a bundle: frames of rendered footage, and what the model found in them where it was made."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.models.golden import EXPECTED_NAME, GOLDEN_NAME, ExpectedBox, ExpectedPicture, expected_json
from export.dataset import IMAGE_SUFFIXES, read_image
from export.errors import DatasetError, MissingInputError

if TYPE_CHECKING:
    from edge.detect.onnx import OnnxDetector
    from edge.types import U8

# Our own footage in a source checkout; nobody is in it who could object.
DEFAULT_FOOTAGE = Path(__file__).resolve().parents[1] / "firmware_config" / "demo" / "lobby.mp4"
COUNT = 4
# Kernels of other processors round otherwise; beyond this it is another model, or a broken one.
SCORE_TOLERANCE = 0.08
LEAST_IOU = 0.75


def read_pictures(source: Path, *, count: int = COUNT) -> tuple[U8, ...]:
    """``count`` pictures, evenly spread over a clip, or the first ones of a folder in the order of their names.

    :raises MissingInputError: no such file.
    :raises DatasetError: it holds too few pictures, or none that can be read.
    """
    if source.is_dir():
        files = sorted(f for f in source.iterdir() if f.suffix.lower() in IMAGE_SUFFIXES)[:count]
        pictures = [read_image(f) for f in files]
    elif source.is_file():
        pictures = _frames(source, count)
    else:
        raise MissingInputError(
            f"{source}: no such file", hint="name a clip or a folder of pictures of your own footage"
        )
    if len(pictures) < count:
        raise DatasetError(f"{source}: {len(pictures)} readable pictures, {count} are needed for golden/")
    return tuple(pictures)


def golden_files(pictures: tuple[U8, ...], detector: OnnxDetector) -> dict[str, bytes]:
    """The folder's files by their path in the bundle, the same bytes for the same pictures and model.

    :param detector: the model as the kiosk runs it, with its own thresholds.
    """
    files: dict[str, bytes] = {}
    told = []
    for number, image in enumerate(pictures, start=1):
        name = f"{number}.png"
        files[f"{GOLDEN_NAME}/{name}"] = cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
        found = detector.detect_image(image)
        boxes = tuple(
            ExpectedBox(name=detector.classes[c], score=round(s, 4), xyxy=(*(round(v, 1) for v in xyxy),))
            for c, s, xyxy in zip(found.class_id.tolist(), found.score.tolist(), found.xyxy.tolist(), strict=True)
        )
        told.append(ExpectedPicture(file=name, boxes=boxes))
    text = expected_json(tuple(told), score_tolerance=SCORE_TOLERANCE, least_iou=LEAST_IOU)
    files[EXPECTED_NAME] = text.encode()
    return files


def _frames(clip: Path, count: int) -> list[U8]:
    capture = cv2.VideoCapture(str(clip))
    try:
        total = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        wanted = set(np.linspace(0, max(total - 1, 0), count + 2).round().astype(int)[1:-1].tolist())
        pictures: list[U8] = []
        for number in range(total):
            if not capture.grab() or len(pictures) == count:
                break
            if number in wanted:
                good, image = capture.retrieve()
                if good:
                    pictures.append(np.asarray(image, np.uint8))
        return pictures
    finally:
        capture.release()
