from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from edge.detect.manifest import Manifest, read_manifest, read_model
from edge.errors import DetectorError, ManifestError
from edge.models.shipped import shipped_bundle

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MODEL = b"not really a model"


def table() -> dict[str, Any]:
    return {
        "schema_version": 1,
        "name": "tiny",
        "version": "3",
        "created_utc": "2026-01-05T09:00:00Z",
        "min_runtime": "0.1.0",
        "licence": "AGPL-3.0-or-later",
        "model": {
            "file": "model.onnx",
            "sha256": hashlib.sha256(MODEL).hexdigest(),
            "size_bytes": len(MODEL),
            "precision": "int8",
        },
        "input": {
            "name": "image",
            "layout": "NHWC",
            "dtype": "uint8",
            "colour": "BGR",
            "height": 64,
            "width": 96,
            "fill": 114,
        },
        "outputs": {
            "boxes": {"name": "boxes", "dtype": "float32", "shape": [1, 4, 126], "coding": "cxcywh_px"},
            "scores": {"name": "scores", "dtype": "float32", "shape": [1, 2, 126], "coding": "probability"},
        },
        "classes": ["person", "knife"],
        "thresholds": {"person": 0.3, "knife": 0.5},
        "threshold_rule": "made up",
        "nms": {"iou": 0.6, "max_candidates": 1000, "max_detections": 100},
    }


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(MODEL)
    write(tmp_path, table())
    return tmp_path


def write(bundle: Path, content: dict[str, Any]) -> None:
    (bundle / "manifest.json").write_text(json.dumps(content))


def test_a_sound_bundle_is_read(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    assert manifest.label == "tiny 3"
    assert manifest.classes == ("person", "knife")
    assert manifest.input.width == 96
    assert read_model(bundle, manifest) == MODEL


def test_a_bundle_of_before_continues_nothing_below_its_thresholds(bundle: Path) -> None:
    assert read_manifest(bundle).continues == {}
    write(bundle, table() | {"continues": {"person": 0.1}})
    assert read_manifest(bundle).continues == {"person": 0.1}


def test_what_is_written_reads_the_same(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    assert Manifest.model_validate_json(manifest.to_json()) == manifest


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("name", lambda t: t.pop("name")),
        ("name", lambda t: t.update(name="a b")),
        ("surprise", lambda t: t.update(surprise=1)),
        ("schema_version", lambda t: t.update(schema_version=0)),
        ("schema_version", lambda t: t.update(schema_version=2)),
        ("created_utc", lambda t: t.update(created_utc="yesterday")),
        ("min_runtime", lambda t: t.update(min_runtime="latest")),
        ("min_runtime", lambda t: t.update(min_runtime="99.0")),
        ("model.sha256", lambda t: t["model"].update(sha256="ab")),
        ("model.file", lambda t: t["model"].update(file="../model.onnx")),
        ("model.file", lambda t: t["model"].update(file="/etc/passwd")),
        ("model.size_bytes", lambda t: t["model"].update(size_bytes=-1)),
        ("model.precision", lambda t: t["model"].update(precision="int4")),
        ("input.layout", lambda t: t["input"].update(layout="NCHW")),
        ("input.dtype", lambda t: t["input"].update(dtype="float32")),
        ("input.colour", lambda t: t["input"].update(colour="RGB")),
        ("input.height", lambda t: t["input"].update(height=65)),
        ("input.height", lambda t: t["input"].update(height="64")),
        ("input.width", lambda t: t["input"].update(width=320_000)),
        ("outputs.boxes", lambda t: t["outputs"]["boxes"].update(coding="probability")),
        ("outputs.boxes", lambda t: t["outputs"]["boxes"].update(shape=[1, 5, 126])),
        ("outputs.boxes.shape", lambda t: t["outputs"]["boxes"].update(shape=[2, 4, 126])),
        ("outputs.scores", lambda t: t["outputs"]["scores"].update(shape=[1, 3, 126])),
        ("outputs", lambda t: t["outputs"]["scores"].update(shape=[1, 2, 125])),
        ("classes", lambda t: t.update(classes=[])),
        ("classes", lambda t: t.update(classes=["person", "person"])),
        ("thresholds", lambda t: t["thresholds"].pop("knife")),
        ("thresholds", lambda t: t["thresholds"].update(fork=0.5)),
        ("thresholds.knife", lambda t: t["thresholds"].update(knife=1.5)),
        ("continues", lambda t: t.update(continues={"fork": 0.1})),
        ("continues", lambda t: t.update(continues={"person": 0.31})),
        ("continues.person", lambda t: t.update(continues={"person": -0.1})),
        ("low_precision", lambda t: t.update(low_precision=["fork"])),
        ("nms.iou", lambda t: t["nms"].update(iou=-0.1)),
    ],
)
def test_every_fault_names_the_file_and_the_key(
    bundle: Path, key: str, change: Callable[[dict[str, Any]], object]
) -> None:
    broken = table()
    change(broken)
    write(bundle, broken)
    with pytest.raises(ManifestError) as caught:
        read_manifest(bundle)
    assert str(bundle / "manifest.json") in caught.value.message
    assert f"{key}:" in caught.value.message or f"{key}." in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 78


