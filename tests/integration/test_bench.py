from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import pytest

from edge.app.bench import CAPTURE, Stopwatch, bench
from edge.app.bench_choose import Candidate, best, choose, words
from edge.app.bench_cli import table
from edge.app.build import measured_way
from edge.config import Config
from edge.detect.manifest import read_manifest
from edge.detect.onnx import OnnxDetector
from edge.errors import DetectorError, ManifestError, SourceInvalid
from edge.models.choice import processors
from edge.models.shipped import shipped_bundle

CLIP = Path(__file__).resolve().parents[2] / "firmware_config" / "demo" / "lobby.mp4"
CONFIG = Config.model_validate({"cameras": [{"name": "lobby", "source": f"file:{CLIP}"}]})


def test_every_stage_of_a_frame_is_measured(tmp_path: Path) -> None:
    done = bench(CONFIG, tmp_path / "none.toml", clip=None, frames=80)
    assert done.frames == 80
    assert done.size == (640, 360)
    assert list(done.stages) == [
        CAPTURE,
        "letterbox",
        "inference",
        "decode and NMS",
        "closer look",
        "track",
        "movement",
        "zones and rules",
        "incidents",
        "draw",
        "encode",
        "write",
    ]
    assert done.stages["inference"]["count"] == 80
    assert 1 <= done.stages["closer look"]["count"] < 40  # at ten frames a second no more than one in four
    assert done.stages["write"]["count"] == 8  # every tenth
    assert done.stages["inference"]["cpu_median_ms"] > done.stages["letterbox"]["cpu_median_ms"] > 0
    assert all(s["wall_p95_ms"] >= s["wall_median_ms"] for s in done.stages.values())
    lines = list(table(done))
    assert len([line for line in lines if line.startswith("inference")]) == 1


def test_what_is_no_video_is_said(tmp_path: Path) -> None:
    (tmp_path / "x.mp4").write_text("no video")
    with pytest.raises(SourceInvalid, match="no readable video"):
        bench(CONFIG, tmp_path / "none.toml", clip=tmp_path / "x.mp4", frames=3)


def test_marks_of_one_name_in_one_frame_are_one_figure() -> None:
    watch = Stopwatch()
    watch.begin()
    watch.mark("rules")
    watch.mark("rules")
    watch.end_frame()
    watch.mark("rules")
    watch.end_frame()
    assert len(watch.wall_ms["rules"]) == 2


def _bundle(folder: Path, *, variant: bytes | None) -> Path:
    """The shipped model, perhaps with a variant beside it."""
    bundle = folder / "bundle"
    shutil.copytree(shipped_bundle(), bundle, ignore=shutil.ignore_patterns("source.pt", "*.md"))
    if variant is not None:
        (bundle / "variants").mkdir()
        (bundle / "variants" / "other.onnx").write_bytes(variant)
        manifest = json.loads((bundle / "manifest.json").read_text())
        manifest["files"]["variants/other.onnx"] = hashlib.sha256(variant).hexdigest()
        (bundle / "manifest.json").write_text(json.dumps(manifest))
    return bundle


def _config(folder: Path, bundle: Path, **model: object) -> Config:
    return Config.model_validate(
        {
            "cameras": [{"name": "lobby", "source": f"file:{CLIP}"}],
            "model": {"path": str(bundle), **model},
            "state": {"dir": str(folder / "state")},
        }
    )


