"""What all bodies share, read from the baked asset: triangles, bones, skin weights, and rest shapes by name."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from export.scenes.bake import STEP_M

if TYPE_CHECKING:
    import numpy.typing as npt

    from edge.types import F32, F64, I64


@dataclass(frozen=True, slots=True)
class Topology:
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
def asset() -> tuple[Topology, dict[str, tuple[F64, F64]]]:
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
    shared = Topology(
        faces=faces, parents=parents, labels=labels, weights=dense, corner_order=order // 3, corner_start=start,
        edge_from=pairs[:, 1], edge_start=edge_start, degree=degree[:, None].astype(np.float32),
    )  # fmt: skip
    return shared, shapes


@lru_cache(maxsize=8)
def softened(shape: str) -> F32:
    """Skin weights spread over the mesh round the shoulders and hips, where few bones would fold it sharply."""
    mesh, shapes = asset()
    vertices, joints = shapes[shape]
    tall = float(vertices[:, 2].max() - vertices[:, 2].min())
    near = np.zeros(len(vertices))
    for name, reach in (("upperarm01", 0.063), ("shoulder01", 0.051), ("upperleg01", 0.057)):
        for side in "LR":
            far = np.linalg.norm(vertices - joints[mesh.labels.index(f"{name}.{side}")], axis=1)
            near = np.maximum(near, np.clip(1.5 - far / (reach * tall), 0, 1))
    ring = mesh.neighbours((near > 0)[:, None].astype(np.float32))[:, 0] > 0
    bones = np.flatnonzero(mesh.weights[(near > 0) | ring].any(0))  # no other bone's weight can flow in
    spread: F32 = mesh.weights[:, bones]
    for _ in range(14):
        mean = mesh.neighbours(spread)
        spread = np.asarray(spread + 0.6 * near[:, None] * (mean - spread), np.float32)
    out: F32 = mesh.weights.copy()
    out[:, bones] = spread
    return np.asarray(out / out.sum(1, keepdims=True), np.float32)


def body_names() -> tuple[str, ...]:
    """The bodies that can be dressed."""
    return tuple(asset()[1])
