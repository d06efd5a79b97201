"""Bodies: rest shapes, clothes and skinning, in NumPy."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from export.scenes.bake import STEP_M
from export.scenes.mesh import COLOUR, MATERIAL, NORMAL, POSITION, REST, Colour, Material
from export.scenes.pose import Limbs, Z, turn

if TYPE_CHECKING:
    from edge.types import F32, F64, I64
    from export.scenes.pose import Pose


@dataclass(frozen=True, slots=True)
class Clothes:
    """What a person wears; colours are linear 0..1."""

    skin: Colour = (0.62, 0.43, 0.33)
    top: Colour = (0.16, 0.22, 0.36)
    bottom: Colour = (0.12, 0.12, 0.14)
    shoes: Colour = (0.05, 0.05, 0.05)
    hair: Colour = (0.06, 0.045, 0.035)
    hair_length: float = 0.3  # 0 cropped, 1 to the shoulders
    short_sleeves: bool = False
    shorts: bool = False
    bulk_m: float = 0.016  # how far the top stands off the body
    hem: float = 0.47  # lower edge of the top, share of the height
    cap: Colour | None = None
    hood: bool = False


@dataclass(frozen=True, slots=True)
class _Topology:
    """What all bodies share."""

    faces: I64  # (F, 3)
    parents: npt.NDArray[np.int16]
    labels: tuple[str, ...]
    weights: F32  # (V, B)
    corner_order: I64  # corners sorted by vertex, for sums over a vertex's faces
    corner_start: I64
    edge_from: I64  # neighbours, sorted by vertex
    edge_start: I64
    degree: F32  # (V, 1)

    def normals(self, position: F32) -> F32:
        """Vertex normals (V, 3), weighted by area."""
        a, b, c = (position[self.faces[:, k]] for k in range(3))
        face: F32 = np.cross(b - a, c - a).astype(np.float32)
        total = np.add.reduceat(face[self.corner_order], self.corner_start, axis=0)
        out: F32 = (total / (np.linalg.norm(total, axis=1, keepdims=True) + 1e-12)).astype(np.float32)
        return out

    def neighbours(self, values: F32) -> F32:
        """For each vertex the mean of its neighbours' values (V, C)."""
        total = np.add.reduceat(values[self.edge_from], self.edge_start, axis=0)
        return np.asarray(total / self.degree, np.float32)


@lru_cache(maxsize=1)
def _asset() -> tuple[_Topology, dict[str, tuple[F64, F64]]]:
    with resources.as_file(resources.files("export.scenes") / "assets" / "bodies.npz") as path, np.load(path) as data:
        faces = data["faces"].astype(np.int64)
        labels = tuple(str(x) for x in data["labels"])
        count = len(data["weights"])
        dense = np.zeros((count, len(labels)), np.float32)
        rows = np.repeat(np.arange(count), data["weights"].shape[1])
        np.add.at(dense, (rows, data["bones"].ravel()), data["weights"].ravel().astype(np.float32) / 65535)
        shapes = {
            str(n): (data[f"{n}_vertices"].astype(np.float64) * STEP_M, data[f"{n}_joints"].astype(np.float64))
            for n in data["names"]
        }
        parents = data["parents"]
    owner = faces.ravel()
    order = np.argsort(owner, kind="stable")
    start = np.searchsorted(owner[order], np.arange(count))
    pairs = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    pairs = np.unique(np.concatenate([pairs, pairs[:, ::-1]]), axis=0)
    edge_start = np.searchsorted(pairs[:, 0], np.arange(count))
    degree = np.bincount(pairs[:, 0], minlength=count)
    dense /= dense.sum(1, keepdims=True)
    shared = _Topology(
        faces=faces, parents=parents, labels=labels, weights=dense, corner_order=order // 3, corner_start=start,
        edge_from=pairs[:, 1], edge_start=edge_start, degree=degree[:, None].astype(np.float32),
    )  # fmt: skip
    return shared, shapes


@lru_cache(maxsize=8)
def _softened(shape: str) -> F32:
    """Skin weights spread over the mesh round the shoulders and hips, where few bones would fold it sharply."""
    mesh, shapes = _asset()
    vertices, joints = shapes[shape]
    tall = float(vertices[:, 2].max() - vertices[:, 2].min())
    near = np.zeros(len(vertices))
    for name, reach in (("upperarm01", 0.063), ("shoulder01", 0.051), ("upperleg01", 0.057)):
        for side in "LR":
            far = np.linalg.norm(vertices - joints[mesh.labels.index(f"{name}.{side}")], axis=1)
            near = np.maximum(near, np.clip(1.5 - far / (reach * tall), 0, 1))
    spread: F32 = mesh.weights
    for _ in range(14):
        mean = mesh.neighbours(spread)
        spread = np.asarray(spread + 0.6 * near[:, None] * (mean - spread), np.float32)
    return np.asarray(spread / spread.sum(1, keepdims=True), np.float32)


