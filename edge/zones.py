"""Who is where: polygons in the picture and the tracks that stand in them.

The feet decide: the bottom centre of the box. Where the feet are out of the picture, the box ends at the picture's
lower edge and that point, the lowest visible one, decides in their place. Where something stands in front of the
feet (a bench, a desk, another person) the lowest visible point decides too: the person then seems to stand farther
back than they do, so draw zones for what the camera can see of people there. For an object in a hand its own bottom
centre decides too.

Who is in front of the machine is in the lobby, also where that zone was drawn beside the lobby's; the service side is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.types import F32, F64, Bool, Tracks, Zone, ZoneKind

if TYPE_CHECKING:
    from collections.abc import Sequence

WHOLE_PICTURE = "picture"
_INSIDE = 1e-4  # keeps a point on the picture's very edge inside a zone that reaches that edge


class ZoneMap:
    """Zones of one camera; where none is a lobby, the whole picture is one, named ``picture``.

    :param camera: the camera's name.
    :param zones: zones of all cameras; those of other cameras are left out.
    """

    def __init__(self, camera: str, zones: Sequence[Zone]) -> None:
        own = tuple(z for z in zones if z.camera == camera)
        if not any(z.kind is ZoneKind.LOBBY for z in own):
            corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
            own = (*own, Zone(camera, WHOLE_PICTURE, ZoneKind.LOBBY, corners))
        self.zones = own
        longest = max(len(z.polygon) for z in own)
        # Repeating the last corner adds edges of no length, which no ray crosses.
        padded = [np.pad(z.polygon, ((0, longest - len(z.polygon)), (0, 0)), mode="edge") for z in own]
        self._start: F64 = np.stack(padded).astype(np.float64)
        self._end: F64 = np.roll(self._start, -1, axis=1)
        self._ignored = np.array([z.kind is ZoneKind.IGNORE for z in own])
        self._elsewhere = [k for k, z in enumerate(own) if z.kind in {ZoneKind.LOBBY, ZoneKind.RESTRICTED}]
        lobbies = [k for k, z in enumerate(own) if z.kind is ZoneKind.LOBBY]
        # Each machine with the lobby whose middle is nearest to its own.
        self._machines = [
            (k, min(lobbies, key=lambda lobby: float(np.hypot(*(_middle(own[lobby]) - middle)))))
            for k, middle in ((k, _middle(z)) for k, z in enumerate(own) if z.kind is ZoneKind.MACHINE)
        ]

    @property
    def doors(self) -> list[F32]:
        """Polygons of the doors."""
        return [z.polygon for z in self.zones if z.kind is ZoneKind.DOOR]

    @property
    def rooms(self) -> list[F32]:
        """Polygons of the lobbies that somebody drew."""
        return [z.polygon for z in self.zones if z.kind is ZoneKind.LOBBY and z.name != WHOLE_PICTURE]

    def occupancy(self, tracks: Tracks, size: tuple[int, int]) -> Bool:
        """Which zone holds which track: bool (Z, M). ``size``: (width, height) of the frame in pixels."""
        if not len(tracks):
            return np.zeros((len(self.zones), 0), np.bool_)
        found = self._contains(feet(tracks, size))
        if self._machines:
            elsewhere = found[self._elsewhere].any(axis=0)
            for machine, lobby in self._machines:
                found[lobby] |= found[machine] & ~elsewhere
        return found

    def counted(self, tracks: Tracks, size: tuple[int, int]) -> Bool:
        """Tracks (M,) that stand in no ``ignore`` zone."""
        if not len(tracks) or not self._ignored.any():
            return np.ones(len(tracks), np.bool_)
        keep: Bool = ~self._contains(feet(tracks, size))[self._ignored].any(axis=0)
        return keep

    def _contains(self, points: F64) -> Bool:
        return contains(self._start, self._end, points)


def _middle(zone: Zone) -> F32:
    middle: F32 = (zone.polygon.min(axis=0) + zone.polygon.max(axis=0)) / 2
    return middle


def contains(start: F64, end: F64, points: F64) -> Bool:
    """Even-odd rule (a ray to the right crosses an odd number of edges), all polygons, edges and points at once.

    :param start: corners (Z, K, 2); ``end``: the corner after each.
    :returns: (Z, P), polygon z holds point p of (P, 2).
    """
    px, py = points[None, None, :, 0], points[None, None, :, 1]
    x1, y1 = start[:, :, None, 0], start[:, :, None, 1]
    x2, y2 = end[:, :, None, 0], end[:, :, None, 1]
    straddles = (y1 > py) != (y2 > py)
    rise = np.where(y2 == y1, 1.0, y2 - y1)
    crosses = straddles & (px < x1 + (py - y1) * (x2 - x1) / rise)
    inside: Bool = crosses.sum(axis=1) % 2 == 1
    return inside


def feet(tracks: Tracks, size: tuple[int, int]) -> F64:
    """The deciding points (M, 2), x y normalised to 0..1 and kept inside the picture."""
    width, height = size
    box = tracks.xyxy.astype(np.float64)
    points = np.stack([(box[:, 0] + box[:, 2]) / 2 / max(width, 1), box[:, 3] / max(height, 1)], axis=1)
    return np.clip(points, _INSIDE, 1 - _INSIDE)
