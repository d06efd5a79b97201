"""``export-model``: trained weights in, a bundle out that says how good it is."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

from edge import __version__
from edge.errors import EX_OK, EX_SOFTWARE, KioskError
from export.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.detect.manifest import Score, View
    from export.dataset import Dataset
    from export.onnx_export import FloatModel
    from export.quantize import Recipe

_LICENCE = "AGPL-3.0-or-later"
# The runtime asks onnxruntime for sums that cannot saturate; what its own default costs on this machine is told too.
_DEFAULT_SUMS = {"session.x64quantprecision": "0"}


@dataclass(frozen=True, slots=True)
class _Measured:
    view: View
    thresholds: dict[str, float]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = _parser().parse_args(argv)
    try:
        _export(args)
    except KioskError as error:
        print(f"export-model: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("export-model: interrupted, nothing was written", file=sys.stderr)
        return EX_SOFTWARE
    return EX_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="export-model",
        description="Export trained weights as the INT8 bundle a kiosk runs: ONNX, quantised, measured, described.",
    )
    add = parser.add_argument
    add("weights", type=Path, metavar="WEIGHTS.pt", help="detection weights saved by ultralytics")
    add("--data", type=Path, required=True, metavar="data.yaml", help="YOLO data set: train calibrates, val evaluates")
    add("--out", type=Path, required=True, metavar="DIR", help="folder that becomes the bundle")
    add("--height", type=_side, default=256, help="input height, pixels, a multiple of 32 (default %(default)s)")
    add("--width", type=_side, default=416, help="input width, pixels, a multiple of 32 (default %(default)s)")
    add("--name", help="the model's name (default: the weights file's)")
    add("--version", default="1", help="the model's version (default %(default)s)")
    add("--licence", default=_LICENCE, help="licence of the weights (default %(default)s)")
    add("--map", action="append", default=[], type=_renaming, metavar="DATA=MODEL", dest="renamed",
        help="a class that the data set calls DATA and the model MODEL; may be repeated")  # fmt: skip
    add("--calibration", choices=["least-error", "minmax", "percentile", "entropy"], default="least-error",
        help="how activation ranges are chosen (default %(default)s)")  # fmt: skip
    add("--calibration-images", type=int, default=100, metavar="N", help="default %(default)s")
    add("--percentile", type=float, default=99.999, help="for --calibration percentile (default %(default)s)")
    add("--keep-float", action="append", default=[], metavar="PART",
        help="keep nodes in float whose name contains PART, besides the head's tail; may be repeated")  # fmt: skip
    add("--nms-iou", type=_unit, default=0.6, help="overlap that makes two boxes one (default %(default)s)")
    add("--threshold", type=_unit, default=0.35, help="for classes without enough labels (default %(default)s)")
    add("--threshold-floor", type=_unit, default=0.25, help="lowest threshold of any class (default %(default)s)")
    add("--min-runtime", default=__version__, help="oldest Kiosk Guard that may run it (default %(default)s)")
    add("--threads", type=int, default=0, help="threads for evaluation, 0: all cores up to 4 (default %(default)s)")
    return parser


def _export(args: argparse.Namespace) -> None:
    # What is cheap to refuse is refused before torch is loaded or anything is computed.
    from export.bundle import check_target  # noqa: PLC0415
    from export.errors import MissingInputError  # noqa: PLC0415

    check_target(args.out)
    if not args.weights.is_file():
        raise MissingInputError(f"{args.weights}: no such file", hint="name the weights to export")
    _say("reading the data set")
    from export import calibrate, dataset  # noqa: PLC0415

    train, val = dataset.read_dataset(args.data, "train"), dataset.read_dataset(args.data, "val")
    chosen = calibrate.choose(train, args.calibration_images)
    for image in val.images:
        dataset.read_image(image.path)
    tensors = calibrate.tensors(chosen, height=args.height, width=args.width)
    from export import onnx_export, quantize  # noqa: PLC0415

    _say("exporting the float graph")
    model = onnx_export.export_float(args.weights, height=args.height, width=args.width)
    pairs = dataset.match_classes(model.classes, val.names, dict(args.renamed))
    recipe = quantize.Recipe(quantize.Method(args.calibration), args.percentile, tuple(args.keep_float))
    _say(f"quantising on {len(tensors)} images, {recipe.method.value}")
    content = quantize.quantize(model, tensors, recipe)
    _say(f"evaluating on {len(val.images)} images")
    measured = _measure(args, model, content, val, pairs)
    _say("writing the bundle")
    _bundle(args, model=model, content=content, recipe=recipe, chosen=chosen, measured=measured)
    _report(args.out, len(content), measured)


def _measure(
    args: argparse.Namespace, model: FloatModel, content: bytes, val: Dataset, pairs: dict[int, int]
) -> _Measured:
    from edge.detect.manifest import View  # noqa: PLC0415
    from export import dataset, evaluate  # noqa: PLC0415
    from export.bundle import make_manifest, write_bundle  # noqa: PLC0415

    judged = {}
    with tempfile.TemporaryDirectory(prefix="export-model-") as scratch:
        runs = {
            "fp32": (model.graph.SerializeToString(), {}),
            "int8": (content, {}),
            "int8_default": (content, _DEFAULT_SUMS),
        }
        for key, (graph, config) in runs.items():
            bundle = Path(scratch) / key
            manifest = make_manifest(
                model,
                graph,
                name="evaluation",
                version="0",
                created_utc=_now(),
                licence=args.licence,
                min_runtime="0",
                precision="fp32" if key == "fp32" else "int8",
                thresholds=dict.fromkeys(model.classes, 0.0),
                threshold_rule="",
                nms_iou=args.nms_iou,
            )
            write_bundle(bundle, manifest, graph)
            judged[key] = evaluate.judge(bundle, val, pairs, threads=args.threads, session_config=config)
    thresholds = dict.fromkeys(model.classes, max(args.threshold, args.threshold_floor))
    for ours, theirs in pairs.items():
        best = evaluate.best_f1_threshold(judged["int8"], theirs)
        if best is not None:
            thresholds[model.classes[ours]] = max(best, args.threshold_floor)
    view = View(
        images=len(val.images),
        set_sha256=dataset.set_sha256([i.path for i in val.images]),
        fp32=evaluate.score(judged["fp32"], val.names),
        int8=evaluate.score(judged["int8"], val.names),
        int8_default=evaluate.score(judged["int8_default"], val.names),
    )
    return _Measured(view, thresholds)


def _bundle(
    args: argparse.Namespace,
    *,
    model: FloatModel,
    content: bytes,
    recipe: Recipe,
    chosen: Sequence[Path],
    measured: _Measured,
) -> None:
    from edge.detect.manifest import Calibration  # noqa: PLC0415
    from export import dataset, provenance  # noqa: PLC0415
    from export.bundle import make_manifest, write_bundle  # noqa: PLC0415
    from export.evaluate import MIN_BOXES_FOR_THRESHOLD  # noqa: PLC0415

    calibration = Calibration(
        method=recipe.method.value,
        images=len(chosen),
        set_sha256=dataset.set_sha256(chosen),
        settings=recipe.settings(),
    )
    rule = (
        f"the score with the best F1 (IoU 0.5) on the validation images, at least {args.threshold_floor}, for a class "
        f"with {MIN_BOXES_FOR_THRESHOLD} or more labelled boxes there; {max(args.threshold, args.threshold_floor)} otherwise"
    )
    try:
        manifest = make_manifest(
            model,
            content,
            name=args.name or args.weights.stem,
            version=args.version,
            created_utc=_now(),
            licence=args.licence,
            min_runtime=args.min_runtime,
            precision="int8",
            thresholds=measured.thresholds,
            threshold_rule=rule,
            nms_iou=args.nms_iou,
            metrics={"as_is": measured.view},
            calibration=calibration,
            provenance=provenance.describe(args.weights, args.data, dict(args.renamed)),
            tools=provenance.tools(),
        )
    except ValueError as error:
        raise ExportError(
            f"the manifest is not valid: {error}", hint="check --name, --version, --min-runtime"
        ) from error
    write_bundle(args.out, manifest, content)


def _report(out: Path, size: int, measured: _Measured) -> None:
    print(f"\n{out}: {size / 1e6:.2f} MB")
    print(f"{'':14}{'FP32':>16}{'INT8':>16}{'INT8 default':>16}   boxes   (AP50 / AP50-95)")
    view = measured.view
    columns = (view.fp32, view.int8, view.int8_default)
    print(f"{'mean':14}" + "".join(_pair(s.map50, s.map50_95) for s in columns))
    for name, row in view.fp32.classes.items():
        print(f"{name:14}" + "".join(_class_pair(s, name) for s in columns) + f"{row.boxes:8}")


def _class_pair(score: Score, name: str) -> str:
    return _pair(score.classes[name].ap50, score.classes[name].ap50_95)


def _pair(ap50: float, ap: float) -> str:
    return f"{f'{ap50:.3f} / {ap:.3f}':>16}"


def _side(text: str) -> int:
    value = int(text)
    if value % 32 or not 32 <= value <= 4096:
        raise argparse.ArgumentTypeError(f"{text}: a multiple of 32 from 32 to 4096 is needed")
    return value


def _unit(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text}: 0 to 1 is allowed")
    return value


def _renaming(text: str) -> tuple[str, str]:
    data, sign, model = text.partition("=")
    if not (data and sign and model):
        raise argparse.ArgumentTypeError(f"{text}: write DATA=MODEL, for example 'phone=cell phone'")
    return data, model


def _now() -> datetime:
    """The date of the bundle; ``SOURCE_DATE_EPOCH`` fixes it, so that a build can be repeated to the byte."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch) if epoch else int(time.time()), tz=timezone.utc)


def _say(text: str) -> None:
    print(f"export-model: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