def body_names() -> tuple[str, ...]:
    """The bodies that can be dressed."""
    return tuple(_asset()[1])


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
        self.mesh, shapes = _asset()
        vertices, joints = shapes[shape]
        low, high = vertices[:, 2].min(), vertices[:, 2].max()
        scale = height_m / (high - low)
        self.height_m = height_m
        self._rest = ((vertices - [0, 0, low]) * scale).astype(np.float32)
        self._joints = (joints - [0, 0, low]) * scale
        self._index = {label: i for i, label in enumerate(self.mesh.labels)}
        self.limbs = Limbs({label: self._joints[i] for i, label in enumerate(self.mesh.labels)})
        self._weights = _softened(shape)
        dress = _Dresser(self.mesh, self._rest, {k: self._joints[i] for k, i in self._index.items()}, clothes, height_m)
        lift = dress.lift()
        self._cloth = dress.soft[:, None]
        self._rest = self._rest + self.mesh.normals(self._rest) * lift[:, None]
        self._rest[:, 2] -= self._rest[:, 2].min()
        self.vertices = np.zeros((len(self._rest), 14), np.float32)
        slope, shade = _wear(self._rest, dress.material)
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


def _lattice(points: F64) -> F64:
    """Smooth value noise 0..1 at points (N, 3), one cell a unit."""
    cell = np.floor(points).astype(np.int64)
    part = points - cell
    part = part * part * (3 - 2 * part)
    total = np.zeros(len(points))
    for corner in np.ndindex(2, 2, 2):
        x, y, z = (cell + corner).T
        mixed = (x * 73856093) ^ (y * 19349663) ^ (z * 83492791)
        mixed = (mixed ^ (mixed >> 13)) * 1274126177 & 0x7FFFFFFF
        value = ((mixed ^ (mixed >> 16)) & 0xFFFF) / 65535.0
        share = np.prod(np.where(np.array(corner) == 1, part, 1 - part), axis=1)
        total += share * value
    return total


def _cloud(points: F64) -> F64:
    return 0.57 * _lattice(points) + 0.29 * _lattice(2.1 * points) + 0.14 * _lattice(4.3 * points)


def _wear(rest: F32, material: F32) -> tuple[F32, F32]:
    """Folds and patches: for each vertex a slope (V, 3) that tilts its normal, and a factor (V, 1) on its colour."""
    at = rest.astype(np.float64)
    cloth, hair, skin = (material == m for m in (Material.CLOTH, Material.HAIR, Material.SKIN))
    folds, step = at * (11.0, 11.0, 6.0), 0.15
    here = _cloud(folds)
    slope = np.stack([_cloud(folds + step * axis) - here for axis in np.eye(3)], 1) / step
    shade = np.ones(len(at))
    shade[cloth] = (0.90 + 0.20 * _lattice(38 * at))[cloth]
    shade[skin] = (0.94 + 0.12 * _lattice(30 * at))[skin]
    shade[hair] = (0.6 + 0.9 * _cloud(at * (90.0, 90.0, 25.0)))[hair]
    return (0.42 * slope * cloth[:, None]).astype(np.float32), shade[:, None].astype(np.float32)


