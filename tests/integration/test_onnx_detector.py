"""The shipped model for real: bundles that do not hold together, and pictures of our own."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest

from edge.detect.nms import iou_matrix
from edge.detect.onnx import OnnxDetector
from edge.errors import DetectorError, ManifestError
from edge.models.shipped import shipped_bundle

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.types import F32, U8

DEMO = Path(__file__).resolve().parents[2] / "firmware_config" / "demo"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A copy of the shipped bundle, to be damaged."""
    copy = tmp_path / "bundle"
    shutil.copytree(shipped_bundle(), copy)
    return copy


def edit(bundle: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = bundle / "manifest.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def lobby_frame(number: int) -> U8:
    capture = cv2.VideoCapture(str(DEMO / "lobby.mp4"))
    try:
        for _ in range(number):
            capture.grab()
        ok, image = capture.read()
    finally:
        capture.release()
    assert ok
    return np.asarray(image, np.uint8)


@pytest.mark.parametrize("number", [60, 180, 240, 300])
def test_the_person_in_the_lobby_is_found_where_the_ground_truth_says(number: int) -> None:
    truth = json.loads((DEMO / "lobby.truth.json").read_text())["frames"][number]
    persons = [p["box"] for p in truth["persons"]]
    assert len(persons) == 1, "the clip changed: choose frames with one person"
    detector = OnnxDetector(shipped_bundle(), classes=("person",))
    found = detector.detect_image(lobby_frame(number))
    assert len(found) == 1
    assert detector.classes[found.class_id[0]] == "person"
    assert found.score[0] > 0.35
    assert iou_matrix(found.xyxy, np.array(persons, np.float32))[0, 0] > 0.7


def test_a_larger_frame_gives_the_same_boxes_in_its_own_pixels() -> None:
    detector = OnnxDetector(shipped_bundle(), classes=("person",))
    image = lobby_frame(180)
    small = detector.detect_image(image)
    large = detector.detect_image(np.asarray(cv2.resize(image, None, fx=2, fy=2), np.uint8))
    assert len(small) == len(large) == 1
    assert large.xyxy / 2 == pytest.approx(small.xyxy, abs=6)


def test_thread_counts_agree() -> None:
    image = lobby_frame(180)
    one, two = (OnnxDetector(shipped_bundle(), threads=n).detect_image(image) for n in (1, 2))
    assert (one.xyxy == two.xyxy).all()
    assert (one.score == two.score).all()


def test_chosen_classes_keep_their_ids_and_hide_the_rest() -> None:
    full = OnnxDetector(shipped_bundle(), score_floor=0.02)
    some = OnnxDetector(shipped_bundle(), score_floor=0.02, classes=["knife", "person"])
    image = lobby_frame(180)
    wanted = {full.classes.index("person"), full.classes.index("knife")}
    seen = full.detect_image(image)
    assert not set(seen.class_id.tolist()) <= wanted, "nothing to hide in this picture"
    expected = seen.where(np.isin(seen.class_id, list(wanted)))
    assert some.detect_image(image).xyxy.tolist() == expected.xyxy.tolist()
    assert some.classes == full.classes


def test_what_is_faint_is_told_apart_and_changes_no_sure_box(bundle: Path) -> None:
    """A lower floor for persons: the same boxes, to the bit, and besides them those between the floor and the threshold."""
    edit(bundle, lambda t: t.update(continues={"person": 0.001}))
    with_faint = OnnxDetector(bundle)
    edit(bundle, lambda t: t.pop("continues"))  # a bundle of before
    without = OnnxDetector(bundle)
    threshold, faint = with_faint.manifest.thresholds["person"], 0
    for number in range(0, 360, 30):
        seen, before = with_faint.detect_image(lobby_frame(number)), without.detect_image(lobby_frame(number))
        assert before.faint is None
        assert seen.xyxy.tolist() == before.xyxy.tolist()
        assert seen.score.tolist() == before.score.tolist()
        assert seen.class_id.tolist() == before.class_id.tolist()
        if seen.faint is not None:
            faint += len(seen.faint)
            assert {with_faint.classes[i] for i in seen.faint.class_id} == {"person"}
            assert (seen.faint.score < threshold).all()
            assert (seen.faint.score >= np.float32(0.001)).all()
            assert not (iou_matrix(seen.faint.xyxy, seen.xyxy) > with_faint.manifest.nms.iou).any()
    assert faint, "with nothing faint in these frames this proves nothing"


def test_with_a_floor_of_one_s_own_nothing_is_faint() -> None:
    """Who evaluates a model gets every box in one list."""
    assert OnnxDetector(shipped_bundle()).manifest.continues
    found = OnnxDetector(shipped_bundle(), score_floor=0.02).detect_image(lobby_frame(180))
    assert found.faint is None
    assert found.score.min() < 0.1


def test_a_picture_without_pixels_holds_nothing() -> None:
    detector = OnnxDetector(shipped_bundle())
    assert len(detector.detect_image(np.zeros((0, 640, 3), np.uint8))) == 0


def test_one_changed_byte_is_refused(bundle: Path) -> None:
    model = bundle / "model.onnx"
    content = bytearray(model.read_bytes())
    content[len(content) // 2] ^= 1
    model.write_bytes(content)
    with pytest.raises(ManifestError, match=r"model\.sha256"):
        OnnxDetector(bundle)


def test_a_model_that_is_none_is_refused_even_with_a_fitting_hash(bundle: Path) -> None:
    junk = b"this is a text file"
    (bundle / "model.onnx").write_bytes(junk)
    edit(bundle, lambda t: t["model"].update(sha256=hashlib.sha256(junk).hexdigest(), size_bytes=len(junk)))
    with pytest.raises(DetectorError, match=r"model\.onnx: onnxruntime .* cannot load it"):
        OnnxDetector(bundle)


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("input", lambda t: (t["input"].update(height=288), t["outputs"].update(features=None))),
        ("input.name", lambda t: t["input"].update(name="picture")),
        ("outputs.boxes", lambda t: [t["outputs"][k]["shape"].__setitem__(2, 100) for k in ("boxes", "scores")]),
        ("outputs.scores.name", lambda t: t["outputs"]["scores"].update(name="probabilities")),
        (
            "outputs.scores",
            lambda t: (
                t["classes"].append("unicorn"),
                t["thresholds"].update(unicorn=0.5),
                t["outputs"]["scores"]["shape"].__setitem__(1, len(t["classes"])),
            ),
        ),
        ("outputs.scores", lambda t: [t["outputs"][k].update(name="boxes") for k in ("boxes", "scores")]),
    ],
)
def test_a_manifest_of_another_model_is_refused(
    bundle: Path, key: str, change: Callable[[dict[str, Any]], object]
) -> None:
    edit(bundle, change)
    with pytest.raises(ManifestError) as caught:
        OnnxDetector(bundle)
    assert f"manifest.json: {key}" in caught.value.message


