"""``evaluate-events``: replay a folder of clips and score the incidents against ``events.json``."""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge.errors import EX_OK, EX_SOFTWARE, KioskError
from export.errors import DatasetError, ExportError, MissingInputError
from export.events.score import Clip, ClipScore, Event, Opened, scene_of, score_clip, total

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_RULES = Path(__file__).with_name("rules.toml")
_LENGTH = re.compile(r"([0-9.]+) s of video")
_DROP = re.compile(r"^\[rules\b")


@dataclass(frozen=True, slots=True)
class Truth:
    """One clip of ``events.json``."""

    path: Path
    scene: str
    events: tuple[Event, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    args = _parser().parse_args(argv)
    try:
        if args.json and not args.json.parent.is_dir():
            raise MissingInputError(f"{args.json}: the folder {args.json.parent} does not exist", hint="make it first")
        if args.json and args.json.is_dir():
            raise MissingInputError(f"{args.json}: is a folder", hint="name a file in it")
        report = evaluate(
            args.folder,
            config=args.config,
            configs=args.configs,
            rules=args.rules,
            model=args.model,
            jobs=args.jobs,
            only=args.only,
            say=lambda text: print(text, file=sys.stderr, flush=True),
        )
        if args.json:
            args.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    except KioskError as error:
        print(f"evaluate-events: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("evaluate-events: interrupted", file=sys.stderr)
        return EX_SOFTWARE
    for line in table(report):
        print(line)
    return EX_OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="evaluate-events",
        description="Replay every clip of FOLDER/events.json and score the incidents in time, beside a trivial baseline.",
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="clips, and events.json that says what happens in them")
    add(
        "--config",
        type=Path,
        metavar="FILE",
        help="the product's configuration (default: its built-in values, no zones)",
    )
    add("--configs", type=Path, metavar="DIR", help="DIR/CLIP.toml: a clip's own configuration (zones); reported apart")
    add("--model", type=Path, metavar="BUNDLE", help="the model bundle, whatever the configurations name")
    add("--rules", type=Path, default=_RULES, metavar="FILE", help="which rules answer which label (default: shipped)")
    add("--json", type=Path, metavar="FILE", help="also write the whole report here")
    add("--jobs", type=int, default=1, metavar="N", help="replays at a time (default %(default)s)")
    add("--only", default="", metavar="TEXT", help="only clips with TEXT in their name")
    return parser


def evaluate(
    folder: Path,
    *,
    config: Path | None = None,
    configs: Path | None = None,
    rules: Path = _RULES,
    model: Path | None = None,
    jobs: int = 1,
    only: str = "",
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Replay and score; the report is ready for JSON.

    :raises ExportError: a file is missing or malformed, or a replay fails.
    """
    answers = _toml(rules)
    fits = {str(k): tuple(map(str, v)) for k, v in answers.get("fits", {}).items()}
    truths = [t for t in read_truth(folder / "events.json") if only in t.path.name]
    if not truths:
        wanted = f" with {only!r} in its name" if only else ""
        raise MissingInputError(f"{folder / 'events.json'} names no clip{wanted}: there is nothing to replay")
    unknown = sorted({e.what for t in truths for e in t.events} - set(fits))
    if unknown:
        raise DatasetError(
            f"{rules}: no rules are named for {', '.join(map(repr, unknown))}", hint="add a line to its [fits]"
        )
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(max(1, jobs)) as pool:

        def made(text: str, beside: Path | None) -> Path:
            """In the configuration's own folder: the relative paths in it must go on to hold."""
            place = beside.parent if beside else None
            file = stack.enter_context(
                tempfile.NamedTemporaryFile("w", prefix=".evaluate-", suffix=".toml", dir=place, encoding="utf-8")
            )
            file.write(text)
            file.flush()
            return Path(file.name)

        trivial = made(with_model(_baseline(config, answers.get("baseline", {})), model), config)

        def run(which: Mapping[Path, Path | None], label: str) -> list[Clip]:
            wanted = [t for t in truths if t.path in which]
            return list(pool.map(lambda t: _replayed(t, which[t.path], label, say), wanted))

        chosen = made(with_model(_text_of(config), model), config) if model else config
        product = run({t.path: chosen for t in truths}, "product")
        baseline = run({t.path: trivial for t in truths}, "baseline")
        own = {t.path: configs / f"{t.path.stem}.toml" for t in truths} if configs else {}
        own = {clip: file for clip, file in own.items() if file.is_file()}
        if model:
            own = {clip: made(with_model(_text_of(file), model), file) for clip, file in own.items()}
        zoned = run(own, "own zones")
    report = {
        "product": _section([score_clip(c, fits) for c in product]),
        "baseline": _section([score_clip(c, None) for c in baseline]),
    }
    if zoned:
        report["own_zones"] = _section([score_clip(c, fits) for c in zoned])
    return report


def read_truth(path: Path) -> list[Truth]:
    """What happens in which clip.

    :raises MissingInputError: the file, or a clip that it names, is not there.
    :raises DatasetError: it is not what it should be.
    """
    try:
        clips = json.loads(path.read_text(encoding="utf-8"))["clips"]
        truths = [
            Truth(
                path.parent / str(c["file"]),
                str(c.get("scene") or scene_of(Path(c["file"]).stem)),
                tuple(_event(e) for e in c["events"]),
            )
            for c in clips
        ]
    except FileNotFoundError:
        raise MissingInputError(f"{path} does not exist", hint="the folder needs an events.json") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path} cannot be used: {type(error).__name__}: {error}",
            hint='expected: {"clips": [{"file": ..., "events": [{"what": ..., "start_s": ..., "end_s": ...}]}]}',
        ) from error
    missing = [str(t.path) for t in truths if not t.path.is_file()]
    if missing:
        raise MissingInputError(f"{path} names clips that are not there: {', '.join(missing)}")
    return truths


