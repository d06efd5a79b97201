"""What stands in a lobby, as triangles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.scenes.mesh import Colour, Material, box, moved, soup, tagged, tube
from export.scenes.pose import Z, turn

if TYPE_CHECKING:
    from edge.types import F32, F64

_DARK: Colour = (0.05, 0.05, 0.06)
_STEEL: Colour = (0.45, 0.46, 0.48)


def at(mesh: F32, x: float, y: float, turn_deg: float = 0.0, z: float = 0.0) -> F32:
    """The mesh put at a place on the floor (metres) and turned about the upright."""
    return moved(mesh, turn(Z, turn_deg), np.array([x, y, z]))


def machine(colour: Colour, *, glow: int, in_wall: bool = False, screen: Colour = (0.35, 0.70, 1.15)) -> F32:
    """A cash machine with its back at y = 0, facing -y. ``glow``: the light that its screen shines with."""
    r, g, b = colour
    body: Colour = (0.55 * r + 0.10, 0.55 * g + 0.10, 0.5 * b + 0.08)
    deep = 0.24 if in_wall else 0.62
    front = -(deep - 0.12)
    parts = [
        box((-0.19, front - 0.015, 1.05), (0.13, front, 1.32), screen, Material.GLOW, glow),
        box((-0.17, front - 0.018, 1.25), (0.11, front - 0.012, 1.30), (1.0, 1.1, 1.2), Material.GLOW, glow),
        box((0.17, front - 0.015, 1.12), (0.27, front, 1.28), _DARK),
        box((0.19, front - 0.03, 1.18), (0.25, front - 0.01, 1.2), (0.1, 0.5, 0.2)),
        box((-0.12, -deep + 0.02, 0.97), (0.10, -deep + 0.09, 0.985), (0.12, 0.12, 0.13)),
        box((-0.25, -deep - 0.005, 0.70), (0.10, -deep, 0.76), _DARK),
        box((-0.25, -deep, 0.93), (0.25, front + 0.02, 0.97), (0.35, 0.36, 0.38)),
        box((-0.34, -deep, 1.50), (0.34, 0, 1.62), colour),
        box((-0.28, front - 0.02, 1.63), (0.28, -0.02, 2.0), (0.65 * r, 0.75 * g, 0.9 * b)),
        box((-0.22, front - 0.025, 1.72), (0.22, front - 0.02, 1.9), (0.85, 0.85, 0.9), Material.GLOW, glow),
    ]
    for row in range(4):
        for column in range(3):
            x, y = -0.06 + 0.05 * column, -deep + 0.025 + 0.016 * row
            parts.append(box((x, y, 0.985), (x + 0.03, y + 0.011, 0.992), (0.6, 0.6, 0.58)))
    if in_wall:
        parts += [box((-0.36, -0.24, 0.55), (0.36, 0, 1.02), body), box((-0.36, -0.12, 1.0), (0.36, 0, 1.5), colour)]
        parts += [box((-0.40, -0.13, 0.5), (-0.36, 0, 2.05), _STEEL), box((0.36, -0.13, 0.5), (0.40, 0, 2.05), _STEEL)]
    else:
        parts += [box((-0.32, -deep, 0), (0.32, 0, 0.95), body), box((-0.32, front, 0.95), (0.32, 0, 1.55), colour)]
    return np.concatenate(parts)


def service_door(colour: Colour = (0.52, 0.54, 0.55)) -> F32:
    """A steel door with its back at y = 0, facing -y, 0.84 m wide, with a red sign."""
    frame: Colour = (0.38, 0.40, 0.41)
    return np.concatenate(
        [
            box((-0.42, -0.03, 0), (0.42, 0, 2.05), frame),
            box((-0.36, -0.045, 0.04), (0.36, -0.03, 1.99), colour),
            box((0.24, -0.10, 1.0), (0.32, -0.04, 1.03), (0.2, 0.2, 0.2)),
            box((-0.18, -0.052, 1.42), (0.18, -0.045, 1.62), (0.70, 0.06, 0.05)),
            box((-0.14, -0.054, 1.49), (0.14, -0.052, 1.55), (0.9, 0.9, 0.88)),
        ]
    )


def bin_() -> F32:
    return tube([(0, 0, 0), (0, 0, 0.3), (0, 0, 0.62)], [0.13, 0.15, 0.16], (0.16, 0.16, 0.17), Material.PLAIN, 16)


def shelf(wide: float = 1.2) -> F32:
    """A writing shelf on legs, its back at x = 0."""
    legs = [box((0.04, y, 0), (0.08, y + 0.04, 0.92), (0.3, 0.3, 0.3)) for y in (-wide / 2 + 0.04, wide / 2 - 0.08)]
    return np.concatenate([box((0.02, -wide / 2, 0.92), (0.40, wide / 2, 0.96), (0.45, 0.36, 0.28)), *legs])


def poster(wide: float, tall: float, colour: Colour) -> F32:
    """A framed poster facing -y, its centre at z = 1.5."""
    paper: Colour = (0.85, 0.82, 0.72)
    return np.concatenate(
        [
            box((-wide / 2, -0.012, 1.5 - tall / 2), (wide / 2, 0, 1.5 + tall / 2), colour),
            box((-0.4 * wide, -0.014, 1.5), (0.4 * wide, -0.012, 1.5 + 0.42 * tall), paper),
            box((-0.4 * wide, -0.014, 1.5 - 0.3 * tall), (0.2 * wide, -0.012, 1.5 - 0.24 * tall), paper),
        ]
    )


def plant() -> F32:
    """A pot with a bush of long leaves."""
    parts = [tube([(0, 0, 0), (0, 0, 0.34)], [0.13, 0.17], (0.42, 0.22, 0.14))]
    for k in range(22):
        a, lean = 2.4 * k, 0.12 + 0.30 * (k % 5) / 5
        tip = np.array([np.cos(a) * lean, np.sin(a) * lean, 0.7 + 0.12 * (k % 7)])
        side = np.array([-np.sin(a), np.cos(a), 0.0]) * 0.035
        mid = tip * 0.55 + np.array([0, 0, 0.25])
        base = np.array([0, 0, 0.32])
        position = np.stack([base, mid - side, mid + side, mid - side, tip, mid + side])
        normal = np.repeat(np.cross(side, tip - base)[None], 6, 0)
        parts.append(
            soup(position, normal / np.linalg.norm(normal[0]), (0.10, 0.22 + 0.01 * (k % 4), 0.08), Material.PLAIN)
        )
    return np.concatenate(parts)


def barrier(length: float) -> F32:
    """Two posts with a belt, along x."""
    parts = [tube([(x, 0, 0.03), (x, 0, 0.95)], [0.025, 0.025], _STEEL) for x in (0.0, length)]
    parts += [
        tube([(x, 0, 0), (x, 0, 0.03)], [0.16, 0.16], (0.2, 0.2, 0.22), Material.PLAIN, 18) for x in (0.0, length)
    ]
    return np.concatenate([*parts, box((0, -0.004, 0.86), (length, 0.004, 0.92), (0.10, 0.16, 0.40))])


def parked_car(colour: Colour) -> F32:
    """A plain car, 4.2 m along x, its middle at the origin."""
    glass: Colour = (0.06, 0.07, 0.08)
    parts = [
        box((-2.1, -0.85, 0.30), (2.1, 0.85, 0.82), colour),
        box((-1.3, -0.76, 0.82), (0.95, 0.76, 1.40), glass),
        box((-1.2, -0.78, 1.36), (0.8, 0.78, 1.45), colour),
    ]
    for x in (-1.35, 1.35):
        wheel = tube([(0, -0.12, 0), (0, 0.12, 0)], [0.31, 0.31], (0.03, 0.03, 0.03), Material.PLAIN, 20)
        parts += [moved(wheel, np.eye(3), np.array([x, y, 0.31])) for y in (-0.76, 0.76)]
    return np.concatenate(parts)


def marked_area(x0: float, y0: float, x1: float, y1: float, colour: Colour = (0.85, 0.62, 0.05)) -> F32:
    """A taped line on the floor round an area, 6 cm wide."""
    lines = [(x0, y0, x1, y0), (x0, y1, x1, y1), (x0, y0, x0, y1), (x1, y0, x1, y1)]
    return np.concatenate([box((a - 0.03, b - 0.03, 0), (c + 0.03, d + 0.03, 0.003), colour) for a, b, c, d in lines])


@dataclass(frozen=True, slots=True)
class SlidingDoor:
    """Two panes that slide apart when somebody comes near.

    ``middle``: x, y; ``along``: the wall's direction in degrees; ``half_m``: half the opening; ``glass``: the panes' colour.
    """

    middle: tuple[float, float]
    along_deg: float
    half_m: float = 0.54
    tall_m: float = 2.14
    glass: Colour = (0.13, 0.17, 0.20)

    def opening(self, people: list[tuple[float, float]]) -> float:
        """0 shut, 1 open, from where people stand."""
        far = [np.hypot(x - self.middle[0], y - self.middle[1]) for x, y in people]
        return float(np.clip((1.35 - min(far)) / 0.5, 0, 1)) if far else 0.0

    def mesh(self, opening: float) -> F32:
        parts = []
        for sign in (-1, 1):
            a = sign * (self.half_m - 0.02) * opening
            low, high = sorted((a, a + sign * self.half_m))
            parts.append(box((low, -0.01, 0), (high, 0.01, self.tall_m), self.glass))
            parts.append(box((a - 0.03, -0.02, 0), (a + 0.03, 0.02, self.tall_m), _STEEL))
            edge = a + sign * (self.half_m - 0.03)
            parts.append(box((edge - 0.03, -0.02, 0), (edge + 0.03, 0.02, self.tall_m), _STEEL))
        return tagged(at(np.concatenate(parts), *self.middle, self.along_deg), 0)


def wall_with_hole(  # noqa: PLR0917 - a wall is all of this
    x0: float,
    x1: float,
    tall: float,
    hole: tuple[float, float, float, float] | None,
    colour: Colour,
    material: Material,
) -> F32:
    """A wall 10 cm thick along x behind y = 0; ``hole``: x from, x to, z from, z to."""
    if hole is None:
        return box((x0, 0, 0), (x1, 0.1, tall), colour, material)
    a, b, low, high = hole
    parts = [box((x0, 0, 0), (a, 0.1, tall), colour, material), box((b, 0, 0), (x1, 0.1, tall), colour, material)]
    parts.append(box((a, 0, high), (b, 0.1, tall), colour, material))
    if low > 0:
        parts.append(box((a, 0, 0), (b, 0.1, low), colour, material))
    return np.concatenate(parts)


def turned(mesh: F32, matrix: F64) -> F32:
    """The mesh turned about the origin by any 3x3 matrix."""
    return moved(mesh, matrix, np.zeros(3))
