"""A classifier and a watch that say what the test wants."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.behaviour.windows import WindowSpec
from edge.types import BEHAVIOURS

if TYPE_CHECKING:
    from edge.types import F32, Frame, Tracks

SPEC = WindowSpec(seconds=2.0, mean_s=1.0, features=("median:inner",), max_move=0.6, max_edge=0.3, min_close=0.0)


class FakeClassifier:
    """Implements ``edge.behaviour.interface.Classifier``: sure where the first feature is above ``above``."""

    def __init__(self, name: str = "machine_tampering", *, spec: WindowSpec = SPEC, above: float = 0.05) -> None:
        self.name = name
        self.spec = spec
        self._above = above

    def probability(self, features: F32) -> F32:
        return (features[:, 0] > self._above).astype(np.float32)


class FakeBehaviour:
    """Implements ``edge.behaviour.interface.Behaviour``: the same for everybody."""

    def __init__(self, likely: dict[str, float]) -> None:
        self._likely = likely

    def look(self, frame: Frame) -> None:
        """Nothing is taken of a picture."""

    def update(self, frame: Frame, tracks: Tracks) -> tuple[F32, F32]:
        row = np.array([self._likely.get(name, 0.0) for name in BEHAVIOURS], np.float32)
        return np.full(len(tracks), 0.5, np.float32), np.tile(row, (len(tracks), 1))
