"""Model bundles of our own: the shipped model under other names, with golden pictures, signed or not."""

from __future__ import annotations

import functools
import hashlib
import json
import shutil
import tarfile
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edge.detect.manifest import read_manifest
from edge.detect.onnx import OnnxDetector
from edge.models.golden import EXPECTED_NAME, ExpectedBox, ExpectedPicture, expected_json
from edge.models.shipped import shipped_bundle
from export.signing import sign

_CLIP = Path(__file__).resolve().parents[2] / "firmware_config" / "demo" / "lobby.mp4"
# After whatever the shipped one was made at: none of these is a step back from it.
NEW = read_manifest(shipped_bundle()).created_utc + timedelta(days=1)
OLD = datetime(2020, 1, 1, tzinfo=timezone.utc)


class Operator:
    """Who signs bundles, and whose keys are pinned in ``keys``."""

    def __init__(self, keys: Path) -> None:
        self.keys = keys
        self.key = Ed25519PrivateKey.generate()
        keys.mkdir(exist_ok=True)
        self.pin("operator", self.key)

    def pin(self, name: str, key: Ed25519PrivateKey) -> None:
        pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (self.keys / f"{name}.pub").write_bytes(pem)

    def unpin(self) -> None:
        for path in self.keys.glob("*.pub"):
            path.unlink()


def make_bundle(
    folder: Path,
    *,
    name: str = "kiosk",
    version: str = "101",  # above whatever ships: an older one would be refused
    created: datetime = NEW,
    key: Ed25519PrivateKey | None = None,
    golden: bool = True,
    **changes: Any,
) -> Path:
    """The shipped model as another bundle at ``folder``; ``changes`` replace keys of its manifest."""
    shipped = shipped_bundle()
    folder.mkdir(parents=True)
    told = json.loads((shipped / "manifest.json").read_text())
    shutil.copy(shipped / told["model"]["file"], folder)
    files: dict[str, bytes] = {}
    if golden:
        files = _golden(shipped)
        for path, content in files.items():
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_bytes(content)
    told |= {"name": name, "version": version, "created_utc": created.isoformat(), "files": _hashes(files), **changes}
    (folder / "manifest.json").write_text(json.dumps(told))
    if key is not None:
        sign_bundle(folder, key)
    return folder


def sign_bundle(folder: Path, key: Ed25519PrivateKey) -> None:
    (folder / "signature.json").write_bytes(sign((folder / "manifest.json").read_bytes(), key))


def archive(bundle: Path, target: Path, *, top: str = "bundle") -> Path:
    """A .tar.gz of the folder; ``top``: its name in there, empty: only what is in it."""
    with tarfile.open(target, "w:gz") as tar:
        tar.add(bundle, arcname=top or ".")
    return target


def _hashes(files: dict[str, bytes]) -> dict[str, str]:
    return {path: hashlib.sha256(content).hexdigest() for path, content in files.items()}


@functools.cache
def _golden(bundle: Path) -> dict[str, bytes]:
    detector, picture = OnnxDetector(bundle, threads=1), _picture()
    found = detector.detect_image(picture)
    boxes = tuple(
        ExpectedBox(name=detector.classes[c], score=s, xyxy=tuple(xyxy))
        for c, s, xyxy in zip(found.class_id.tolist(), found.score.tolist(), found.xyxy.tolist(), strict=True)
    )
    assert boxes, "the picture must show somebody"
    told = expected_json((ExpectedPicture(file="1.png", boxes=boxes),), score_tolerance=0.08, least_iou=0.75)
    return {"golden/1.png": cv2.imencode(".png", picture)[1].tobytes(), EXPECTED_NAME: told.encode()}


def _picture() -> Any:
    capture = cv2.VideoCapture(str(_CLIP))
    try:
        for _ in range(180):
            capture.grab()
        good, image = capture.read()
    finally:
        capture.release()
    assert good
    return np.asarray(image, np.uint8)
