"""``score-suite``: replay rendered clips with the zones and thresholds of their truth, and compare every incident.

An incident of the truth is met when the product opens the same rule, in the same zone where the truth names one, within
:data:`WITHIN_S` of the true time. Whatever else the product opens is one too many.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edge.errors import EX_OK, EX_SOFTWARE, KioskError
from export.errors import DatasetError, ExportError, MissingInputError
from export.events.behaved import Behaved
from export.events.causes import Causes
from export.events.known import not_looked_into, read_known, write_known

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

WITHIN_S = 1.0


@dataclass(frozen=True, slots=True)
class Incident:
    """Something that opened, or should have; ``t_s`` counts from the clip's start."""

    rule: str
    zone: str
    t_s: float
    what: str = field(default="", compare=False)  # in the product's words, with its figure

    def __str__(self) -> str:
        return f"{self.rule}{f' in {self.zone}' if self.zone else ''} at {self.t_s:.1f} s"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One clip: what it raises and what the product made of it.

    ``met``: truth with the error of its time, seconds; ``missed``: truth with what was seen instead; ``extra``: opened
    without a reason.
    """

    clip: str
    met: tuple[tuple[Incident, float], ...]
    missed: tuple[tuple[Incident, str], ...]
    extra: tuple[Incident, ...]

    @property
    def faults(self) -> dict[str, str]:
        """Each departure from the truth by a name that stays the same from run to run, with its figure."""
        found = {missed_name(e): figure for e, figure in self.missed}
        told: dict[str, list[str]] = {}
        for one in self.extra:
            told.setdefault(f"extra {one.rule}", []).append(f"{one.t_s:.1f} s{f' ({one.what})' if one.what else ''}")
        return found | {name: "opened at " + ", ".join(times) for name, times in told.items()}


def missed_name(incident: Incident) -> str:
    """What :attr:`Verdict.faults` calls it when this one is missed."""
    return f"missed {incident.rule} of {incident.t_s:.1f} s"


def expected(truth: Mapping[str, Any]) -> list[Incident]:
    """What the truth says that a correct system raises."""
    return [Incident(str(e["rule"]), str(e["zone"]), float(e["opens_s"])) for e in truth["expected"]]


def configuration(truth: Mapping[str, Any], *, model: Path | None = None) -> str:
    """The product's configuration (TOML) for one clip: the truth's zones and thresholds, everything else as shipped."""
    rules = truth["config"]
    seen_s = rules["objects"]["seen_s"]
    seen = {"seen_s": seen_s, "window_s": 3.0 * seen_s}
    loiter_s = rules["loitering"]["dwell_s"]
    tables: dict[str, dict[str, object]] = {
        "loitering": {
            "dwell_s": loiter_s,
            "escalate_s": 20.0 * loiter_s,
            "visits": rules["revisit"]["entries"],
            "window_s": rules["revisit"]["window_s"],
        },
        "restricted_area": {"dwell_s": rules["restricted_area"]["dwell_s"]},
        "crowding": {
            "max_persons": rules["crowding"]["max_persons"],
            "dwell_s": rules["crowding"]["dwell_s"],
            "near_s": rules["close_behind"]["dwell_s"],
            "reach": rules["close_behind"]["distance_m"] / 1.7,  # in body heights
        },
        "person_down": {"down_s": rules["person_down"]["down_s"]},
        "camera_tamper": {"dwell_s": rules["camera_tamper"]["dwell_s"]},
        "closed_hours": {"dwell_s": 0.0, "margin_s": 0.0},
        "firearm": seen,
        "knife": seen,
        # The truth counts a tool wherever it is in sight.
        "tool": {**seen, "score_s": 0.6 * seen_s, "reach": 3.0},
        "face_cover": {**seen, "enabled": True},
        "helmet": seen,
    }
    lines = ["[[cameras]]", f"name = {_quoted(truth['camera'])}", 'source = "file:replayed"', "max_fps = 5.0"]
    for zone in truth["zones"]:
        lines += ["[[zones]]", f"camera = {_quoted(truth['camera'])}", f"name = {_quoted(zone['name'])}"]
        lines += [f"kind = {_quoted(zone['kind'])}", f"polygon = {json.dumps(zone['polygon'])}"]
    for name, keys in tables.items():
        lines += [f"[rules.{name}]", *(f"{key} = {json.dumps(value)}" for key, value in keys.items())]
    if rules["closed_hours"]["closed"]:
        lines.append("[opening_hours]")
        lines += [f"{day} = []" for day in _DAYS]
    if model is not None:
        lines += ["[model]", f"path = {_quoted(str(model.absolute()))}"]
    return "\n".join(lines) + "\n"


_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def compare(truth: Mapping[str, Any], opened: Sequence[Incident]) -> Verdict:
    """Hold what opened against the truth; each opening answers one incident at the most."""
    left = list(opened)
    met: list[tuple[Incident, float]] = []
    missed: list[tuple[Incident, str]] = []
    for one in expected(truth):
        fitting = [o for o in left if o.rule == one.rule and one.zone in ("", o.zone)]
        nearest = min(fitting, key=lambda o: abs(o.t_s - one.t_s), default=None)
        if nearest is None:
            missed.append((one, "never opened"))
        elif abs(nearest.t_s - one.t_s) > WITHIN_S:
            off = nearest.t_s - one.t_s
            missed.append((one, f"opened {abs(off):.1f} s too {'late' if off > 0 else 'early'}"))
            left.remove(nearest)
        else:
            met.append((one, round(nearest.t_s - one.t_s, 2)))
            left.remove(nearest)
    return Verdict(Path(str(truth["clip"])).stem, tuple(met), tuple(missed), tuple(left))


def judge(truth_file: Path, *, model: Path | None = None) -> Verdict:
    """Replay one clip and compare. :raises ExportError: a file is missing or malformed, or the replay fails."""
    truth = read_truth(truth_file)
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "clip.toml"
        config.write_text(configuration(truth, model=model), encoding="utf-8")
        clip = truth_file.parent / str(truth["clip"])
        command = [sys.executable, "-m", "edge.cli", "replay", str(clip), "--json", "--config", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ExportError(
                f"the replay of {clip.name} failed ({done.returncode}): {done.stderr.strip()[-500:]}",
                hint=f"try it alone: kiosk-guard replay {clip.name}",
            )
    changes = [json.loads(line) for line in done.stdout.splitlines()]
    opened = [
        Incident(c["rule"], c["zone"], float(c["opened_s"]), f"{c['what']} {c['value']:.1f} {c['unit']}")
        for c in changes
        if c["change"] == "opened"
    ]
    return compare(truth, opened)


class Measure(Protocol):
    """Tells of missed entries of a truth's ``expected`` what was measured, and the reason that follows; "": none."""

    def of(self, truth_file: Path, missed: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]: ...


