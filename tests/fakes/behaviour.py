"""A classifier and a watch that say what the test wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.behaviour.windows import WindowSpec
from edge.detect.letterbox import Letterbox
from edge.types import BEHAVIOURS, Features

if TYPE_CHECKING:
    from edge.behaviour.looks import LookSpec
    from edge.types import F32, U8, Frame, Tracks

SPEC = WindowSpec(seconds=2.0, mean_s=1.0, features=("median:inner",), max_move=0.6, max_edge=0.3, min_close=0.0)


class FakeClassifier:
    """Implements ``edge.behaviour.interface.Classifier``: sure where the first feature is above ``above``."""

    def __init__(
        self, name: str = "machine_tampering", *, spec: WindowSpec | LookSpec = SPEC, above: float = 0.05
    ) -> None:
        self.name = name
        self.spec = spec
        self._above = above

    def probability(self, features: F32) -> F32:
        return (features[:, 0] > self._above).astype(np.float32)


def fake_features(image: U8, *, model: str = "fake 1") -> Features:
    """Two channels: the mean grey level of each 16 px of a letterboxed picture of 160 x 96, 0..1, and its square."""
    tensor, at = Letterbox(width=160, height=96)(image)
    grey = cv2.resize(tensor[0, :, :, 1], (10, 6), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    inside = (-(-at.left // 16), -(-at.top // 16), (at.left + at.width) // 16, (at.top + at.height) // 16)
    across = (at.width / at.frame_width / 16, at.height / at.frame_height / 16)
    return Features(np.stack([grey, grey * grey]), inside, across, (at.left / 16, at.top / 16), model)


class FakeBehaviour:
    """Implements ``edge.behaviour.interface.Behaviour``: the same for everybody."""

    def __init__(self, likely: dict[str, float]) -> None:
        self._likely = likely

    def look(self, frame: Frame) -> None:
        """Nothing is taken of a picture."""

    def update(self, frame: Frame, tracks: Tracks, features: Features | None) -> tuple[F32, F32]:
        row = np.array([self._likely.get(name, 0.0) for name in BEHAVIOURS], np.float32)
        return np.full(len(tracks), 0.5, np.float32), np.tile(row, (len(tracks), 1))
