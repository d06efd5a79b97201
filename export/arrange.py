"""The same numbers, sooner: what of a graph's shape costs onnxruntime time without need.

Nothing here changes a result. A 3-channel convolution, a slice that is joined again at once and a Resize of bytes all run on
general code in onnxruntime; each has a twin on its fast code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from onnx import helper

from export.graph import BOXES_NAME, INPUT_NAME, SCORES_NAME, Graph

if TYPE_CHECKING:
    import onnx

    from edge.types import I64

# Neighbours in a row that are read as one: onnxruntime's direct convolution wants channels in fours, and 4 * 3 are twelve.
_CELL = 4
_STRIDE = 2
_FIRST = {"kernel_shape": [3, 3], "strides": [_STRIDE, _STRIDE], "pads": [1, 1, 1, 1], "dilations": [1, 1], "group": 1}


def tidy(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A float graph without detours: what was sliced only to be joined whole again, and outputs joined to be split."""
    tidied = Graph.copy_of(graph)
    for node in [n for n in tidied.nodes if n.op_type == "Concat"]:
        _join_whole(tidied, node)
    _outputs_apart(tidied)
    return tidied.finished()


def arrange(graph: onnx.ModelProto) -> onnx.ModelProto:
    """A quantised graph (QDQ) as onnxruntime runs it soonest; where nothing fits the patterns, as it was."""
    arranged = Graph.copy_of(graph)
    _pack_first(arranged)
    for node in [n for n in arranged.nodes if n.op_type == "Resize"]:
        _repeat(arranged, node)
    for node in [n for n in arranged.nodes if n.op_type == "Concat"]:
        _join_bytes(arranged, node)
    for node in [n for n in arranged.nodes if n.op_type == "Clip"]:
        _drop_clip(arranged, node)
    return arranged.finished()


def _join_whole(graph: Graph, join: Any) -> None:
    """``Concat(x[:k], x[k:], more)`` is ``Concat(x, more)``: one copy less of each half."""
    made, place = list(join.input), 0
    axis = _attributes(join).get("axis")
    while place + 1 < len(made):
        first, second = (_slice(graph, name) for name in made[place : place + 2])
        if (
            first is not None
            and second is not None
            and first.of == second.of
            and first.axis == second.axis == axis
            and (first.start, first.end, second.end) == (0, second.start, graph.shape(first.of)[first.axis])
        ):
            made[place : place + 2] = [first.of]
        place += 1
    join.input[:] = made


@dataclass(frozen=True, slots=True)
class _Part:
    """Of tensor ``of``, along ``axis``, from ``start`` up to ``end``."""

    of: str
    axis: int
    start: int
    end: int


def _slice(graph: Graph, name: str) -> _Part | None:
    node = graph.maker(name)
    if node is None or node.op_type != "Slice" or len(node.input) < 4:
        return None
    values = [graph.constant(n) for n in node.input[1:]]
    if any(v is None or v.size != 1 for v in values) or (len(values) == 4 and int(values[3].item()) != 1):
        return None
    start, end, axis = (int(v.item()) for v in values[:3])
    shape = graph.shape(node.input[0])
    return _Part(node.input[0], axis, start, min(end, shape[axis])) if len(shape) > axis else None


def _outputs_apart(graph: Graph) -> None:
    """Boxes and scores as the head makes them, instead of joined and split again."""
    split = graph.maker(BOXES_NAME)
    join = graph.maker(split.input[0]) if split is not None and split.op_type == "Split" else None
    if join is None or join.op_type != "Concat" or list(split.output) != [BOXES_NAME, SCORES_NAME]:
        return
    if [graph.shape(n) for n in join.input] != [graph.shape(n) for n in split.output]:
        return
    if any(len(graph.readers(made)) != 1 or graph.maker(made) is None for made in join.input):
        return
    for made, wanted in zip(list(join.input), list(split.output), strict=True):
        maker = graph.maker(made)
        maker.output[list(maker.output).index(made)] = wanted
    graph.nodes.remove(split)
    graph.nodes.remove(join)


