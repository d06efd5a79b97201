"""A data set's faults are told before any long work, with the file."""

from __future__ import annotations

import shutil
import struct
import zlib
from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("ultralytics")

from edge.types import Detections
from export import calibrate, dataset
from export.errors import DatasetError, MissingInputError
from export.evaluate import Judged, score

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.export


def test_a_sound_data_set_is_read(data_yaml: Path) -> None:
    val = dataset.read_dataset(data_yaml, "val")
    assert val.names == ("person", "knife", "phone")
    assert [i.path.name for i in val.images] == [f"{n:03}.jpg" for n in range(6)]
    assert sum(val.count().values()) == sum(len(i.class_id) for i in val.images) > 0
    first = val.images[0]
    assert ((first.xyxy >= 0) & (first.xyxy <= 1)).all()
    assert (first.xyxy[:, 2:] > first.xyxy[:, :2]).all()


def test_an_image_without_a_label_file_is_background(data_yaml: Path) -> None:
    (data_yaml.parent / "labels/val/002.txt").unlink()
    assert len(dataset.read_dataset(data_yaml, "val").images[2].class_id) == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("3 0.5 0.5 0.1 0.1", r"labels/val/001\.txt: line 2: class 3"),
        ("-1 0.5 0.5 0.1 0.1", "line 2: class -1"),
        ("0.5 0.5 0.5 0.1 0.1", r"line 2: class 0\.5"),
        ("0 1.5 0.5 0.1 0.1", "line 2: a coordinate outside"),
        ("0 nan 0.5 0.1 0.1", "line 2: a coordinate outside"),
        ("inf 0.5 0.5 0.1 0.1", "line 2: class inf"),
        ("0 0.5 0.5 0.1 0", "line 2: a box without width or height"),
        ("\n\n9 0.5 0.5 0.1 0.1", "line 4: class 9"),
        ("0 0.5 0.5 0.1", "every line must be"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3", "every line must be"),
        ("person 0.5 0.5 0.1 0.1", "every line must be"),
    ],
)
def test_a_wrong_label_names_file_and_line(data_yaml: Path, line: str, words: str) -> None:
    (data_yaml.parent / "labels/val/001.txt").write_text(f"0 0.5 0.5 0.2 0.2\n{line}\n")
    with pytest.raises(DatasetError, match=words):
        dataset.read_dataset(data_yaml, "val")


@pytest.mark.parametrize("what", ["folder", "dangling link"])
def test_a_label_file_that_cannot_be_read_is_no_empty_one(data_yaml: Path, what: str) -> None:
    path = data_yaml.parent / "labels/val/001.txt"
    path.unlink()
    if what == "folder":
        path.mkdir()
    else:
        path.symlink_to("/nowhere/001.txt")
    with pytest.raises(DatasetError, match=r"labels/val/001\.txt: cannot be read"):
        dataset.read_dataset(data_yaml, "val")


def test_pictures_of_another_kind_are_not_passed_over_in_silence(data_yaml: Path) -> None:
    picture = data_yaml.parent / "images/val/002.jpg"
    picture.rename(picture.with_suffix(".TIF"))
    with pytest.raises(DatasetError, match=r"002\.TIF: pictures of this kind are not read \(1 in val\)"):
        dataset.read_dataset(data_yaml, "val")


def test_a_picture_that_claims_too_many_pixels_is_unreadable(data_yaml: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0))
    path = data_yaml.parent / "images/val/009.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b""))
    with pytest.raises(DatasetError, match=r"009\.png: no readable image"):
        dataset.read_image(path)


