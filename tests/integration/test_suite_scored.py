"""Every rendered clip replayed with the zones and thresholds of its truth: each incident within a second, nothing else.

What the shipped model or the rules are known not to do is in ``tests/clips/known/MODEL.json``, with figure and reason, and
must fail here as long as it is listed there. After a change of model or rules:

    score-suite tests/clips --model weights/MODEL --write-known tests/clips/known
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from edge.app.build import build_detector, build_incidents, build_line
from edge.cameras.file import VideoFile
from edge.clock import SystemClock
from edge.config import load
from edge.errors import CameraEnded
from edge.models.shipped import shipped_bundle
from edge.pipeline import Pipeline
from edge.types import BEHAVIOURS
from export.events.behaved import UNLIKE, Behaved
from export.events.causes import UNSEEN, Causes
from export.events.known import NOT_LOOKED_INTO, not_looked_into, read_known, write_known
from export.events.suite import (
    Incident,
    Verdict,
    compare,
    configuration,
    expected,
    judge,
    missed_name,
    model_name,
    read_truth,
    why_missed,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from edge.types import F32, Observation, Scene

CLIPS = Path(__file__).parents[1] / "clips"
KNOWN = read_known(CLIPS / "known" / f"{model_name(shipped_bundle())}.json")
TRUTHS = {p.name.removesuffix(".truth.json"): p for p in sorted(CLIPS.glob("*.truth.json"))}


@cache
def verdict(clip: str) -> Verdict:
    return judge(TRUTHS[clip])


def _fails(clip: str, fault: str) -> list[pytest.MarkDecorator]:
    one = KNOWN.get(clip, {}).get(fault)
    return [pytest.mark.xfail(strict=True, reason=f"{one['figure']}: {one['reason']}")] if one else []


def _incidents() -> Iterator[object]:
    for clip, path in TRUTHS.items():
        for one in expected(read_truth(path)):
            fault = missed_name(one)
            yield pytest.param(clip, one, marks=_fails(clip, fault), id=f"{clip}: {one}")


def _extras() -> Iterator[object]:
    for clip, faults in KNOWN.items():
        for fault in faults:
            if fault.startswith("extra "):
                yield pytest.param(clip, fault, marks=_fails(clip, fault), id=f"{clip}: {fault}")


@pytest.mark.slow
@pytest.mark.parametrize(("clip", "incident"), [*_incidents()])
def test_what_happens_is_told_within_a_second(clip: str, incident: Incident) -> None:
    found = verdict(clip)
    assert missed_name(incident) not in found.faults, found.faults


@pytest.mark.slow
@pytest.mark.parametrize("clip", TRUTHS)
def test_nothing_else_is_told(clip: str) -> None:
    extra = {name for name in verdict(clip).faults if name.startswith("extra ")}
    assert extra <= KNOWN.get(clip, {}).keys(), verdict(clip).faults


@pytest.mark.slow
@pytest.mark.parametrize(("clip", "fault"), [*_extras()])
def test_what_is_known_to_be_told_without_reason(clip: str, fault: str) -> None:
    assert fault not in verdict(clip).faults


def test_every_known_fault_belongs_to_a_clip_and_has_a_reason() -> None:
    for clip, faults in KNOWN.items():
        truth = read_truth(TRUTHS[clip])
        misses = {missed_name(e) for e in expected(truth)}
        for fault, told in faults.items():
            assert fault in misses or fault.startswith("extra "), fault
            assert told["figure"]
    assert not_looked_into(KNOWN) == []


def test_the_comparison_takes_each_opening_once() -> None:
    truth = {
        "clip": "a.mp4",
        "expected": [
            {"rule": "knife", "zone": "", "opens_s": 4.0},
            {"rule": "knife", "zone": "", "opens_s": 9.0},
            {"rule": "loitering", "zone": "lobby", "opens_s": 6.0},
            {"rule": "helmet", "zone": "", "opens_s": 7.0},
        ],
    }
    opened = [
        Incident("knife", "lobby", 4.8),
        Incident("loitering", "hall", 6.0),
        Incident("helmet", "lobby", 9.5),
        Incident("crowding", "lobby", 1.0),
    ]
    found = compare(truth, opened)
    assert [(e.rule, error) for e, error in found.met] == [("knife", 0.8)]
    assert found.faults == {
        "missed knife of 9.0 s": "never opened",
        "missed loitering of 6.0 s": "never opened",
        "missed helmet of 7.0 s": "opened 2.5 s too late",
        "extra loitering": "opened at 6.0 s",
        "extra crowding": "opened at 1.0 s",
    }


def _missed(figure: str) -> Verdict:
    return Verdict("a", (), ((Incident("knife", "", 4.0), figure),), ())


KNIFE = "missed knife of 4.0 s"


def test_known_faults_keep_what_somebody_wrote(tmp_path: Path) -> None:
    file = tmp_path / "known" / "m.json"
    late = Verdict("a", (), ((Incident("knife", "", 4.0), "opened 2.5 s too late"),), (Incident("helmet", "", 1.0),))
    assert write_known(file, "m", [late]) == []
    assert not_looked_into(read_known(file)) == [("a", KNIFE), ("a", "extra helmet")]
    file.write_text(file.read_text().replace(f'"{NOT_LOOKED_INTO}"', '"too small"', 1))
    changed = write_known(file, "m", [_missed("opened 3.0 s too late")])
    assert changed == [("a", KNIFE, "opened 2.5 s too late", "opened 3.0 s too late")]  # kept, but not silently
    assert read_known(file) == {"a": {KNIFE: {"figure": "opened 3.0 s too late", "reason": "too small"}}}
    assert write_known(file, "m", [_missed("opened 3.0 s too late")]) == []
    write_known(file, "m", [Verdict("a", ((Incident("knife", "", 4.0), 0.2),), (), ())])
    assert read_known(file) == {}  # what occurs no more is not listed
    assert read_known(tmp_path / "none.json") == {}


def test_what_somebody_wrote_of_another_departure_is_not_kept(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    write_known(file, "m", [_missed("never opened")])
    file.write_text(file.read_text().replace(NOT_LOOKED_INTO, "the rule is off"))
    write_known(file, "m", [_missed("opened 3.0 s too late")])
    assert not_looked_into(read_known(file)) == [("a", KNIFE)]


def test_what_was_measured_counts_more_than_what_somebody_wrote(tmp_path: Path) -> None:
    file = tmp_path / "m.json"
    write_known(file, "m", [_missed("never opened")])
    file.write_text(file.read_text().replace(NOT_LOOKED_INTO, "the rule is off"))
    write_known(file, "m", [_missed("never opened")], {"a": {KNIFE: ("it scores 0.1", UNLIKE)}})
    assert read_known(file)["a"][KNIFE] == {"figure": "never opened; it scores 0.1", "reason": UNLIKE}


@pytest.mark.parametrize("reason", [UNSEEN, UNLIKE])
def test_what_was_measured_is_the_reason_until_it_is_no_more(tmp_path: Path, reason: str) -> None:
    file = tmp_path / "m.json"
    write_known(file, "m", [_missed("never opened")], {"a": {KNIFE: ("the model scores it 0.1", reason)}})
    assert read_known(file)["a"][KNIFE] == {"figure": "never opened; the model scores it 0.1", "reason": reason}
    # A better model sees it, and still nothing is told: somebody has to look.
    write_known(file, "m", [_missed("never opened")], {"a": {KNIFE: ("the model scores it 0.9", "")}})
    assert not_looked_into(read_known(file)) == [("a", KNIFE)]


@pytest.mark.parametrize(
    ("clip", "rule", "says"),
    [
        (
            "handgun",
            "firearm",
            r"scores the rendered handgun 0\.\d\d at the most in \d+ pictures, each also looked at closer, 0\.\d\d or more in \d+",
        ),
        ("loiterer", "loitering", r"finds the person in \d+ of \d+ pictures"),
        ("snatch", "assault", "^$"),
    ],
)
def test_why_an_incident_was_missed_is_measured_on_its_pictures(clip: str, rule: str, says: str) -> None:
    one = next(e for e in read_truth(TRUTHS[clip])["expected"] if e["rule"] == rule)
    (measured, reason), = Causes(shipped_bundle()).of(TRUTHS[clip], [one])  # fmt: skip
    assert re.search(says, measured), measured
    assert reason in ("", UNSEEN)
    if clip == "loiterer":
        assert reason == ""  # people who stand are found


class _Listener:
    """A rule that tells nothing: it keeps what the scene says of behaviour."""

    name = "listener"

    def __init__(self) -> None:
        self.heard: list[tuple[float, F32]] = []

    def update(self, scene: Scene) -> list[Observation]:
        assert scene.behaviour is not None
        self.heard.append((scene.frame.t_mono_s, scene.behaviour.max(axis=0, initial=0.0)))
        return []


def _product_scores(clip: str, folder: Path) -> list[tuple[float, F32]]:
    file = folder / "clip.toml"
    file.write_text(configuration(read_truth(TRUTHS[clip])))
    config = load(file)
    camera, listener, ids = config.cameras[0], _Listener(), count()
    detector = build_detector(config, file)
    line = build_line(config, camera, detector)
    pipeline = Pipeline(
        detector=detector,
        lines={camera.name: replace(line, rules=[listener])},
        incidents=build_incidents(config, lambda: str(next(ids))),
        now_s=SystemClock().monotonic_s,
        clock_synced=lambda: True,
    )
    source = VideoFile(TRUTHS[clip].with_name(f"{clip}.mp4"), name=camera.name, max_fps=camera.max_fps)
    with suppress(CameraEnded):
        while True:
            pipeline.step(source.read(0.0))
    source.close()
    return listener.heard


@pytest.mark.parametrize(("clip", "rule"), [("struggle", "assault"), ("prying", "machine_tampering")])
def test_what_a_behaviour_scores_while_it_lasts_is_the_products(clip: str, rule: str, tmp_path: Path) -> None:
    every = read_truth(TRUTHS[clip])["expected"]
    told = Behaved(shipped_bundle()).of(TRUTHS[clip], every)
    assert {one["rule"] for one, said in zip(every, told, strict=True) if any(said)} == {rule}
    one, (measured, reason) = next((o, said) for o, said in zip(every, told, strict=True) if o["rule"] == rule)
    figures = re.fullmatch(
        r"the behaviour scores (\d\.\d\d) at the most while it lasts, (\d\.\d\d) are asked for", measured
    )
    assert figures, measured
    heard = [
        v[BEHAVIOURS.index(rule)]
        for t, v in _product_scores(clip, tmp_path)
        if one["opens_s"] - 1 <= t <= one["closes_s"] + 1
    ]
    assert float(figures[1]) == pytest.approx(max(heard), abs=0.03)
    assert max(heard) > 0.03  # the watch does look
    assert (reason == UNLIKE) is (float(figures[1]) < float(figures[2]))


class _Says:
    def __init__(self, *told: tuple[str, str]) -> None:
        self._told = told

    def of(self, truth_file: Path, missed: Iterable[Mapping[str, Any]]) -> list[tuple[str, str]]:
        assert truth_file.name == "prying.truth.json"
        assert [one["rule"] for one in missed] == ["tool", "machine_tampering"]
        return list(self._told)


def test_each_miss_is_told_by_the_measure_that_knows() -> None:
    truth = read_truth(TRUTHS["prying"])
    two = tuple((one, "never opened") for one in expected(truth)[:2])
    verdicts = [Verdict("prying", (), two, ()), Verdict("queue", (), (), ())]
    found = why_missed(TRUTHS["prying"].parent, verdicts, [_Says(("a", "b"), ("", "")), _Says(("c", ""), ("d", ""))])
    assert found == {"prying": {missed_name(two[0][0]): ("a", "b"), missed_name(two[1][0]): ("d", "")}}


def test_the_configuration_of_a_clip_is_the_products(tmp_path: Path) -> None:
    for name in ("closed-hours", "loiterer"):
        file = tmp_path / f"{name}.toml"
        file.write_text(configuration(read_truth(TRUTHS[name])))
        config = load(file)
        assert {z.kind for z in config.zones} == {"lobby", "machine", "restricted", "door"}
        assert (config.opening_hours.monday == []) is (name == "closed-hours")
    assert config.rules.loitering.dwell_s == 12