def _pack_first(graph: Graph) -> None:
    """Let the first convolution read four pixels of a row as one with twelve channels, and make two columns at once.

    Three-channel convolutions run on onnxruntime's slow code. Bytes in rows need not be moved for this: only the shapes say
    otherwise, before and after. Every product that counted still counts; the others are with weights of zero.
    """
    turned = next((n for n in graph.readers(INPUT_NAME) if n.op_type == "Transpose"), None)
    if turned is None:
        return
    read = graph.readers(turned.output[0])
    if len(read) != 1 or read[0].op_type != "DequantizeLinear":
        return
    convolutions = graph.readers(read[0].output[0])
    if len(convolutions) != 1 or convolutions[0].op_type != "Conv" or len(convolutions[0].input) != 3:
        return
    conv = convolutions[0]
    given = _attributes(conv)
    makers: list[Any] = [graph.maker(name) for name in conv.input[1:]]
    behind = graph.readers(conv.output[0])
    _, height, width, channels = graph.shape(INPUT_NAME)
    if (
        any(given.get(key, wanted) != wanted for key, wanted in _FIRST.items())
        or height % _STRIDE
        or width % _CELL
        or any(m is None or m.op_type != "DequantizeLinear" for m in makers)
        or [n.op_type for n in behind] != ["QuantizeLinear"]
    ):
        return
    many = _CELL // _STRIDE  # columns of the result in one cell
    weights, bias = makers
    narrow = graph.constant(weights.input[0])
    count = len(narrow)
    for node in (weights, bias):
        for place in (1, 2):  # scale and zero point, one for each result or one for all
            if place < len(node.input) and graph.constant(node.input[place]).size == count:
                name = node.input[place]
                node.input[place] = graph.add_constant(f"{name}_packed", np.tile(graph.constant(name), many))
    name = bias.input[0]
    bias.input[0] = graph.add_constant(f"{name}_packed", np.tile(graph.constant(name), many))
    name = weights.input[0]
    weights.input[0] = graph.add_constant(f"{name}_packed", _packed(narrow))
    for attribute in [a for a in conv.attribute if a.name in {"kernel_shape", "strides", "pads"}]:
        conv.attribute.remove(attribute)
    # Two cells wide: the one before and this one. Below, a stride of 2 over an even height needs no padding.
    for key, value in {"kernel_shape": [3, 2], "strides": [_STRIDE, 1], "pads": [1, 1, 0, 0]}.items():
        conv.attribute.append(helper.make_attribute(key, value))
    shape = graph.add_constant("packed_picture_shape", _shape(1, height, width // _CELL, _CELL * channels))
    graph.add("Reshape", [INPUT_NAME, shape], "packed_picture")
    turned.input[0] = "packed_picture"
    result = behind[0].output[0]
    behind[0].output[0] = f"{result}_packed"
    graph.add("Transpose", [f"{result}_packed"], "packed_rows", perm=[0, 2, 3, 1])
    shape = graph.add_constant("packed_rows_shape", _shape(1, height // _STRIDE, width // _STRIDE, count))
    graph.add("Reshape", ["packed_rows", shape], "unpacked_rows")
    graph.add("Transpose", ["unpacked_rows"], result, perm=[0, 3, 1, 2])


def _packed(weights: Any) -> Any:
    """Weights (O, C, 3, 3) of a convolution with stride 2 as (2 * O, 4 * C, 3, 2) over cells of four columns."""
    count, channels, rows, columns = weights.shape
    many = _CELL // _STRIDE
    packed = np.zeros((many * count, _CELL * channels, rows, 2), weights.dtype)
    for result in range(many):
        for column in range(columns):
            at = result * _STRIDE + column - 1  # from this cell's first column; -1: the cell before's last
            cell, pixel = divmod(at + _CELL, _CELL)
            packed[result * count : (result + 1) * count, pixel * channels : (pixel + 1) * channels, :, cell] = weights[
                :, :, :, column
            ]
    return packed


def _repeat(graph: Graph, resize: Any) -> None:
    """Twice the size by nearest neighbour, of bytes: columns, then rows, each written twice, are plain copies."""
    before, behind = graph.maker(resize.input[0]), graph.readers(resize.output[0])
    given = _attributes(resize)
    shape, larger = graph.shape(resize.input[0]), graph.shape(resize.output[0])
    if (
        before is None
        or before.op_type != "DequantizeLinear"
        or [n.op_type for n in behind] != ["QuantizeLinear"]
        or any(
            not np.array_equal(graph.constant(before.input[i]), graph.constant(behind[0].input[i])) for i in (1, 2)
        )  # the same scale and zero point: the bytes are the same
        or given.get("mode") != b"nearest"
        or given.get("coordinate_transformation_mode") != b"asymmetric"
        or given.get("nearest_mode") != b"floor"
        or len(shape) != 4
        or larger != (*shape[:2], 2 * shape[2], 2 * shape[3])
    ):
        return
    many, channels, height, width = shape
    stem = resize.output[0]
    graph.add("Transpose", [before.input[0]], f"{stem}_rows", perm=[0, 2, 3, 1])
    graph.add("Concat", [f"{stem}_rows"] * 2, f"{stem}_columns", axis=3)
    wide = graph.add_constant(f"{stem}_wide_shape", _shape(many, height, 1, 2 * width * channels))
    graph.add("Reshape", [f"{stem}_columns", wide], f"{stem}_wide")
    graph.add("Concat", [f"{stem}_wide"] * 2, f"{stem}_twice", axis=2)
    tall = graph.add_constant(f"{stem}_tall_shape", _shape(many, 2 * height, 2 * width, channels))
    graph.add("Reshape", [f"{stem}_twice", tall], f"{stem}_tall")
    result = behind[0].output[0]
    graph.nodes.remove(behind[0])
    graph.add("Transpose", [f"{stem}_tall"], result, perm=[0, 3, 1, 2])


def _join_bytes(graph: Graph, join: Any) -> None:
    """The head's answers of three sizes joined as bytes where they have one scale, and made floats once behind it."""
    shaped: list[Any] = [graph.maker(name) for name in join.input]
    floats: list[Any] = [graph.maker(n.input[0]) if n is not None and n.op_type == "Reshape" else None for n in shaped]
    if any(n is None or n.op_type != "DequantizeLinear" for n in floats):
        return
    scales = [tuple(graph.constant(name) for name in n.input[1:3]) for n in floats]
    if any(not np.array_equal(a, b) for one in scales[1:] for a, b in zip(one, scales[0], strict=True)):
        return
    joined = join.output[0]
    for node, made in zip(shaped, floats, strict=True):
        graph.add("Reshape", [made.input[0], node.input[1]], f"{node.output[0]}_bytes")
    graph.add("Concat", [f"{n.output[0]}_bytes" for n in shaped], f"{joined}_bytes", axis=_attributes(join)["axis"])
    graph.nodes.remove(join)
    graph.add("DequantizeLinear", [f"{joined}_bytes", *floats[0].input[1:3]], joined)


def _drop_clip(graph: Graph, clip: Any) -> None:
    """A limit above all that the bytes before it can stand for does nothing."""
    before = graph.maker(clip.input[0])
    low = clip.input[1] if len(clip.input) > 1 else ""
    high = graph.constant(clip.input[2]) if len(clip.input) > 2 else None
    if before is None or before.op_type != "DequantizeLinear" or low or high is None:
        return
    scale, zero = (graph.constant(name) for name in before.input[1:3])
    if zero.dtype != np.uint8 or (255 - int(zero)) * float(scale) > float(high):
        return
    for reader in graph.readers(clip.output[0]):
        reader.input[list(reader.input).index(clip.output[0])] = clip.input[0]


def _attributes(node: Any) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def _shape(*sides: int) -> I64:
    return np.array(sides, np.int64)
