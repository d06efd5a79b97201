"""``export-model``: trained weights in, a bundle out that says how good it is, or no bundle and the reason."""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import tempfile
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import __version__
from edge.errors import EX_IOERR, EX_OK, EX_SOFTWARE, KioskError
from export import arguments
from export.errors import ExportError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.detect.manifest import Manifest
    from edge.types import U8
    from export.measure import Choices, Measured
    from export.onnx_export import FloatModel

_LICENCE = "AGPL-3.0-or-later"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        if given[:1] == ["keygen"]:
            _keygen(given[1:])
        elif given[:1] == ["average"]:
            _average(given[1:])
        else:
            _export(_parser().parse_args(given))
    except KioskError as error:
        print(f"export-model: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # a full disk, of scratch files too, or one that may not be written
        print(f"export-model: {error.filename or 'the disk'}: {error.strerror or error}", file=sys.stderr)
        return EX_IOERR
    except KeyboardInterrupt:
        print("export-model: interrupted, nothing was written", file=sys.stderr)
        return EX_SOFTWARE
    return EX_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="export-model",
        description="Export trained weights as the INT8 bundle a kiosk runs: ONNX, quantised, measured, described.",
        epilog="export-model keygen FILE makes the key for --key; export-model average A.pt B.pt --out C.pt makes one model "
        "of two that were trained from one another.",
    )
    add = parser.add_argument
    add("weights", type=Path, metavar="WEIGHTS.pt", help="detection weights saved by ultralytics")
    add("--data", type=Path, required=True, metavar="data.yaml", help="YOLO data set: train calibrates, val evaluates")
    add("--out", type=Path, required=True, metavar="DIR", help="folder that becomes the bundle")
    add(
        "--height",
        type=arguments.side,
        default=256,
        help="input height, pixels, a multiple of 32 (default %(default)s)",
    )
    add("--width", type=arguments.side, default=416, help="input width, pixels, a multiple of 32 (default %(default)s)")
    add("--name", help="the model's name (default: the weights file's)")
    add("--version", default="1", help="the model's version (default %(default)s)")
    add("--licence", default=_LICENCE, help="licence of the weights (default %(default)s)")
    add("--remarks", type=Path, metavar="FILE.md", help="for the card: what the model is for, what it cannot do")
    add("--key", type=Path, metavar="FILE", help="private key that signs the bundle")
    add("--golden", type=Path, metavar="CLIP", help="clip or folder for golden/ (default: the demo's rendered clip)")
    add("--with-source", action="store_true", help="put the weights into the bundle too, as source.pt")
    add("--map", action="append", default=[], type=arguments.renaming, metavar="DATA=MODEL", dest="renamed",
        help="a class that the data set calls DATA and the model MODEL; may be repeated")  # fmt: skip
    add("--allow-empty", action="append", default=[], metavar="CLASS",
        help="a class that may have no box among the validation images; may be repeated")  # fmt: skip
    add("--calibration", choices=["least-error", "minmax", "percentile", "entropy"], default="least-error",
        help="how activation ranges are chosen (default %(default)s)")  # fmt: skip
    add("--calibration-images", type=int, metavar="N", help="default: 100, or all training images if there are fewer")
    add(
        "--percentile", type=arguments.points, default=99.999, help="for --calibration percentile (default %(default)s)"
    )
    add("--keep-float", action="append", default=[], metavar="PART",
        help="keep nodes in float whose name contains PART, besides the head's tail; may be repeated")  # fmt: skip
    add("--variant", action="append", default=[], choices=["fp32"],
        help="put this form of the model into the bundle too: a box measures which is faster there (kiosk-guard bench --choose)")  # fmt: skip
    add("--accept-loss", action="append", default=[], type=arguments.loss, metavar="CLASS=POINTS",
        help="let this class (or overall, or rest) lose so many points in the gate, on record; may be repeated")  # fmt: skip
    add("--views", choices=["all", "as_is"], default="all", help="ways of looking to evaluate (default %(default)s)")
    add("--precise", action="append", metavar="CLASS",
        help="a class whose threshold must give a precision of 0.90 (default: firearm, knife, tool, face_cover, helmet)")  # fmt: skip
    add("--nms-iou", type=arguments.unit, default=0.6, help="overlap that makes two boxes one (default %(default)s)")
    add(
        "--threshold", type=arguments.unit, default=0.35, help="for classes without enough labels (default %(default)s)"
    )
    add(
        "--threshold-floor",
        type=arguments.unit,
        default=0.25,
        help="lowest threshold of any class (default %(default)s)",
    )
    add("--threshold-share", type=arguments.unit, default=0.35,
        help="share of the validation images for the thresholds; the rest is the gate's (default %(default)s)")  # fmt: skip
    add("--min-runtime", default=__version__, help="oldest Kiosk Guard that may run it (default %(default)s)")
    add(
        "--threads",
        type=arguments.natural,
        default=0,
        help="threads for evaluation, 0: all cores up to 4 (default %(default)s)",
    )
    return parser


