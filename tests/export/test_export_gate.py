"""Thresholds, recall, the gate and the comparison with a baseline, on answers that are known beforehand."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

pytest.importorskip("ultralytics")

import onnx

from edge.detect.measured import ClassScore, Score
from edge.types import Detections
from export import gate, matches, thresholds
from export.dataset import Dataset, LabelledImage
from export.errors import GateError
from export.evaluate import Judged, score
from export.evaluate_cli import compare
from export.measure import Choices, Measurer
from export.onnx_export import FloatModel
from export.views import ALL_VIEWS, LIGHTS, ViewSpec, widescreen

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.export

NAMES = ("person", "firearm", "helmet")
GOOD, OTHER = (0.0, 0.0, 50.0, 40.0), (60.0, 60.0, 90.0, 90.0)


def boxes(*rows: tuple[tuple[float, float, float, float], float, int]) -> Detections:
    rows = tuple(sorted(rows, key=lambda row: -row[1]))
    return Detections(
        np.array([r[0] for r in rows], np.float32).reshape(-1, 4),
        np.array([r[1] for r in rows], np.float32),
        np.array([r[2] for r in rows], np.int64),
    )


def seen(value: float, class_id: int = 0, *, truth: bool = True) -> Judged:
    """One picture: a labelled box (or none), one box found with this score (or none at 0)."""
    labelled = boxes((GOOD, 1, class_id)) if truth else Detections.empty()
    return Judged(100, 100, labelled, boxes((GOOD, value, class_id)) if value else Detections.empty())


def test_a_weapon_s_threshold_is_the_lowest_with_the_precision_asked_for() -> None:
    right = [seen(0.95 - i / 100, 1) for i in range(50)]  # 0.95 down to 0.46
    wrong = [seen(0.551 - i / 100, 1, truth=False) for i in range(20)]
    found = thresholds.choose([[*right, *wrong]], NAMES, {1: 1})
    precision, recall = matches.curve([*right, *wrong], 1).at(found.values["firearm"])
    assert precision >= 0.9
    assert recall >= 0.8
    lower = matches.curve([*right, *wrong], 1).at(found.values["firearm"] - 0.011)[0]
    assert lower < 0.9 or found.values["firearm"] < 0.47
    assert found.low_precision == ()
    assert found.unmeasured == ("person", "helmet")
    assert found.values["person"] == 0.35


def test_a_weapon_that_is_never_precise_enough_says_so() -> None:
    judged = [seen(0.6, 1, truth=i % 2 == 0) for i in range(40)]
    found = thresholds.choose([judged], NAMES, {1: 1})
    assert found.low_precision == ("firearm",)
    assert found.values["firearm"] == pytest.approx(0.6, abs=0.002)
    assert thresholds.choose([judged], NAMES, {1: 1}, precise=()).low_precision == ()
    lucky = [seen(0.9, 1), *judged]
    assert thresholds.choose([lucky], NAMES, {1: 1}).low_precision == ("firearm",), "one hit proves no precision"


def test_a_box_too_long_by_the_handle_is_no_false_alarm() -> None:
    too_long = (0.0, 0.0, 100.0, 50.0)
    judged = [Judged(100, 100, boxes((GOOD, 1, 1)), boxes((too_long, 0.8, 1), (GOOD, 0.4, 1)))] * 20
    assert matches.curve(judged, 1).at(0.5) == (0.0, 0.0), "IoU 0.4"
    assert matches.curve(judged, 1, marking=True).at(0.5) == (1.0, 1.0)
    assert len(matches.curve(judged, 1, marking=True).score) == 20, "the second box on the same thing proves nothing"
    found = thresholds.choose([judged], NAMES, {1: 1})
    assert (found.values["firearm"], found.low_precision) == (pytest.approx(0.8, abs=0.002), ())


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ((0, 0, 100, 100), True),  # 2,000 of 10,000 square pixels, and the smaller one lies in the larger
        ((0, 0, 10, 8), False),  # a corner of it: IoU 0.04
        ((30, 20, 80, 60), False),  # a fifth of each
        (OTHER, False),
    ],
)
def test_a_box_marks_what_it_shares_half_of_the_smaller_with(
    found: tuple[float, float, float, float], expected: bool
) -> None:
    first, again = matches.marks(np.array([found], np.float32), np.array([GOOD], np.float32))
    assert (first[0], again[0]) == (expected, False)


def test_a_box_over_two_things_marks_the_one_it_fits_best() -> None:
    truth = np.array([GOOD, (0, 45, 50, 60)], np.float32)
    first, again = matches.marks(np.array([(0, 0, 50, 62), (0, 44, 50, 60)], np.float32), truth)
    assert first.tolist() == [True, True]
    assert not again.any()


def test_every_view_of_the_pictures_counts() -> None:
    right, wrong = [seen(0.9, 1)] * 20, [seen(0.6, 1, truth=False)] * 20
    assert thresholds.choose([[*right, *wrong]], NAMES, {1: 1}).values["firearm"] == pytest.approx(0.9, abs=0.002)
    lucky = [seen(0.5, 1)] * 20
    both = thresholds.choose([lucky, [*right, *wrong]], NAMES, {1: 1})
    assert both.values["firearm"] == pytest.approx(0.9, abs=0.002), "in one view alone it would be 0.5"
    few = [[seen(0.9, 1)] * 6] * 4
    assert "firearm" in thresholds.choose(few, NAMES, {1: 1}).unmeasured, "four looks at six boxes are six boxes"


def test_a_mirrored_picture_and_its_boxes() -> None:
    image = np.zeros((40, 100, 3), np.uint8)
    image[10:20, 0:30] = 255
    shown, moved = ViewSpec(mirrored=True)(image, np.array([(0, 10, 30, 20)], np.float32), seed="a")
    assert moved.tolist() == [[70, 10, 100, 20]]
    assert shown[10:20, 70:].min() == 255
    assert ViewSpec("grayscale", wide=True, mirrored=True).name == "grayscale_16x9_mirrored"


def test_any_other_class_takes_the_best_f1() -> None:
    judged = [seen(0.7)] * 30 + [seen(0.4, truth=False)] * 30
    assert thresholds.choose([judged], NAMES, {0: 0}).values["person"] == pytest.approx(0.7, abs=0.002)
    low = [seen(0.05)] * 30
    assert thresholds.choose([low], NAMES, {0: 0}, floor=0.2).values["person"] == 0.2
    assert thresholds.choose([judged[:5]], NAMES, {0: 0}).unmeasured == NAMES, "too few boxes to tell"


def test_recall_by_height_counts_in_the_model_s_pixels() -> None:
    judged = [Judged(100, 100, boxes((GOOD, 1, 0), (OTHER, 1, 0)), boxes((GOOD, 0.9, 0)), 0.5)]
    table = matches.recall_by_height(judged, {0: 0.5})
    assert table["16-32 px"] == (1, 1), "40 pixels of the picture are 20 of the input"
    assert table["0-16 px"] == (1, 0)
    assert matches.recall_by_height(judged, {0: 0.95})["16-32 px"] == (1, 0)


def test_the_confusion_matrix_knows_what_was_taken_for_what() -> None:
    one = Judged(100, 100, boxes((GOOD, 1, 1), (OTHER, 1, 0)), boxes((GOOD, 0.9, 2), ((5, 60, 20, 80), 0.8, 0)))
    table = matches.confusion([one], {0: 0.5, 1: 0.5, 2: 0.5}, 3)
    assert table[1, 2] == 1, "a firearm was taken for a helmet"
    assert table[0, 3] == 1, "a person was missed"
    assert table[3, 0] == 1, "a person was seen where nobody is"
    assert table.sum() == 3


def judge(fp32: list[Judged], int8: list[Judged], **accepted: float) -> gate.Gate:
    scores = (score(fp32, NAMES), score(int8, NAMES))
    return gate.judge_losses(
        fp32,
        int8,
        scores=scores,
        names=NAMES,
        thresholds={0: 0.5, 1: 0.5, 2: 0.5},
        set_sha256="0" * 64,
        accepted=accepted,
    )


def test_equal_models_pass() -> None:
    pictures = [seen(0.9)] * 60 + [seen(0.9, 1)] * 10
    found = judge(pictures, pictures)
    gate.check(found)
    assert set(found.rows) == {"overall", "person", "rest"}
    assert found.pooled == ("firearm",)
    assert found.rows["rest"].boxes == 10


def test_a_class_that_loses_recall_closes_the_gate_unless_it_is_accepted() -> None:
    fp32 = [seen(0.9)] * 100 + [seen(0.9, 1)] * 100
    int8 = [seen(0.9)] * 100 + [seen(0.9, 1)] * 80 + [seen(0.4, 1)] * 20
    closed = judge(fp32, int8)
    assert not closed.passed
    assert closed.rows["firearm"].loss_points == pytest.approx(20)
    assert 10 < closed.rows["firearm"].lower_points < 20
    with pytest.raises(GateError, match=r"firearm: INT8 loses 20\.00 points of recall .*100 boxes") as caught:
        gate.check(closed)
    assert "--accept-loss firearm=" in caught.value.hint
    opened = judge(fp32, int8, firearm=20.0)
    gate.check(opened)
    assert opened.rows["firearm"].accepted_points == 20.0
    assert not judge(fp32, int8, firearm=5.0).passed, "more is lost than was accepted"


def test_one_box_of_sixty_is_chance() -> None:
    fp32, int8 = [seen(0.9)] * 60, [seen(0.9)] * 58 + [seen(0.4)] * 2
    row = judge(fp32, int8).rows["person"]
    assert row.loss_points > 2
    assert row.lower_points < 2
    assert row.passed


def test_a_lost_point_of_map_closes_the_gate_even_when_recall_is_whole() -> None:
    fp32 = [seen(0.9)] * 100
    shifted = Judged(100, 100, boxes((GOOD, 1, 0)), boxes(((0, 0, 50, 34), 0.9, 0)))
    found = judge(fp32, [*fp32[:90], *[shifted] * 10])
    assert found.rows["person"].passed
    assert not found.rows["overall"].passed
    with pytest.raises(GateError, match="overall: INT8 loses"):
        gate.check(found)


def graph_that_says(value: float) -> onnx.ModelProto:
    """A model that sees the same box in every picture, with this score."""
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    constants = {"boxes": [[[48.0], [32.0], [24.0], [32.0]]], "scores": [[[value]]]}
    nodes, outputs = [], []
    for name, content in constants.items():
        array = np.array(content, np.float32)
        nodes.append(helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(array)))
        outputs.append(helper.make_tensor_value_info(name, float32, array.shape))
    image = helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, [1, 64, 96, 3])
    graph = helper.make_graph(nodes, "constant", [image], outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def measurer(tmp_path: Path, *, int8: float, accepted: dict[str, float]) -> Measurer:
    labelled = []
    for number in range(90):
        path = tmp_path / f"{number:03}.png"
        cv2.imwrite(str(path), np.full((64, 96, 3), number, np.uint8))
        box = np.array([[36 / 96, 16 / 64, 60 / 96, 48 / 64]], np.float32)
        labelled.append(LabelledImage(path, box, np.zeros(1, np.int64)))
    return Measurer(
        FloatModel(
            graph=graph_that_says(0.9), classes=("person",), height=64, width=96, anchors=1, map_sha256="0" * 64
        ),
        graph_that_says(int8).SerializeToString(),
        Dataset(tmp_path / "data.yaml", "val", ("person",), tuple(labelled)),
        {0: 0},
        index={},
        choices=Choices(
            views=(),
            precise=(),
            threshold=0.35,
            threshold_floor=0.25,
            threshold_share=0.35,
            accepted=accepted,
            nms_iou=0.6,
            threads=1,
        ),
        created_utc=datetime(2026, 1, 5, tzinfo=timezone.utc),
        say=lambda _: None,
    )


def test_a_model_that_quantising_blinded_does_not_get_out(tmp_path: Path) -> None:
    whole = measurer(tmp_path, int8=0.9, accepted={}).measure()
    assert whole.views["as_is"].fp32.map50_95 > 0.99
    assert whole.gate.rows["person"].loss_points == 0
    assert whole.gate.images + whole.threshold_set.images == 90
    assert whole.thresholds.values["person"] == pytest.approx(0.9, abs=0.002)
    with pytest.raises(GateError, match=r"no bundle was written\noverall: INT8 loses 100.00 points of mAP50-95"):
        measurer(tmp_path, int8=0.0, accepted={}).measure()
    with pytest.raises(GateError, match="person: INT8 loses 100"):
        measurer(tmp_path, int8=0.0, accepted={"overall": 100.0}).measure()
    let_out = measurer(tmp_path, int8=0.0, accepted={"overall": 100.0, "person": 100.0}).measure()
    assert let_out.gate.rows["person"].accepted_points == 100.0


def scored(**ap: float) -> Score:
    rows = {name: ClassScore(boxes=9, ap50=value, ap50_95=value) for name, value in ap.items()}
    return Score(map50=0.5, map50_95=0.5, classes=rows)


def test_a_class_behind_the_baseline_is_named() -> None:
    before = {"as_is": scored(person=0.5, knife=0.4), "low_light": scored(person=0.3, knife=0.2)}
    better = {"as_is": scored(person=0.6, knife=0.4), "low_light": scored(person=0.4, knife=0.19)}
    assert compare(better, before, tolerance=1.0) == []
    (fault,) = compare({**better, "low_light": scored(person=0.4, knife=0.1)}, before, tolerance=1.0)
    assert fault.startswith("knife: 5.0 points")
    (gone,) = compare({"as_is": scored(person=0.9)}, {"as_is": scored(person=0.5, knife=0.4)}, tolerance=1.0)
    assert gone.startswith("knife: 40.0 points")


def test_eight_views_show_every_picture_alike_each_time() -> None:
    assert len({view.name for view in ALL_VIEWS}) == 8
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    xyxy = np.array([[10, 30, 60, 55]], np.float32)
    for view in ALL_VIEWS:
        out, moved = view(image, xyxy, seed="a.jpg")
        again, _ = view(image, xyxy, seed="a.jpg")
        assert np.array_equal(out, again)
        assert out.dtype == np.uint8
        assert moved[0, 2] - moved[0, 0] == 50
        if view.wide:
            assert out.shape[1] / out.shape[0] == pytest.approx(16 / 9, abs=0.02)
    lights = {light: ViewSpec(light)(image, xyxy, seed="a")[0].astype(int) for light in LIGHTS}
    assert lights["low_light"].mean() < 0.7 * image.mean()
    assert np.ptp(lights["grayscale"], axis=2).max() == 0
    assert (np.isin(lights["high_contrast"], range(20, 235))).mean() < (np.isin(image, range(20, 235))).mean()


def test_a_crop_follows_the_boxes_and_loses_none() -> None:
    image = np.zeros((90, 120, 3), np.uint8)
    image[70:80, 20:40] = 255
    cropped, moved = widescreen(image, np.array([[20, 70, 40, 80]], np.float32))
    assert cropped.shape == (68, 120, 3)
    x1, y1, x2, y2 = moved[0].astype(int)
    assert (cropped[y1:y2, x1:x2] == 255).all()
    assert cropped.sum() == image.sum()


@pytest.mark.parametrize("shape", [(90, 120), (200, 60), (40, 200)])
def test_what_a_crop_would_cut_is_composed(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(1).integers(0, 255, (*shape, 3), dtype=np.uint8)
    whole = np.array([[0, 0, shape[1], shape[0]]], np.float32)
    wide, moved = widescreen(image, whole)
    x1, y1, x2, y2 = moved[0].astype(int)
    assert wide.shape[1] / wide.shape[0] == pytest.approx(16 / 9, abs=0.02)
    assert np.array_equal(wide[y1:y2, x1:x2], image)
