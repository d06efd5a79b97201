"""Where things are in the picture: a pinhole camera, and polygons on the floor seen through it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.types import F64

Point = tuple[float, float]


def looking(eye: F64, ahead: F64, up: F64) -> F64:
    """The 4x4 matrix from the room (metres) to a camera at ``eye`` that looks along ``ahead``."""
    f = ahead / np.linalg.norm(ahead)
    s = np.cross(f, up)
    s /= np.linalg.norm(s)
    out = np.eye(4)
    out[0, :3], out[1, :3], out[2, :3] = s, np.cross(s, f), -f
    out[:3, 3] = -out[:3, :3] @ eye
    return out


def perspective(tan_x: float, tan_y: float, near: float, far: float) -> F64:
    """The 4x4 projection for half-angles with these tangents; depth between ``near`` and ``far`` metres."""
    out = np.zeros((4, 4))
    out[0, 0], out[1, 1] = 1 / tan_x, 1 / tan_y
    out[2, 2], out[2, 3], out[3, 2] = -(far + near) / (far - near), -2 * far * near / (far - near), -1
    return out


@dataclass(frozen=True, slots=True)
class View:
    """A camera in the room. ``eye`` in metres; ``yaw_deg`` 0 looks along x, 90 along y; ``pitch_deg`` is downward."""

    eye: tuple[float, float, float]
    yaw_deg: float
    pitch_deg: float
    hfov_deg: float
    roll_deg: float = 0.0
    width: int = 640
    height: int = 360

    def turned(self, *, yaw_deg: float, pitch_deg: float) -> View:
        """The same camera pushed aside by these angles."""
        return replace(self, yaw_deg=self.yaw_deg + yaw_deg, pitch_deg=self.pitch_deg + pitch_deg)

    @property
    def matrix(self) -> F64:
        """From the room to clip space, 4x4."""
        yaw, pitch, roll = np.radians([self.yaw_deg, self.pitch_deg, self.roll_deg])
        ahead = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
        aside = np.array([np.sin(yaw), -np.cos(yaw), 0.0])
        up = np.cross(aside, ahead)
        up = np.cos(roll) * up + np.sin(roll) * aside
        tan = float(np.tan(np.radians(self.hfov_deg / 2)))
        clip: F64 = perspective(tan, tan * self.height / self.width, 0.05, 60.0) @ looking(
            np.array(self.eye), ahead, up
        )
        return clip

    def project(self, points: F64) -> F64:
        """Points (N, 3) in metres to pixels (N, 2); NaN for what lies behind the camera."""
        clip = np.c_[points, np.ones(len(points))] @ self.matrix.T
        w = np.where(clip[:, 3] > 0.05, clip[:, 3], np.nan)
        pixel: F64 = np.c_[(clip[:, 0] / w * 0.5 + 0.5) * self.width, (0.5 - clip[:, 1] / w * 0.5) * self.height]
        return pixel

    def floor_polygon(self, polygon: Sequence[Point]) -> list[Point]:
        """A polygon on the floor (metres) as it appears in the picture, normalised 0..1, cut at the picture's edge.

        Fewer than three corners: out of sight.
        """
        clip = [np.array([x, y, 0.0, 1.0]) @ self.matrix.T for x, y in polygon]
        planes = [np.array(p, float) for p in ((0, 0, 0, 1), (1, 0, 0, 1), (-1, 0, 0, 1), (0, 1, 0, 1), (0, -1, 0, 1))]
        for i, plane in enumerate(planes):
            floor = 0.05 if i == 0 else 0.0
            clip = _cut(clip, plane, floor)
        return [(float(c[0] / c[3] * 0.5 + 0.5), float(0.5 - c[1] / c[3] * 0.5)) for c in clip]


def _cut(corners: list[F64], plane: F64, floor: float) -> list[F64]:
    """The part of a polygon where the dot product with ``plane`` is at least ``floor``."""
    out: list[F64] = []
    for a, b in zip([*corners[-1:], *corners[:-1]], corners, strict=True):
        da, db = float(a @ plane) - floor, float(b @ plane) - floor
        if (da >= 0) != (db >= 0):
            out.append(a + da / (da - db) * (b - a))
        if db >= 0:
            out.append(b)
    return out


def contains(polygon: Sequence[Point], x: float, y: float) -> bool:
    """Whether a point lies in a polygon (even-odd rule)."""
    inside = False
    for (x0, y0), (x1, y1) in zip(polygon, [*polygon[-1:], *polygon[:-1]], strict=True):
        if (y0 > y) != (y1 > y) and x < (x1 - x0) * (y - y0) / (y1 - y0) + x0:
            inside = not inside
    return inside