def _average(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="export-model average",
        description="The average of two models, weight by weight. Fine-tuning's result and what it began with lie close "
        "enough together for it, and their average is often better than either: measure it.",
    )
    parser.add_argument("first", type=Path, metavar="A.pt", help="for example what fine-tuning began with")
    parser.add_argument("second", type=Path, metavar="B.pt", help="for example what it ended with")
    parser.add_argument("--share", type=arguments.unit, default=0.5, help="B's share, 0..1 (default %(default)s)")
    parser.add_argument("--out", type=Path, required=True, metavar="C.pt")
    args = parser.parse_args(argv)
    from export.average import average  # noqa: PLC0415

    average(args.first, args.second, args.out, share=args.share)
    print(f"export-model: {args.out}: {1 - args.share:g} of {args.first.name}, {args.share:g} of {args.second.name}")


def _keygen(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="export-model keygen", description="Make a key pair that signs bundles.")
    parser.add_argument("file", type=Path, metavar="FILE", help="private key; the public one goes to FILE.pub")
    path = parser.parse_args(argv).file
    from export.signing import keygen  # noqa: PLC0415

    public = keygen(path)
    print(f"{path}: private key, keep it to yourself\n{public}: public key, for the boxes")


def _export(args: argparse.Namespace) -> None:
    # What is cheap to refuse is refused before torch is loaded or anything is computed.
    from export.bundle import check_statement, check_target  # noqa: PLC0415

    if not args.weights.is_file():
        raise MissingInputError(f"{args.weights}: no such file", hint="name the weights to export")
    kept = [args.data, args.remarks, args.key, args.golden, None if args.with_source else args.weights]
    check_target(args.out, inputs=[path for path in kept if path is not None])
    args.name = args.name or args.weights.stem
    check_statement(name=args.name, version=args.version, licence=args.licence, min_runtime=args.min_runtime)
    now = _now()
    remarks = _remarks(args.remarks)
    key = _key(args.key)
    _say("reading the data set")
    from export import calibrate, dataset, gate, golden, measure, preflight, quantize, sources  # noqa: PLC0415

    train, val = dataset.read_dataset(args.data, "train"), dataset.read_dataset(args.data, "val")
    index = sources.read_index(args.data)
    count = min(100, len(train.images)) if args.calibration_images is None else args.calibration_images
    chosen = calibrate.choose(train, count)
    pictures = _golden_pictures(args.golden)
    preflight.check_images(val)
    tensors = calibrate.tensors(chosen, height=args.height, width=args.width)
    from export import onnx_export  # noqa: PLC0415

    _say("exporting the float graph")
    model = onnx_export.export_float(args.weights, height=args.height, width=args.width)
    unknown = sorted(set(args.precise or ()) - set(model.classes))
    if unknown:
        raise ExportError(
            f"--precise {unknown[0]}: the model has no such class", hint=f"it has: {', '.join(model.classes)}"
        )
    pairs = dataset.match_classes(model.classes, val.names, dict(args.renamed))
    preflight.check_boxes(val, wanted=[val.names[i] for i in pairs.values()], allowed_empty=args.allow_empty)
    held = dataset.subset(val, sources.divide(val, index, share=args.threshold_share)[1]).count()
    gate.check_accepted(dict(args.accept_loss), gate.groups(list(held.values()), val.names, pairs.values()))
    recipe = quantize.Recipe(quantize.Method(args.calibration), args.percentile, tuple(args.keep_float))
    _say(f"quantising on {len(tensors)} images, {recipe.method.value}")
    content = quantize.quantize(model, tensors, recipe)
    _say(f"evaluating on {len(val.images)} images")
    choices = _choices(args)
    measured = measure.Measurer(
        model, content, val, pairs, index=index, choices=choices, created_utc=now, say=_say
    ).measure()
    _say("writing the bundle")
    fields: dict[str, Any] = {
        "calibration": {
            "method": recipe.method.value,
            "images": len(chosen),
            "set_sha256": dataset.set_sha256(chosen),
            "settings": recipe.settings(),
        },
        "created_utc": now,
    }
    manifest, files = _describe(
        args, model, content, measured=measured, choices=choices, fields=fields, pictures=pictures, remarks=remarks
    )
    from export.bundle import write_bundle  # noqa: PLC0415
    from export.report import report  # noqa: PLC0415

    if key is not None:
        from edge.models.signature import SIGNATURE_NAME  # noqa: PLC0415
        from export.signing import sign  # noqa: PLC0415

        files[SIGNATURE_NAME] = sign(manifest.to_json().encode(), key)
    write_bundle(args.out, manifest, content, files)
    if not pictures:
        _say(f"no golden pictures: {golden.DEFAULT_FOOTAGE.name} is not here; name a clip with --golden")
    report(args.out, len(content), measured)


