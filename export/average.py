"""One model of two: the weighted average of their weights.

Source of the idea: Wortsman et al., "Robust fine-tuning of zero-shot models", CVPR 2022. What fine-tuning gained on
pictures like its own and what it lost on others average better than the models themselves, as long as one was trained
from the other.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import torch

from export.errors import ExportError, MissingInputError
from export.training import save_network

if TYPE_CHECKING:
    from pathlib import Path


def average(first: Path, second: Path, out: Path, *, share: float) -> None:
    """Write ``1 - share`` of the first model's weights plus ``share`` of the second's, with both models' provenance.

    :param first: weights of ``train-model`` (``source.pt``).
    :param second: the same network with the same classes, trained from the first.
    :param share: the second's share, 0..1.
    :raises MissingInputError: no such file.
    :raises ExportError: no weights of ``train-model``, or two networks that do not fit each other.
    """
    if out.is_dir() or not out.resolve().parent.is_dir():
        raise MissingInputError(f"{out}: no file can be there", hint="--out names a file in a folder that exists")
    one, other = _load(first), _load(second)
    ours, theirs = (content["model"].float().state_dict() for content in (one, other))
    if dict(one["model"].names) != dict(other["model"].names):
        raise ExportError(
            f"{first} and {second}: different classes", hint="only a model and its own fine-tuning average"
        )
    if {k: v.shape for k, v in ours.items()} != {k: v.shape for k, v in theirs.items()}:
        raise ExportError(f"{first} and {second}: networks of different shape", hint="YOLOv8n goes with YOLOv8n")
    mixed = {
        key: torch.lerp(ours[key], value, share) if value.is_floating_point() else value
        for key, value in theirs.items()
    }
    network = other["model"]
    network.load_state_dict(mixed)
    told = dict(other["provenance"])
    told["averaged_with"] = f"{first.name} {hashlib.sha256(first.read_bytes()).hexdigest()}"
    told["averaged_share"] = share
    told |= {f"before_{k}": v for k, v in one["provenance"].items() if v not in {None, ""}}
    save_network(network, out, provenance=told, version=other.get("version"))


def _load(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise MissingInputError(f"{path}: no such file", hint="name weights that train-model wrote (source.pt)")
    try:
        content = torch.load(str(path), map_location="cpu", weights_only=False)
    except Exception as error:  # noqa: BLE001 - what is no pickle of torch's raises what it likes
        raise ExportError(f"{path}: cannot be read as weights: {error}") from None
    if not isinstance(content, dict) or not isinstance(content.get("provenance"), dict):
        raise ExportError(f"{path}: not written by train-model", hint="name a source.pt")
    return content