def why_missed(
    folder: Path, verdicts: Iterable[Verdict], measures: Sequence[Measure]
) -> dict[str, dict[str, tuple[str, str]]]:
    """Clip -> fault -> what the clip's pictures say about it, and the reason that follows: by the first that knows."""
    found = {}
    for verdict in verdicts:
        if verdict.missed:
            file = folder / f"{verdict.clip}.truth.json"
            names = {missed_name(one) for one, _ in verdict.missed}
            truth = read_truth(file)
            both = zip(expected(truth), truth["expected"], strict=True)
            missed = {missed_name(one): entry for one, entry in both if missed_name(one) in names}
            told = zip(*(measure.of(file, missed.values()) for measure in measures), strict=True)
            found[verdict.clip] = {
                name: next(filter(any, said), ("", "")) for name, said in zip(missed, told, strict=True)
            }
    return found


def table(verdicts: Sequence[Verdict]) -> list[str]:
    """The verdicts for people, as Markdown."""
    lines = ["| clip | met (error, s) | missed | extra |", "| --- | --- | --- | --- |"]
    for v in verdicts:
        met = ", ".join(f"{e.rule} ({error:+.1f})" for e, error in v.met)
        missed = ", ".join(f"{e} ({why})" for e, why in v.missed)
        extra = ", ".join(map(str, v.extra))
        lines.append(f"| {v.clip} | {met} | {missed} | {extra} |")
    wanted = sum(len(v.met) + len(v.missed) for v in verdicts)
    met_all, extra_all = sum(len(v.met) for v in verdicts), sum(len(v.extra) for v in verdicts)
    clean = sum(not v.faults for v in verdicts)
    lines += [
        "",
        f"{met_all} of {wanted} incidents met, {extra_all} extra, {clean} of {len(verdicts)} clips without a fault",
    ]
    return lines


