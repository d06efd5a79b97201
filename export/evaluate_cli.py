"""``evaluate-model``: how good a bundle is on labelled pictures, through the kiosk's own path, and whether it may replace another."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import EX_IOERR, EX_OK, EX_SOFTWARE, KioskError
from export import arguments
from export.errors import ExportError, GateError, MissingInputError
from export.report import pair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge.detect.manifest import Manifest
    from edge.detect.measured import Score
    from export.dataset import Dataset
    from export.views import ViewSpec


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code: 1 if the bundle falls behind the baseline."""
    args = _parser().parse_args(argv)
    try:
        _evaluate(args)
    except KioskError as error:
        print(f"evaluate-model: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # a full disk, of scratch files too, or one that may not be written
        print(f"evaluate-model: {error.filename or 'the disk'}: {error.strerror or error}", file=sys.stderr)
        return EX_IOERR
    except KeyboardInterrupt:
        print("evaluate-model: interrupted", file=sys.stderr)
        return EX_SOFTWARE
    return EX_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evaluate-model",
        description="Average precision and recall of a bundle as a kiosk would run it, on eight views of the pictures.",
    )
    add = parser.add_argument
    add("bundle", type=Path, metavar="BUNDLE", help="folder with manifest.json")
    add("--data", type=Path, required=True, metavar="data.yaml", help="YOLO data set")
    add("--split", choices=["val", "train"], default="val", help="default %(default)s")
    add("--baseline", type=Path, metavar="BUNDLE", help="the installed model: a class that falls behind it fails")
    add("--tolerance", type=arguments.points, default=1.0, metavar="POINTS",
        help="AP50-95, mean of the views, that a class may fall behind (default %(default)s)")  # fmt: skip
    add("--weights", type=Path, metavar="SOURCE.pt",
        help="float weights of the bundle, to run FP32 beside it (default: source.pt in the bundle, else its manifest)")  # fmt: skip
    add("--map", action="append", default=[], type=arguments.renaming, metavar="DATA=MODEL", dest="renamed",
        help="a class that the data set calls DATA and the model MODEL; may be repeated")  # fmt: skip
    add("--views", choices=["all", "as_is"], default="all", help="default %(default)s")
    add("--closer-looks", action="store_true", help="look closer at every person found, as the kiosk does in turn")
    add("--json", type=Path, metavar="FILE", help="also write every figure as JSON")
    add("--threads", type=arguments.natural, default=0, help="0: all cores up to 4 (default %(default)s)")
    return parser


def _evaluate(args: argparse.Namespace) -> None:
    if args.json is not None and (args.json.is_dir() or not args.json.resolve().parent.is_dir()):
        raise MissingInputError(f"--json {args.json}: no file can be there", hint="name a file in a folder that exists")
    # The bundles first: a manifest that does not match its model is told before a picture is read.
    from edge.detect.onnx import OnnxDetector  # noqa: PLC0415
    from edge.models.golden import EXPECTED_NAME, verify_golden  # noqa: PLC0415
    from edge.models.signature import verify_files  # noqa: PLC0415

    detector = OnnxDetector(args.bundle, threads=args.threads)
    manifest = verify_files(args.bundle)
    if EXPECTED_NAME in manifest.files:
        proof = verify_golden(args.bundle, detector, thresholds=manifest.thresholds)
        print(
            f"golden pictures: {proof.pictures} as expected, {proof.boxes} boxes, scores within {proof.worst_score:.3f}"
        )
    baseline = OnnxDetector(args.baseline, threads=args.threads).manifest if args.baseline else None
    weights = args.weights or (args.bundle / "source.pt" if "source.pt" in manifest.files else None)
    if weights is not None and not weights.is_file():
        raise MissingInputError(f"{weights}: no such file", hint="name the weights that the bundle was made from")
    from export import dataset, preflight, sources  # noqa: PLC0415
    from export.views import ALL_VIEWS  # noqa: PLC0415

    data = dataset.read_dataset(args.data, args.split)
    renamed = dict(args.renamed)
    pairs = dataset.match_classes(manifest.classes, data.names, renamed)
    theirs = dataset.match_classes(baseline.classes, data.names, renamed) if baseline else {}
    preflight.check_images(data)
    index = sources.read_index(args.data)
    views = ALL_VIEWS if args.views == "all" else ALL_VIEWS[:1]
    told: dict[str, Any] = {"model": manifest.label, "data": str(args.data), "images": len(data.images), "views": {}}
    scores: dict[str, Score] = {}
    before: dict[str, Score] = {}
    floats = _floats(args, manifest, weights, data, pairs=pairs, views=views)
    print(f"{manifest.label}, {len(data.images)} images of {args.data}\n")
    for view in views:
        judged = _judge(args, args.bundle, data, pairs, view)
        scores[view.name] = judged["score"]
        if baseline:
            before[view.name] = _judge(args, args.baseline, data, theirs, view)["score"]
        row = _row(manifest, judged, data, pairs, index=index, view=view)
        row["fp32"] = _plain(floats.get(view.name))
        row["baseline"] = _plain(before.get(view.name))
        told["views"][view.name] = row
        _print(view.name, judged["score"], row, fp32=floats.get(view.name), before=before.get(view.name))
    faults = compare(scores, before, tolerance=args.tolerance) if baseline else []
    told["behind_baseline"] = faults
    if args.json:
        try:
            args.json.write_text(json.dumps(told, indent=2) + "\n")
        except OSError as error:
            raise ExportError(
                f"{args.json}: cannot be written: {error.strerror}", hint="the figures are above"
            ) from None
    if faults:
        raise GateError(
            "\n".join([f"{manifest.label} falls behind {baseline.label if baseline else ''}", *faults]),
            hint="do not install it; or say with --tolerance what may be lost",
        )


