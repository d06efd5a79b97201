"""What edge.detect.interface.Detector promises, for every implementation."""

from __future__ import annotations

import inspect
from datetime import datetime, timezone
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from fakes.detectors import FakeDetector, Seen

from edge.detect.interface import Detector
from edge.detect.onnx import OnnxDetector
from edge.errors import DetectorError
from edge.models.shipped import shipped_bundle
from edge.types import Detections, Frame

if TYPE_CHECKING:
    from edge.types import U8


def everything(frame: Frame) -> list[Seen]:
    width, height = frame.size
    return [
        Seen("person", (0.1 * width, 0.2 * height, 0.4 * width, 1.5 * height), 0.6),
        Seen("knife", (-50, -50, 0.5 * width, 0.5 * height), 0.8),
        Seen("person", (width + 5, 0, width + 9, 5), 0.9),  # not in the picture
    ]


def onnx() -> Detector:
    return OnnxDetector(shipped_bundle(), threads=1)


def onnx_low() -> Detector:
    """Thresholds so low that every picture is full of boxes."""
    return OnnxDetector(shipped_bundle(), threads=1, score_floor=0.002)


def onnx_some() -> Detector:
    return OnnxDetector(shipped_bundle(), threads=1, classes=("person", "knife"), score_floor=0.002)


def fake() -> Detector:
    return FakeDetector(everything, faint=everything)


@pytest.fixture(scope="module", params=[onnx, onnx_low, onnx_some, fake])
def detector(request: pytest.FixtureRequest) -> Detector:
    made: Detector = request.param()
    return made


def make_frame(image: U8, seq: int = 1) -> Frame:
    return Frame(image, seq=seq, t_mono_s=1.0, t_utc=datetime(2026, 1, 5, tzinfo=timezone.utc), camera="lobby")


def drawn(width: int, height: int) -> U8:
    image = np.full((height, width, 3), (90, 120, 140), np.uint8)
    centre, size = (width // 2, height // 2), max(1, min(width, height) // 4)
    cv2.ellipse(image, centre, (size, size * 2), 0, 0, 360, (30, 40, 60), -1)
    cv2.circle(image, (centre[0], max(0, centre[1] - 2 * size)), size, (150, 180, 220), -1)
    return image


def test_the_signature_is_the_interface_s(detector: Detector) -> None:
    for name in ("detect",):
        ours = inspect.signature(getattr(type(detector), name))
        assert list(ours.parameters) == list(inspect.signature(getattr(Detector, name)).parameters)
    assert isinstance(detector.classes, tuple)
    assert detector.classes
    assert all(isinstance(name, str) and name for name in detector.classes)
    assert isinstance(detector.model, str)
    assert detector.model
    assert detector.map_name


@pytest.mark.parametrize("size", [(1280, 720), (640, 480), (480, 640), (416, 256), (1, 1), (2, 3), (1, 500), (2000, 3)])
def test_boxes_are_sound_for_any_frame(detector: Detector, size: tuple[int, int]) -> None:
    seen = detector.detect(make_frame(drawn(*size)))
    for found in (seen, seen.faint or Detections.empty()):
        _check_sound(found, size, classes=len(detector.classes))


def _check_sound(found: Detections, size: tuple[int, int], *, classes: int) -> None:
    assert isinstance(found, Detections)
    width, height = size
    assert (found.xyxy[:, 0] < found.xyxy[:, 2]).all()
    assert (found.xyxy[:, 1] < found.xyxy[:, 3]).all()
    assert (found.xyxy[:, :2] >= 0).all()
    assert (found.xyxy[:, 2:] <= (width, height)).all()
    assert (np.diff(found.score) <= 0).all()
    assert ((found.score >= 0) & (found.score <= 1)).all()
    assert ((found.class_id >= 0) & (found.class_id < classes)).all()
    assert not found.xyxy.flags.writeable


def test_the_same_frame_gives_the_same_answer_whatever_came_between(detector: Detector) -> None:
    frame = make_frame(drawn(640, 360))
    first = detector.detect(frame)
    detector.detect(make_frame(drawn(100, 300), seq=2))
    again = detector.detect(frame)
    assert (first.xyxy == again.xyxy).all()
    assert (first.score == again.score).all()
    assert (first.class_id == again.class_id).all()


def test_the_frame_is_not_changed(detector: Detector) -> None:
    image = drawn(320, 200)
    before = image.copy()
    detector.detect(make_frame(image))
    assert (image == before).all()


@pytest.mark.parametrize(
    "empty",
    [lambda: OnnxDetector(shipped_bundle(), threads=1), FakeDetector],
    ids=["onnx", "fake"],
)
def test_an_empty_picture_holds_nothing(empty: type[FakeDetector]) -> None:
    found = empty().detect(make_frame(np.full((360, 640, 3), 128, np.uint8)))
    assert len(found) == 0
    assert found.xyxy.shape == (0, 4)


def test_the_fake_plays_its_script_and_fails_when_told() -> None:
    fake_detector = FakeDetector({3: [Seen("person", (1, 2, 3, 4), 0.5), Seen("knife", (5, 6, 7, 8))]}, failing={4})
    frames = [make_frame(drawn(64, 48), seq=seq) for seq in (2, 3, 4)]
    assert len(fake_detector.detect(frames[0])) == 0
    found = fake_detector.detect(frames[1])
    assert [fake_detector.classes[i] for i in found.class_id] == ["knife", "person"]
    assert found.xyxy.tolist() == [[5, 6, 7, 8], [1, 2, 3, 4]]
    with pytest.raises(DetectorError):
        fake_detector.detect(frames[2])
    assert fake_detector.asked == [2, 3, 4]