@pytest.mark.parametrize("folder", ["images/val", "labels/val"])
def test_a_missing_folder_is_named(data_yaml: Path, folder: str) -> None:
    shutil.rmtree(data_yaml.parent / folder)
    with pytest.raises(MissingInputError, match=folder):
        dataset.read_dataset(data_yaml, "val")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("names: [a, a]\nval: images/val\n", "names"),
        ("names: {1: a, 2: b}\nval: images/val\n", "names"),
        ("val: images/val\n", "names"),
        ("names: [a]\n", "val: must name an image folder"),
        ("- 1\n", "no valid table in YAML"),
        ("names: [a\n", "no valid table in YAML"),
        ("names: {0: a, b: c}\nval: images/val\n", "names: must list"),
        ("names: [person, yes, null]\nval: images/val\n", "names: True is no name"),
        ("names: [person, '', phone]\nval: images/val\n", "names: '' is no name"),
        ("names: [person, knife, phone]\nnc: 7\nval: images/val\n", "nc: 7, but names lists 3 classes"),
        ("names: [person, knife, phone]\nval: data.yaml\n", "val: .*data.yaml is no folder"),
    ],
)
def test_a_wrong_description_says_what_is_wrong(data_yaml: Path, text: str, words: str) -> None:
    data_yaml.write_text(text)
    with pytest.raises(DatasetError, match=words):
        dataset.read_dataset(data_yaml, "val")


@pytest.mark.parametrize("content", [b"", b"this is no picture"])
def test_an_unreadable_image_is_named(data_yaml: Path, content: bytes) -> None:
    path = data_yaml.parent / "images/val/003.jpg"
    path.write_bytes(content)
    with pytest.raises(DatasetError, match=r"003\.jpg: no readable image"):
        dataset.read_image(path)


def test_calibration_images_are_spread_and_the_same_each_time(data_yaml: Path) -> None:
    train = dataset.read_dataset(data_yaml, "train")
    chosen = calibrate.choose(train, 16)
    assert chosen == calibrate.choose(train, 16)
    assert len(set(chosen)) == 16
    assert (chosen[0].name, chosen[-1].name) == ("000.jpg", "017.jpg")
    (tensor, *_) = calibrate.tensors(chosen, height=64, width=96)
    assert tensor.shape == (1, 64, 96, 3)
    assert tensor.dtype == np.uint8


def test_the_set_s_hash_knows_content_and_not_order(data_yaml: Path) -> None:
    paths = [i.path for i in dataset.read_dataset(data_yaml, "val").images]
    before = dataset.set_sha256(paths)
    assert dataset.set_sha256(paths[::-1]) == before
    paths[0].write_bytes(paths[0].read_bytes() + b"\0")
    assert dataset.set_sha256(paths) != before


def test_classes_meet_by_name() -> None:
    model, data = ("person", "knife", "cell phone"), ("knife", "firearm", "phone")
    assert dataset.match_classes(model, data) == {1: 0}
    assert dataset.match_classes(model, data, {"phone": "cell phone"}) == {1: 0, 2: 2}
    with pytest.raises(DatasetError, match="no class in common"):
        dataset.match_classes(model, ("firearm",))


def boxes(rows: list[tuple[float, float, float, float]], scores: list[float], class_id: int = 0) -> Detections:
    return Detections(
        np.array(rows, np.float32).reshape(-1, 4),
        np.array(scores, np.float32),
        np.full(len(rows), class_id, np.int64),
    )


def test_a_perfect_answer_scores_one_and_a_class_without_boxes_does_not_count() -> None:
    truth = boxes([(0, 0, 50, 50), (60, 60, 90, 99)], [1, 1])
    judged = [Judged(100, 100, truth, boxes([(60, 60, 90, 99), (0, 0, 50, 50)], [0.9, 0.8]))]
    result = score(judged, ("person", "knife"))
    assert (result.map50, result.map50_95) == pytest.approx((1.0, 1.0), abs=1e-3)
    assert result.classes["person"].boxes == 2
    assert "knife" not in result.classes


def test_a_missed_box_and_a_false_one_cost() -> None:
    truth = boxes([(0, 0, 50, 50), (60, 60, 90, 99)], [1, 1])
    missed = score([Judged(100, 100, truth, boxes([(0, 0, 50, 50)], [0.9]))], ("person",))
    assert missed.map50 == pytest.approx(0.5, abs=0.01)
    false_first = boxes([(20, 60, 40, 80), (0, 0, 50, 50)], [0.9, 0.8])
    assert score([Judged(100, 100, truth, false_first)], ("person",)).map50 == pytest.approx(0.25, abs=0.01)
    assert score([Judged(100, 100, truth, Detections.empty())], ("person",)).map50 == 0