class _Dresser:
    """Decides for each vertex what covers it: colour, material, how far it stands off, how soft it is."""

    def __init__(self, mesh: _Topology, rest: F32, joints: dict[str, F64], clothes: Clothes, height_m: float) -> None:
        self._mesh, self._rest, self._at, self._wear, self._tall = mesh, rest, joints, clothes, height_m
        count = len(rest)
        self.colour = np.tile(np.array(clothes.skin, np.float32), (count, 1))
        self.material = np.full(count, float(Material.SKIN), np.float32)
        self.soft = np.zeros(count, np.float32)
        self._off = np.zeros(count)
        head = self._share("head", "eye", "neck03", "neck01", "neck02")
        hand, foot = self._share("wrist", "finger", "metacarpal"), self._share("foot", "toe")
        torso = self._share("spine", "upperarm", "lowerarm", "shoulder", "clavicle")
        leg = self._share("upperleg", "lowerleg", "pelvis", "root")
        self._part = np.stack([head, hand, foot, torso, leg], 1).argmax(1)
        self._hand = hand
        self._legs_and_feet()
        self._top()
        self._head(head)

    def _share(self, *starts: str) -> F32:
        columns = [i for i, label in enumerate(self._mesh.labels) if label.startswith(starts)]
        out: F32 = self._mesh.weights[:, columns].sum(1)
        return out

    def _put(
        self, where: npt.NDArray[np.bool_], colour: Colour, material: Material, off_m: float | F64, soft: float
    ) -> None:
        self.colour[where], self.material[where], self.soft[where] = colour, material, soft
        self._off[where] = off_m

    def _legs_and_feet(self) -> None:
        wear, z, tall = self._wear, self._rest[:, 2], self._tall
        leg = (self._part == 4) & ~(wear.shorts & (z < 0.27 * tall))
        wider = 0.012 * np.clip((0.30 * tall - z[leg]) / (0.25 * tall), 0, 1)
        self._put(leg, wear.bottom, Material.CLOTH, 0.012 + wider, 0.5)
        foot = self._part == 2
        self._put(foot, wear.shoes, Material.SHOE, 0.010, 0.0)
        self.colour[foot & (z < 0.022)] = (0.3, 0.3, 0.3)

    def _top(self) -> None:
        wear, z, tall = self._wear, self._rest[:, 2], self._tall
        hem = wear.hem * tall
        arm = self._share("upperarm", "lowerarm")
        top = (self._part == 3) | ((self._part == 4) & (z > hem) & (self._hand < 0.3))
        self._put(top, wear.top, Material.CLOTH, wear.bulk_m, 0.8)
        skirt = top & (arm < 0.3)
        self._off[skirt] += 0.012 * np.clip((hem + 0.10 * tall - z[skirt]) / (0.10 * tall), 0, 1)
        if wear.short_sleeves:
            self._put(top & (self._share("lowerarm") > 0.35), wear.skin, Material.SKIN, 0.0, 0.0)
        chest = self._share("neck", "head", "spine01", "shoulder", "clavicle") > 0.5
        neck1, neck2 = self._at["neck01"], self._at["neck02"]
        slope = neck2[2] + 0.3 * (self._rest[:, 1] - neck2[1])
        collar = np.isin(self._part, (0, 3)) & chest & (z < slope) & (z > neck1[2] - 0.05 * tall)
        r, g, b = wear.top
        self._put(collar, (0.9 * r, 0.9 * g, 0.9 * b), Material.CLOTH, 0.011, 0.3)

    def _head(self, head: F32) -> None:
        wear, rest, joint = self._wear, self._rest, self._at["head"]
        high = (rest[:, 2] - joint[2]) / (rest[:, 2].max() - joint[2])  # 0 the joint below the ears, 1 the crown
        y = (rest[:, 1] - joint[1]) * 1.75 / self._tall
        on_head = (self._part == 0) & (head > 0.5)
        wide = float(np.abs(rest[on_head & (high > 0.72), 0]).max())
        ear = on_head & (np.abs(rest[:, 0]) > 0.93 * wide) & (high > 0.05) & (high < 0.62) & (np.abs(y) < 0.07)
        for _ in range(2):  # the ear's rim and the fold behind it
            ear = on_head & (self._mesh.neighbours(ear[:, None].astype(np.float32))[:, 0] > 0.35) | ear
        nape = 0.22 - 0.55 * wear.hair_length
        hair = on_head & ~ear & ((high > 0.80) | ((y > 0.012) & (high > nape)) | ((high > 0.62) & (y > -0.062)))
        if wear.cap is not None:
            above = hair & (high > 0.55)
            self._put(hair, wear.hair, Material.HAIR, 0.006, 0.2)
            self._put(above, wear.cap, Material.CLOTH, 0.014, 0.6)
        else:
            self._put(hair, wear.hair, Material.HAIR, 0.008 + 0.008 * wear.hair_length, 0.3)
        if wear.hood:
            hood = (self._part == 0) & ((y > -0.045) | (high > 0.84))
            self._put(hood, wear.top, Material.CLOTH, 0.026, 0.8)
            self._off[hood & ear] = 0.0
        self.colour[self._share("eye") > 0.5] = (0.12, 0.10, 0.09)

    def lift(self) -> F32:
        """Metres (V,) that each vertex moves out along its normal; smooth over the mesh, so that no edge cracks."""
        off = self._off[:, None].astype(np.float32)
        for _ in range(3):
            off = 0.5 * off + 0.5 * self._mesh.neighbours(off)
        return off[:, 0]
