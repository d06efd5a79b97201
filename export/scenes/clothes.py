"""Clothes: what covers each part of a body, how far it stands off, how it is worn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.scenes.mesh import Colour, Material

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge.types import F32, F64
    from export.scenes.skin import Topology


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


def wear_of(rest: F32, material: F32) -> tuple[F32, F32]:
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


class Dresser:
    """Decides for each vertex what covers it: colour, material, how far it stands off, how soft it is."""

    def __init__(self, mesh: Topology, rest: F32, joints: dict[str, F64], clothes: Clothes, height_m: float) -> None:
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
