"""The whole road: weights that were never trained, a drawn data set, a bundle that the kiosk's detector runs."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("ultralytics")

import onnx
from ultralytics import YOLO

from edge.detect.manifest import read_manifest, variants
from edge.detect.onnx import OnnxDetector
from edge.errors import EX_CONFIG, EX_DATAERR, EX_IOERR, EX_NOINPUT
from edge.models.signature import verify_files
from export.bundle import write_bundle
from export.cli import main

pytestmark = pytest.mark.export

FOOTAGE = Path(__file__).parents[2] / "firmware_config" / "demo" / "lobby.mp4"
SMALL = (
    "--height",
    "64",
    "--width",
    "96",
    "--calibration-images",
    "16",
    "--threads",
    "1",
    "--views",
    "as_is",
    "--golden",
    str(FOOTAGE),
    "--variant",
    "fp32",
)
PHONE = ("--map", "phone=cell phone")


@pytest.fixture(scope="module")
def exported(weights: Path, lasting_data_yaml: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "bundle"
    code = main([str(weights), "--data", str(lasting_data_yaml), "--out", str(out), "--name", "random", *SMALL, *PHONE])
    assert code == 0
    return out


def test_the_bundle_runs_on_the_kiosk_s_detector(exported: Path) -> None:
    detector = OnnxDetector(exported, threads=1, score_floor=0.0, max_detections=20)
    assert detector.model == "random 1"
    assert detector.classes[0] == "person"
    assert len(detector.classes) == 80
    found = detector.detect_image(np.random.default_rng(1).integers(0, 255, (200, 300, 3), dtype=np.uint8))
    assert 0 < len(found) <= 20


def test_the_float_form_comes_along_and_finds_the_same(exported: Path) -> None:
    picture = np.random.default_rng(1).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    assert variants(read_manifest(exported)) == ("fp32",)
    forms = [OnnxDetector(exported, threads=1, score_floor=0.0, max_detections=300, variant=v) for v in ("", "fp32")]
    scores = [form.detect_image(picture).score for form in forms]
    assert scores[0].max() == pytest.approx(scores[1].max(), abs=0.1)
    assert not np.array_equal(*(s[: min(map(len, scores))] for s in scores)), "they are two forms"


def test_the_manifest_tells_where_the_model_comes_from(exported: Path) -> None:
    manifest = read_manifest(exported)
    assert (manifest.input.height, manifest.input.width) == (64, 96)
    assert manifest.outputs.scores.shape == (1, 80, 8 * 12 + 4 * 6 + 2 * 3)
    assert manifest.continues == {"person": 0.1}
    assert manifest.calibration is not None
    assert manifest.calibration.images == 16
    assert manifest.metrics["as_is"].images == 6
    assert set(manifest.metrics["as_is"].int8.classes) <= {"person", "knife", "phone"}
    assert manifest.provenance["weights"] == "random.pt"
    assert len(manifest.provenance["weights_sha256"]) == 64
    assert "onnxruntime" in manifest.tools
    text = (exported / "manifest.json").read_text()
    assert str(exported.parent) not in text, "a path of the exporting machine has no place in a bundle"
    assert {p.relative_to(exported).as_posix() for p in exported.rglob("*") if p.is_file()} == {
        "manifest.json",
        "model.onnx",
        *manifest.files,
    }
    assert {"card.md", "precision-recall.png", "confusion.png", "golden/expected.json", "golden/4.png"} < set(
        manifest.files
    )
    verify_files(exported)
    assert not list(exported.parent.glob(".bundle*")), "something was left beside the bundle"


def test_the_graph_takes_camera_bytes_and_keeps_its_tail_in_float(exported: Path) -> None:
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(str(exported / "model.onnx")).graph
    readers: dict[str, list[str]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node.op_type)
    assert readers["image"] == ["Reshape"]
    convolutions = [n for n in graph.node if n.op_type == "Conv"]
    dequantised = {o for n in graph.node if n.op_type == "DequantizeLinear" for o in n.output}
    assert len(convolutions) == 63
    assert all(n.input[0] in dequantised and n.input[1] in dequantised for n in convolutions)
    quantised = {name for n in graph.node if n.op_type == "QuantizeLinear" for name in n.input}
    tail = [n for n in graph.node if n.op_type in {"Exp", "MatMul", "Div", "Sub"} or n.name.endswith("22/Sigmoid")]
    assert {n.op_type for n in tail} == {"Exp", "MatMul", "Div", "Sub", "Sigmoid"}
    assert not quantised & {o for n in tail for o in n.output}


def test_float_graph_agrees_with_ultralytics(weights: Path) -> None:
    import onnxruntime as ort  # noqa: PLC0415
    import torch  # noqa: PLC0415
    from ultralytics import YOLO  # noqa: PLC0415

    from export.onnx_export import export_float  # noqa: PLC0415

    model = export_float(weights, height=64, width=96)
    image = np.random.default_rng(3).integers(0, 255, (1, 64, 96, 3), dtype=np.uint8)
    session = ort.InferenceSession(model.graph.SerializeToString(), providers=["CPUExecutionProvider"])
    boxes, scores = session.run(["boxes", "scores"], {"image": image})
    rgb = torch.from_numpy(image[..., ::-1].copy()).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        reference = YOLO(str(weights)).model.float().eval()(rgb)[0].numpy()
    np.testing.assert_allclose(boxes, reference[:, :4], atol=2e-2)
    np.testing.assert_allclose(scores, reference[:, 4:], atol=1e-4)


def test_the_same_inputs_give_the_same_bytes(weights: Path, data_yaml: Path, tmp_path: Path) -> None:
    outs = [tmp_path / name / "bundle" for name in ("one", "two")]
    for out in outs:
        out.parent.mkdir()
        command = [sys.executable, "-m", "export.cli", str(weights), "--data", str(data_yaml), "--out", str(out)]
        env = {**os.environ, "SOURCE_DATE_EPOCH": "1767603600"}
        subprocess.run([*command, *SMALL, *PHONE], env=env, check=True, capture_output=True)
    names = {p.relative_to(outs[0]) for p in outs[0].rglob("*") if p.is_file()}
    assert len(names) >= 9
    for name in names:
        assert (outs[0] / name).read_bytes() == (outs[1] / name).read_bytes(), name
    assert json.loads((outs[0] / "manifest.json").read_text())["created_utc"] == "2026-01-05T09:00:00Z"


def test_an_older_bundle_gives_way_and_anything_else_does_not(
    exported: Path, weights: Path, data_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("years of work")
    code = main([str(weights), "--data", str(data_yaml), "--out", str(precious), *SMALL])
    assert code == EX_CONFIG
    assert "something other than a bundle" in capsys.readouterr().err
    assert (precious / "thesis.txt").exists()
    before = (exported / "manifest.json").read_text()
    again = [str(weights), "--data", str(data_yaml), "--out", str(exported), "--name", "second", *SMALL, *PHONE]
    assert main(again) == 0
    assert read_manifest(exported).name == "second"
    assert before != (exported / "manifest.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("--map", "phone=unicorn"), EX_DATAERR, "the model has no class 'unicorn'"),
        (("--map", "horn=person"), EX_DATAERR, "the data set has no class 'horn'"),
        (("--keep-float", "no such layer"), EX_CONFIG, "no node's name contains it"),
        (("--calibration-images", "8"), EX_DATAERR, "at least 16"),
        (("--calibration-images", "500"), EX_DATAERR, "18 images, 500 are needed"),
        (("--keep-float", "/"), EX_CONFIG, "--keep-float /: nothing is left to be quantised"),
        (("--precise", "gun"), EX_CONFIG, "--precise gun: the model has no such class"),
        (("--accept-loss", "unicorn=3"), 1, "--accept-loss unicorn: not judged by the gate"),
        (("--golden", "absent.mp4"), EX_NOINPUT, "absent.mp4: no such file"),
        (("--key", "absent.pem"), EX_NOINPUT, "absent.pem: no such file"),
        (("--remarks", "absent.md"), EX_NOINPUT, "absent.md"),
        (("--version", "a version"), EX_CONFIG, "--version 'a version': "),
        (("--name", "my model"), EX_CONFIG, "--name 'my model': "),
        (("--min-runtime", "v1"), EX_CONFIG, "--min-runtime 'v1': "),
        (("--licence", ""), EX_CONFIG, "--licence '': "),
    ],
)
def test_wrong_arguments_write_nothing(
    weights: Path,
    data_yaml: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    arguments: tuple[str, ...],
    code: int,
    words: str,
) -> None:
    out = tmp_path / "bundle"
    assert main([str(weights), "--data", str(data_yaml), "--out", str(out), *SMALL, *arguments]) == code
    said = capsys.readouterr()
    assert words in said.err
    assert "evaluating" not in said.out, "told only after the long part of the work"
    assert not out.exists()


def test_a_date_that_is_none_is_told_at_once(
    weights: Path, data_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    assert main([str(weights), "--data", str(data_yaml), "--out", str(tmp_path / "bundle"), *SMALL]) == EX_CONFIG
    said = capsys.readouterr()
    assert "SOURCE_DATE_EPOCH=yesterday: no date" in said.err
    assert "reading" not in said.out


def test_a_model_with_the_same_class_twice_is_told(
    weights: Path, data_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twice = YOLO(str(weights))
    twice.model.names = {**twice.model.names, 5: "person"}
    twice.save(str(tmp_path / "twice.pt"))
    arguments = [str(tmp_path / "twice.pt"), "--data", str(data_yaml), "--out", str(tmp_path / "bundle"), *SMALL]
    assert main(arguments) == EX_CONFIG
    assert "each needs a name of its own" in capsys.readouterr().err


def test_nothing_that_is_no_bundle_goes_with_an_older_bundle(
    exported: Path, weights: Path, data_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The weights that lie in it, notes somebody put there, or a folder that has a manifest.json of another kind."""
    old = Path(shutil.copytree(exported, tmp_path / "old"))
    shutil.copy(weights, old / "source.pt")
    common = ["--data", str(data_yaml), "--out", str(old), *SMALL, *PHONE]
    assert main([str(old / "source.pt"), *common]) == EX_CONFIG
    assert "source.pt: lies in" in capsys.readouterr().err
    assert main([str(weights), *common]) == EX_CONFIG
    assert "something other than a bundle: source.pt" in capsys.readouterr().err
    extension = tmp_path / "extension"
    extension.mkdir()
    (extension / "manifest.json").write_text('{"manifest_version": 3}')
    (extension / "years_of_work.js").write_text("")
    assert main([str(weights), "--data", str(data_yaml), "--out", str(extension), *SMALL, *PHONE]) == EX_CONFIG
    assert (old / "source.pt").is_file()
    assert (extension / "years_of_work.js").is_file()


