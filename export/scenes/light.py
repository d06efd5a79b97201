"""Lamps: where they are, what they throw, and how bright they are at a moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.scenes.view import looking, perspective

if TYPE_CHECKING:
    from edge.types import F64

MAX_LIGHTS = 6
MAX_SHADOWS = 2


@dataclass(frozen=True, slots=True)
class Light:
    """A lamp. ``intensity`` before the fall-off 1 / (a + b d²), d in metres.

    ``spread``: tangent of the half-angle of its shadow map; 0 throws no shadow. ``ambient``: what it adds everywhere,
    bounced.
    """

    name: str
    position: tuple[float, float, float]
    colour: tuple[float, float, float] = (1.0, 0.98, 0.93)
    intensity: float = 1.0
    falloff: tuple[float, float] = (1.0, 0.22)
    spread: float = 0.0
    target: tuple[float, float, float] = (0.0, 0.0, 0.0)
    cone: float = 0.0  # tangent of the half-angle outside of which it is dark; 0: shines everywhere
    near: float = 0.08
    far: float = 8.0
    ambient: float = 0.0

    @property
    def matrix(self) -> F64:
        """From the room to the shadow map's clip space, 4x4."""
        eye = np.array(self.position)
        ahead = np.array(self.target) - eye
        up = (
            np.array([0.0, 1.0, 0.0]) if abs(ahead[2]) > 2 * np.hypot(ahead[0], ahead[1]) else np.array([0.0, 0.0, 1.0])
        )
        spread = self.spread or 1.0
        clip: F64 = perspective(spread, spread, self.near, self.far) @ looking(eye, ahead, up)
        return clip
