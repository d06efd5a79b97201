"""The map from the middle of the shipped detector's network: there when asked for, in the right place, of the right shape."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.detect.onnx import OnnxDetector
from edge.errors import ManifestError
from edge.models.shipped import shipped_bundle

if TYPE_CHECKING:
    from pathlib import Path

WIDE = np.random.default_rng(3).integers(0, 255, (360, 640, 3), np.uint8)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the shipped bundle, to be broken."""
    return shutil.copytree(shipped_bundle(), tmp_path / "bundle")


def change(bundle: Path, features: dict[str, Any] | None) -> None:
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["outputs"]["features"] = features and {**manifest["outputs"]["features"], **features}
    path.write_text(json.dumps(manifest))


def test_the_map_comes_only_when_asked_for_and_changes_nothing_else() -> None:
    asked, plain = OnnxDetector(shipped_bundle(), threads=1, features=True), OnnxDetector(shipped_bundle(), threads=1)
    found, same = asked.detect_image(WIDE), plain.detect_image(WIDE)
    assert same.features is None
    assert found.features is not None
    assert found.features.map_name == asked.map_name
    assert found.features.values.shape == asked.manifest.outputs.features.shape[1:]  # type: ignore[union-attr] # it is there
    assert np.ptp(found.features.values) > 0
    assert np.array_equal(found.score, same.score)
    assert np.array_equal(found.where(np.zeros(len(found), np.bool_)).features.values, found.features.values)  # type: ignore[union-attr]


def test_the_map_knows_which_of_its_cells_are_picture() -> None:
    detector = OnnxDetector(shipped_bundle(), threads=1, features=True)
    wide, upright = detector.detect_image(WIDE).features, detector.detect_image(WIDE.transpose(1, 0, 2)).features
    assert wide is not None
    assert upright is not None
    # 640x360 in 416x256: 416x234, 11 px below the top; 360x640: 144x256, 136 px from the left. 16 px to a cell.
    assert wide.inside == (0, 1, 26, 15)
    assert upright.inside == (9, 0, 17, 16)
    for features, (width, height) in ((wide, (640, 360)), (upright, (360, 640))):
        right = features.origin[0] + width * features.across[0]
        low = features.origin[1] + height * features.across[1]
        assert features.inside[2] <= right <= features.inside[2] + 1
        assert features.inside[3] <= low <= features.inside[3] + 1


def test_a_box_in_the_picture_is_where_the_map_changes() -> None:
    detector = OnnxDetector(shipped_bundle(), threads=1, features=True)
    other = WIDE.copy()
    other[200:300, 400:500] = 255 - other[200:300, 400:500]
    before, after = (detector.detect_image(image).features for image in (WIDE, other))
    assert before is not None
    assert after is not None
    size = np.abs(after.values - before.values).mean(axis=0)
    y, x = np.unravel_index(size.argmax(), size.shape)
    assert 400 - 40 <= (x + 0.5 - after.origin[0]) / after.across[0] <= 500 + 40
    assert 200 - 40 <= (y + 0.5 - after.origin[1]) / after.across[1] <= 300 + 40


def test_a_model_without_a_map_is_a_model(bundle: Path) -> None:
    change(bundle, None)
    assert OnnxDetector(bundle, threads=1, features=True).detect_image(WIDE).features is None


@pytest.mark.parametrize(
    ("features", "says"),
    [
        ({"shape": [1, 64, 16, 26]}, r"outputs\.features: shape \[1, 64, 16, 26\]"),
        ({"shape": [1, 128, 16, 25]}, "no squares of the input"),
        ({"name": "nothing"}, r"outputs\.features\.name: 'nothing'"),
    ],
)
def test_a_manifest_that_says_something_else_is_refused(bundle: Path, features: dict[str, Any], says: str) -> None:
    change(bundle, features)
    with pytest.raises(ManifestError, match=says):
        OnnxDetector(bundle, threads=1)
