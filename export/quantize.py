"""Static INT8 quantisation with onnxruntime: 8-bit weights per channel, 8-bit activations, the head's tail in float."""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static

from export.arrange import arrange
from export.errors import ExportError
from export.graph import INPUT_NAME
from export.ranges import best_ranges
from export.tap import with_features

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.types import U8
    from export.onnx_export import FloatModel


class Method(str, Enum):
    """How an activation's range follows from what calibration saw."""

    LEAST_ERROR = "least-error"
    MINMAX = "minmax"
    PERCENTILE = "percentile"
    ENTROPY = "entropy"


_METHODS = {
    Method.LEAST_ERROR: CalibrationMethod.MinMax,  # for the tensors that have no range of ours
    Method.MINMAX: CalibrationMethod.MinMax,
    Method.PERCENTILE: CalibrationMethod.Percentile,
    Method.ENTROPY: CalibrationMethod.Entropy,
}


@dataclass(frozen=True, slots=True)
class Recipe:
    """The choices that were measured. ``percentile`` counts for that method only; ``keep_float``: parts of node names."""

    method: Method = Method.LEAST_ERROR
    percentile: float = 99.999
    keep_float: tuple[str, ...] = ()

    def settings(self) -> dict[str, str]:
        """For the manifest: plain text."""
        described = {"activations": "uint8, per tensor", "weights": "int8, per channel", "float": "head tail"}
        if self.method is Method.PERCENTILE:
            described["percentile"] = str(self.percentile)
        if self.keep_float:
            described["float"] += ", " + ", ".join(self.keep_float)
        return described


class _Reader(CalibrationDataReader):  # type: ignore[misc] # the base class has no type information
    def __init__(self, tensors: Sequence[U8]) -> None:
        self._left = iter(tensors)

    def get_next(self) -> dict[str, U8] | None:
        tensor = next(self._left, None)
        return None if tensor is None else {INPUT_NAME: tensor}


def quantize(model: FloatModel, tensors: Sequence[U8], recipe: Recipe) -> bytes:
    """The quantised graph as it runs soonest, serialised; the same inputs give the same bytes.

    :param tensors: calibration inputs, uint8 (1, height, width, 3).
    :raises ExportError: a part to keep in float does not exist.
    """
    made = with_features(arrange(quantized(model, tensors, recipe)))
    content: bytes = made.SerializeToString(deterministic=True)
    return content


def quantized(model: FloatModel, tensors: Sequence[U8], recipe: Recipe) -> onnx.ModelProto:
    """The quantised graph, node by node as the float one; otherwise as :func:`quantize`."""
    tail = tail_nodes(model.graph)
    first = _scaling_nodes(model.graph)
    excluded = [*first, *tail, *_named(model.graph, recipe.keep_float)]
    extra: dict[str, Any] = {}
    least_error = recipe.method is Method.LEAST_ERROR
    ranges = best_ranges(model.graph, tensors, {*first, *tail}) if least_error else {}
    # The picture's bytes are the quantised input already: 0..255 stands for 0..1.
    ranges[_scaled_input(model.graph)] = (0.0, 1.0)
    extra["TensorQuantOverrides"] = {
        name: [{"rmin": np.float32(low), "rmax": np.float32(high)}] for name, (low, high) in ranges.items()
    }
    if recipe.method is Method.PERCENTILE:
        extra["CalibPercentile"] = recipe.percentile
    with tempfile.TemporaryDirectory(prefix="export-model-") as folder:
        source, target = Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
        onnx.save(model.graph, str(source))
        with _quiet():
            quantize_static(
                str(source),
                str(target),
                _Reader(tensors),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                nodes_to_exclude=excluded,
                calibrate_method=_METHODS[recipe.method],
                extra_options=extra,
            )
        quantised = onnx.load(str(target))
    if not any(node.op_type == "QuantizeLinear" for node in quantised.graph.node):
        raise ExportError(
            f"--keep-float {' '.join(recipe.keep_float)}: nothing is left to be quantised", hint="name fewer nodes"
        )
    _take_bytes(quantised)
    onnx.checker.check_model(quantised)
    return quantised


def tail_nodes(graph: onnx.ModelProto) -> list[str]:
    """Names of the nodes behind the head's last convolutions: what joins boxes, scores and scales of three sizes.

    A shared 8-bit scale there would have to span pixels and probabilities at once, and the scores would vanish.
    The distribution layer is formally a convolution, with one output; it belongs to the tail.
    """
    maker = {output: node for node in graph.graph.node for output in node.output}
    weights = {tensor.name: tensor.dims for tensor in graph.graph.initializer}
    names: dict[str, None] = {}
    wanted = [output.name for output in graph.graph.output]
    while wanted:
        node = maker.get(wanted.pop())
        if node is None or node.name in names:
            continue
        if node.op_type == "Conv" and weights.get(node.input[1], [0])[0] > 1:
            continue
        names[node.name] = None
        wanted.extend(node.input)
    return list(names)


def _scaling_nodes(graph: onnx.ModelProto) -> list[str]:
    """The nodes between the picture and the first convolution: transpose, cast, scale."""
    names: list[str] = []
    name = INPUT_NAME
    while True:
        readers = [node for node in graph.graph.node if name in node.input]
        if len(readers) != 1 or readers[0].op_type == "Conv":
            return names
        names.append(readers[0].name)
        name = readers[0].output[0]


def _scaled_input(graph: onnx.ModelProto) -> str:
    last = _scaling_nodes(graph)[-1]
    return str(next(node.output[0] for node in graph.graph.node if node.name == last))


def _take_bytes(graph: onnx.ModelProto) -> None:
    """Hand the transposed bytes to the first convolution as they are.

    Cast, scale by 1/255 and quantise with step 1/255 give every byte back; three passes over the picture saved. A first
    convolution that is kept in float takes what it was trained for.
    """
    readers = {name: node for node in graph.graph.node for name in node.input}
    chain = []
    name = INPUT_NAME
    while (node := readers[name]).op_type != "DequantizeLinear":
        if node.op_type == "Conv":
            return
        chain.append(node)
        name = node.output[0]
    if [n.op_type for n in chain] != ["Transpose", "Cast", "Mul", "QuantizeLinear"]:
        raise ExportError(f"the quantised graph starts with {[n.op_type for n in chain]}, not as expected")
    node.input[0] = chain[0].output[0]
    for useless in chain[1:]:
        graph.graph.node.remove(useless)
    used = {name for n in graph.graph.node for name in n.input}
    for tensor in [t for t in graph.graph.initializer if t.name not in used]:
        graph.graph.initializer.remove(tensor)
    del graph.graph.value_info[:]


def _named(graph: onnx.ModelProto, parts: Sequence[str]) -> list[str]:
    names = [node.name for node in graph.graph.node]
    for part in parts:
        if not any(part in name for name in names):
            raise ExportError(f"--keep-float {part}: no node's name contains it", hint=f"for example {names[3]}")
    return [name for name in names if any(part in name for part in parts)]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep to itself what onnxruntime's quantiser advises through the root logger and prints on its way."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(before)