def test_a_model_whose_boxes_are_no_numbers_is_refused(bundle: Path) -> None:
    """Weights damaged before they were hashed: it would find nobody, ever, and say nothing of it."""
    path = bundle / "model.onnx"
    bins = np.arange(16, dtype="<f4").tobytes()  # by these the head's answer becomes distances
    content = path.read_bytes()
    assert content.count(bins) == 1
    content = content.replace(bins, np.full(16, np.nan, "<f4").tobytes())
    path.write_bytes(content)
    edit(bundle, lambda t: t["model"].update(sha256=hashlib.sha256(content).hexdigest()))
    with pytest.raises(DetectorError, match="boxes that are no numbers"):
        OnnxDetector(bundle)


@pytest.mark.parametrize("score", [np.nan, np.inf, 7.0, -0.5])
def test_a_model_whose_scores_are_none_is_refused(monkeypatch: pytest.MonkeyPatch, score: float) -> None:
    infer = OnnxDetector._infer

    def damaged(self: OnnxDetector, tensor: U8) -> tuple[F32, ...]:
        boxes, scores, *rest = infer(self, tensor)
        return boxes, np.full_like(scores, score), *rest

    monkeypatch.setattr(OnnxDetector, "_infer", damaged)
    with pytest.raises(DetectorError, match=r"scores that are not 0\.\.1"):
        OnnxDetector(shipped_bundle())


def test_wrong_arguments_are_told_with_what_is_allowed() -> None:
    with pytest.raises(DetectorError, match="no class 'dragon'") as caught:
        OnnxDetector(shipped_bundle(), classes=("person", "dragon"))
    assert "person" in caught.value.hint
    with pytest.raises(DetectorError, match="no execution provider NoSuchProvider") as caught:
        OnnxDetector(shipped_bundle(), providers=("NoSuchProvider",))
    assert "CPUExecutionProvider" in caught.value.hint
    with pytest.raises(DetectorError, match="threads = -1"):
        OnnxDetector(shipped_bundle(), threads=-1)
    with pytest.raises(DetectorError, match=r"score_floor = 1\.5"):
        OnnxDetector(shipped_bundle(), score_floor=1.5)


def test_idle_threads_burn_no_processor_time() -> None:
    # In a process of its own, so that nothing else is measured. Spinning threads would burn about 1 s per thread.
    code = """
import time, numpy as np
from edge.detect.onnx import OnnxDetector
from edge.models.shipped import shipped_bundle
detector = OnnxDetector(shipped_bundle(), threads=3)
frame = np.zeros((360, 640, 3), np.uint8)
detector.detect_image(frame)
before = time.process_time()
for _ in range(20):
    time.sleep(0.05)
    idle = time.process_time()
print(idle - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert float(done.stdout) < 0.1
