"""The third answer changes neither of the other two."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("ultralytics")

import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from export.onnx_export import FloatModel, export_float
from export.quantize import Recipe, quantize
from export.tap import features_of, with_features

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.export

TALL, WIDE = 64, 96
PICTURES = [np.random.default_rng(n).integers(0, 256, (1, TALL, WIDE, 3), dtype=np.uint8) for n in range(8)]


@pytest.fixture(scope="module")
def model(weights: Path) -> FloatModel:
    return export_float(weights, height=TALL, width=WIDE)


def test_the_map_of_the_float_graph_and_of_the_quantised_one_are_alike(model: FloatModel) -> None:
    whole = with_features(model.graph).SerializeToString()
    small = quantize(model, PICTURES, Recipe())
    told = features_of(small, model.map_sha256)
    assert told == features_of(whole, model.map_sha256)
    assert told is not None
    assert told["shape"][2:] == (TALL // 16, WIDE // 16)  # type: ignore[index] # a tuple
    maps = [
        ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(["features"], {"image": PICTURES[0]})[0]
        for content in (whole, small)
    ]
    assert maps[0].shape == told["shape"]
    assert np.corrcoef(maps[0].ravel(), maps[1].ravel())[0, 1] > 0.9


def test_boxes_and_scores_stay_the_same_to_the_bit(model: FloatModel) -> None:
    both = ["boxes", "scores"]
    before, after = (
        ort.InferenceSession(g.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            both, {"image": PICTURES[1]}
        )
        for g in (model.graph, with_features(model.graph))
    )
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_a_network_of_another_make_is_left_as_it_is() -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["image"], ["boxes"])],
        "other",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("boxes", TensorProto.FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    assert with_features(model) is model
    assert features_of(onnx.ModelProto(graph=graph).SerializeToString(), "") is None


def test_asking_twice_changes_nothing(model: FloatModel) -> None:
    once = with_features(model.graph)
    assert with_features(once) is once
