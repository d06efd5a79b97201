"""Activation ranges that cost least behind the next function: what a clipped tail saves in steps, and what it loses.

Min-max wastes most of the 256 steps on values that SiLU turns into nothing, or on one outlier. Here each tensor gets
the range whose rounding error, seen behind the function that reads the tensor, is smallest over the calibration set.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime as ort

from export.graph import INPUT_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from edge.types import F64, U8

Range = tuple[float, float]

_BINS = 4096
_STEPS = 255
_GRID = 24
# Between squared error, which lets rare large values (the objects) suffer, and min-max, which is their servant only.
_POWER = 2.5
# Every fifth value: neighbours tell the same, and the histograms stay quick.
_STRIDE = 5
# Class logits: below -10 a score is under every floor in use, above 5 it is 0.993. Fixed, because the error that counts
# is the score's, and hardly any logit of a calibration picture belongs to an object.
_LOGITS: Range = (-10.0, 5.0)
# A tensor that is joined with others takes the range of the whole where the two are so much alike: the join is then a plain
# copy, and no byte of it is looked up in a table. Its own steps grow by no more than the first, and it may lose what lies
# beyond the second, which the join would cut off anyway.
_COARSER, _NARROWER = 1.5, 1.15
# onnxruntime gives the outputs of these the scale of their input.
_SHARED = frozenset({"MaxPool", "Resize", "Slice", "Split", "Reshape", "Transpose", "Cast", "Constant", "Gather"})


def best_ranges(graph: onnx.ModelProto, tensors: Sequence[U8], tail: Collection[str]) -> dict[str, Range]:
    """The range of every activation that is to be quantised, by tensor name.

    :param tensors: calibration inputs, uint8 (1, height, width, 3).
    :param tail: names of the nodes that stay in float.
    """
    wiring = _Wiring(graph, tail)
    fixed = {**dict.fromkeys(wiring.probabilities, (0.0, 1.0)), **dict.fromkeys(wiring.logits, _LOGITS)}
    measured = [name for name in wiring.activations if name not in fixed]
    ranges = dict(fixed)
    for name, (low, high, counts) in _histograms(graph, tensors, measured).items():
        reader = _silu if name in wiring.before_silu else _same
        ranges[name] = _least_error(low, high, counts, reader)
    for members in wiring.answers:
        whole = (min(ranges[m][0] for m in members), max(ranges[m][1] for m in members))
        ranges.update(dict.fromkeys(members, whole))
    return with_joins(ranges, wiring.joins)


def with_joins(ranges: dict[str, Range], joins: Mapping[str, Sequence[str]]) -> dict[str, Range]:
    """The same ranges, but for tensors that take the one of the join they go into; each of one join only."""
    found, bound = dict(ranges), set(joins)
    for join, members in joins.items():
        whole = _width(ranges[join])
        for name in members:
            if name not in bound and whole / _COARSER <= _width(ranges[name]) <= whole * _NARROWER:
                found[name] = ranges[join]
                bound.add(name)
    return found


def _width(found: Range) -> float:
    return found[1] - found[0]


class _Wiring:
    """Who reads which tensor."""

    def __init__(self, graph: onnx.ModelProto, tail: Collection[str]) -> None:
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.graph.node:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        kept = [node for node in graph.graph.node if node.name not in tail]
        self.activations = [o for node in kept if node.op_type not in _SHARED for o in node.output]
        self.probabilities = [o for node in kept if node.op_type == "Sigmoid" for o in node.output]
        convolved = [o for node in kept if node.op_type == "Conv" for o in node.output]
        self.before_silu = frozenset(name for name in convolved if self._is_before_silu(name))
        self.joins = {
            node.output[0]: [self._origin(name, kept) for name in node.input]
            for node in kept
            if node.op_type == "Concat"
        }
        self.logits = [name for name in convolved if self._reaches_sigmoid(name, tail)]
        # What the tail joins straight from the head's last convolutions: of one scale it is joined as bytes.
        self.answers = [
            found
            for node in graph.graph.node
            if node.op_type == "Concat" and node.name in tail
            for found in [[self._origin(name, graph.graph.node) for name in node.input]]
            if set(found) <= set(convolved)
        ]

    def _is_before_silu(self, name: str) -> bool:
        readers = self._readers.get(name, [])
        gates = [node for node in readers if node.op_type == "Sigmoid"]
        products = [node for node in readers if node.op_type == "Mul"]
        return len(readers) == 2 and len(gates) == len(products) == 1 and gates[0].output[0] in products[0].input

    @staticmethod
    def _origin(name: str, nodes: Sequence[onnx.NodeProto]) -> str:
        """The tensor that gives ``name`` its range."""
        makers = {output: node for node in nodes for output in node.output}
        while name in makers and makers[name].op_type in _SHARED:
            name = makers[name].input[0]
        return name

    def _reaches_sigmoid(self, name: str, tail: Collection[str]) -> bool:
        """Whether it is only moved about in the tail until a sigmoid makes scores of it."""
        readers = [node for node in self._readers.get(name, []) if node.name in tail]
        return any(
            node.op_type == "Sigmoid"
            or (node.op_type in {"Reshape", "Concat", "Transpose"} and self._reaches_sigmoid(node.output[0], tail))
            for node in readers
        )


def _histograms(
    graph: onnx.ModelProto, tensors: Sequence[U8], names: Sequence[str]
) -> Mapping[str, tuple[float, float, F64]]:
    """Lowest value, highest value, and counts in ``_BINS`` equal bins between, of each tensor over all pictures."""
    watched = copy.deepcopy(graph)
    for name in names:
        watched.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    options = ort.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(watched.SerializeToString(), options, providers=["CPUExecutionProvider"])
    low, high = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)  # a range always holds 0
    for tensor in tensors:
        for name, value in zip(names, session.run(list(names), {INPUT_NAME: tensor}), strict=True):
            low[name], high[name] = min(low[name], float(value.min())), max(high[name], float(value.max()))
    counts = {name: np.zeros(_BINS, np.float64) for name in names}
    for tensor in tensors:
        for name, value in zip(names, session.run(list(names), {INPUT_NAME: tensor}), strict=True):
            width = (high[name] - low[name]) / _BINS or 1.0
            bins = ((value.ravel()[::_STRIDE] - low[name]) / width).astype(np.int64).clip(0, _BINS - 1)
            counts[name] += np.bincount(bins, minlength=_BINS)
    return {name: (low[name], high[name], counts[name]) for name in names}


def _least_error(low: float, high: float, counts: F64, reader: Callable[[F64], F64]) -> Range:
    """The range, inside what was seen, with the smallest error behind ``reader``."""
    if high <= low:
        return 0.0, 1.0  # a tensor that is always 0
    used = counts > 0
    weight = counts[used]
    value = (low + (np.arange(_BINS) + 0.5) * (high - low) / _BINS)[used]
    wanted = reader(value)
    best, found = np.inf, (low, high)
    shrink = np.linspace(0.05, 1, _GRID)
    for bottom in (low * shrink) if low < 0 else [0.0]:
        for top in (high * shrink) if high > 0 else [0.0]:
            step = (top - bottom) / _STEPS
            zero = np.round(-bottom / step)
            rounded = (np.clip(np.round(value / step) + zero, 0, _STEPS) - zero) * step
            error = float((np.abs(reader(rounded) - wanted) ** _POWER * weight).sum())
            if error < best:
                best, found = error, (float(bottom), float(top))
    return found


def _silu(value: F64) -> F64:
    out: F64 = value / (1 + np.exp(-value))
    return out


def _same(value: F64) -> F64:
    return value
