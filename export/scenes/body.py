"""Bodies: dressed, posed and skinned, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.scenes.clothes import Clothes, Dresser, wear_of
from export.scenes.mesh import COLOUR, MATERIAL, NORMAL, POSITION, REST
from export.scenes.pose import Limbs, Z, turn
from export.scenes.skin import asset, body_names, softened

if TYPE_CHECKING:
    from edge.types import F32, F64, I64
    from export.scenes.pose import Pose

__all__ = ["Body", "Clothes", "Head", "Posed", "body_names"]


@dataclass(frozen=True, slots=True)
class Posed:
    """A body in the room. ``position``, ``normal``: float32 (V, 3), metres; ``joint``: name -> (turn 3x3, place)."""

    position: F32
    normal: F32
    joint: dict[str, tuple[F64, F64]]


@dataclass(frozen=True, slots=True)
class Head:
    """Where a cover goes. ``centre``, ``joint``: rest positions (3,); ``faces`` of each cover, and how far it stands off."""

    centre: F64
    joint: F64
    radius_m: float
    covers: dict[str, tuple[I64, F32]]

    def cover(self, name: str) -> tuple[I64, F32]:
        """Faces (F, 3) that the cover lies over, and the distance (V,) in metres."""
        return self.covers[name]


class Body:
    """A dressed person who can be posed.

    :param shape: one of ``body_names()``.
    :param height_m: standing height without clothes, metres.
    :param clothes: what is worn.
    """

    def __init__(self, *, shape: str, height_m: float, clothes: Clothes) -> None:
        self.mesh, shapes = asset()
        vertices, joints = shapes[shape]
        low, high = vertices[:, 2].min(), vertices[:, 2].max()
        scale = height_m / (high - low)
        self.height_m = height_m
        self._rest = ((vertices - [0, 0, low]) * scale).astype(np.float32)
        self._joints = (joints - [0, 0, low]) * scale
        self._index = {label: i for i, label in enumerate(self.mesh.labels)}
        self.limbs = Limbs({label: self._joints[i] for i, label in enumerate(self.mesh.labels)})
        self._weights = softened(shape)
        dress = Dresser(self.mesh, self._rest, {k: self._joints[i] for k, i in self._index.items()}, clothes, height_m)
        lift = dress.lift()
        self._cloth = dress.soft[:, None]
        self._rest = self._rest + self.mesh.normals(self._rest) * lift[:, None]
        self._rest[:, 2] -= self._rest[:, 2].min()
        self.vertices = np.zeros((len(self._rest), 14), np.float32)
        slope, shade = wear_of(self._rest, dress.material)
        self.vertices[:, REST] = slope
        self.vertices[:, COLOUR] = dress.colour * shade
        self.vertices[:, MATERIAL] = dress.material
        self._head = self._measured_head()

    def head(self) -> Head:
        """Measures of the head at rest, for covers."""
        return self._head

    def _measured_head(self) -> Head:
        rest, joint = self._rest, self._joints[self._index["head"]]
        columns = [i for i, label in enumerate(self.mesh.labels) if label.startswith(("head", "eye", "neck"))]
        on = self._weights[:, columns].sum(1) > 0.5
        crown = rest[:, 2].max()
        high = (rest[:, 2] - joint[2]) / (crown - joint[2])
        front = rest[on & (high > 0.2), 1].min()
        back = rest[on & (high > 0.2), 1].max()
        y = (rest[:, 1] - front) / (back - front)  # 0 the tip of the nose, 1 the back of the head
        wide = float(np.abs(rest[on & (high > 0.5), 0]).max())
        centre = np.array([0.0, (front + back) / 2, joint[2] + 0.50 * (crown - joint[2])])
        radius = float(max(wide, (back - front) / 2, 0.52 * (crown - joint[2])))
        balls = self._weights[:, [self._index["eye.L"], self._index["eye.R"]]].sum(1) > 0.5
        eye = float(high[balls].mean())
        slit = (np.abs(high - eye) < 0.085) & (y < 0.5)
        parts = {
            "balaclava": (on & (high > -0.55) & ~slit, 0.009),
            "mask": (on & (high > -0.45) & (high < eye - 0.08) & (y < 0.62), 0.008),
            "scarf": (on & (high > -0.7) & (high < eye - 0.08), 0.018),
        }
        covers = {}
        for name, (where, off) in parts.items():
            faces = self.mesh.faces[where[self.mesh.faces].all(1)]
            covers[name] = (faces, np.full(len(rest), off, np.float32))
        return Head(centre, joint, radius, covers)

    def pose(self, pose: Pose, *, place: tuple[float, float], heading_deg: float, plant: float = 0.0) -> Posed:
        """Put the body on the floor at ``place`` (x, y in metres), facing ``heading_deg`` (0: along x, 90: along y).

        ``plant`` 0..1: how far to shift the body so that the middle between the feet is at ``place``.
        """
        count = len(self.mesh.labels)
        world = np.zeros((count, 3, 4))
        for i in range(count):
            parent = int(self.mesh.parents[i])
            rotation = pose.get(self.mesh.labels[i])
            if rotation is None:
                world[i] = world[parent] if parent >= 0 else np.eye(3, 4)
                continue
            own = np.c_[rotation, self._joints[i] - rotation @ self._joints[i]]
            if parent < 0:
                world[i] = own
            else:
                world[i, :, :3] = world[parent, :, :3] @ own[:, :3]
                world[i, :, 3] = world[parent, :, :3] @ own[:, 3] + world[parent, :, 3]
        matrix = (self._weights @ world.reshape(count, 12).astype(np.float32)).reshape(-1, 3, 4)
        skin = np.einsum("nij,nj->ni", matrix[:, :, :3], self._rest) + matrix[:, :, 3]
        for _ in range(2):  # cloth does not follow every fold of the skin beneath
            skin = skin + self._cloth * 0.6 * (self.mesh.neighbours(skin) - skin)
        shift = np.array([0.0, 0.0, -float(skin[:, 2].min())])
        if plant > 0:
            feet = [
                world[self._index[f"foot.{s}"]] @ np.append(self._joints[self._index[f"foot.{s}"]], 1) for s in "LR"
            ]
            rest = [self._joints[self._index[f"foot.{s}"]] for s in "LR"]
            shift[:2] -= plant * (np.mean(feet, 0) - np.mean(rest, 0))[:2]
        about = turn(Z, heading_deg + 90)
        offset = about @ shift + np.array([place[0], place[1], 0.0])
        position = (skin @ about.T + offset).astype(np.float32)
        joint = {
            label: (about @ world[i, :, :3], about @ (world[i] @ np.append(self._joints[i], 1)) + offset)
            for label, i in self._index.items()
        }
        return Posed(position, self.mesh.normals(position), joint)

    def drawn(self, posed: Posed) -> F32:
        """All vertices (V, 14) of the posed body."""
        out: F32 = self.vertices.copy()
        out[:, POSITION], out[:, NORMAL] = posed.position, posed.normal
        return out
