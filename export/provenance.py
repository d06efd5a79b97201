"""Where a model comes from, in names and hashes, never in paths of the machine that made it."""

from __future__ import annotations

import hashlib
from importlib.metadata import distributions
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_TOOLS = ("ultralytics", "torch", "onnx", "onnxslim", "onnxruntime", "numpy", "faster-coco-eval")


def describe(weights: Path, data_yaml: Path, renamed: Mapping[str, str]) -> dict[str, str]:
    """The weights and the data set, by name and hash."""
    told = {
        "weights": weights.name,
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "data": data_yaml.resolve().parent.name,
        "data_yaml_sha256": hashlib.sha256(data_yaml.read_bytes()).hexdigest(),
    }
    if renamed:
        told["renamed_classes"] = ", ".join(f"{ours}={theirs}" for ours, theirs in sorted(renamed.items()))
    return told


def training(weights: Path) -> dict[str, str]:
    """What ``train-model`` wrote into its ``source.pt``; {} for other weights."""
    content = torch.load(str(weights), map_location="cpu", weights_only=False)
    told = content.get("provenance") if isinstance(content, dict) else None
    return {f"training_{k}": str(v) for k, v in told.items() if v not in {None, ""}} if isinstance(told, dict) else {}


def tools() -> dict[str, str]:
    """Versions of what made the bundle."""
    installed = {(d.metadata["Name"] or "").lower(): d.version for d in distributions()}
    return {name: installed[name] for name in _TOOLS if name in installed}