def _event(told: Mapping[str, Any]) -> Event:
    event = Event(str(told["what"]), float(told["start_s"]), float(told["end_s"]))
    if not 0 <= event.start_s <= event.end_s < math.inf:
        raise ValueError(f"an event from {event.start_s:g} to {event.end_s:g} s; allowed: 0 <= start_s <= end_s")
    return event


def table(report: Mapping[str, Any]) -> list[str]:
    """The report for people, as Markdown."""
    product, baseline = report["product"], report["baseline"]
    lines = [
        "| clip | events found | delay s | false | opened | baseline found / false |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    other = {c["clip"]: c for c in baseline["clips"]}
    for clip in product["clips"]:
        found = [e for e in clip["events"] if e["rule"]]
        trivial = other[clip["clip"]]
        lines.append(
            f"| {clip['clip']} | {_share(len(found), len(clip['events']))} "
            f"| {', '.join(format(e['delay_s'], '.1f') for e in found)} | {len(clip['false'])} "
            f"| {', '.join(f'{rule} {t:.1f}' for rule, t in clip['opened'])} "
            f"| {_share(sum(bool(e['rule']) for e in trivial['events']), len(trivial['events']))} / {len(trivial['false'])} |"
        )
    lines += ["", "| | product | any person for 2 s |" + (" own zones |" if "own_zones" in report else "")]
    lines.append("| --- |" + " --- |" * len(report))
    sections = [s["total"] for s in (product, baseline, report.get("own_zones")) if s]
    for name, tell in _TOTALS:
        lines.append(f"| {name} | " + " | ".join(tell(t) for t in sections) + " |")
    lines += ["", "| rule | opened | fits | beside | false |", "| --- | --- | --- | --- | --- |"]
    lines += [
        f"| {r} | {v['opened']} | {v['fits']} | {v['beside']} | {v['false']} |" for r, v in product["rules"].items()
    ]
    return lines


_TOTALS: tuple[tuple[str, Callable[[Mapping[str, Any]], str]], ...] = (
    ("clips with events that raise a fitting incident", lambda t: f"{t['clips_hit']} of {t['clips_with_events']}"),
    (
        "scenes found (95 % interval)",
        lambda t: f"{t['scenes_hit']} of {t['scenes']} ({t['recall_low']:.2f} to {t['recall_high']:.2f})",
    ),
    ("events found", lambda t: f"{t['events_found']} of {t['events']}"),
    ("delay p50 / p95, s", lambda t: f"{_number(t['delay_p50_s'])} / {_number(t['delay_p95_s'])}"),
    ("false alarms (one a scene and rule)", lambda t: f"{t['false_alarms']} ({t['false_alarms_by_scene']})"),
    (
        "hours; false alarms an hour, 95 % upper bound",
        lambda t: f"{t['hours']:.3f}; {t['false_per_hour_high']:.0f}",
    ),
    ("normal clips silent", lambda t: f"{t['normal_clips_silent']} of {t['normal_clips']}"),
)


def _share(found: int, of: int) -> str:
    return f"{found} of {of}" if of else ""


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.1f}"


