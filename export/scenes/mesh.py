"""Triangles: the vertex layout that everything in a scene shares, and a few solids made of it."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.types import F32, F64

Colour = tuple[float, float, float]

COLUMNS = 14
"""position 3 (m), normal 3, colour 3 (linear 0..1), rest position 3 (m, where the texture sticks), material, tag."""
POSITION, NORMAL, COLOUR, REST = slice(0, 3), slice(3, 6), slice(6, 9), slice(9, 12)
MATERIAL, TAG = 12, 13


class Material(IntEnum):
    """How the shader treats a surface."""

    SKIN = 0
    CLOTH = 1
    HAIR = 2
    SHOE = 3
    TILES = 4
    PLASTER = 5
    PLAIN = 6
    GLOW = 7  # shines by itself; the tag says with which light
    ASPHALT = 8
    BRICK = 9


def soup(position: F64, normal: F64, colour: Colour, material: Material, tag: int = 0) -> F32:
    """Triangles (3T, COLUMNS) from corner positions (3T, 3) in metres and normals (3T, 3)."""
    out = np.empty((len(position), COLUMNS), np.float32)
    out[:, POSITION] = out[:, REST] = position
    out[:, NORMAL] = normal
    out[:, COLOUR] = colour
    out[:, MATERIAL] = material
    out[:, TAG] = tag
    return out


_FACES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
_AXES = ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))


def box(
    low: tuple[float, float, float],
    high: tuple[float, float, float],
    colour: Colour,
    material: Material = Material.PLAIN,
    tag: int = 0,
) -> F32:
    """An upright box between two corners, metres."""
    corner = np.array([[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])])
    order = [face[k] for face in _FACES for k in (0, 1, 2, 0, 2, 3)]
    normal = np.repeat(np.array(_AXES, float), 6, axis=0)
    return soup(corner[order], normal, colour, material, tag)


def tube(
    points: Sequence[tuple[float, float, float]],
    radii: Sequence[float],
    colour: Colour,
    material: Material = Material.PLAIN,
    sides: int = 12,
) -> F32:
    """A round body along a line of points (metres), with a radius at each, closed at both ends."""
    centre = np.array(points, float)
    along = np.gradient(centre, axis=0)
    along /= np.linalg.norm(along, axis=1, keepdims=True) + 1e-9
    aside = np.cross(along, np.where(np.abs(along[:, 2:]) > 0.9, (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)))
    aside /= np.linalg.norm(aside, axis=1, keepdims=True)
    third = np.cross(along, aside)
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    ring = np.cos(angle)[None, :, None] * aside[:, None] + np.sin(angle)[None, :, None] * third[:, None]  # (P, S+1, 3)
    skin = centre[:, None] + ring * np.array(radii, float)[:, None, None]
    a, b, c, d = skin[:-1, :-1], skin[1:, :-1], skin[1:, 1:], skin[:-1, 1:]
    na, nb, nc, nd = ring[:-1, :-1], ring[1:, :-1], ring[1:, 1:], ring[:-1, 1:]
    sides_p = np.stack([a, b, c, a, c, d], 2).reshape(-1, 3)
    sides_n = np.stack([na, nb, nc, na, nc, nd], 2).reshape(-1, 3)
    caps_p, caps_n = [], []
    for end, sign in ((0, -1.0), (-1, 1.0)):
        rim = skin[end]
        fan = np.stack([np.broadcast_to(centre[end], rim[1:].shape), rim[:-1], rim[1:]], 1).reshape(-1, 3)
        caps_p.append(fan)
        caps_n.append(np.broadcast_to(sign * along[end], fan.shape))
    return soup(np.concatenate([sides_p, *caps_p]), np.concatenate([sides_n, *caps_n]), colour, material)


def shell(radii: tuple[float, float, float], colour: Colour, material: Material, *, above: float = -1.0) -> F32:
    """An ellipsoid about the origin, metres; ``above`` (-1..1) cuts off what lies below that share of its height."""
    polar = np.linspace(0, np.arccos(np.clip(above, -1, 1)), 19)
    turn = np.linspace(0, 2 * np.pi, 37)
    unit = np.stack(
        [
            np.sin(polar)[:, None] * np.cos(turn),
            np.sin(polar)[:, None] * np.sin(turn),
            np.cos(polar)[:, None] + 0 * turn,
        ],
        2,
    )
    size = np.array(radii)
    skin, normal = unit * size, unit / size
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    quads = [(skin[:-1, :-1], skin[1:, :-1], skin[1:, 1:], skin[:-1, 1:])]
    normals = [(normal[:-1, :-1], normal[1:, :-1], normal[1:, 1:], normal[:-1, 1:])]
    position = [np.stack([q[0], q[1], q[2], q[0], q[2], q[3]], 2).reshape(-1, 3) for q in quads]
    upward = [np.stack([q[0], q[1], q[2], q[0], q[2], q[3]], 2).reshape(-1, 3) for q in normals]
    return soup(np.concatenate(position), np.concatenate(upward), colour, material)


def moved(mesh: F32, turn: F64, shift: F64) -> F32:
    """The mesh turned by a 3x3 matrix and then shifted (metres)."""
    out: F32 = mesh.copy()
    out[:, POSITION] = mesh[:, POSITION] @ turn.T.astype(np.float32) + shift.astype(np.float32)
    out[:, NORMAL] = mesh[:, NORMAL] @ turn.T.astype(np.float32)
    return out


def tagged(mesh: F32, tag: int) -> F32:
    """The mesh with another tag on every vertex."""
    out: F32 = mesh.copy()
    out[:, TAG] = tag
    return out