def compare(scores: Mapping[str, Score], before: Mapping[str, Score], *, tolerance: float) -> list[str]:
    """The classes that fall behind, in words: AP50-95, mean of the views, a class that is no longer known counts as 0.

    :param scores: the new model's, by view. ``before``: the installed one's. ``tolerance``: points.
    """
    faults = []
    for name in sorted({name for score in before.values() for name in score.classes}):
        old = _mean([s.classes[name].ap50_95 for s in before.values() if name in s.classes])
        new = _mean([s.classes[name].ap50_95 for s in scores.values() if name in s.classes])
        if round(100 * (old - new), 3) > tolerance:
            faults.append(f"{name}: {100 * (old - new):.1f} points of AP50-95 behind ({new:.3f}, was {old:.3f})")
    return faults


def _judge(
    args: argparse.Namespace, bundle: Path, data: Dataset, pairs: Mapping[int, int], view: ViewSpec
) -> dict[str, Any]:
    from export import evaluate  # noqa: PLC0415

    judged = evaluate.judge(bundle, data, pairs, threads=args.threads, view=view, closer=args.closer_looks)
    return {"judged": judged, "score": evaluate.score(judged, data.names)}


def _row(
    manifest: Manifest,
    judged: Mapping[str, Any],
    data: Dataset,
    pairs: Mapping[int, int],
    *,
    index: Mapping[str, Any],
    view: ViewSpec,
) -> dict[str, Any]:
    """One view's figures, ready for JSON."""
    from export import evaluate, matches, sources  # noqa: PLC0415

    operating = {theirs: manifest.thresholds[manifest.classes[ours]] for ours, theirs in pairs.items()}
    all_of = judged["judged"]
    by_source = {
        source: _plain(evaluate.score([all_of[i] for i in rows], data.names))
        for source, rows in sources.by_source(data, index).items()
    }
    return {
        "int8": _plain(judged["score"]),
        "recall_by_height": matches.recall_by_height(all_of, operating),
        "sources": by_source,
        "wide": view.wide,
    }


def _floats(
    args: argparse.Namespace,
    manifest: Manifest,
    weights: Path | None,
    data: Dataset,
    *,
    pairs: dict[int, int],
    views: Sequence[ViewSpec],
) -> dict[str, Score]:
    """FP32's figures: measured where the weights are at hand, else what the manifest says about the same pictures."""
    from export.dataset import set_sha256  # noqa: PLC0415

    if weights is None:
        here = set_sha256([i.path for i in data.images])
        return {name: view.fp32 for name, view in manifest.metrics.items() if view.set_sha256 == here}
    from export.bundle import make_manifest, write_bundle  # noqa: PLC0415
    from export.onnx_export import export_float  # noqa: PLC0415

    named = manifest.provenance.get("weights_sha256")
    if named and hashlib.sha256(weights.read_bytes()).hexdigest() != named:
        raise MissingInputError(
            f"{weights}: not the weights that {manifest.label} was made from", hint=f"those have the SHA-256 {named}"
        )
    model = export_float(weights, height=manifest.input.height, width=manifest.input.width)
    if model.classes != manifest.classes:
        raise MissingInputError(f"{weights}: other classes than the bundle's", hint="name the weights it was made from")
    content = model.graph.SerializeToString()
    with tempfile.TemporaryDirectory(prefix="evaluate-model-") as scratch:
        bundle = Path(scratch) / "fp32"
        twin = make_manifest(
            model,
            content,
            name="fp32",
            version="0",
            created_utc=manifest.created_utc,
            licence=manifest.licence,
            min_runtime="0",
            precision="fp32",
            thresholds=manifest.thresholds,
            threshold_rule="",
            nms_iou=manifest.nms.iou,
        )
        write_bundle(bundle, twin, content)
        return {view.name: _judge(args, bundle, data, pairs, view)["score"] for view in views}


def _print(view: str, score: Score, row: Mapping[str, Any], *, fp32: Score | None, before: Score | None) -> None:
    columns = {"INT8": score, "FP32": fp32, "baseline": before}
    shown = {name: s for name, s in columns.items() if s is not None}
    print(f"{view}  (AP50 / AP50-95)".ljust(40) + "".join(f"{name:>16}" for name in shown))
    print(f"  {'mean':38}" + "".join(pair(s.map50, s.map50_95) for s in shown.values()))
    for name, one in score.classes.items():
        cells = [s.classes.get(name) for s in shown.values()]
        label = f"{name} ({one.boxes})"
        print(f"  {label:38}" + "".join(pair(c.ap50, c.ap50_95) if c else f"{'-':>16}" for c in cells))
    heights = row["recall_by_height"].items()
    print("  recall by height: " + "; ".join(f"{k} {got}/{of}" for k, (of, got) in heights if of))
    for source, one in row["sources"].items():
        print(f"  {'source ' + source:38}{pair(one['map50'], one['map50_95'])}")
    print()


def _plain(score: Score | None) -> dict[str, Any] | None:
    return None if score is None else score.model_dump(mode="json")


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


if __name__ == "__main__":
    sys.exit(main())
