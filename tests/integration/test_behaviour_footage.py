"""What behaviour is learnt from is what the kiosk follows: the same boxes, the faint ones among them."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.cameras.file import VideoFile
from edge.detect.onnx import OnnxDetector
from edge.models.shipped import shipped_bundle
from edge.track.tracker import Tracker
from export.behaviour.footage import FPS, Footage, footage, moments

if TYPE_CHECKING:
    from edge.types import Detections

CLIP = Path(__file__).parents[1] / "clips" / "struggle.mp4"


def told(detections: Detections | None) -> list[list[float]]:
    if detections is None:
        return []
    return np.column_stack([detections.xyxy, detections.score]).tolist()


def test_footage_keeps_what_is_faint_apart_also_in_its_cache(tmp_path: Path) -> None:
    detector = OnnxDetector(shipped_bundle(), threads=1, classes=["person"], features=True)
    taken, kept = footage(CLIP, detector, tmp_path), footage(CLIP, detector, tmp_path)
    assert list(tmp_path.iterdir())
    followed, faint = Tracker(), 0
    source = VideoFile(CLIP, name="clip", max_fps=FPS)
    people: list[list[int]] = []
    for at_s, first, again in zip(taken.t_s, taken.seen(), kept.seen(), strict=True):
        frame = source.read(1.0)
        seen = detector.detect(frame)
        assert frame.t_mono_s == at_s
        assert told(first) == told(again) == told(seen)
        assert told(first.faint) == told(again.faint) == told(seen.faint)
        faint += len(told(seen.faint))
        tracks = followed.update(seen, frame.t_mono_s, size=frame.size)
        people.append(tracks.track_id[tracks.unseen_s == 0].tolist())
    source.close()
    assert faint, "with nothing faint in the clip this proves nothing"
    assert [set(now) <= set(m.names) for now, m in zip(people, moments(kept), strict=True)] == [True] * len(people)


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What was really looked at, clip by clip, instead of taken from the cache."""
    looked_at: list[bytes] = []

    def look(clip: Path, _detector: object, _change: object) -> Footage:
        looked_at.append(clip.read_bytes())
        number = np.array([float(len(looked_at))])
        nobody = (np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
        looks = np.zeros((1, 0), np.float32)
        return Footage(number, np.zeros((1, 4, 4), np.uint8), (9, 9), (nobody,), looks, np.ones(1, bool))

    monkeypatch.setattr("export.behaviour.footage._taken", look)
    return looked_at


def test_clips_of_the_same_name_and_models_of_the_same_name_have_footage_of_their_own(
    tmp_path: Path, taken: list[bytes]
) -> None:
    """Every model that is exported from a source.pt without a name is called "source 1"; fight/1.mp4 is not noFight/1.mp4."""
    shipped = OnnxDetector(shipped_bundle(), threads=1)
    other = Path(shutil.copytree(shipped_bundle(), tmp_path / "other"))
    told = json.loads((other / "manifest.json").read_text())
    content = (other / "model.onnx").read_bytes() + b"\xa2\x06\x01x"  # a field that no ONNX knows
    (other / "model.onnx").write_bytes(content)
    told["model"] |= {"sha256": hashlib.sha256(content).hexdigest(), "size_bytes": len(content)}
    (other / "manifest.json").write_text(json.dumps(told))
    retrained = OnnxDetector(other, threads=1)
    assert retrained.model == shipped.model
    clips = [tmp_path / "fight" / "1.mp4", tmp_path / "noFight" / "1.mp4"]
    for clip in clips:
        clip.parent.mkdir()
        clip.write_text(str(clip.parent.name))
    cache = tmp_path / "cache"
    found = [float(footage(c, d, cache).t_s[0]) for d in (shipped, retrained) for c in clips for _ in range(2)]
    assert taken == [b"fight", b"noFight"] * 2
    assert found == [1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0]


def test_footage_whose_writing_was_cut_off_is_taken_again(tmp_path: Path, taken: list[bytes]) -> None:
    detector = OnnxDetector(shipped_bundle(), threads=1)
    clip, cache = tmp_path / "1.mp4", tmp_path / "cache"
    clip.write_bytes(b"clip")
    footage(clip, detector, cache)
    (kept,) = cache.iterdir()
    for size in (0, 10, kept.stat().st_size // 2, kept.stat().st_size - 3):
        kept.write_bytes(kept.read_bytes()[:size])
        assert footage(clip, detector, cache).t_s[0] == len(taken)
    assert len(taken) == 5


def test_footage_without_faint_boxes_has_none() -> None:
    boxes, scores = np.array([[0, 0, 9, 9]], np.float32), np.array([0.1], np.float32)
    (seen,) = Footage(
        np.zeros(1),
        np.zeros((1, 4, 4), np.uint8),
        (9, 9),
        ((boxes, scores),),
        np.zeros((1, 0), np.float32),
        np.ones(1, bool),
    ).seen()
    assert len(seen) == 1
    assert told(seen.faint) == []
