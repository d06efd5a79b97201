"""A third answer of the detector: the map in the middle of its network, for what is learnt from how that map changes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper

from export.graph import FEATURES_NAME, Graph
from export.stages import MAP_STAGE

if TYPE_CHECKING:
    from collections.abc import Mapping

_STAGE = re.compile(rf"(/\w+)?/model\.{MAP_STAGE}/cv2/act/Mul_output_0")


def with_features(model: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with the output "features", float32 (1, channels, height / 16, width / 16); as it is, where it has no such stage.

    Costs one conversion of a small map: nothing that was there reads or makes anything else.
    """
    graph = Graph.copy_of(model)
    made = {name for node in graph.nodes for name in node.output}
    stage = next((name for name in made if _STAGE.fullmatch(name)), None)
    if stage is None or any(o.name == FEATURES_NAME for o in graph.graph.output):
        return model
    shape = graph.shape(stage)
    stored = graph.maker(f"{stage}_DequantizeLinear_Output")
    if stored is None:
        graph.add("Identity", [stage], FEATURES_NAME)
    else:
        graph.add("DequantizeLinear", list(stored.input), FEATURES_NAME)
    graph.graph.output.append(helper.make_tensor_value_info(FEATURES_NAME, TensorProto.FLOAT, shape))
    return graph.finished()


def features_of(content: bytes, network_sha256: str) -> Mapping[str, object] | None:
    """What the manifest says of the output, from a serialised graph; None: there is none.

    :param network_sha256: as :func:`export.stages.map_sha256` has it.
    """
    found = next((o for o in onnx.load_from_string(content).graph.output if o.name == FEATURES_NAME), None)
    if found is None:
        return None
    shape = tuple(d.dim_value for d in found.type.tensor_type.shape.dim)
    return {"name": FEATURES_NAME, "dtype": "float32", "shape": shape, "network_sha256": network_sha256}
