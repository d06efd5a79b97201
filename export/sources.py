"""Where the pictures of a data set come from, and which of them are of one scene."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from export.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from export.dataset import Dataset

INDEX_NAME = "index.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """``source``: the collection a picture was taken from; ``group``: pictures of one scene share it."""

    source: str
    group: str


def read_index(data_yaml: Path) -> dict[str, Origin]:
    """By file name without suffix, from ``index.json`` beside data.yaml: [{"key", "source", "group"}]; {} without one.

    :raises DatasetError: the file is there and malformed.
    """
    path = data_yaml.parent / INDEX_NAME
    if not path.is_file():
        return {}
    try:
        return {str(row["key"]): Origin(str(row["source"]), str(row["group"])) for row in json.loads(path.read_text())}
    except (ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path}: malformed: {error!r}", hint='a list of {"key", "source", "group"}') from None


def divide(dataset: Dataset, index: Mapping[str, Origin], *, share: float) -> tuple[list[int], list[int]]:
    """Rows of the images for the thresholds and rows of those for the gate; a scene lies on one side, whatever else is there.

    :param share: how much goes to the thresholds, 0..1.
    :raises DatasetError: too few images to have both.
    """
    first: list[int] = []
    second: list[int] = []
    for row, image in enumerate(dataset.images):
        stem = image.path.stem
        group = index[stem].group if stem in index else stem
        number = int.from_bytes(hashlib.sha256(group.encode()).digest()[:4], "big") / 2**32
        (first if number < share else second).append(row)
    if not first or not second:
        if len(dataset.images) < 2:
            raise DatasetError(
                f"{dataset.source}: {dataset.split}: {len(dataset.images)} image",
                hint="at least 2: thresholds and gate need images of their own",
            )
        first, second = list(range(0, len(dataset.images), 2)), list(range(1, len(dataset.images), 2))
    return first, second


def by_source(dataset: Dataset, index: Mapping[str, Origin]) -> dict[str, list[int]]:
    """Rows of the images of each source, sources in the order of their names; {} where nothing is known."""
    rows: dict[str, list[int]] = {}
    for row, image in enumerate(dataset.images):
        if image.path.stem in index:
            rows.setdefault(index[image.path.stem].source, []).append(row)
    return dict(sorted(rows.items()))
