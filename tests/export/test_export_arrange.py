"""A graph that runs sooner gives the same numbers, and one that fits no pattern is left alone."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("ultralytics")

import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from export.arrange import arrange, tidy
from export.onnx_export import FloatModel, export_float
from export.quantize import Recipe, quantized
from export.ranges import with_joins

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.export

TALL, WIDE = 64, 96
PICTURES = [np.random.default_rng(n).integers(0, 256, (1, TALL, WIDE, 3), dtype=np.uint8) for n in range(16)]


@pytest.fixture(scope="module")
def model(weights: Path) -> FloatModel:
    return export_float(weights, height=TALL, width=WIDE)


@pytest.fixture(scope="module")
def plain(model: FloatModel) -> Any:
    return quantized(model, PICTURES, Recipe())


def answers(graph: Any, picture: Any) -> list[Any]:
    session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(["boxes", "scores"], {"image": picture}))


def counts(graph: Any) -> Counter[str]:
    return Counter(node.op_type for node in graph.graph.node)


def test_the_arranged_graph_gives_the_same_numbers_to_the_bit(plain: Any) -> None:
    arranged = arrange(plain)
    for picture in PICTURES[:4]:
        for before, after in zip(answers(plain, picture), answers(arranged, picture), strict=True):
            assert np.array_equal(before, after)
            assert np.ptp(before) > 0, "a graph that says the same of everything proves nothing"


def test_what_costs_time_is_gone(plain: Any) -> None:
    arranged = arrange(plain)
    before, after = counts(plain), counts(arranged)
    assert (before["Resize"], after["Resize"]) == (2, 0)
    assert (before["Clip"], after["Clip"]) == (1, 0)
    first = next(n for n in arranged.graph.node if n.op_type == "Conv")
    shapes = {t.name: tuple(t.dims) for t in arranged.graph.initializer}
    made = {o: n for n in arranged.graph.node for o in n.output}
    assert shapes[made[first.input[1]].input[0]] == (32, 12, 3, 2)
    joined = [n for n in arranged.graph.node if n.op_type == "Concat" and n.output[0].endswith("_bytes")]
    assert len(joined) == 2, "the boxes' and the scores' answers of three sizes, joined as bytes"
    assert counts(plain) == before, "the graph that was given stays as it is"


def test_halves_are_joined_whole_and_outputs_come_as_they_are_made(model: FloatModel) -> None:
    found = counts(model.graph)
    assert found["Slice"] == 8 + 2, "one half of each of eight blocks, and two corners of the boxes"
    makers = {o: n.op_type for n in model.graph.graph.node for o in n.output}
    assert (makers["boxes"], makers["scores"]) == ("Mul", "Sigmoid")


def test_only_halves_that_make_the_whole_are_joined_whole() -> None:
    def graph(*cuts: tuple[int, int]) -> Any:
        nodes, constants = [], [numpy_helper.from_array(np.array([1], np.int64), "axis")]
        for n, (start, end) in enumerate(cuts):
            constants += [
                numpy_helper.from_array(np.array([v], np.int64), f"{k}{n}") for k, v in (("s", start), ("e", end))
            ]
            nodes.append(helper.make_node("Slice", ["image", f"s{n}", f"e{n}", "axis"], [f"part{n}"]))
        nodes.append(helper.make_node("Concat", [f"part{n}" for n in range(len(cuts))], ["out"], axis=1))
        width = sum(end - start for start, end in cuts)
        described = [
            helper.make_tensor_value_info(n, onnx.TensorProto.FLOAT, (1, w)) for n, w in (("image", 8), ("out", width))
        ]
        made = helper.make_graph(nodes, "cuts", described[:1], described[1:], constants)
        return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    value = np.arange(8, dtype=np.float32)[None]
    for cuts, left in (
        (((0, 4), (4, 8)), 0),
        (((0, 4), (4, 8), (2, 3)), 1),
        (((4, 8), (0, 4)), 2),
        (((0, 4), (4, 7)), 2),
        (((1, 4), (4, 8)), 2),
        (((0, 4), (5, 8)), 2),
    ):
        before = graph(*cuts)
        after = tidy(before)
        assert counts(after)["Slice"] == left, cuts
        runs = [ort.InferenceSession(g.SerializeToString()).run(None, {"image": value})[0] for g in (before, after)]
        assert np.array_equal(*runs), cuts


@pytest.mark.parametrize("change", ["kernel", "stride", "width"])
def test_another_first_convolution_is_left_alone(change: str) -> None:
    kernel, stride = (5 if change == "kernel" else 3), (1 if change == "stride" else 2)
    width = 98 if change == "width" else 96
    side = kernel // 2
    rng = np.random.default_rng(2)
    constants = {
        "one": np.float32(1 / 255),
        "zero": np.uint8(0),
        "weights": rng.integers(-127, 128, (4, 3, kernel, kernel), dtype=np.int8),
        "scales": np.full(4, 0.01, np.float32),
        "zeros": np.zeros(4, np.int8),
        "bias": np.zeros(4, np.int32),
        "bias_scales": np.full(4, 0.01 / 255, np.float32),
        "bias_zeros": np.zeros(4, np.int32),
        "step": np.float32(0.1),
        "middle": np.uint8(128),
    }
    nodes = [
        helper.make_node("Transpose", ["image"], ["turned"], perm=[0, 3, 1, 2]),
        helper.make_node("DequantizeLinear", ["turned", "one", "zero"], ["read"]),
        helper.make_node("DequantizeLinear", ["weights", "scales", "zeros"], ["w"], axis=0),
        helper.make_node("DequantizeLinear", ["bias", "bias_scales", "bias_zeros"], ["b"], axis=0),
        helper.make_node(
            "Conv", ["read", "w", "b"], ["made"], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[side] * 4
        ),
        helper.make_node("QuantizeLinear", ["made", "step", "middle"], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", "step", "middle"], ["boxes"]),
    ]
    made = helper.make_graph(
        nodes,
        "first",
        [helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, (1, 64, width, 3))],
        [helper.make_tensor_value_info("boxes", onnx.TensorProto.FLOAT, (1, 4, 64 // stride, width // stride))],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    graph = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert [n.op_type for n in arrange(graph).graph.node] == [n.op_type for n in graph.graph.node]


def test_a_limit_that_counts_stays() -> None:
    constants = {"step": np.float32(0.5), "zero": np.uint8(0), "limit": np.float32(60.0)}
    nodes = [
        helper.make_node("DequantizeLinear", ["image", "step", "zero"], ["value"]),
        helper.make_node("Clip", ["value", "", "limit"], ["boxes"]),
    ]
    made = helper.make_graph(
        nodes,
        "limit",
        [helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, (1, 64, 96, 3))],
        [helper.make_tensor_value_info("boxes", onnx.TensorProto.FLOAT, (1, 64, 96, 3))],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    graph = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert counts(arrange(graph))["Clip"] == 1


def test_a_tensor_takes_the_range_of_its_join_only_where_they_are_alike() -> None:
    ranges = {
        "join": (-0.5, 9.5),
        "alike": (-0.3, 9.0),
        "finer": (-0.3, 3.0),
        "wider": (-0.3, 15.0),
        "next": (0.0, 9.0),
    }
    found = with_joins(ranges, {"join": ["alike", "finer", "wider"], "next": ["alike", "join"]})
    assert found["alike"] == ranges["join"], "of the first join it goes into"
    assert {k: v for k, v in found.items() if k != "alike"} == {k: v for k, v in ranges.items() if k != "alike"}