def model_name(bundle: Path) -> str:
    """What the bundle calls itself. :raises ExportError: it is not readable."""
    try:
        return str(json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))["name"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MissingInputError(f"{bundle}: no readable manifest.json: {error}") from error


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="score-suite",
        description="Replay rendered clips with the zones of their truth and compare every incident with it.",
    )
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="clips with their NAME.truth.json (tests/clips)")
    add("--model", type=Path, metavar="BUNDLE", help="the model bundle (default: the shipped one)")
    add("--only", default="", metavar="TEXT", help="only clips with TEXT in their name")
    add("--jobs", type=int, default=1, metavar="N", help="replays at a time (default %(default)s)")
    add("--json", type=Path, metavar="FILE", help="also write the verdicts here")
    add(
        "--write-known",
        type=Path,
        metavar="DIR",
        help="write all departures to DIR/NAME.json, NAME being the model's, with what the pictures say about them; "
        "what was written by hand is kept while nothing was measured and the departure is the same but for its numbers",
    )
    args = parser.parse_args(argv)
    try:
        if args.write_known and (args.only or not args.model):
            raise DatasetError("--write-known needs all clips and a named model", hint="--model, and no --only")
        files = [p for p in sorted(args.folder.glob("*.truth.json")) if args.only in p.name]
        if not files:
            raise MissingInputError(f"{args.folder} holds no NAME.truth.json", hint="make-scenes clips FOLDER")
        with ThreadPoolExecutor(max(1, args.jobs)) as pool:
            verdicts = list(pool.map(lambda p: judge(p, model=args.model), files))
        if args.json:
            rows = [{**asdict(v), "faults": v.faults} for v in verdicts]
            args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
        if args.write_known:
            name, known = model_name(args.model), args.write_known
            causes = why_missed(args.folder, verdicts, [Causes(args.model), Behaved(args.model)])
            for clip, fault, was, now in write_known(known / f"{name}.json", name, verdicts, causes):
                print(f"{clip}: {fault}: was {was!r}, is {now!r}: does the reason still hold?", file=sys.stderr)
            for clip, fault in not_looked_into(read_known(known / f"{name}.json")):
                print(f"{known / name}.json: {clip}: {fault}: write down why", file=sys.stderr)
    except KioskError as error:
        print(f"score-suite: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("score-suite: interrupted", file=sys.stderr)
        return EX_SOFTWARE
    for line in table(verdicts):
        print(line)
    return EX_OK


def read_truth(path: Path) -> dict[str, Any]:
    """A clip's truth. :raises ExportError: there is none, or it is something else."""
    try:
        table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        _ = table["clip"], table["camera"], table["zones"], table["expected"], table["config"]["objects"]["seen_s"]
    except FileNotFoundError:
        raise MissingInputError(f"{path} does not exist") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DatasetError(f"{path} is no scene truth: {type(error).__name__}: {error}") from error
    return table


def _quoted(text: object) -> str:
    return json.dumps(str(text))


if __name__ == "__main__":
    sys.exit(main())
