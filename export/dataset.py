"""A YOLO-format data set, read and checked before any long work starts."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from ultralytics.utils import YAML

from export.errors import DatasetError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.types import F32, I64, U8, Bool

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp"})
# Pictures too, but not for these tools: passed over in silence, their labels would be missing from every figure.
_OTHER_SUFFIXES = frozenset(
    {".tif", ".tiff", ".heic", ".heif", ".avif", ".gif", ".jp2", ".jpe", ".jfif", ".dng", ".mpo", ".pfm"}
)


@dataclass(frozen=True, slots=True)
class LabelledImage:
    """One image file and its boxes: float32 (N, 4) x1 y1 x2 y2, normalised 0..1; ``class_id`` int64 (N,)."""

    path: Path
    xyxy: F32
    class_id: I64


@dataclass(frozen=True, slots=True)
class Dataset:
    """One split: class names in order, and its images sorted by path."""

    source: Path
    split: str
    names: tuple[str, ...]
    images: tuple[LabelledImage, ...]

    def count(self) -> dict[str, int]:
        """Labelled boxes by class name, classes without any included."""
        ids = [image.class_id for image in self.images]
        totals = np.bincount(np.concatenate(ids), minlength=len(self.names)) if ids else np.zeros(len(self.names))
        return {name: int(n) for name, n in zip(self.names, totals, strict=True)}


def read_dataset(data_yaml: Path, split: str) -> Dataset:
    """One split of the data set that ``data_yaml`` describes, labels checked line by line.

    :param split: "train" or "val".
    :raises MissingInputError: the description, an image folder or a label folder does not exist.
    :raises DatasetError: the description or a label file is malformed, or there is no image.
    """
    if not data_yaml.is_file():
        raise MissingInputError(f"{data_yaml}: no such file", hint="name the data set's data.yaml")
    try:
        described = YAML.load(str(data_yaml))
    except Exception as error:  # the YAML reader's errors share no base with ours
        raise DatasetError(f"{data_yaml}: no valid table in YAML", hint="needed: path, train, val, names") from error
    names = _names(data_yaml, described.get("names"), described.get("nc"))
    folders = _folders(data_yaml, described, split)
    there = {f for folder in folders for f in folder.rglob("*")}
    other = sorted(f for f in there if f.suffix.lower() in _OTHER_SUFFIXES)
    if other:
        raise DatasetError(
            f"{other[0]}: pictures of this kind are not read ({len(other)} in {split})",
            hint=f"turn them into one of {', '.join(sorted(IMAGE_SUFFIXES))}, or take them out of the data set",
        )
    files = sorted(f for f in there if f.suffix.lower() in IMAGE_SUFFIXES)
    if not files:
        raise DatasetError(f"{data_yaml}: {split}: no image in {', '.join(map(str, folders))}")
    images = tuple(_labelled(f, len(names)) for f in files)
    return Dataset(source=data_yaml, split=split, names=names, images=images)


def subset(dataset: Dataset, rows: Sequence[int]) -> Dataset:
    """The data set with these of its images only."""
    return replace(dataset, images=tuple(dataset.images[i] for i in rows))


def read_image(path: Path) -> U8:
    """The picture, uint8 (H, W, 3) BGR.

    :raises DatasetError: it cannot be read or holds no picture.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR) if content else None
    except cv2.error:  # it claims more pixels than OpenCV is willing to make room for
        image = None
    if image is None:
        raise DatasetError(f"{path}: no readable image", hint="replace the file, or take it out of the data set")
    return np.asarray(image, np.uint8)


def set_sha256(paths: Sequence[Path]) -> str:
    """One hash over the names and the bytes of files, independent of the folder they lie in and of their order."""
    lines = sorted(f"{p.name} {hashlib.sha256(p.read_bytes()).hexdigest()}" for p in paths)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def match_classes(
    model: Sequence[str], data: Sequence[str], renamed: Mapping[str, str] | None = None
) -> dict[int, int]:
    """Which class of the model is which class of the data set, by name: {model's id: data set's id}.

    :param renamed: the data set's name to the model's name where they differ ("phone": "cell phone").
    :raises DatasetError: a renamed class does not exist, or no class is common to both.
    """
    renamed = renamed or {}
    for ours, theirs in renamed.items():
        if ours not in data:
            raise DatasetError(f"--map {ours}={theirs}: the data set has no class {ours!r}", hint=_listed(data))
        if theirs not in model:
            raise DatasetError(f"--map {ours}={theirs}: the model has no class {theirs!r}", hint=_listed(model))
    pairs = {model.index(wanted): i for i, name in enumerate(data) if (wanted := renamed.get(name, name)) in model}
    if not pairs:
        raise DatasetError(
            f"the model and the data set have no class in common ({', '.join(data)})",
            hint="say which is which with --map DATA=MODEL",
        )
    return pairs


