"""Actors: a path in time becomes a body in a pose at every moment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.scenes.pose import ACTIONS, PLANTED, WHILE_WALKING, X, Z, blended, merged, turn, walk

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.types import F64
    from export.scenes.body import Body, Posed
    from export.scenes.mesh import Colour
    from export.scenes.pose import Pose

RATE_HZ = 100
"""Paths are computed at this rate."""

_STRIDE_M = 1.38


@dataclass(frozen=True, slots=True)
class Step:
    """At ``t_s`` the actor is at x, y (metres); from then until the next step it does ``action`` when standing.

    ``heading_deg``: where it faces while standing; None keeps the direction of the last walk.
    """

    t_s: float
    x: float
    y: float
    heading_deg: float | None = None
    action: str = "stand"


def smoothed(values: F64, sigma: float) -> F64:
    """Gaussian smoothing with standard deviation in samples; the ends are held."""
    reach = int(4 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    padded = np.concatenate([np.full(reach, values[0]), values, np.full(reach, values[-1])])
    out: F64 = np.convolve(padded, kernel / kernel.sum(), "valid")
    return out


class Actor:
    """One person of a scenario.

    :param person_id: 1 and up.
    :param steps: at least two, in order of time; the actor exists from the first to the last.
    :param duration_s: of the clip.
    """

    def __init__(
        self, *, person_id: int, name: str, body: Body, steps: Sequence[Step], duration_s: float,
        wears: Sequence[str] = (), holds: str | None = None, cover_colour: Colour | None = None,
    ) -> None:  # fmt: skip
        self.person_id, self.name, self.body = person_id, name, body
        self.wears, self.holds, self.cover_colour = tuple(wears), holds, cover_colour
        self.from_s, self.to_s = steps[0].t_s, steps[-1].t_s
        t = np.arange(round(duration_s * RATE_HZ) + 1) / RATE_HZ
        times = [s.t_s for s in steps]
        self.x = smoothed(np.interp(t, times, [s.x for s in steps]), 22)
        self.y = smoothed(np.interp(t, times, [s.y for s in steps]), 22)
        vx, vy = np.gradient(self.x, 1 / RATE_HZ), np.gradient(self.y, 1 / RATE_HZ)
        self.speed_m_s = np.hypot(vx, vy)
        current = np.clip(np.searchsorted(times, t, side="right") - 1, 0, len(steps) - 1)
        going = self.speed_m_s > 0.15
        said = [steps[i].action for i in current]
        self.action = [
            "walk" if g and a in ("stand", *(set(ACTIONS) - WHILE_WALKING)) else a
            for g, a in zip(going, said, strict=True)
        ]
        self.walking = going
        heading = np.full(len(t), np.nan)
        for i, now in enumerate(current):
            if self.speed_m_s[i] > 0.12:
                heading[i] = np.degrees(np.arctan2(vy[i], vx[i]))
            else:
                given = steps[now].heading_deg
                heading[i] = heading[i - 1] if given is None and i else (given if given is not None else 0.0)
        turning = np.radians(heading)
        self.heading_deg = np.degrees(np.arctan2(smoothed(np.sin(turning), 20), smoothed(np.cos(turning), 20)))
        self._amount = np.clip(self.speed_m_s / 0.95, 0, 1) ** 0.8
        pace = self.speed_m_s / RATE_HZ / (_STRIDE_M * body.height_m / 1.75 * np.clip(self._amount, 0.45, 1))
        self._phase = np.cumsum(pace)
        self._share = {
            name: smoothed(np.array([a == name for a in self.action], float), 28 if name != "lie" else 24)
            for name in sorted(set(self.action) & set(ACTIONS))
        }

    def there(self, t_s: float) -> bool:
        return self.from_s <= t_s <= self.to_s

    def sample(self, t_s: float) -> int:
        """The index into the paths for a moment."""
        return min(round(t_s * RATE_HZ), len(self.x) - 1)

    def place(self, t_s: float) -> tuple[float, float]:
        i = self.sample(t_s)
        return float(self.x[i]), float(self.y[i])

    def shares(self, t_s: float) -> dict[str, float]:
        """How far each action has taken over, 0..1."""
        i = self.sample(t_s)
        return {name: float(curve[i]) for name, curve in self._share.items()}

    def pose(self, t_s: float) -> Posed:
        """The body at a moment of the clip."""
        i, limbs = self.sample(t_s), self.body.limbs
        pose: Pose = walk(limbs, float(self._phase[i]), float(self._amount[i]))
        pose["spine02"] = turn(X, 2) @ turn(Z, 1.5 * np.sin(1.1 * t_s + self.person_id))
        plant = 0.0
        for name, share in self.shares(t_s).items():
            if share > 0.01:
                doing = merged(pose, ACTIONS[name](limbs, t_s + 0.7 * self.person_id))
                if name in WHILE_WALKING:  # the legs walk on
                    legs = {b: r for b, r in pose.items() if b.startswith(("upperleg", "lowerleg", "foot", "root"))}
                    doing = merged(doing, legs)
                pose = blended(pose, doing, share)
                plant = max(plant, share if name in PLANTED else 0.0)
        if self.holds:
            pose = merged(pose, limbs.hand("R", curl=62))
        return self.body.pose(pose, place=self.place(t_s), heading_deg=float(self.heading_deg[i]), plant=plant)
