"""``train-behaviour``: recorded clips in, the bundle behind ``assault`` and ``machine_tampering`` out, with how good it is."""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from edge.behaviour.windows import WindowSpec
from edge.detect.onnx import OnnxDetector
from edge.errors import EX_OK, EX_SOFTWARE, KioskError
from export.behaviour.bundle import write_bundle
from export.behaviour.footage import Footage, footage, surveillance
from export.behaviour.learn import Outcome, Task, Weights, cross_validate, fit, sample
from export.behaviour.report import card, table
from export.behaviour.score import figures, threshold
from export.behaviour.truth import Clip, read_clips, read_fights, scenes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from export.behaviour.learn import Sample

_MOVES = ("jerk", "inner", "speed", "move", "change", "around_change", "reshape")
_TOGETHER = ("gap", "overlap", "other_inner", "other_move", "people", "stirred")
TASKS = (
    Task(
        "assault",
        WindowSpec(
            seconds=1.4,  # the clips to learn from have two seconds
            mean_s=0.4,
            features=tuple(f"{how}:{c}" for how in ("median", "q80", "spread") for c in (*_MOVES, *_TOGETHER)),
            max_move=99.0,
            max_edge=1.1,
            min_close=0.0,
            together=True,
        ),
    ),
    Task(
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
    ),
)
# Clips without the behaviour that may answer all the same, when the threshold is set.
_ALLOWED = {"assault": 1, "machine_tampering": 0}


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
    add(
        "--spoilt",
        action="store_true",
        help="also measure with the clips made worse, as by a cheap surveillance camera (learns from good ones)",
    )
    return parser


def _train(args: argparse.Namespace) -> None:
    detector = OnnxDetector(args.model, classes=["person"])
    machine, fights = read_clips(args.clips), read_fights(args.fights)
    seen = _seen([*machine, *fights], detector, args.cache)
    scene = scenes([*machine, *fights], seen)
    spoilt = _seen(machine, detector, args.cache, spoilt=True) if args.spoilt else {}
    learnt: dict[str, tuple[Task, Weights, float, dict[str, float | str]]] = {}
    outcomes: dict[str, list[Outcome]] = {}
    for task in TASKS:
        clips = [*machine, *fights] if task.name == "assault" else machine
        _say(f"{task.name}: windows of {len(clips)} clips")
        samples = [[sample(task, clip, seen[clip.path])] for clip in clips]
        found = outcomes[task.name] = cross_validate(task, samples, scene)
        limit = threshold(found, allowed=_ALLOWED[task.name])
        measured = figures(found, limit, sum(_seconds(seen[c.path]) for c in clips))
        if spoilt:
            measured |= _spoilt(task, samples, scene, spoilt, limit)
        learnt[task.name] = (task, fit([s for each in samples for s in each], scene), limit, measured)
        for line in table(task.name, found, limit, measured):
            print(line)
    manifest = write_bundle(
        args.out,
        learnt,
        version=args.version,
        persons=detector.model,
        provenance={"clips": _names(machine), "fights": _names(fights)},
    )
    (args.out / "README.md").write_text(card(manifest, outcomes), encoding="utf-8")
    _say(f"written: {args.out}")


def _seen(
    clips: Sequence[Clip], detector: OnnxDetector, cache: Path | None, *, spoilt: bool = False
) -> dict[Path, Footage]:
    seen = {}
    for number, clip in enumerate(clips, 1):
        spoil = surveillance(int(hashlib.sha256(clip.path.name.encode()).hexdigest()[:8], 16)) if spoilt else None
        seen[clip.path] = footage(clip.path, detector, cache / "spoilt" if cache and spoilt else cache, spoil=spoil)
        if number % 10 == 0 or number == len(clips):
            _say(f"{'spoilt ' if spoilt else ''}clips: {number} of {len(clips)}")
    return seen


def _spoilt(
    task: Task,
    samples: Sequence[Sequence[Sample]],
    scene: Mapping[Path, int],
    spoilt: Mapping[Path, Footage],
    limit: float,
) -> dict[str, float | str]:
    """The same cross-validation, learnt from the clips as they are, judged on the spoilt ones."""
    both = [
        [sample(task, each[0].clip, spoilt[each[0].clip.path]), *each] if each[0].clip.path in spoilt else list(each)
        for each in samples
    ]
    found = [o for o in cross_validate(task, both, scene, learn_from=1) if o.clip.path in spoilt]
    told = figures(found, limit, sum(_seconds(f) for f in spoilt.values()))
    return {f"spoilt_{key}": told[key] for key in ("clips_with", "clips_found", "false_alarms", "ranked_right")}


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
