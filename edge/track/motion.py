"""Where a box will be: a constant-velocity Kalman filter in seconds, one per box dimension, all tracks at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge.types import F32, F64, I64, Bool

# In box heights, because a person far away moves fewer pixels. Tuned on walking people at 2 to 15 frames a second.
_MEASUREMENT_SD = 0.04  # of a height: how far a detector's box jitters
_ACCELERATION_SD = 1.6  # heights per second squared: starting, stopping and turning of a person on foot
_INITIAL_SPEED_SD = 1.0  # heights per second: a walk across the picture
# People stop and turn: after a second without a frame half of the speed is to be expected; behind something, sooner.
_SPEED_HALF_LIFE_S = 1.0
_LOST_SPEED_HALF_LIFE_S = 0.5
_RATES = np.log(2) / np.array([_SPEED_HALF_LIFE_S, _LOST_SPEED_HALF_LIFE_S])


class Motion:
    """State of M boxes as (centre x, centre y, width, height), each with its velocity.

    Each dimension is filtered on its own (position, velocity; covariance kept as its three distinct entries), which
    is what a full 8x8 filter with diagonal noise does as well, at a fraction of the cost.
    """

    def __init__(self) -> None:
        self.position: F64 = np.zeros((0, 4))
        self.velocity: F64 = np.zeros((0, 4))
        self._pp: F64 = np.zeros((0, 4))
        self._pv: F64 = np.zeros((0, 4))
        self._vv: F64 = np.zeros((0, 4))

    def predict(self, dt_s: float, unseen: Bool) -> None:
        """Advance all boxes by ``dt_s`` seconds; where ``unseen`` (M,) the speed is lost for good."""
        if dt_s <= 0 or not len(self.position):
            return
        kept = np.exp(-_RATES * dt_s)
        if unseen.any():
            which = unseen.astype(np.intp)[:, None]
            self.position += self.velocity * (1 - kept)[which] / _RATES[which]
            self.velocity[unseen] *= kept[1]
        else:
            self.position += self.velocity * (1 - kept[0]) / _RATES[0]
        np.maximum(self.position[:, 2:], 1.0, out=self.position[:, 2:])
        q = (_ACCELERATION_SD * self._scale()) ** 2
        self._pp += 2 * dt_s * self._pv + dt_s**2 * self._vv + q * dt_s**4 / 4
        self._pv += dt_s * self._vv + q * dt_s**3 / 2
        self._vv += q * dt_s**2

    def correct(self, index: I64, measured: F64) -> None:
        """Take measurements (K, 4) for the tracks ``index`` (K,)."""
        if not len(index):
            return
        r = (_MEASUREMENT_SD * np.maximum(measured[:, 3:4], 1.0)) ** 2
        pp, pv, vv = self._pp[index], self._pv[index], self._vv[index]
        gain_p, gain_v = pp / (pp + r), pv / (pp + r)
        residual = measured - self.position[index]
        self.position[index] += gain_p * residual
        # Where a box goes can be told from its past; that it will go on growing or shrinking cannot.
        self.velocity[index, :2] += (gain_v * residual)[:, :2]
        self._pp[index] = (1 - gain_p) * pp
        self._pv[index] = (1 - gain_p) * pv
        self._vv[index] = vv - gain_v * pv

    def add(self, measured: F64) -> None:
        """Start filters at rest for new boxes (K, 4)."""
        scale = np.maximum(measured[:, 3:4], 1.0)
        self.position = np.concatenate([self.position, measured])
        self.velocity = np.concatenate([self.velocity, np.zeros_like(measured)])
        self._pp = np.concatenate([self._pp, np.broadcast_to((_MEASUREMENT_SD * scale) ** 2, measured.shape)])
        self._pv = np.concatenate([self._pv, np.zeros_like(measured)])
        self._vv = np.concatenate([self._vv, np.broadcast_to((_INITIAL_SPEED_SD * scale) ** 2, measured.shape)])

    def keep(self, mask: Bool) -> None:
        """Forget the boxes where ``mask`` (M,) is false."""
        self.position, self.velocity = self.position[mask], self.velocity[mask]
        self._pp, self._pv, self._vv = self._pp[mask], self._pv[mask], self._vv[mask]

    def _scale(self) -> F64:
        return np.maximum(self.position[:, 3:4], 1.0)


def to_centre(xyxy: F32) -> F64:
    """Corners (N, 4) to centre, width and height (N, 4)."""
    box = xyxy.astype(np.float64)
    size = box[:, 2:] - box[:, :2]
    return np.concatenate([box[:, :2] + size / 2, size], axis=1)


def to_corners(centre: F64) -> F32:
    """Centre, width and height (N, 4) to corners (N, 4)."""
    half = centre[:, 2:] / 2
    return np.concatenate([centre[:, :2] - half, centre[:, :2] + half], axis=1).astype(np.float32)
