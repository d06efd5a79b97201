"""``train-model``: fine-tune YOLOv8 on labelled pictures, with what a kiosk's camera does to them."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import EX_IOERR, EX_OK, EX_SOFTWARE, KioskError
from export import arguments
from export.errors import ExportError, MissingInputError
from export.recipe import DEFAULT_RECIPE, Recipe, read_recipe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.dataset import Dataset


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = _parser().parse_args(argv)
    try:
        _train(args)
    except KioskError as error:
        print(f"train-model: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:  # a full disk, of scratch files too, or one that may not be written
        print(f"train-model: {error.filename or 'the disk'}: {error.strerror or error}", file=sys.stderr)
        return EX_IOERR
    except KeyboardInterrupt:
        print("train-model: interrupted; the same command goes on from the last whole epoch", file=sys.stderr)
        return EX_SOFTWARE
    return EX_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train-model",
        description="Fine-tune YOLOv8 through ultralytics. After a kill, the same command goes on where it was.",
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="data.yaml", help="YOLO data set: train and val")
    add("--weights", type=Path, required=True, metavar="WEIGHTS.pt", help="where to start, for example yolov8n.pt")
    add("--out", type=Path, default=Path("runs/kiosk"), metavar="DIR", help="folder of this run (default %(default)s)")
    add("--recipe", type=Path, default=DEFAULT_RECIPE, metavar="FILE", help="augmentation (default: the kiosk's)")
    add("--imgsz", type=arguments.side, default=416, help="side of the square picture, pixels (default %(default)s)")
    add("--epochs", type=arguments.positive, default=100, help="default %(default)s")
    add(
        "--time",
        type=float,
        default=None,
        metavar="HOURS",
        help="train so long instead of so many epochs, all starts together",
    )
    add("--batch", type=arguments.positive, default=32, help="pictures per step (default %(default)s)")
    add("--device", default="cpu", help="cpu, or the number of a CUDA device (default %(default)s)")
    add("--workers", type=arguments.natural, default=None,
        help="processes that load pictures (default: 4 for a CUDA device, none on the processor; with two cores or more, "
        "OMP_NUM_THREADS=1 and one of them is the quickest)")  # fmt: skip
    add("--precision", choices=("fp32", "bf16", "fp16"), default="fp32",
        help="bf16: nearly twice as fast on processors that have it (AVX-512 BF16, AMX) and on CUDA; fp16: CUDA, "
        "ultralytics fetches a file of its own to check that first (default %(default)s)")  # fmt: skip
    add("--keep-map", action="store_true",
        help="train only what comes after the map that behaviours are learnt from, so that they go on knowing it: the result "
        "updates a detector without train-behaviour, and an epoch takes a third less time")  # fmt: skip
    add("--cache", action="store_true", help="keep the decoded pictures in memory")
    add("--seed", type=int, default=0, help="default %(default)s")
    add(
        "--allow-empty",
        action="append",
        default=[],
        metavar="CLASS",
        help="a class that may have no box; may be repeated",
    )
    add("--leave-out", action="append", default=[], metavar="PATTERN",
        help="train without images of such names, for example of a source with an unclear licence; may be repeated")  # fmt: skip
    add(
        "--fill-persons",
        type=Path,
        metavar="COCO.pt",
        help="first label the persons that these weights find and nobody labelled",
    )
    add("--fill-only", default="*", metavar="PATTERN", help="only in training images with such names (default: all)")
    add("--fill-conf", type=arguments.unit, default=0.4, help="lowest score of a person to add (default %(default)s)")
    return parser


def _train(args: argparse.Namespace) -> None:
    args.out = args.out.resolve()  # ultralytics puts what is relative below folders of its own
    # Everything that can be refused is refused before torch is loaded.
    recipe = read_recipe(args.recipe)
    if not args.weights.is_file():
        raise MissingInputError(f"{args.weights}: no such file", hint="name the weights to start from")
    if args.fill_persons is not None and not args.fill_persons.is_file():
        raise MissingInputError(f"{args.fill_persons}: no such file", hint="name COCO weights, for example yolov8n.pt")
    if args.time is not None and not 0 < args.time < 10_000:
        raise ExportError(f"--time {args.time}", hint="hours, more than 0")
    _say("checking every picture and every label")
    from export.preflight import read_for_training  # noqa: PLC0415

    train, val = read_for_training(args.data, allowed_empty=args.allow_empty, leave_out=args.leave_out)
    _say(f"{len(train.images)} training and {len(val.images)} validation images, {', '.join(train.names)}")
    from export import training  # noqa: PLC0415
    from export.weights import load_weights  # noqa: PLC0415

    _check_device(args.device)
    for weights in filter(None, (args.weights, args.fill_persons)):
        load_weights(weights, to_be="trained")
    settings = _settings(args, recipe)
    run = training.Run(
        folder=args.out, weights=args.weights, data_yaml=args.out / "data.yaml", recipe=recipe, settings=settings
    )
    if run.finished:
        _say(f"this run is finished: {args.out / training.SOURCE_NAME}")
        return
    if run.epochs_done:
        _say(f"going on after {run.epochs_done} epochs")
    pictures = _fill(args, train) if args.fill_persons else training.write_list(args.out / "train.txt", train)
    training.write_data_yaml(
        args.out / "data.yaml", names=train.names, train=pictures, val=training.write_list(args.out / "val.txt", val)
    )
    source = run.train(
        device=args.device,
        batch=args.batch,
        workers=args.workers if args.workers is not None else 4 * (args.device != "cpu"),
        precision=args.precision,
        cache=args.cache,
        keep_map=args.keep_map,
    )
    _say(f"done: {source}, {source.stat().st_size / 1e6:.2f} MB; the curve is in {args.out / 'run' / 'results.csv'}")


def _settings(args: argparse.Namespace, recipe: Recipe) -> dict[str, Any]:
    """What the result depends on, by name and hash; the device and the batch may change on the way."""
    fill = args.fill_persons
    return {
        "weights": args.weights.name,
        "weights_sha256": hashlib.sha256(args.weights.read_bytes()).hexdigest(),
        "data": args.data.resolve().parent.name,
        "data_yaml_sha256": hashlib.sha256(args.data.read_bytes()).hexdigest(),
        "recipe": args.recipe.name,
        "recipe_sha256": recipe.sha256(),
        "imgsz": args.imgsz,
        "epochs": args.epochs,
        "precision": args.precision,
        "hours": args.time,
        "seed": args.seed,
        "left_out": " ".join(sorted(args.leave_out)),
        "filled_persons": f"{fill.name} {args.fill_only} {args.fill_conf}" if fill else "",
    } | ({"kept_map": "yes"} if args.keep_map else {})


def _fill(args: argparse.Namespace, train: Dataset) -> Path:
    from export.fill_persons import fill_persons  # noqa: PLC0415

    out: Path = args.out / "filled"
    done = out / "complete.txt"
    if not done.is_file():
        _say("labelling missing persons")
        filled = fill_persons(
            train, args.fill_persons, out, conf=args.fill_conf, only=args.fill_only, device=args.device
        )
        done.write_text(f"{filled.persons} persons added in {filled.changed} of {filled.images} images\n")
    _say(done.read_text().strip())
    return out / "images" / "train"


def _check_device(device: str) -> None:
    import torch  # noqa: PLC0415

    if device == "cpu":
        return
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if not device.isdigit() or int(device) >= count:
        raise ExportError(f"--device {device}: no such device", hint=f"cpu, or one of {count} CUDA devices")


def _say(text: str) -> None:
    print(f"train-model: {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
