"""A data set and weights of a moment: drawn pictures, random numbers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLASSES = ("person", "knife", "phone")


def draw_dataset(root: Path, *, train: int = 18, val: int = 6) -> Path:
    """Writes a YOLO data set of rectangles and ellipses and returns its data.yaml."""
    rng = np.random.default_rng(7)
    for split, count in (("train", train), ("val", val)):
        (root / "images" / split).mkdir(parents=True)
        (root / "labels" / split).mkdir(parents=True)
        for number in range(count):
            image = rng.integers(60, 190, (120, 160, 3), dtype=np.uint8)
            lines = []
            for _ in range(int(rng.integers(1, 4))):
                kind = int(rng.integers(0, len(CLASSES)))
                x, y, w, h = (int(v) for v in rng.integers((10, 10, 20, 20), (90, 60, 60, 50)))
                colour = tuple(int(v) for v in rng.integers(0, 255, 3))
                cv2.rectangle(image, (x, y), (x + w, y + h), colour, -1)
                lines.append(f"{kind} {(x + w / 2) / 160:.4f} {(y + h / 2) / 120:.4f} {w / 160:.4f} {h / 120:.4f}")
            cv2.imwrite(str(root / "images" / split / f"{number:03}.jpg"), image)
            (root / "labels" / split / f"{number:03}.txt").write_text("\n".join(lines) + "\n")
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(CLASSES))
    description = root / "data.yaml"
    description.write_text(f"path: .\ntrain: images/train\nval: images/val\nnames:\n{names}")
    return description


@pytest.fixture(scope="session")
def draw() -> Callable[..., Path]:
    """For tests that want a data set of another size."""
    return draw_dataset


@pytest.fixture
def data_yaml(tmp_path: Path) -> Path:
    return draw_dataset(tmp_path / "data")


@pytest.fixture(scope="session")
def lasting_data_yaml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For tests that do not change it."""
    return draw_dataset(tmp_path_factory.mktemp("lasting") / "data")


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A YOLOv8n that was never trained, with COCO's 80 classes numbered as ultralytics does, three of them renamed."""
    torch = pytest.importorskip("torch", reason="the export tooling is not installed: ./tests/run --export")
    ultralytics = pytest.importorskip("ultralytics", reason="the export tooling is not installed: ./tests/run --export")
    torch.manual_seed(11)
    model = ultralytics.YOLO("yolov8n.yaml", task="detect")
    model.model.names = {**{i: f"thing {i}" for i in range(80)}, 0: "person", 43: "knife", 67: "cell phone"}
    path = tmp_path_factory.mktemp("weights") / "random.pt"
    model.save(str(path))
    return path


@pytest.fixture(scope="session")
def trains() -> None:
    """Skips where ultralytics cannot train: its validator needs torchvision's compiled part.

    The builds of torchvision that pip offers are made for torch with CUDA; beside a CPU build of torch they do not load.
    """
    try:
        importlib.import_module("torchvision")
    except Exception as error:  # noqa: BLE001 - a broken extension raises what it likes
        pytest.skip(
            f"torchvision does not load beside this torch ({error}); EXPORT_PYTHON names a Python where it does"
        )