def test_what_was_measured_here_is_what_runs_here(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path, variant=(shipped_bundle() / "model.onnx").read_bytes())
    config, path = _config(tmp_path, bundle), tmp_path / "none.toml"
    manifest = read_manifest(bundle)
    assert measured_way(config, path, manifest) == ("", 2)
    (tmp_path / "state").mkdir()
    found = choose(config, path, rounds=1)
    assert {one.variant for one in found.candidates} == {"", "other"}
    assert {one.threads for one in found.candidates} == {n for n in (1, 2, 4) if n <= processors()}
    assert found.kept
    assert measured_way(config, path, manifest) == (found.chosen.variant, found.chosen.threads)
    assert any(f"chosen: {found.chosen.name}" in line for line in words(found))
    assert measured_way(_config(tmp_path, bundle, threads=3), path, manifest)[1] == 3, "the file has the last word"
    kept = tmp_path / "state" / "model-choice.json"
    kept.write_text(kept.read_text().replace('"runtime": "', '"runtime": "9.'))
    assert measured_way(config, path, manifest) == ("", 2), "another onnxruntime was not measured"
    kept.write_text("torn")
    assert measured_way(config, path, manifest) == ("", 2)


def _without_a_layer(model: bytes) -> bytes:
    """A model that loads and finds nothing: all weights of a large layer (field 9 of a tensor, n * 16384 bytes) are 0."""
    found = next(re.finditer(rb"J\x80\x80([\x06-\x7f])", model))
    length = found[1][0] << 14
    return model[: found.end()] + bytes(length) + model[found.end() + length :]


@pytest.mark.parametrize("loads", [True, False])
def test_a_variant_that_is_no_good_is_left_out(tmp_path: Path, *, loads: bool) -> None:
    model = (shipped_bundle() / "model.onnx").read_bytes()
    variant = _without_a_layer(model) if loads else model[:100_000]
    config = _config(tmp_path, _bundle(tmp_path, variant=variant), threads=1)
    found = choose(config, tmp_path / "none.toml", rounds=1)
    assert found.chosen.variant == ""
    assert [bool(one.fault) for one in found.candidates] == [False, True]
    assert ("cannot load it" in found.candidates[1].fault) is not loads
    assert any(line.startswith("other, 1 thread") and "left out" in line for line in words(found))


def test_a_model_that_fails_its_proof_is_not_chosen_at_all(tmp_path: Path) -> None:
    behind = (shipped_bundle() / "golden" / "expected.json").read_text()
    bundle = _bundle(tmp_path, variant=None)
    # The proof asks for what no form of the model finds.
    wrong = json.loads(behind)
    wrong["pictures"][0]["boxes"] = [{"name": "person", "score": 0.99, "xyxy": [1.0, 1.0, 9.0, 9.0]}]
    (bundle / "golden" / "expected.json").write_text(json.dumps(wrong))
    with pytest.raises(DetectorError, match="is not found at"):
        choose(_config(tmp_path, bundle, threads=1), tmp_path / "none.toml", rounds=1)


def test_without_a_state_directory_nothing_is_written(tmp_path: Path) -> None:
    found = choose(_config(tmp_path, _bundle(tmp_path, variant=None), threads=1), tmp_path / "none.toml", rounds=1)
    assert not found.kept
    assert list(words(found))[-2:] == [
        "only one variant of this model came along",
        "chosen: the model itself, 1 thread; not written down, there is no state directory here",
    ]


def test_a_variant_with_another_hash_is_refused(tmp_path: Path) -> None:
    bundle = _bundle(tmp_path, variant=b"x")
    (bundle / "variants" / "other.onnx").write_bytes(b"y")
    with pytest.raises(ManifestError, match=r"other\.onnx: sha256"):
        OnnxDetector(bundle, variant="other")
    with pytest.raises(ManifestError, match="no variant 'another'"):
        OnnxDetector(bundle, variant="another")


def test_nearly_as_fast_on_fewer_threads_is_better() -> None:
    def candidate(threads: int, wall_ms: float) -> Candidate:
        return Candidate("", threads, [(wall_ms, 10.0)])

    one, two, four = candidate(1, 20.0), candidate(2, 11.0), candidate(4, 10.5)
    assert best([one, two, four]) is two
    assert best([one, candidate(2, 15.0), four]) is four
    assert best([candidate(4, 10.0), candidate(4, 9.0)]).wall_ms == 9.0
