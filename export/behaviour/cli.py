"""``train-behaviour``: recorded clips in, the bundle behind ``assault`` and ``machine_tampering`` out, with how good it is."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge.behaviour.looks import LookSpec
from edge.behaviour.windows import WindowSpec
from edge.detect.onnx import OnnxDetector
from edge.errors import EX_OK, EX_SOFTWARE, KioskError
from export.behaviour.bundle import write_bundle
from export.behaviour.footage import Footage, footage, mirror, surveillance
from export.behaviour.learn import Outcome, Task, Weights, cross_validate, fit, sample
from export.behaviour.report import card, table
from export.behaviour.score import by_round, figures, middle, threshold
from export.behaviour.truth import Clip, read_clips, read_fights, scenes
from export.errors import ExportError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from export.behaviour.footage import Change

_TAMPERING = Task(
    "machine_tampering",
    WindowSpec(
        seconds=4.0,
        mean_s=2.0,
        # How rough the movement is, and no more. The boxes' own changes would find one clip more of these, but they
        # are also a detector's unsteadiness on small, soft pictures: that model took a rendered queue for tampering.
        features=("median:jerk", "q80:jerk"),
        max_move=0.6,
        max_edge=0.3,
        min_close=0.0,
    ),
)
# Besides the clips as they are: left for right, and made worse as by a cheap camera, each clip in its own way. A noisy
# picture moves all over: learnt from good ones alone, normal use on a bad camera looks like a fight.
_OTHERS = ("mirrored", "rough 1", "rough 2")
# Clips without the behaviour that may answer all the same, when the threshold is set: of machines, and of anything
# else. What the box will look at is machines; in the others the camera often shows what is left of a fight.
_ALLOWED = {"assault": (0, 5), "machine_tampering": (0, 0)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = _parser().parse_args(argv)
    try:
        _train(args)
    except KioskError as error:
        print(f"train-behaviour: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("train-behaviour: interrupted, nothing was written", file=sys.stderr)
        return EX_SOFTWARE
    return EX_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="train-behaviour",
        description="Learn from clips how people move who fight, or tamper with a machine; measure it by scenes left out.",
    )
    add = parser.add_argument
    add("--clips", type=Path, required=True, metavar="DIR", help="clips of machines, with events.json")
    add("--fights", type=Path, required=True, metavar="DIR", help="short clips in fight/ and noFight/")
    add("--model", type=Path, required=True, metavar="BUNDLE", help="the detector that finds persons, as kiosks run it")
    add("--out", type=Path, required=True, metavar="DIR", help="folder that becomes the bundle")
    add("--cache", type=Path, metavar="DIR", help="keep here what was taken from the clips: the next run is quicker")
    add("--version", default="1", help="the bundle's version (default %(default)s)")
    return parser


def _train(args: argparse.Namespace) -> None:
    if args.out.exists() and not args.out.is_dir():  # what is cheap to refuse is refused before hours are spent
        raise ExportError(f"{args.out}: is a file", hint="--out names the folder that becomes the bundle")
    detector = OnnxDetector(args.model, classes=["person"], features=True)
    tasks = _tasks(args.model, detector)
    machine, fights = read_clips(args.clips), read_fights(args.fights)
    every = [*machine, *fights]
    seen = _seen(every, detector, args.cache)
    other = {version: _seen(every, detector, args.cache, version=version) for version in _OTHERS}
    scene = scenes(every, seen)
    spoilt = _seen(machine, detector, args.cache, version="spoilt")
    learnt: dict[str, tuple[Task, Weights, float, dict[str, float | str]]] = {}
    outcomes: dict[str, list[Outcome]] = {}
    for task in tasks:
        clips = every if task.name == "assault" else machine
        _say(f"{task.name}: windows of {len(clips)} clips")
        judged = [sample(task, clip, seen[clip.path]) for clip in clips]
        known = [*judged, *(sample(task, clip, other[v][clip.path]) for v in task.versions for clip in clips)]
        rounds = cross_validate(task, judged, known, scene)
        found = outcomes[task.name] = middle(rounds)
        ours, apart = ([o for o in found if bool(o.clip.whole) == whole] for whole in (False, True))
        allowed, elsewhere = _ALLOWED[task.name]
        limit = threshold(ours, allowed=allowed, apart=apart, allowed_apart=elsewhere)
        measured = figures(found, limit, sum(_seconds(seen[c.path]) for c in clips))
        measured["allowed"] = f"{allowed} of machines, {elsewhere} others"
        measured["false_alarms_at_machines"] = sum(o.silent >= limit for o in ours)
        measured |= by_round(rounds, limit)
        worse = [sample(task, clip, spoilt[clip.path]) for clip in machine]
        told = figures(
            middle(cross_validate(task, worse, known, scene)), limit, sum(_seconds(f) for f in spoilt.values())
        )
        measured |= {f"spoilt_{k}": told[k] for k in ("clips_with", "clips_found", "false_alarms", "ranked_right")}
        learnt[task.name] = (task, fit(task, known, scene), limit, measured)
        for line in table(task.name, found, limit, measured):
            print(line)
    manifest = write_bundle(
        args.out,
        learnt,
        version=args.version,
        persons=detector.model,
        map_sha256=_map_sha256(detector),
        provenance={"clips": _names(machine), "fights": _names(fights)},
    )
    (args.out / "README.md").write_text(card(manifest, outcomes), encoding="utf-8")
    _say(f"written: {args.out}")


def _tasks(bundle: Path, detector: OnnxDetector) -> tuple[Task, ...]:
    """What is to be learnt. :raises ExportError: the detector gives no map."""
    features = detector.manifest.outputs.features
    if features is None:
        raise ExportError(
            f"{bundle}: the model {detector.model} gives no features", hint="export it again with this export-model"
        )
    # The clips to learn from have two seconds.
    spec = LookSpec(
        seconds=1.4, mean_s=0.4, model=detector.model, map_name=detector.map_name, channels=features.shape[1]
    )
    return Task("assault", spec, strength=0.003, versions=_OTHERS), _TAMPERING


def _map_sha256(detector: OnnxDetector) -> str | None:
    features = detector.manifest.outputs.features
    return features.network_sha256 if features else None


def _seen(
    clips: Sequence[Clip], detector: OnnxDetector, cache: Path | None, *, version: str = ""
) -> dict[Path, Footage]:
    """Every clip's footage. ``version``: "spoilt" or one of ``_OTHERS``; empty: as it is."""
    seen = {}
    for number, clip in enumerate(clips, 1):
        change = _change(clip, version)
        seen[clip.path] = footage(clip.path, detector, cache / version if cache else None, change=change)
        if number % 10 == 0 or number == len(clips):
            _say(f"{version} clips: {number} of {len(clips)}".strip())
    return seen


def _change(clip: Clip, version: str) -> Change | None:
    """What is done to the clip's pictures."""
    if version in ("", "mirrored"):
        return mirror if version else None
    spoil = surveillance(int(hashlib.sha256(f"{version} {clip.path.name}".encode()).hexdigest()[:8], 16))
    return spoil if version == "spoilt" else lambda image: spoil(mirror(image))


def _seconds(clip: Footage) -> float:
    return float(clip.t_s[-1]) if len(clip.t_s) else 0.0


def _names(clips: Sequence[Clip]) -> str:
    """How many, and a hash of their names and sizes: enough to know whether two bundles were learnt from the same."""
    text = "\n".join(f"{c.path.name} {c.path.stat().st_size}" for c in sorted(clips, key=lambda c: c.path.name))
    return f"{len(clips)} clips, sha256 of names and sizes {hashlib.sha256(text.encode()).hexdigest()}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
