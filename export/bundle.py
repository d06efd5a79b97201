"""A bundle: the model and its manifest in one folder, complete or not there at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import TypeAdapter, ValidationError

from edge.detect.manifest import (
    MANIFEST_NAME,
    FeatureSpec,
    InputSpec,
    Manifest,
    ModelFile,
    NmsSpec,
    Outputs,
    OutputSpec,
)
from edge.models.signature import SIGNATURE_NAME
from export.errors import ExportError
from export.graph import BOXES_NAME, INPUT_NAME, SCORES_NAME

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from export.onnx_export import FloatModel

MODEL_NAME = "model.onnx"
FILL = 114
# From these scores on a box may continue a track. Chosen on recorded and on rendered clips, see weights/README.md.
CONTINUES = {"person": 0.1}


def make_manifest(
    model: FloatModel,
    content: bytes,
    *,
    name: str,
    version: str,
    created_utc: datetime,
    licence: str,
    min_runtime: str,
    precision: str,
    thresholds: Mapping[str, float],
    threshold_rule: str,
    nms_iou: float,
    features: Mapping[str, object] | None = None,
    **more: Any,
) -> Manifest:
    """The manifest of ``content``, a serialised graph made from ``model``; all fields as in ``Manifest``.

    :param features: the output of that name, as in ``FeatureSpec``; None: there is none.
    :param more: the manifest's optional fields: low_precision, metrics, calibration, threshold_set, gate, files, provenance, tools.

    :raises ValueError: a field is not allowed by the schema.
    """
    classes = len(model.classes)
    return Manifest.model_validate(
        {
            "schema_version": 1,
            "name": name,
            "version": version,
            "created_utc": created_utc,
            "min_runtime": min_runtime,
            "licence": licence,
            "model": ModelFile.model_validate(
                {
                    "file": MODEL_NAME,
                    "sha256": hashlib.sha256(content).hexdigest(),
                    "size_bytes": len(content),
                    "precision": precision,
                }
            ),
            "input": InputSpec(
                name=INPUT_NAME,
                layout="NHWC",
                dtype="uint8",
                colour="BGR",
                height=model.height,
                width=model.width,
                fill=FILL,
            ),
            "outputs": Outputs(
                boxes=OutputSpec(name=BOXES_NAME, dtype="float32", shape=(1, 4, model.anchors), coding="cxcywh_px"),
                scores=OutputSpec(
                    name=SCORES_NAME, dtype="float32", shape=(1, classes, model.anchors), coding="probability"
                ),
                features=None if features is None else FeatureSpec.model_validate(features),
            ),
            "classes": model.classes,
            "thresholds": dict(thresholds),
            "threshold_rule": threshold_rule,
            "continues": {name: score for name, score in CONTINUES.items() if score < thresholds.get(name, 0.0)},
            "nms": NmsSpec(iou=nms_iou, max_candidates=1000, max_detections=100),
            **more,
        }
    )


def check_statement(**told: str) -> None:
    """Refuse what the manifest would not take, before any long work.

    :param told: fields of ``Manifest`` that hold a text: name, version, licence, min_runtime.
    :raises ExportError: one is not allowed by the schema.
    """
    for key, value in told.items():
        field = Manifest.model_fields[key]
        allowed: TypeAdapter[Any] = TypeAdapter(cast("Any", Annotated[field.annotation, field]))
        try:
            allowed.validate_python(value)
        except ValidationError as error:
            raise ExportError(
                f"--{key.replace('_', '-')} {value!r}: {error.errors(include_url=False)[0]['msg']}",
                hint="name and version: letters of A-Z, digits, . _ - and no space; min-runtime: a version, for example 0.1.0",
            ) from None


def check_target(out: Path, *, inputs: Sequence[Path] = ()) -> None:
    """Refuse a target that holds something other than a bundle, before any long work.

    :param inputs: what the bundle is made from: none of it may be lost with an older bundle.
    :raises ExportError: it is a file, a folder with other things in it, or its parent cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise ExportError(f"{out}: is a file", hint="--out names the folder that becomes the bundle")
    for path in inputs:
        if path.resolve().is_relative_to(out.resolve()):
            raise ExportError(f"{path}: lies in {out}, which is to be replaced", hint="name another --out")
    if out.is_dir() and any(out.iterdir()):
        strange = _strange(out)
        if strange:
            raise ExportError(
                f"{out}: holds something other than a bundle: {strange}", hint="name an empty or a new folder"
            )
    parent = out.resolve().parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ExportError(f"{parent}: no such folder, or not writable", hint="make it first, or choose another --out")


def _strange(bundle: Path) -> str:
    """The first file in a folder that no bundle's manifest there knows; empty: all of it is a bundle."""
    known = {MANIFEST_NAME, SIGNATURE_NAME}
    try:
        told = json.loads((bundle / MANIFEST_NAME).read_bytes())
        known |= {str(told["model"]["file"]), *told["files"]}
    except (OSError, ValueError, KeyError, TypeError):
        known = set()
    there = sorted(p.relative_to(bundle).as_posix() for p in bundle.rglob("*") if not p.is_dir() or p.is_symlink())
    return next((name for name in there if name not in known), "")


def write_bundle(out: Path, manifest: Manifest, content: bytes, files: Mapping[str, bytes] | None = None) -> None:
    """Write the bundle beside its place, then put it there with one rename; an older bundle goes only then.

    :param files: what else lies in it, by path with "/".
    :raises ExportError: the disk refuses.
    """
    check_target(out)
    out = out.resolve()
    try:
        fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    except OSError as error:
        raise ExportError(f"{out.parent}: cannot be written: {error.strerror}") from error
    try:
        _write_synced(fresh / MODEL_NAME, content)
        for name, other in (files or {}).items():
            (fresh / name).parent.mkdir(exist_ok=True)
            _write_synced(fresh / name, other)
        _write_synced(fresh / MANIFEST_NAME, manifest.to_json().encode())
        fresh.chmod(0o755)
        _put(fresh, out)
    except OSError as error:
        raise ExportError(f"{out}: cannot be written: {error.strerror}", hint="check space and permissions") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _put(fresh: Path, out: Path) -> None:
    if not out.exists():
        fresh.rename(out)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old.", dir=out.parent))
    try:
        out.rename(old / "bundle")
        fresh.rename(out)
    except BaseException:  # Ctrl-C as well: the older bundle must not go without the new one being there
        if not out.exists() and (old / "bundle").exists():
            (old / "bundle").rename(out)
        old.rmdir()
        raise
    shutil.rmtree(old, ignore_errors=True)


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