def test_the_first_layer_may_be_kept_in_float(weights: Path, data_yaml: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    arguments = [str(weights), "--data", str(data_yaml), "--out", str(out), *SMALL, "--keep-float", "/model.0/"]
    assert main(arguments) == 0
    nodes = onnx.load(str(out / "model.onnx")).graph.node
    first = next(node for node in nodes if node.op_type == "Conv")
    assert "/model.0/" in first.name
    assert [n.op_type for n in nodes if first.input[0] in n.output] == ["Mul"]
    OnnxDetector(out, threads=1)


def test_a_full_disk_is_told_and_nothing_is_left(
    weights: Path, data_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "scratch/float.onnx")

    monkeypatch.setattr("onnx.save", full)
    out = tmp_path / "bundle"
    assert main([str(weights), "--data", str(data_yaml), "--out", str(out), *SMALL]) == EX_IOERR
    assert "scratch/float.onnx: No space left on device" in capsys.readouterr().err
    assert not out.exists()


def test_ctrl_c_between_two_renames_leaves_the_older_bundle(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = Path(shutil.copytree(exported, tmp_path / "bundle"))
    rename = Path.rename

    def stopped(self: Path, target: Path) -> Path:
        if self.name.startswith(".bundle.") and target == out:
            raise KeyboardInterrupt
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_bundle(out, read_manifest(exported), (exported / "model.onnx").read_bytes())
    verify_files(out)
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_missing_and_foreign_weights_are_told(
    data_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ["--data", str(data_yaml), "--out", str(tmp_path / "bundle"), *SMALL]
    assert main([str(tmp_path / "yolov8n.pt"), *common]) == EX_NOINPUT
    assert "yolov8n.pt: no such file" in capsys.readouterr().err
    text = tmp_path / "text.pt"
    text.write_text("not weights")
    assert main([str(text), *common]) == EX_CONFIG
    assert "text.pt: cannot be loaded" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("picture", "003.jpg: no readable image"),
        ("calibration picture", "000.jpg: no readable image"),
        ("class", "val: no labelled box of thing 5"),
        ("label", "001.txt: line 1: class 7"),
        ("small", "15 images"),
    ],
)
def test_a_faulty_data_set_is_told_before_anything_is_quantised(
    weights: Path, data_yaml: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, damage: str, words: str
) -> None:
    root = data_yaml.parent
    match damage:
        case "picture":
            (root / "images/val/003.jpg").write_bytes(b"\xff\xd8 torn")
        case "calibration picture":
            (root / "images/train/000.jpg").write_bytes(b"")
        case "class":
            data_yaml.write_text(data_yaml.read_text() + "  3: thing 5\n")
        case "label":
            (root / "labels/val/001.txt").write_text("7 0.5 0.5 0.1 0.1\n")
        case "small":
            for number in range(3):
                (root / f"images/train/{number:03}.jpg").unlink()
    out = tmp_path / "bundle"
    assert main([str(weights), "--data", str(data_yaml), "--out", str(out), *SMALL]) == EX_DATAERR
    said = capsys.readouterr()
    assert words in said.err
    assert "quantising" not in said.out
    assert not out.exists()
