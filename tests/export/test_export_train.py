"""Training: the recipe and its pictures, every refusal before torch, a run that survives a kill."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("ultralytics")

from typing import TYPE_CHECKING

from ultralytics import YOLO

from edge.errors import EX_CONFIG, EX_DATAERR, EX_NOINPUT
from export import augment
from export.dataset import read_dataset
from export.errors import DatasetError, ExportError
from export.preflight import read_for_training
from export.recipe import DEFAULT_RECIPE, Recipe, read_recipe
from export.train import main

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.export

PICTURE = np.random.default_rng(5).integers(40, 215, (48, 64, 3), dtype=np.uint8)
QUICK = ("--imgsz", "64", "--batch", "8")


def only(effect: str) -> Recipe:
    recipe = read_recipe(DEFAULT_RECIPE)
    off = {
        name: {**getattr(recipe, name).model_dump(), "probability": float(name == effect)}
        for name in ("low_light", "high_contrast", "back_light", "infrared", "motion_blur", "jpeg")
    }
    return Recipe.model_validate(off)


def test_the_shipped_recipe_is_valid_and_its_hash_is_of_the_values(tmp_path: Path) -> None:
    recipe = read_recipe(DEFAULT_RECIPE)
    other = tmp_path / "same.toml"
    other.write_text("# another comment\n" + DEFAULT_RECIPE.read_text())
    assert read_recipe(other).sha256() == recipe.sha256()
    other.write_text(DEFAULT_RECIPE.read_text().replace("quality = [18.0", "quality = [19.0"))
    assert read_recipe(other).sha256() != recipe.sha256()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("probability = 0.40\ngamma", "probability = 1.40\ngamma", r"low_light\.probability"),
        ("gamma = [1.3, 3.4]", "gamma = [3.4, 1.3]", r"low_light\.gamma: must be \[least, most\]"),
        ("gamma = [1.3, 3.4]", "gama = [1.3, 3.4]", r"low_light\.gama"),
        ("[jpeg]", "[jpg]", "jpeg: Field required"),
        ("mixup = 0.0", "mix_up = 0.0", r"ultralytics\.mix_up"),
        ("quality = [18.0, 60.0]", "quality = [18.0, 101.0]", r"jpeg\.quality"),
        ("[motion_blur]", "[motion_blur", "cannot be read as TOML"),
    ],
)
def test_a_wrong_recipe_names_the_key(tmp_path: Path, old: str, new: str, words: str) -> None:
    path = tmp_path / "recipe.toml"
    text = DEFAULT_RECIPE.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(ExportError, match=words):
        read_recipe(path)


@pytest.mark.parametrize("effect", ["low_light", "high_contrast", "back_light", "infrared", "motion_blur", "jpeg"])
def test_every_effect_changes_the_picture_and_nothing_else(effect: str) -> None:
    transform = augment.KioskAugment(only(effect))
    out = transform.picture(PICTURE.copy(), np.random.default_rng(1))
    assert out.shape == PICTURE.shape
    assert out.dtype == np.uint8
    assert not np.array_equal(out, PICTURE)
    assert np.array_equal(out, transform.picture(PICTURE.copy(), np.random.default_rng(1)))
    labels = {"img": PICTURE.copy(), "cls": [1], "bboxes": "as they were"}
    assert {k: v for k, v in transform(labels).items() if k != "img"} == {"cls": [1], "bboxes": "as they were"}


def test_the_effects_do_what_they_are_called() -> None:
    rng = np.random.default_rng(2)
    assert augment.low_light(PICTURE, rng, gamma=2, gain=0.6, noise=8).mean() < PICTURE.mean() * 0.6
    assert augment.high_contrast(PICTURE, gain=1.6).std() > PICTURE.std() * 1.2
    grey = augment.infrared(PICTURE, rng, vignette=0.5)
    assert (grey[..., 0] == grey[..., 2]).all()
    lit = np.full((48, 64, 3), 120, np.uint8)
    spot = augment.back_light(lit, rng, glow=150, dim=0.5)
    assert spot.max() > 180
    assert spot.min() < 80
    line = np.zeros((21, 21, 3), np.uint8)
    line[10, 10] = 255
    across = augment.motion_blur(line, length=7, angle=0)
    assert np.flatnonzero(across[10, :, 0]).tolist() == list(range(7, 14))
    assert augment.jpeg(PICTURE, quality=5).std() < PICTURE.std()


def test_no_effect_at_probability_zero() -> None:
    assert np.array_equal(augment.KioskAugment(only("")).picture(PICTURE, np.random.default_rng(0)), PICTURE)


@pytest.mark.parametrize(
    ("damage", "code", "words"),
    [
        ("labels", EX_NOINPUT, "labels/train"),
        ("picture", EX_DATAERR, "004.jpg: no readable image"),
        ("label", EX_DATAERR, "002.txt: line 1: class 9"),
        ("class", EX_DATAERR, "no labelled box of unicorn"),
        ("weights", EX_NOINPUT, "absent.pt: no such file"),
        ("device", EX_CONFIG, "--device 7: no such device"),
        ("both", EX_DATAERR, "in train and in val"),
    ],
)
def test_faults_are_told_before_anything_is_trained(
    data_yaml: Path,
    weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    *,
    damage: str,
    code: int,
    words: str,
) -> None:
    root, arguments = data_yaml.parent, [*QUICK]
    match damage:
        case "labels":
            (root / "labels/train").rename(root / "labels/elsewhere")
        case "picture":
            (root / "images/val/004.jpg").write_bytes(b"\xff\xd8 torn")
        case "label":
            (root / "labels/train/002.txt").write_text("9 0.5 0.5 0.1 0.1\n")
        case "class":
            data_yaml.write_text(data_yaml.read_text() + "  3: unicorn\n")
        case "weights":
            weights = tmp_path / "absent.pt"
        case "device":
            arguments += ["--device", "7"]
        case "both":
            data_yaml.write_text(data_yaml.read_text().replace("images/train", "images/val"))
    out = tmp_path / "run"
    assert main(["--data", str(data_yaml), "--weights", str(weights), "--out", str(out), *arguments]) == code
    assert words in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize("kind", ["text", "pose"])
@pytest.mark.parametrize("where", ["start", "filling"])
def test_weights_that_cannot_be_used_leave_no_run_behind(
    data_yaml: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, kind: str, where: str
) -> None:
    """The same command with the right weights must not find a folder "with other settings"."""
    wrong = tmp_path / "wrong.pt"
    if kind == "text":
        wrong.write_text("not weights")
    else:
        YOLO("yolov8n-pose.yaml").save(str(wrong))
    start, more = (wrong, []) if where == "start" else (weights, ["--fill-persons", str(wrong)])
    out = tmp_path / "run"
    arguments = ["--data", str(data_yaml), "--weights", str(start), "--out", str(out), *QUICK, *more]
    assert main(arguments) == EX_CONFIG
    assert f"wrong.pt: {'cannot be loaded' if kind == 'text' else 'a model for'}" in capsys.readouterr().err
    assert not out.exists()


def test_weights_for_filling_that_are_not_there_are_told_first(
    data_yaml: Path, weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = ["--fill-persons", str(tmp_path / "absent.pt")]
    arguments = ["--data", str(data_yaml), "--weights", str(weights), "--out", str(tmp_path / "run"), *QUICK, *absent]
    assert main(arguments) == EX_NOINPUT
    said = capsys.readouterr()
    assert "absent.pt: no such file" in said.err
    assert "checking" not in said.out


def test_images_of_a_source_can_be_left_out(data_yaml: Path) -> None:
    everything, _ = read_for_training(data_yaml)
    train, val = read_for_training(data_yaml, leave_out=["00*", "015.jpg"])
    assert [i.path.name for i in train.images] == [f"{n:03}.jpg" for n in range(10, 18) if n != 15]
    assert len(val.images) == 6, "what validates stays"
    assert len(everything.images) == 18
    with pytest.raises(DatasetError, match="leaves no image"):
        read_for_training(data_yaml, leave_out=["*"])


@pytest.mark.usefixtures("trains")
def test_a_killed_run_goes_on_from_its_last_whole_epoch(weights: Path, data_yaml: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "export.train", "--data", str(data_yaml), "--weights", str(weights)]
    command += ["--out", str(out), "--epochs", "5", *QUICK]
    state = out / "run.json"
    with (tmp_path / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
        deadline = time.monotonic() + 180
        while _epochs(state) < 2:
            assert process.poll() is None, (tmp_path / "log").read_text()[-2000:]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = _epochs(state)
    assert before < 5, "it was not killed in the middle"
    # A kill in the middle of a save leaves ultralytics' own file torn; ours must do.
    (out / "run/weights/last.pt").write_bytes(b"torn")
    # Pictures loaded by another process this time: that may differ from start to start.
    workers = [*command, "--workers", "1"]
    again = subprocess.run(workers, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert again.returncode == 0, again.stderr[-2000:]
    assert f"going on after {before} epochs" in again.stdout
    epochs = [int(line.split(",")[0]) for line in (out / "run/results.csv").read_text().splitlines()[1:]]
    assert epochs[-1] == 5
    assert sorted(set(epochs)) == [1, 2, 3, 4, 5]
    assert not {1, 2} & set(epochs[before:]), "epochs were trained twice"
    assert (out / "source.pt").stat().st_size < 7e6
    assert str(tmp_path).encode() not in (out / "source.pt").read_bytes()
    third = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "this run is finished" in third.stdout
    other = subprocess.run([*command, "--seed", "1"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert other.returncode == EX_CONFIG
    assert "other settings (seed)" in other.stderr


@pytest.mark.usefixtures("trains")
@pytest.mark.parametrize("kept", [True, False])
def test_an_update_that_keeps_the_map_trains_only_what_comes_after_it(
    weights: Path, data_yaml: Path, tmp_path: Path, kept: bool
) -> None:
    from export.onnx_export import load_network  # noqa: PLC0415

    out = tmp_path / "run"
    arguments = ["--data", str(data_yaml), "--weights", str(weights), "--out", str(out), "--epochs", "1", *QUICK]
    assert main([*arguments, *(["--keep-map"] if kept else [])]) == 0
    (before, _, map_before), (after, _, map_after) = load_network(weights), load_network(out / "source.pt")
    assert (map_before == map_after) == kept
    last = [n for n in before.state_dict() if n.startswith("model.22.cv3.0.2.")]
    assert last
    assert any(not before.state_dict()[n].equal(after.state_dict()[n]) for n in last), "nothing was learnt"


def _epochs(state: Path) -> int:
    return int(json.loads(state.read_text()).get("epochs_done", 0)) if state.is_file() else 0


@pytest.mark.usefixtures("trains")
def test_persons_are_filled_in_where_nobody_labelled_them(weights: Path, data_yaml: Path, tmp_path: Path) -> None:
    from export.fill_persons import fill_persons  # noqa: PLC0415

    train = read_dataset(data_yaml, "train")
    # Weights that were never trained see persons everywhere, if a score of next to nothing is enough.
    filled = fill_persons(train, weights, tmp_path / "filled", conf=1e-6, only="00*", imgsz=64)
    assert filled.images == 10
    assert filled.persons > 0
    (tmp_path / "data.yaml").write_text(data_yaml.read_text().replace("path: .", f"path: {tmp_path / 'filled'}"))
    after = read_dataset(tmp_path / "data.yaml", "train")
    assert len(after.images) == len(train.images)
    assert after.count()["person"] == train.count()["person"] + filled.persons
    assert after.count()["knife"] == train.count()["knife"]
    for old, new in zip(train.images, after.images, strict=True):
        np.testing.assert_allclose(new.xyxy[: len(old.xyxy)], old.xyxy, atol=1e-5)
        if not old.path.name.startswith("00"):
            assert len(new.xyxy) == len(old.xyxy)
        assert cv2.imread(str(new.path)) is not None
