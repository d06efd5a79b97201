from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edge.types import Detections
from export.scenes.measure import matched, measure

if TYPE_CHECKING:
    from edge.types import Frame


class Scripted:
    """Answers with the same boxes for every frame."""

    classes = ("person", "knife")
    model = "scripted 1"

    def __init__(self, *rows: tuple[float, float, float, float, float, int]) -> None:
        self._rows = rows

    def detect(self, frame: Frame) -> Detections:
        table = np.array(self._rows, np.float32).reshape(-1, 6)
        return Detections(table[:, :4].copy(), table[:, 4].copy(), table[:, 5].astype(np.int64))


def _person(box: list[float], **more: object) -> dict[str, object]:
    return {"id": 1, "box": box, "visibility": 1.0, "action": "walk"} | more


def _frame(*persons: dict[str, object], camera: str = "ok") -> tuple[dict[str, Any], dict[str, Any], np.ndarray]:
    table = {"view": "corner", "light": "day", "room": "lobby"}
    return table, {"i": 0, "t_s": 0.0, "camera": camera, "persons": list(persons)}, np.zeros((36, 64, 3), np.uint8)


def test_each_box_counts_once_and_the_best_pair_wins() -> None:
    truth = np.array([[0, 0, 10, 10], [1, 0, 11, 10]], np.float32)
    found = np.array([[1, 0, 11, 10]], np.float32)
    assert matched(truth, found) == [(1, 0, pytest.approx(1.0))]
    assert matched(truth, np.zeros((0, 4), np.float32)) == []


def test_found_sure_missed_and_false_are_counted() -> None:
    frames = [_frame(_person([0, 0, 10, 20]), _person([30, 0, 40, 20], action="lie"))] * 2
    detector = Scripted((0, 0, 10, 20, 0.4, 0), (50, 0, 60, 20, 0.9, 0), (30, 0, 40, 20, 0.9, 1))
    figures = measure(frames, detector)
    assert figures.frames == 2
    assert figures.false_boxes == 2
    walking, lying = figures.groups["doing", "walk"], figures.groups["doing", "lie"]
    assert (walking.persons, walking.found, walking.sure) == (2, 2, 0)
    assert walking.iou == pytest.approx([1.0, 1.0])
    assert (lying.persons, lying.found) == (2, 0)
    assert figures.groups["all", "all"].row() == ("4", "50.0 %", "0.0 %", "1.00")


def test_hidden_people_and_frames_of_a_blind_camera_do_not_count() -> None:
    frames = [_frame(_person([0, 0, 10, 20], visibility=0.1)), _frame(_person([0, 0, 10, 20]), camera="covered")]
    figures = measure(frames, Scripted((0, 0, 10, 20, 0.9, 0)))
    assert figures.frames == 1
    assert figures.groups == {}
    assert figures.false_boxes == 0
