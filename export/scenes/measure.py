"""How well a detector finds the rendered people: by what they do, by view and by light, against the exact truth."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.detect.nms import iou_matrix
from edge.types import Frame
from export.scenes.clip import read_truth
from export.scenes.errors import SceneError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from edge.detect.interface import Detector
    from edge.types import F32, U8

LEAST_VISIBLE = 0.35
"""People of whom less can be seen are nobody's duty to find."""
_SAME = 0.5  # intersection over union from which a box is that person's


@dataclass(slots=True)
class Tally:
    """Counts of one group. ``missing`` is what was not found; ``iou`` of what was."""

    persons: int = 0
    sure: int = 0  # found with the higher score
    found: int = 0
    iou: list[float] = field(default_factory=list)

    def row(self) -> tuple[str, str, str, str]:
        """Person-frames, share found at either score, mean IoU."""
        if not self.persons:
            return "0", "-", "-", "-"
        mean = f"{np.mean(self.iou):.2f}" if self.iou else "-"
        return (
            str(self.persons),
            f"{100 * self.found / self.persons:.1f} %",
            f"{100 * self.sure / self.persons:.1f} %",
            mean,
        )


@dataclass(frozen=True, slots=True)
class Measured:
    """``groups``: (what is grouped by, its value) -> counts; ``false_boxes`` in ``frames``."""

    groups: dict[tuple[str, str], Tally]
    frames: int
    false_boxes: int


def frames_of(folder: Path, *, only: str = "*.truth.json") -> Iterator[tuple[dict[str, Any], dict[str, Any], U8]]:
    """Every clip in a folder that has its truth: (truth, frame's truth, picture uint8 (H, W, 3) BGR).

    :param only: a pattern for the names of the truth's files.
    :raises SceneError: a clip cannot be read, or is shorter than its truth.
    """
    for path in sorted(folder.glob(only)):
        table: dict[str, Any] = read_truth(path)
        video = cv2.VideoCapture(str(path.parent / table["clip"]))
        try:
            for frame in table["frames"]:
                ok, picture = video.read()
                if not ok:
                    raise SceneError(
                        f"{path.parent / table['clip']}: no frame {frame['i']}, the truth has {table['frame_count']}"
                    )
                yield table, frame, np.asarray(picture, np.uint8)
        finally:
            video.release()


def matched(truth: F32, found: F32) -> list[tuple[int, int, float]]:
    """Pairs (truth's row, finding's row, IoU), best first, each used once, from boxes (N, 4) and (M, 4)."""
    if not len(truth) or not len(found):
        return []
    overlap = iou_matrix(truth, found).copy()
    pairs = []
    while overlap.max() >= _SAME:
        row, column = np.unravel_index(int(overlap.argmax()), overlap.shape)
        pairs.append((int(row), int(column), float(overlap[row, column])))
        overlap[row, :] = overlap[:, column] = -1.0
    return pairs


def measure(
    frames: Iterable[tuple[dict[str, Any], dict[str, Any], U8]],
    detector: Detector,
    *,
    low: float = 0.35,
    high: float = 0.5,
) -> Measured:
    """Detection of class ``person`` at two scores; frames with a camera fault are left out."""
    person = detector.classes.index("person")
    groups: dict[tuple[str, str], Tally] = defaultdict(Tally)
    seen = false = 0
    for table, frame, picture in frames:
        if frame["camera"] != "ok":
            continue
        seen += 1
        shot = Frame(picture, frame["i"], frame["t_s"], datetime.now(timezone.utc), "scene")
        result = detector.detect(shot)
        result = result.where((result.class_id == person) & (result.score >= low))
        people = frame["persons"]
        boxes = np.array([p["box"] for p in people], np.float32).reshape(-1, 4)
        pairs = {row: (column, iou) for row, column, iou in matched(boxes, result.xyxy)}
        false += len(result) - len(pairs)
        for row, one in enumerate(people):
            if one["visibility"] < LEAST_VISIBLE:
                continue
            names = (
                ("all", "all"),
                ("doing", one["action"]),
                ("view", table["view"]),
                ("light", table["light"]),
                ("room", table["room"]),
            )
            for name in names:
                tally = groups[name]
                tally.persons += 1
                if row in pairs:
                    column, iou = pairs[row]
                    tally.found += 1
                    tally.sure += int(result.score[column] >= high)
                    tally.iou.append(iou)
    return Measured(dict(groups), seen, false)