def test_all_faults_are_told_at_once(bundle: Path) -> None:
    broken = table()
    broken["input"]["colour"] = "RGB"
    del broken["nms"]
    write(bundle, broken)
    with pytest.raises(ManifestError) as caught:
        read_manifest(bundle)
    assert "input.colour:" in caught.value.message
    assert "nms:" in caught.value.message


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"a": NaN}', "\x00\xff"])
def test_a_manifest_that_is_none_is_refused(bundle: Path, text: str) -> None:
    (bundle / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(ManifestError, match=r"manifest\.json"):
        read_manifest(bundle)


def test_a_manifest_of_newer_software_says_so_and_nothing_else(bundle: Path) -> None:
    write(bundle, {"schema_version": 7, "whatever": "it holds"})
    with pytest.raises(ManifestError, match="schema_version: 7, this software reads up to 1") as caught:
        read_manifest(bundle)
    assert "update the software" in caught.value.hint


def test_the_software_s_version_is_compared_as_numbers(bundle: Path) -> None:
    content = table()
    content["min_runtime"] = "0.9"
    write(bundle, content)
    assert read_manifest(bundle, runtime="0.10.0rc1")
    with pytest.raises(ManifestError, match=r"asks for Kiosk Guard 0\.9, this is 0\.8\.2"):
        read_manifest(bundle, runtime="0.8.2")


def test_a_huge_manifest_is_not_read(bundle: Path) -> None:
    with (bundle / "manifest.json").open("r+b") as file:
        file.truncate(100_000_000)
    with pytest.raises(ManifestError, match="larger than"):
        read_manifest(bundle)


def test_a_missing_bundle_and_a_missing_model_are_named(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"nowhere/manifest\.json: no such file"):
        read_manifest(tmp_path / "nowhere")
    manifest = read_manifest(bundle)
    (bundle / "model.onnx").unlink()
    with pytest.raises(ManifestError, match=r"model\.onnx: no such file"):
        read_model(bundle, manifest)


def test_a_file_in_place_of_the_bundle_is_told(bundle: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(bundle / "model.onnx")


def test_one_changed_byte_is_noticed(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    (bundle / "model.onnx").write_bytes(MODEL[:-1] + b"!")
    with pytest.raises(ManifestError, match=r"model\.sha256"):
        read_model(bundle, manifest)


def test_another_size_is_noticed(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    (bundle / "model.onnx").write_bytes(MODEL + b"\0")
    with pytest.raises(ManifestError, match=r"model\.size_bytes"):
        read_model(bundle, manifest)


def test_the_shipped_bundle_keeps_what_its_manifest_promises() -> None:
    bundle = shipped_bundle()
    manifest = read_manifest(bundle)
    assert len(read_model(bundle, manifest)) <= 5_000_000
    assert "person" in manifest.classes
    view = manifest.metrics["as_is"]
    assert view.int8.map50_95 >= view.fp32.map50_95 - 0.01


def test_without_a_shipped_bundle_the_places_looked_at_are_told(tmp_path: Path) -> None:
    with pytest.raises(DetectorError) as caught:
        shipped_bundle(candidates=(tmp_path / "a", tmp_path / "b"))
    assert str(tmp_path / "a") in caught.value.message
    assert str(tmp_path / "b") in caught.value.message


def test_the_first_place_with_a_manifest_is_the_shipped_bundle(bundle: Path, tmp_path: Path) -> None:
    assert shipped_bundle(candidates=(tmp_path / "none", bundle)) == bundle