def _describe(
    args: argparse.Namespace,
    model: FloatModel,
    content: bytes,
    *,
    measured: Measured,
    choices: Choices,
    fields: dict[str, Any],
    pictures: tuple[U8, ...],
    remarks: str,
) -> tuple[Manifest, dict[str, bytes]]:
    """The manifest, and every other file that it vouches for."""
    from edge.detect.manifest import VARIANTS_NAME  # noqa: PLC0415
    from edge.detect.onnx import OnnxDetector  # noqa: PLC0415
    from export import card, golden, plots, provenance, tap, thresholds  # noqa: PLC0415
    from export.bundle import make_manifest, write_bundle  # noqa: PLC0415
    from export.views import THRESHOLD_VIEWS  # noqa: PLC0415

    found = measured.thresholds
    told = {**provenance.describe(args.weights, args.data, dict(args.renamed)), **provenance.training(args.weights)}

    def manifest(files: dict[str, bytes]) -> Manifest:
        try:
            return make_manifest(
                model,
                content,
                name=args.name,
                version=args.version,
                licence=args.licence,
                min_runtime=args.min_runtime,
                precision="int8",
                thresholds=found.values,
                threshold_rule=thresholds.rule(
                    choices.precise,
                    views=len(THRESHOLD_VIEWS),
                    floor=choices.threshold_floor,
                    default=choices.threshold,
                ),
                nms_iou=args.nms_iou,
                features=tap.features_of(content, model.map_sha256),
                low_precision=found.low_precision,
                metrics=measured.views,
                threshold_set=measured.threshold_set,
                gate=measured.gate,
                files={name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())},
                provenance=told,
                tools=provenance.tools(),
                **fields,
            )
        except ValueError as error:
            raise ExportError(
                f"the manifest is not valid: {error}", hint="check --name, --version, --min-runtime"
            ) from error

    bare = manifest({})
    files: dict[str, bytes] = {}
    if pictures:
        with tempfile.TemporaryDirectory(prefix="export-model-") as scratch:
            write_bundle(Path(scratch) / "bundle", bare, content)
            files |= golden.golden_files(pictures, OnnxDetector(Path(scratch) / "bundle", threads=args.threads))
    text = card.card(bare, curves=measured.curves, sources=measured.sources, remarks=remarks)
    files[card.CARD_NAME] = text.encode()
    files[card.CURVES_NAME] = plots.precision_recall(measured.curves)
    files[card.CONFUSION_NAME] = plots.confusion_matrix(measured.confusion, measured.confused)
    if "fp32" in args.variant:
        files[f"{VARIANTS_NAME}/fp32.onnx"] = tap.with_features(model.graph).SerializeToString(deterministic=True)
    if args.with_source:
        files["source.pt"] = args.weights.read_bytes()
    return manifest(files), files


def _choices(args: argparse.Namespace) -> Choices:
    from export.measure import Choices  # noqa: PLC0415
    from export.thresholds import PRECISE  # noqa: PLC0415
    from export.views import ALL_VIEWS  # noqa: PLC0415

    return Choices(
        views=ALL_VIEWS if args.views == "all" else (),
        precise=tuple(args.precise or PRECISE),
        threshold=args.threshold,
        threshold_floor=args.threshold_floor,
        threshold_share=args.threshold_share,
        accepted=dict(args.accept_loss),
        nms_iou=args.nms_iou,
        threads=args.threads,
    )


def _remarks(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise MissingInputError(f"{path}: cannot be read: {error}", hint="Markdown in UTF-8 is needed") from None


def _key(path: Path | None) -> Any:
    from export.signing import read_key  # noqa: PLC0415

    return None if path is None else read_key(path)


def _golden_pictures(source: Path | None) -> tuple[U8, ...]:
    from export.golden import DEFAULT_FOOTAGE, read_pictures  # noqa: PLC0415

    if source is None and not DEFAULT_FOOTAGE.is_file():
        return ()
    return read_pictures(source or DEFAULT_FOOTAGE)


def _now() -> datetime:
    """The date of the bundle; ``SOURCE_DATE_EPOCH`` fixes it, so that a build can be repeated to the byte."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    try:
        return datetime.fromtimestamp(int(epoch) if epoch else int(time.time()), tz=timezone.utc)
    except (ValueError, OverflowError, OSError):
        raise ExportError(f"SOURCE_DATE_EPOCH={epoch}: no date", hint="seconds since 1970, or leave it unset") from None


def _say(text: str) -> None:
    print(f"export-model: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