def _section(scores: Sequence[ClipScore]) -> dict[str, Any]:
    whole = {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in asdict(total(scores)).items()}
    names = sorted({o.rule for s in scores for o in s.clip.opened})
    rules = {
        name: {
            "opened": sum(o.rule == name for s in scores for o in s.clip.opened),
            "beside": sum(o.rule == name for s in scores for o in s.beside),
            "false": sum(o.rule == name for s in scores for o in s.false),
        }
        for name in names
    }
    for counts in rules.values():
        counts["fits"] = counts["opened"] - counts["beside"] - counts["false"]
    clips = [
        {
            "clip": s.clip.name,
            "scene": s.clip.scene,
            "length_s": s.clip.length_s,
            "events": [{**asdict(f.event), "rule": f.rule, "delay_s": f.delay_s} for f in s.found],
            "opened": [(o.rule, o.t_s) for o in s.clip.opened],
            "beside": [(o.rule, o.t_s) for o in s.beside],
            "false": [(o.rule, o.t_s) for o in s.false],
        }
        for s in scores
    ]
    return {"total": whole, "rules": rules, "clips": clips}


def _replayed(truth: Truth, config: Path | None, label: str, say: Callable[[str], None]) -> Clip:
    command = [sys.executable, "-m", "edge.cli", "replay", str(truth.path), "--json"]
    command += ["--config", str(config)] if config else []
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    length = _LENGTH.search(done.stderr)
    if done.returncode or not length:
        raise ExportError(
            f"{label}: the replay of {truth.path.name} failed ({done.returncode}): {done.stderr.strip()[-500:]}",
            hint=f"try it alone: {' '.join(command)}",
        )
    changes = [json.loads(line) for line in done.stdout.splitlines()]
    opened = tuple(
        Opened(str(c["rule"]), float(c["opened_s"]), str(c["severity"])) for c in changes if c["change"] == "opened"
    )
    say(f"{label}: {truth.path.name}: {len(opened)} opened")
    return Clip(truth.path.name, truth.scene, float(length[1]), truth.events, opened)


def with_model(text: str, model: Path | None) -> str:
    """A configuration that uses this bundle, whatever it named before; None: as it was."""
    if model is None:
        return text
    kept, inside = [], False
    for line in text.splitlines():
        if line.lstrip().startswith("["):
            inside = line.strip().split("#")[0].strip() == "[model]"
        if not inside:
            kept.append(line)
    return "\n".join([*kept, "[model]", f"path = {json.dumps(str(model.absolute()))}"]) + "\n"


def _text_of(config: Path | None) -> str:
    """:raises MissingInputError: it cannot be read."""
    if config is None:
        return '[[cameras]]\nname = "replay"\nsource = "file:replayed"\n'
    try:
        return config.read_text(encoding="utf-8")
    except OSError as error:
        raise MissingInputError(f"{config} cannot be read: {error.strerror}") from error


def _baseline(config: Path | None, baseline: Mapping[str, Any]) -> str:
    """The same configuration with all rules but the trivial one switched off."""
    kept: list[str] = []
    keep = True
    for line in _text_of(config).splitlines():
        if line.lstrip().startswith("["):
            keep = not _DROP.match(line.strip())
        if keep:
            kept.append(line)
    for rule, keys in baseline.get("rules", {}).items():
        kept += [f"[rules.{rule}]", *(f"{key} = {value}" for key, value in keys.items())]
    for rule in baseline.get("off", ()):
        kept += [f"[rules.{rule}]", "enabled = false"]
    return "\n".join(kept) + "\n"


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingInputError(f"{path} does not exist") from None
    except (OSError, ValueError) as error:
        raise DatasetError(f"{path} is not valid TOML: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
