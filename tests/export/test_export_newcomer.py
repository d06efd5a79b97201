"""As somebody new would do it: twenty pictures of one's own, one epoch, a bundle, its figures, a clip through the kiosk."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from edge.detect.manifest import read_manifest
from edge.errors import EX_CONFIG, EX_DATAERR, EX_NOINPUT

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.export, pytest.mark.usefixtures("trains")]

FOOTAGE = Path(__file__).parents[2] / "firmware_config" / "demo" / "lobby.mp4"


def run(module: str, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": os.environ.get("PYTHONPATH", ""), "YOLO_OFFLINE": "1"}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, weights: Path, draw: Callable[..., Path]) -> Path:
    """The whole road, once; the tests look at what it left."""
    root = tmp_path_factory.mktemp("newcomer")
    data = draw(root / "data", train=16, val=4)
    rows = [{"key": f"{n:03}", "source": "cctv" if n < 2 else "photos", "group": f"{n}"} for n in range(4)]
    (data.parent / "index.json").write_text(json.dumps(rows))
    trained = run(
        "export.train", "--data", data, "--weights", weights, "--out", "run", "--epochs", 1, "--imgsz", 96, "--batch", 8,
        cwd=root,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr[-3000:]
    exported = run(
        "export.cli", "run/source.pt", "--data", data, "--out", "bundle", "--name", "mine", "--height", 64, "--width", 96,
        "--golden", FOOTAGE, "--threads", 1, cwd=root,
    )  # fmt: skip
    assert exported.returncode == 0, exported.stderr[-3000:]
    return root


def evaluate(place: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    return run("export.evaluate_cli", *arguments, "--data", place / "data/data.yaml", "--threads", 1, cwd=place)


def test_the_bundle_tells_all_of_its_way(place: Path) -> None:
    manifest = read_manifest(place / "bundle")
    assert manifest.classes == ("person", "knife", "phone")
    assert len(manifest.metrics) == 8
    assert manifest.provenance["training_recipe"] == "kiosk.toml"
    assert manifest.provenance["training_epochs"] == "1"
    assert manifest.gate is not None
    assert manifest.gate.passed
    assert manifest.threshold_set is not None
    assert manifest.gate.images + manifest.threshold_set.images == 4
    assert manifest.gate.set_sha256 != manifest.threshold_set.set_sha256
    text = (place / "bundle/card.md").read_text()
    assert "Nobody has written down yet" in text
    assert "| cctv |" in text
    assert str(place) not in text
    assert str(place) not in (place / "bundle/manifest.json").read_text()


def test_it_is_evaluated_beside_fp32_and_against_a_baseline(place: Path) -> None:
    plain = evaluate(place, "bundle", "--baseline", "bundle", "--weights", "run/source.pt", "--json", "out.json")
    assert plain.returncode == 0, plain.stderr[-3000:]
    assert "golden pictures: 4 as expected" in plain.stdout
    told = json.loads((place / "out.json").read_text())
    assert len(told["views"]) == 8
    manifest = read_manifest(place / "bundle")
    for name, row in told["views"].items():
        assert row["int8"] == manifest.metrics[name].int8.model_dump(mode="json"), "another figure than the export's"
        assert row["fp32"] == manifest.metrics[name].fp32.model_dump(mode="json")
        assert row["baseline"] == row["int8"]
        assert set(row["sources"]) == {"cctv", "photos"}
    assert told["behind_baseline"] == []


def test_where_no_figures_can_be_written_is_told_before_any_are_made(place: Path) -> None:
    for file in (".", "absent/out.json"):
        refused = evaluate(place, "bundle", "--json", file)
        assert refused.returncode == EX_NOINPUT, refused.stderr[-500:]
        assert "no file can be there" in refused.stderr
        assert "images of" not in refused.stdout


def test_other_weights_are_not_shown_as_its_fp32(place: Path, weights: Path) -> None:
    refused = evaluate(place, "bundle", "--weights", weights, "--views", "as_is")
    assert refused.returncode == EX_NOINPUT
    assert "not the weights that mine 1 was made from" in refused.stderr


@pytest.mark.parametrize("name", ["model.onnx", "manifest.json", "card.md", "golden/1.png"])
def test_one_changed_byte_is_refused_before_anything_is_evaluated(place: Path, tmp_path: Path, name: str) -> None:
    bundle = Path(shutil.copytree(place / "bundle", tmp_path / "bundle"))
    content = bytearray((bundle / name).read_bytes())
    content[len(content) // 2] ^= 1
    (bundle / name).write_bytes(bytes(content))
    refused = evaluate(place, bundle)
    assert refused.returncode == EX_CONFIG, (refused.stdout, refused.stderr)
    assert name in refused.stderr
    assert "images of" not in refused.stdout


def test_a_manifest_that_does_not_match_its_model_is_refused(place: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(place / "bundle", tmp_path / "bundle"))
    text = (bundle / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(
        text.replace('"width": 96', '"width": 192').replace('"height": 64', '"height": 128')
    )
    refused = evaluate(place, bundle)
    assert refused.returncode == EX_CONFIG
    assert "but the model has [1, 64, 96, 3]" in refused.stderr


def test_a_data_set_with_other_classes_is_refused(place: Path, tmp_path: Path) -> None:
    data = Path(shutil.copytree(place / "data", tmp_path / "data")) / "data.yaml"
    data.write_text(data.read_text().replace("person", "cat").replace("knife", "dog").replace("phone", "cow"))
    refused = run("export.evaluate_cli", place / "bundle", "--data", data, cwd=tmp_path)
    assert refused.returncode == EX_DATAERR
    assert "no class in common" in refused.stderr


def test_the_kiosk_runs_it_on_a_clip(place: Path) -> None:
    (place / "kiosk.toml").write_text(
        f'[model]\npath = "{place / "bundle"}"\n\n[[cameras]]\nname = "lobby"\nsource = "file:{FOOTAGE}"\nmax_fps = 2.0\n'
    )
    checked = run("edge.cli", "check-config", "kiosk.toml", cwd=place)
    assert checked.returncode == 0, checked.stderr
    assert "mine 1" in checked.stdout
    replayed = run("edge.cli", "replay", FOOTAGE, "--config", "kiosk.toml", cwd=place)
    assert replayed.returncode == 0, replayed.stderr
    assert "frames judged" in replayed.stderr
