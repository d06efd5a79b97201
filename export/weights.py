"""Trained weights, as ultralytics saves them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn
from ultralytics import YOLO

from export.errors import ExportError

if TYPE_CHECKING:
    from pathlib import Path


def load_weights(weights: Path, *, to_be: str) -> Any:
    """An ultralytics model that detects, from its file; loading runs code that is in it.

    :param to_be: what is to become of it, for the message: ``exported``, ``trained``.
    :raises ExportError: it cannot be loaded, or does something else.
    """
    try:
        model = YOLO(str(weights))
    except Exception as error:  # torch and pickle raise anything
        raise ExportError(
            f"{weights}: cannot be loaded: {error}", hint="a .pt file saved by ultralytics is needed"
        ) from error
    if model.task != "detect" or not isinstance(model.model, nn.Module):
        raise ExportError(f"{weights}: a model for {model.task!r}", hint=f"only detection models can be {to_be}")
    return model
