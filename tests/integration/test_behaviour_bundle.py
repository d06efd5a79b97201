from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fakes.behaviour import FakeBehaviour
from fakes.detectors import FakeDetector, Seen
from fakes.scenes import frame, zone

from edge.app.build_behaviour import behaviour_parts
from edge.behaviour.manifest import read_behaviour_manifest
from edge.behaviour.onnx import load_classifiers
from edge.behaviour.windows import WindowSpec
from edge.config import Config
from edge.errors import KioskError, ManifestError
from edge.incidents import Incidents
from edge.models.shipped import shipped_behaviour
from edge.pipeline import Line, Pipeline
from edge.rules.assault import Assault
from edge.track.tracker import Tracker
from edge.types import BEHAVIOURS, ZoneKind
from edge.zones import ZoneMap

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the shipped bundle, to be broken."""
    return shutil.copytree(shipped_behaviour(), tmp_path / "behaviour")


def change(bundle: Path, edit: Callable[[dict[str, Any]], object]) -> None:
    path = bundle / "manifest.json"
    manifest = json.loads(path.read_text())
    edit(manifest)
    path.write_text(json.dumps(manifest))


def test_the_shipped_bundle_knows_every_behaviour_and_answers_with_probabilities() -> None:
    known = load_classifiers(shipped_behaviour())
    assert set(known) == set(BEHAVIOURS)
    for name, one in known.items():
        assert one.name == name
        assert 0 < one.threshold < 1
        width = one.spec.width
        rows = np.abs(np.random.default_rng(0).normal(size=(5, width))).astype(np.float32)
        answer = one.probability(rows)
        assert answer.shape == (5,)
        assert ((answer >= 0) & (answer <= 1)).all()
        assert np.allclose(answer[2], one.probability(rows[2:3])[0], atol=1e-6)  # row by row
        assert one.probability(rows[:0]).shape == (0,)


def test_standing_still_is_no_tampering() -> None:
    known = load_classifiers(shipped_behaviour())["machine_tampering"]
    assert isinstance(known.spec, WindowSpec)
    still = np.array([[1.0 if n.endswith("stature") else 0.01 for n in known.spec.features]], np.float32)
    assert known.probability(still)[0] < known.threshold / 2


def test_a_changed_model_is_refused(bundle: Path) -> None:
    model = bundle / "assault.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    with pytest.raises(ManifestError, match=r"assault\.onnx.*sha256"):
        load_classifiers(bundle)


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (lambda m: m["behaviours"]["assault"].update(file="../assault.onnx"), "plain file name"),
        (lambda m: m["behaviours"]["machine_tampering"]["window"].update(features=["median:mood"]), "median:mood"),
        (lambda m: m["behaviours"]["assault"].update(threshold=2.0), "less than or equal to 1"),
        (lambda m: m.update(schema_version=2), "schema_version"),
        (lambda m: m.update(colour="red"), "colour"),
    ],
)
def test_a_wrong_manifest_says_what_is_wrong(bundle: Path, edit: Callable[[dict[str, Any]], object], says: str) -> None:
    change(bundle, edit)
    with pytest.raises(ManifestError, match=says):
        read_behaviour_manifest(bundle)


def test_a_model_of_another_width_is_refused(bundle: Path) -> None:
    change(bundle, lambda m: m["behaviours"]["machine_tampering"]["window"]["features"].pop())
    with pytest.raises(KioskError, match="machine_tampering"):
        load_classifiers(bundle)


def test_a_missing_bundle_is_told(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no such file"):
        read_behaviour_manifest(tmp_path)


def _config(**rules: Any) -> Config:
    return Config.model_validate({"cameras": [{"name": "lobby", "source": "/dev/video0"}], "rules": rules})


def test_only_what_is_on_is_watched_for() -> None:
    off = {"enabled": False}
    assert behaviour_parts(_config(assault=off, machine_tampering=off), frozenset({0})) == ([], None)
    rules, watch = behaviour_parts(_config(assault={"enabled": True}, machine_tampering=off), frozenset({0}))
    assert [r.name for r in rules] == ["assault"]
    assert watch is not None
    rules, _ = behaviour_parts(_config(assault={"enabled": True}, machine_tampering={"enabled": True}), frozenset({0}))
    assert [r.name for r in rules] == ["assault", "machine_tampering"]


def test_what_the_watch_says_reaches_the_rules_and_becomes_an_incident_in_words() -> None:
    pair = [Seen("person", (200.0, 100.0, 260.0, 250.0)), Seen("person", (255.0, 100.0, 315.0, 250.0))]
    pipeline = Pipeline(
        detector=FakeDetector(lambda _: pair),
        lines={
            "lobby": Line(
                Tracker(),
                ZoneMap("lobby", [zone(ZoneKind.MACHINE, 0.3, 0.5, 0.6, 1.0)]),
                [Assault(person_classes={0}, threshold=0.7, window_s=2.0)],
                behaviour=FakeBehaviour({"assault": 0.9}),
            )
        },
        incidents=Incidents(new_id=lambda: "i1", close_after_s=1.0, cooldown_s=0.0),
        now_s=lambda: 0.0,
        clock_synced=lambda: True,
    )
    opened = [c for k in range(10) for c in pipeline.step(frame(k * 0.2, seq=k)).changes]
    assert [c.incident.rule for c in opened] == ["assault"]
    assert opened[0].incident.peak.what == "two persons have been struggling at the machine for"
    assert pipeline.incidents.open_incidents[0].peak.value > 2.5
