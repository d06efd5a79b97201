"""Pictures as the quantised model will see them: letterboxed by the kiosk's own code."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.detect.letterbox import Letterbox
from export.dataset import read_image
from export.errors import DatasetError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.types import U8
    from export.dataset import Dataset

# Fewer pictures leave the ranges of many layers to chance.
MIN_IMAGES = 16


def choose(dataset: Dataset, count: int) -> tuple[Path, ...]:
    """``count`` images, evenly spread over the data set in the order of their names: no chance, every source.

    :raises DatasetError: the data set, or ``count``, is too small.
    """
    if count < MIN_IMAGES:
        raise DatasetError(f"{count} calibration images", hint=f"at least {MIN_IMAGES}")
    if len(dataset.images) < count:
        raise DatasetError(
            f"{dataset.source}: {dataset.split}: {len(dataset.images)} images, {count} are needed for calibration",
            hint=f"add images, or ask for fewer with --calibration-images (at least {MIN_IMAGES})",
        )
    rows = np.linspace(0, len(dataset.images) - 1, count).round().astype(int)
    return tuple(dataset.images[i].path for i in rows)


def tensors(paths: tuple[Path, ...], *, height: int, width: int) -> list[U8]:
    """The model's input for each image, uint8 (1, height, width, 3).

    :raises DatasetError: an image cannot be read.
    """
    letterbox = Letterbox(width=width, height=height)
    return [letterbox(read_image(path))[0].copy() for path in paths]
