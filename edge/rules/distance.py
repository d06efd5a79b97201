"""How far from a zone's edge, and from each other: in pixels of the frame, to be held against a person's height."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.zones import contains

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge.types import F32, F64, Bool, Scene, Tracks, Zone

# A person: metres tall, broad with arms, and from front to back.
_TALL, _BROAD, _DEEP = 1.7, 0.65, 0.35
# Cameras that look down by so much, straight down first: height over width of who stands there, and how much longer a
# step towards the camera is than it looks, beside a step to the side.
_DOWN = np.radians([90.0, 75.0, 60.0, 45.0, 30.0])
_SLENDER = (_TALL * np.cos(_DOWN) + _DEEP * np.sin(_DOWN)) / _BROAD
_STRETCH = 1 / np.sin(_DOWN)
_GRID = 66  # samples across a zone
# Whoever turns round or lifts their arms where they stand moves the middle of the box's bottom by up to 0.2 of their
# height on the floor; half a step is 0.25.
_SHIFT = 0.25
_SETTLES_S = 30.0  # after so long where somebody stands now counts for more than where they stood before


def feet_px(tracks: Tracks) -> F64:
    """Bottom centres of the boxes (M, 2), pixels."""
    return feet_of(tracks.xyxy)


def feet_of(xyxy: F32 | F64) -> F64:
    """Bottom centres of boxes (M, 4): (M, 2), pixels."""
    box = xyxy.astype(np.float64)
    return np.stack([(box[:, 0] + box[:, 2]) / 2, box[:, 3]], axis=1)


def in_zone(zone: Zone, points: F64, size: tuple[int, int]) -> Bool:
    """Which points (M, 2), pixels, lie in the zone; what is outside the picture counts as on its border."""
    start = zone.polygon.astype(np.float64)[None]
    inside: Bool = contains(start, np.roll(start, -1, axis=1), np.clip(points / size, 1e-4, 1 - 1e-4))[0]
    return inside


def heights_px(tracks: Tracks) -> F64:
    """Heights of the boxes (M,), pixels, at least 1."""
    box = tracks.xyxy.astype(np.float64)
    return np.maximum(box[:, 3] - box[:, 1], 1.0)


def to_edge_px(points: F64, zone: Zone, size: tuple[int, int]) -> F64:
    """Distance (M,) of points (M, 2) to the nearest edge of a zone, in pixels, whether inside or outside.

    Edges along the picture's border do not count: nobody comes or goes over them within the picture.

    :param size: (width, height) of the frame in pixels.
    """
    corners = zone.polygon.astype(np.float64)
    ends = np.roll(corners, -1, axis=0)
    border = (((corners <= 0) & (ends <= 0)) | ((corners >= 1) & (ends >= 1))).any(axis=1)
    if border.all():
        return np.full(len(points), np.inf)
    a, b = corners[~border] * size, ends[~border] * size
    along = b - a
    length2 = np.maximum((along**2).sum(axis=1), 1e-9)
    part = np.clip(((points[:, None] - a) * along).sum(axis=2) / length2, 0, 1)
    nearest = a + part[..., None] * along
    away: F64 = np.hypot(points[:, None, 0] - nearest[..., 0], points[:, None, 1] - nearest[..., 1]).min(axis=1)
    return away


def deepest_px(zone: Zone, size: tuple[int, int]) -> float:
    """How far from its edges one can be in a zone at the most, in pixels."""
    low, high = zone.polygon.min(axis=0), zone.polygon.max(axis=0)
    steps = [np.linspace(a, b, _GRID)[1:-1] for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*steps), axis=-1).reshape(-1, 2).astype(np.float64)
    start = zone.polygon.astype(np.float64)[None]
    inside = grid[contains(start, np.roll(start, -1, axis=1), grid)[0]]
    return float(to_edge_px(inside * size, zone, size).max(initial=0.0))


def floor_gap(one: F64, others: F64, *, feet: F64 | None = None) -> F64:
    """Distance (M,) on the floor between the feet of one person (4,) and of others (M, 4), boxes, in body heights, roughly.

    Good for "within arm's reach" of people near each other, for a camera that looks down at 20 degrees or more. The steeper
    it looks, the shorter people are for their width, and the less a step towards it is foreshortened: the more slender
    of two boxes says how steep (whoever bends or is cut off by the picture's edge is stouter than they stand), and
    the larger of height and width, the latter by what people measure, how large somebody is.

    :param feet: where the one stands (2,), pixels, if that is known better than from their box.
    """
    boxes = np.concatenate([one[None], others])
    width, height = np.maximum(boxes[:, 2] - boxes[:, 0], 1.0), np.maximum(boxes[:, 3] - boxes[:, 1], 1.0)
    tall = np.maximum(height, width * (_TALL / _BROAD))
    depth = np.interp(np.maximum(height[0] / width[0], height[1:] / width[1:]), _SLENDER, _STRETCH)
    bottoms = feet_of(boxes)
    away = bottoms[1:] - (bottoms[0] if feet is None else feet)
    gap: F64 = np.hypot(away[:, 0], depth * away[:, 1]) / ((tall[1:] + tall[0]) / 2)
    return gap


class Footing:
    """Where people stand: the mean of where their feet were seen since they last took a step.

    One box says it no better than to 0.2 of a height: it takes in toes and forearms, and these point elsewhere as soon as
    somebody turns round. A track's past is forgotten with the track.
    """

    def __init__(self) -> None:
        self._at: dict[int, tuple[F64, int, float]] = {}  # track -> mean (2,), of how many sightings, when the last was

    def update(self, scene: Scene, who: Iterable[int]) -> dict[int, F64]:
        """Take a scene and the rows of those who matter; returns row -> feet (2,), pixels."""
        now, tracks = scene.frame.t_mono_s, scene.tracks
        boxes, feet, names = tracks.xyxy.astype(np.float64), feet_px(tracks), tracks.track_id.tolist()
        present = set(names)
        self._at = {track: at for track, at in self._at.items() if track in present}
        stand = {}
        for k in who:
            mean, seen, last_s = self._at.get(names[k], (feet[k], 0, now))
            if floor_gap(boxes[k], boxes[k : k + 1], feet=mean)[0] > _SHIFT:
                mean, seen = feet[k], 0
            if tracks.unseen_s[k] == 0:
                mean = mean + (feet[k] - mean) * min(max(1 / (seen + 1), (now - last_s) / _SETTLES_S), 1.0)
                self._at[names[k]] = mean, seen + 1, now
            stand[k] = mean
        return stand


def near_zone(scene: Scene, zone: Zone, inside: Bool, *, reach: float) -> Bool:
    """Which tracks (M,) stand in the zone (``inside``, (M,)), or within ``reach`` of their own height from it."""
    away = to_edge_px(feet_px(scene.tracks), zone, scene.frame.size)
    near: Bool = inside | (away <= reach * heights_px(scene.tracks))
    return near
