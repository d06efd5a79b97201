"""What is cheap to find out is found out before hours are spent: every fault of a data set, with the file."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import TYPE_CHECKING

from export.dataset import read_dataset, read_image, subset
from export.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from export.dataset import Dataset

_SHOWN = 10


def check_images(dataset: Dataset) -> None:
    """Decode every picture once.

    :raises DatasetError: some cannot be read; the first ten are named.
    """
    bad = [fault for image in dataset.images if (fault := _fault(image.path))]
    if bad:
        more = f"\n... and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise DatasetError("\n".join(bad[:_SHOWN]) + more, hint="replace the files, or take them out of the data set")


def _fault(path: Path) -> str:
    try:
        read_image(path)
    except DatasetError as error:
        return error.message
    return ""


def check_boxes(dataset: Dataset, *, wanted: Iterable[str], allowed_empty: Collection[str] = ()) -> None:
    """Every class in ``wanted`` must have a labelled box.

    :raises DatasetError: a class has none and is not in ``allowed_empty``.
    """
    count = dataset.count()
    empty = [name for name in wanted if not count[name] and name not in allowed_empty]
    if empty:
        raise DatasetError(
            f"{dataset.source}: {dataset.split}: no labelled box of {', '.join(empty)}",
            hint="label some, take the class out of names, or say --allow-empty CLASS if that is meant",
        )


def read_for_training(
    data_yaml: Path, *, allowed_empty: Collection[str] = (), leave_out: Collection[str] = ()
) -> tuple[Dataset, Dataset]:
    """Both splits of a data set, everything that training will touch checked.

    :param leave_out: patterns of image names that are not to be trained on.
    :raises DatasetError: a label, a picture or a class is at fault.
    :raises MissingInputError: a file or folder does not exist.
    """
    train, val = read_dataset(data_yaml, "train"), read_dataset(data_yaml, "val")
    kept = [i for i, one in enumerate(train.images) if not any(fnmatch(one.path.name, p) for p in leave_out)]
    if not kept:
        raise DatasetError(f"{data_yaml}: train: --leave-out leaves no image", hint=f"there are {len(train.images)}")
    train = subset(train, kept)
    check_boxes(train, wanted=train.names, allowed_empty=allowed_empty)
    check_boxes(val, wanted=val.names, allowed_empty=allowed_empty)
    shared = {i.path.resolve() for i in train.images} & {i.path.resolve() for i in val.images}
    if shared:
        raise DatasetError(f"{min(shared)}: in train and in val", hint="what was trained on cannot validate")
    check_images(train)
    check_images(val)
    return train, val
