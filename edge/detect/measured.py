"""What a model's manifest says of how good it is, and on which images that was found."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Unit = Annotated[float, Field(ge=0, le=1)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Label = Annotated[str, Field(min_length=1, max_length=100)]


class Strict(BaseModel):
    """A table: an unknown key, a wrong type and a change are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class ClassScore(Strict):
    """Average precision of one class over ``boxes`` labelled boxes, 0..1."""

    boxes: Annotated[int, Field(ge=0)]
    ap50: Unit
    ap50_95: Unit


class Score(Strict):
    """One evaluation: means over the classes that are present, and each of them."""

    map50: Unit
    map50_95: Unit
    classes: dict[Label, ClassScore]


class View(Strict):
    """One way of looking at the evaluation images: the float model beside the model as shipped.

    ``int8``: as the runtime runs it, with sums that cannot saturate; ``int8_default``: with onnxruntime's default on the
    exporting machine, which differs on x86 without VNNI. ``recall_by_height``: labelled and found boxes, by height range in
    input pixels, at the operating thresholds.
    """

    images: Annotated[int, Field(gt=0)]
    set_sha256: Sha256
    fp32: Score
    int8: Score
    int8_default: Score | None = None
    recall_by_height: dict[Label, tuple[int, int]] = {}


class GateRow(Strict):
    """One class, "rest" (classes with few boxes, pooled) or "overall": points INT8 lost against FP32.

    Recall at the operating threshold; for "overall" mAP50-95. ``lower_points``: lower end of the bootstrap's interval, which is
    what counts; ``accepted_points``: what the exporting person put on record as accepted.
    """

    boxes: Annotated[int, Field(ge=0)]
    loss_points: float
    lower_points: float
    allowed_points: float
    accepted_points: float | None = None
    passed: bool


class Gate(Strict):
    """How quantising was judged, on images that neither calibrated nor set thresholds.

    ``default_loss_points``: mAP50-95 lost with onnxruntime's default sums on the exporting machine.
    """

    images: Annotated[int, Field(gt=0)]
    set_sha256: Sha256
    session: Label
    rows: dict[Label, GateRow]
    pooled: tuple[Label, ...] = ()
    default_loss_points: float | None = None
    passed: bool


class ThresholdSet(Strict):
    """The images behind the thresholds; ``unmeasured``: classes with too few boxes there."""

    images: Annotated[int, Field(ge=0)]
    set_sha256: Sha256
    unmeasured: tuple[Label, ...] = ()


class Calibration(Strict):
    """How the ranges of the activations were found; ``set_sha256`` covers names and bytes of the images."""

    method: Label
    images: Annotated[int, Field(gt=0)]
    set_sha256: Sha256
    settings: dict[str, str] = {}