def _listed(names: Sequence[str]) -> str:
    return f"it has: {', '.join(names)}"


def _names(data_yaml: Path, names: Any, count: Any) -> tuple[str, ...]:
    if isinstance(names, dict) and set(names) == set(range(len(names))):
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, list) or not names or len({str(n) for n in names}) != len(names):
        raise DatasetError(
            f"{data_yaml}: names: must list the classes, each once", hint="for example names: {0: person, 1: knife}"
        )
    # YAML makes something else of yes, no, null and of what stands in brackets.
    odd = [n for n in names if isinstance(n, bool) or not isinstance(n, str | int | float) or not str(n).strip()]
    if odd:
        raise DatasetError(f"{data_yaml}: names: {odd[0]!r} is no name of a class", hint='put it in quotes, as "yes"')
    if count is not None and count != len(names):
        raise DatasetError(
            f"{data_yaml}: nc: {count}, but names lists {len(names)} classes", hint="correct the one that is wrong"
        )
    return tuple(str(n) for n in names)


def _folders(data_yaml: Path, described: dict[str, Any], split: str) -> list[Path]:
    root = data_yaml.parent / str(described.get("path") or ".")
    entry = described.get(split)
    entries = [entry] if isinstance(entry, str) else entry
    if not isinstance(entries, list) or not entries:
        raise DatasetError(
            f"{data_yaml}: {split}: must name an image folder", hint=f"for example {split}: images/{split}"
        )
    folders = [root / str(e) for e in entries]
    for folder in folders:
        if folder.is_file() or "*" in folder.name:
            raise DatasetError(
                f"{data_yaml}: {split}: {folder} is no folder", hint="lists and patterns are not read; name folders"
            )
        for needed in (folder, _label_path(folder)):
            if not needed.is_dir():
                raise MissingInputError(
                    f"{data_yaml}: {split}: no such folder: {needed}",
                    hint="images lie under images/, their labels under labels/ beside it, with the same names",
                )
    return folders


def _label_path(path: Path) -> Path:
    """The same place under ``labels`` instead of the last ``images``."""
    parts = list(path.parts)
    places = [i for i, part in enumerate(parts) if part == "images"]
    if places:
        parts[places[-1]] = "labels"
    return Path(*parts)


def _labelled(image: Path, class_count: int) -> LabelledImage:
    path = _label_path(image).with_suffix(".txt")
    if not os.path.lexists(path):  # an image without a label file shows nothing of interest
        return LabelledImage(image, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    try:
        lines = [(n, line.split()) for n, line in enumerate(path.read_text().splitlines(), start=1) if line.strip()]
        table = np.array([row for _, row in lines], np.float64).reshape(len(lines), 5)
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read: {error.strerror}", hint="a text file is needed, or none") from None
    except ValueError:
        raise DatasetError(
            f"{path}: every line must be: class, centre x, centre y, width, height", hint="polygons are not supported"
        ) from None

    ids, places = table[:, 0], table[:, 1:]
    no_class: Bool = ~((ids >= 0) & (ids < class_count) & (np.trunc(ids) == ids))
    outside: Bool = np.logical_not(((places >= 0) & (places <= 1)).all(axis=1))
    flat: Bool = np.logical_or(places[:, 2] <= 0, places[:, 3] <= 0)
    for wrong, what, hint in (
        (no_class, "class {}", f"allowed: 0 to {class_count - 1}, as data.yaml lists"),
        (outside, "a coordinate outside 0..1", "coordinates are fractions of the image's width and height"),
        (flat, "a box without width or height", "nothing could ever be found there"),
    ):
        if wrong.any():
            number, row = lines[int(np.flatnonzero(wrong)[0])]
            raise DatasetError(f"{path}: line {number}: {what.format(row[0])}", hint=hint)
    half = places[:, 2:] / 2
    xyxy = np.concatenate((places[:, :2] - half, places[:, :2] + half), axis=1).clip(0, 1)
    return LabelledImage(image, xyxy.astype(np.float32), ids.astype(np.int64))
