"""Training pictures as the kiosk's closer look sees people: cut out of rendered pictures, with what is then still in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from export.errors import MissingInputError
from export.scenes.pictures import CLASSES, Label

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.types import F64, I64

_SHAPE = 13 / 8  # width to height, as ``edge.detect.closer`` cuts
_SMALLEST_PX = 50.0  # tall; who is smaller is not recognised by what they hold
_AT_HAND = 0.15  # heights outside a person's box within which a thing is theirs
_MOST = 0.85  # of the picture's width: beyond that it is no closer look
_PERSON_SHARE, _THING_SHARE = 0.3, 0.5  # of a box that must be left for its label to be kept
_QUALITY = 92
# How often somebody is cut out, by what they have: without all the bare hands a model would see weapons in them.
_ALWAYS = {CLASSES.index(name) for name in ("firearm", "knife", "tool", "helmet")}
_HALF = {CLASSES.index(name) for name in ("face_cover", "phone")}
_BARE = 0.2


def make_looks(folders: Sequence[Path], out: Path, *, seed: int) -> dict[str, int]:
    """Cut people out of YOLO data sets (``images/SPLIT``, ``labels/SPLIT``); returns how many pictures each split has.

    In training pictures the cut varies (0.6 to 1 of the person from the head down, 1.05 to 1.4 times as much, moved a little)
    and who holds nothing is rarer; of the validation pictures everybody is cut out, and alike.

    :raises MissingInputError: a folder has no training pictures.
    """
    rng = np.random.default_rng(seed)
    made = {}
    for split in ("train", "val"):
        made[split] = 0
        for kind in ("images", "labels"):
            (out / kind / split).mkdir(parents=True, exist_ok=True)
        for folder in folders:
            pictures = sorted((folder / "images" / split).glob("*.jpg"))
            if not pictures and split == "train":
                raise MissingInputError(
                    f"{folder / 'images' / split}: no pictures", hint="make-scenes pictures --out FOLDER makes some"
                )
            for path in pictures:
                made[split] += _cut_out(path, folder, split, out, rng)
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(CLASSES))
    (out / "data.yaml").write_text(f"path: .\ntrain: images/train\nval: images/val\nnames:\n{names}", "utf-8")
    return made


def _cut_out(path: Path, folder: Path, split: str, out: Path, rng: np.random.Generator) -> int:
    label = folder / "labels" / split / f"{path.stem}.txt"
    rows = (
        [[float(v) for v in line.split()] for line in label.read_text("ascii").splitlines()] if label.is_file() else []
    )
    if not rows:
        return 0
    image = np.asarray(cv2.imread(str(path)), np.uint8)
    size = np.array([image.shape[1], image.shape[0]] * 2)
    class_id = np.array([int(r[0]) for r in rows])
    middle, half = np.array([r[1:3] for r in rows]), np.array([r[3:5] for r in rows]) / 2
    box = np.hstack([middle - half, middle + half]) * size
    made = 0
    for k in np.flatnonzero(class_id == 0):
        person = box[k]
        if person[3] - person[1] < _SMALLEST_PX:
            continue
        if split == "train":
            if rng.random() > _share(person, box, class_id):
                continue
            region = _region(
                person, size, part=rng.uniform(0.6, 1.0), scale=rng.uniform(1.05, 1.4), moved=rng.normal(0, 0.04, 2)
            )
        else:
            region = _region(person, size, part=0.8, scale=1.15, moved=np.zeros(2))
        if region[2] > _MOST * size[0]:
            continue
        wanted = _labels(region, box, class_id)
        name = f"{folder.name}-{path.stem}-{k}"
        left, top, wide, tall = region
        picture = image[top : top + tall, left : left + wide]
        cv2.imwrite(str(out / "images" / split / f"{name}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        (out / "labels" / split / f"{name}.txt").write_text("".join(one.line() for one in wanted), "ascii")
        made += 1
    return made


def _share(person: F64, box: F64, class_id: I64) -> float:
    """How often somebody is cut out: more often who has what the kiosk looks for."""
    near = _AT_HAND * (person[3] - person[1])
    x, y = (box[:, 0] + box[:, 2]) / 2, (box[:, 1] + box[:, 3]) / 2
    at_hand = (person[0] - near <= x) & (x <= person[2] + near) & (person[1] - near <= y) & (y <= person[3] + near)
    has = set(class_id[at_hand].tolist())
    return 1.0 if has & _ALWAYS else 0.5 if has & _HALF else _BARE


def _region(person: F64, size: I64, *, part: float, scale: float, moved: F64) -> tuple[int, int, int, int]:
    """What to cut out: left, top, width, height in whole pixels."""
    x1, y1, x2, y2 = (float(v) for v in person)
    tall = (y2 - y1) * part * scale
    wide = max(tall * _SHAPE, (x2 - x1) * 1.15)
    tall = max(tall, wide / _SHAPE)
    wide, tall = min(wide, float(size[0])), min(tall, float(size[1]))
    across, down = (x1 + x2) / 2 + moved[0] * wide, y1 + (y2 - y1) * part / 2 + moved[1] * tall
    left, top = np.clip(across - wide / 2, 0, size[0] - wide), np.clip(down - tall / 2, 0, size[1] - tall)
    return int(left), int(top), int(wide), int(tall)


def _labels(region: tuple[int, int, int, int], box: F64, class_id: I64) -> list[Label]:
    """What can still be seen in the cut, in its own terms."""
    left, top, wide, tall = region
    low, high = np.array([left, top]), np.array([left + wide, top + tall])
    corner, far = np.maximum(box[:, :2], low), np.minimum(box[:, 2:], high)
    inside = (far > corner).all(axis=1)
    share = np.prod(far - corner, axis=1) / np.prod(box[:, 2:] - box[:, :2], axis=1)
    keep = inside & (share >= np.where(class_id == 0, _PERSON_SHARE, _THING_SHARE))
    return [
        Label(
            int(c),
            float((a[0] + b[0]) / 2 / wide - left / wide),
            float((a[1] + b[1]) / 2 / tall - top / tall),
            float((b[0] - a[0]) / wide),
            float((b[1] - a[1]) / tall),
        )
        for c, a, b in zip(class_id[keep], corner[keep], far[keep], strict=True)
    ]
