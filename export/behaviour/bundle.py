"""Writes what was learnt as the bundle a kiosk runs: a small ONNX graph for each behaviour, the manifest, the card."""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from edge.behaviour.looks import LookSpec
from edge.behaviour.manifest import MANIFEST_NAME, BehaviourManifest, BehaviourTable, LookTable, WindowTable
from export.behaviour.learn import STRETCH
from export.behaviour.score import RULE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from edge.behaviour.windows import WindowSpec
    from export.behaviour.learn import Task, Weights

_OPSET = 17
_IR_VERSION = 8  # what the oldest onnxruntime that kiosks run can read


def graph(weights: Weights) -> bytes:
    """float32 (N, F) "features" -> (N,) "probability"."""
    constants = {
        "stretch": np.float32(STRETCH),
        "one": np.float32(1),
        "mean": weights.mean.astype(np.float32),
        "scale": weights.scale.astype(np.float32),
        "coef": weights.coef.astype(np.float32)[:, None],
        "bias": np.float32(weights.bias),
        "columns": np.array([1], np.int64),
    }
    steps = [
        helper.make_node("Abs", ["features"], ["size"]),
        helper.make_node("Mul", ["size", "stretch"], ["stretched"]),
        helper.make_node("Add", ["stretched", "one"], ["above_one"]),
        helper.make_node("Log", ["above_one"], ["logarithm"]),
        helper.make_node("Sub", ["logarithm", "mean"], ["centred"]),
        helper.make_node("Div", ["centred", "scale"], ["standard"]),
        helper.make_node("MatMul", ["standard", "coef"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["sure"]),
        helper.make_node("Squeeze", ["sure", "columns"], ["probability"]),
    ]
    built = helper.make_graph(
        steps,
        "behaviour",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", len(weights.mean)])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["n"])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(built, opset_imports=[helper.make_opsetid("", _OPSET)], producer_name="train-behaviour")
    model.ir_version = _IR_VERSION
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def write_bundle(
    out: Path,
    learnt: Mapping[str, tuple[Task, Weights, float, dict[str, float | str]]],
    *,
    version: str,
    persons: str,
    map_sha256: str | None,
    provenance: Mapping[str, str],
) -> BehaviourManifest:
    """Write ``NAME.onnx`` and the manifest.

    :param learnt: by name: task, weights, threshold, figures.
    :param persons: the detector whose boxes and maps were learnt from.
    :param map_sha256: of the part of it that makes the map; None: its manifest does not say.
    """
    out.mkdir(parents=True, exist_ok=True)
    tables = {}
    for name, (task, weights, limit, measured) in learnt.items():
        content = graph(weights)
        (out / f"{name}.onnx").write_bytes(content)
        tables[name] = BehaviourTable(
            file=f"{name}.onnx",
            sha256=hashlib.sha256(content).hexdigest(),
            size_bytes=len(content),
            window=_table(task.spec),
            threshold=limit,
            measured=measured,
        )
    manifest = BehaviourManifest(
        schema_version=1,
        kind="behaviour",
        name="kiosk-behaviour",
        version=version,
        persons=persons,
        map_sha256=map_sha256,
        threshold_rule=RULE,
        behaviours=tables,  # type: ignore[arg-type] # checked by pydantic
        provenance=dict(provenance),
    )
    (out / MANIFEST_NAME).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return manifest


def _table(spec: WindowSpec | LookSpec) -> WindowTable | LookTable:
    if isinstance(spec, LookSpec):
        return LookTable(seconds=spec.seconds, mean_s=spec.mean_s, channels=spec.channels)
    return WindowTable(**asdict(spec))
