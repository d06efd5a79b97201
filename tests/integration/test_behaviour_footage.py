"""What behaviour is learnt from is what the kiosk follows: the same boxes, the faint ones among them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

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
