"""What a model says about itself. Anything that does not match the model beside it is refused."""

from __future__ import annotations

import hashlib
import re
from datetime import datetime  # noqa: TC003 - pydantic reads the annotation when the class is built
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationError, model_validator

from edge import __version__
from edge.detect.measured import Calibration, Gate, Label, Sha256, Strict, ThresholdSet, Unit, View
from edge.errors import ManifestError

SCHEMA_VERSION = 1
MANIFEST_NAME = "manifest.json"
# Far above any real one; keeps a wrong or hostile file from filling the memory.
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
MAX_MODEL_BYTES = 512 * 1024 * 1024

_MAKE_ANOTHER = "make the bundle again with export-model, or install the bundle that belongs to this software"


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


def _plain_name(name: str) -> str:
    if name != Path(name).name or name in {"", ".", ".."} or "\\" in name:
        raise ValueError("must be a plain file name inside the bundle")
    return name


Release = Annotated[str, Field(pattern=r"^\d{1,4}(\.\d{1,4}){0,3}$")]
Size = Annotated[int, Field(ge=32, le=4096, multiple_of=32)]

VARIANTS_NAME = "variants"
_VARIANT = re.compile(rf"{VARIANTS_NAME}/([a-z0-9][a-z0-9_-]*)\.onnx")


class ModelFile(Strict):
    """The weights: ``file`` beside the manifest, its hash, its size in bytes, and how numbers are held."""

    file: Annotated[str, AfterValidator(_plain_name)]
    sha256: Sha256
    size_bytes: Annotated[int, Field(gt=0, le=MAX_MODEL_BYTES)]
    precision: Literal["int8", "fp32"]


class InputSpec(Strict):
    """One letterboxed picture, (1, height, width, 3); colour order, scaling and layout are the graph's business."""

    name: Label
    layout: Literal["NHWC"]
    dtype: Literal["uint8"]
    colour: Literal["BGR"]
    height: Size
    width: Size
    fill: Annotated[int, Field(ge=0, le=255)]


class OutputSpec(Strict):
    """One output, float32 (1, rows, anchors), and what its rows are."""

    name: Label
    dtype: Literal["float32"]
    shape: tuple[Literal[1], Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
    coding: Literal["cxcywh_px", "probability"]


class FeatureSpec(Strict):
    """A map from the middle of the network, float32 (1, channels, h, w): each cell is a square of the input.

    ``network_sha256``: of the part of the network that makes it; models that share it make the same map.
    """

    name: Label
    dtype: Literal["float32"]
    shape: tuple[Literal[1], Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]]
    network_sha256: Sha256 | None = None


class Outputs(Strict):
    """``boxes``: centre and size in input pixels, 4 rows; ``scores``: a row per class, 0..1; ``features``: may be missing."""

    boxes: OutputSpec
    scores: OutputSpec
    features: FeatureSpec | None = None


class NmsSpec(Strict):
    """Suppression: overlap that makes two boxes one; how many go in and come out at the most."""

    iou: Unit
    max_candidates: Annotated[int, Field(gt=0, le=100_000)]
    max_detections: Annotated[int, Field(gt=0, le=10_000)]


class Manifest(Strict):
    """The whole statement. ``metrics``: by view name ("as_is"); ``provenance`` and ``tools``: name to plain text.

    ``continues``: by class, the lower score from which on a box may continue a track, and be nothing else; a class that it
    does not name has its threshold for that.
    ``files``: everything else in the bundle, by path with "/", and its hash: whoever trusts the manifest trusts it all.
    """

    schema_version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,31}$")]
    created_utc: Annotated[datetime, Field(strict=False)]
    min_runtime: Release
    licence: Label
    model: ModelFile
    input: InputSpec
    outputs: Outputs
    classes: Annotated[tuple[Label, ...], Field(min_length=1, max_length=1000)]
    thresholds: dict[Label, Unit]
    threshold_rule: str
    continues: dict[Label, Unit] = {}
    low_precision: tuple[Label, ...] = ()
    nms: NmsSpec
    metrics: dict[Label, View] = {}
    calibration: Calibration | None = None
    threshold_set: ThresholdSet | None = None
    gate: Gate | None = None
    files: dict[
        Annotated[
            str,
            Field(
                pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9]+)*(/[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9]+)*)?$"
            ),
        ],
        Sha256,
    ] = {}
    provenance: dict[str, str] = {}
    tools: dict[str, str] = {}

    @model_validator(mode="after")
    def _agrees_with_itself(self) -> Manifest:
        faults: list[str] = []
        if len(set(self.classes)) != len(self.classes):
            faults.append("classes: a name occurs twice")
        odd = sorted(set(self.thresholds) ^ set(self.classes))
        if odd:
            faults.append(f"thresholds: must name exactly the classes; check {', '.join(odd[:5])}")
        odd = sorted(n for n, s in self.continues.items() if s > self.thresholds.get(n, -1.0))
        if odd:
            faults.append(f"continues: not a class, or above its threshold: {', '.join(odd[:5])}")
        strange = sorted(set(self.low_precision) - set(self.classes))
        if strange:
            faults.append(f"low_precision: not a class: {', '.join(strange[:5])}")
        boxes, scores = self.outputs.boxes, self.outputs.scores
        if boxes.coding != "cxcywh_px" or boxes.shape[1] != 4:
            faults.append("outputs.boxes: must be cxcywh_px with 4 rows")
        if scores.coding != "probability" or scores.shape[1] != len(self.classes):
            faults.append(f"outputs.scores: must be probability with {len(self.classes)} rows, one per class")
        if boxes.shape[2] != scores.shape[2]:
            faults.append(f"outputs: {boxes.shape[2]} boxes but {scores.shape[2]} columns of scores")
        f = self.outputs.features
        if f and (
            self.input.height % f.shape[2]
            or self.input.width % f.shape[3]
            or self.input.height // f.shape[2] != self.input.width // f.shape[3]
        ):
            faults.append(f"outputs.features: {f.shape[3]}x{f.shape[2]} cells are no squares of the input")
        if faults:
            raise ValueError("; ".join(faults))
        return self

    @property
    def label(self) -> str:
        """Name and version, for records."""
        return f"{self.name} {self.version}"

    @property
    def map_name(self) -> str:
        """Whose map it makes: that of every model with the same beginning, or, where that is not told, its own."""
        features = self.outputs.features
        return (features.network_sha256 if features else None) or self.label

    def to_json(self) -> str:
        """Text for ``manifest.json``: stable, one key a line, ends with a newline."""
        return self.model_dump_json(indent=2) + "\n"


def read_manifest(bundle: Path, *, runtime: str = __version__) -> Manifest:
    """The manifest of a bundle folder, checked against its schema and this software.

    :param bundle: folder that holds ``manifest.json``.
    :param runtime: version of the software that is to run the model.
    :raises ManifestError: missing, unreadable, malformed, or made for newer software; names the file and each key.
    """
    path = bundle / MANIFEST_NAME
    text = _read_bytes(path, MAX_MANIFEST_BYTES)
    _check_schema_version(path, text)
    try:
        manifest = Manifest.model_validate_json(text)
    except ValidationError as error:
        faults = "\n".join(_fault(path, e) for e in error.errors(include_url=False))
        raise ManifestError(faults, hint=_MAKE_ANOTHER) from None
    if _release(manifest.min_runtime) > _numbers(runtime):
        raise ManifestError(
            f"{path}: min_runtime: the model asks for Kiosk Guard {manifest.min_runtime}, this is {runtime}",
            hint="update the software first, or install an older model",
        )
    return manifest


def variants(manifest: Manifest) -> tuple[str, ...]:
    """Names of the other forms of the model that the bundle brings along: the same network, other numbers."""
    return tuple(sorted(m[1] for name in manifest.files if (m := _VARIANT.fullmatch(name))))


def read_variant(bundle: Path, manifest: Manifest, variant: str) -> bytes:
    """As :func:`read_model`, of another form of the model.

    :raises ManifestError: there is no such form, or it is unreadable or of another hash.
    """
    name = f"{VARIANTS_NAME}/{variant}.onnx"
    if variant not in variants(manifest):
        raise ManifestError(
            f"{bundle}: no variant {variant!r} of {manifest.label}", hint=f"it has {variants(manifest) or 'none'}"
        )
    content = _read_bytes(bundle / name, MAX_MODEL_BYTES)
    found = hashlib.sha256(content).hexdigest()
    if found != manifest.files[name]:
        raise ManifestError(
            f"{bundle / name}: sha256 {manifest.files[name]} in the manifest, {found} on the disk",
            hint=f"the file was changed or damaged; {_MAKE_ANOTHER}",
        )
    return content


def read_model(bundle: Path, manifest: Manifest) -> bytes:
    """The model's bytes, exactly those that the manifest vouches for.

    :raises ManifestError: missing, unreadable, or of another size or hash.
    """
    path = bundle / manifest.model.file
    content = _read_bytes(path, MAX_MODEL_BYTES)
    if len(content) != manifest.model.size_bytes:
        raise ManifestError(
            f"{path}: model.size_bytes: {manifest.model.size_bytes} in the manifest, {len(content)} on the disk",
            hint=_MAKE_ANOTHER,
        )
    found = hashlib.sha256(content).hexdigest()
    if found != manifest.model.sha256:
        raise ManifestError(
            f"{path}: model.sha256: {manifest.model.sha256} in the manifest, {found} on the disk",
            hint=f"the file was changed or damaged; {_MAKE_ANOTHER}",
        )
    return content


def _read_bytes(path: Path, limit: int) -> bytes:
    try:
        if path.stat().st_size > limit:
            raise ManifestError(f"{path}: larger than {limit} bytes", hint=_MAKE_ANOTHER)
        return path.read_bytes()
    except FileNotFoundError:
        raise ManifestError(
            f"{path}: no such file",
            hint=f"a model bundle is a folder with {MANIFEST_NAME} and its model; check the path",
        ) from None
    except OSError as error:
        raise ManifestError(
            f"{path}: cannot be read: {error.strerror}", hint="check the path and the file's permissions"
        ) from None


def _check_schema_version(path: Path, text: bytes) -> None:
    """Say "newer schema" rather than list every key that a newer schema has."""
    found = re.search(rb'"schema_version"\s*:\s*(\d{1,9})', text[:1000])
    if found and int(found[1]) > SCHEMA_VERSION:
        raise ManifestError(
            f"{path}: schema_version: {int(found[1])}, this software reads up to {SCHEMA_VERSION}",
            hint="update the software first, or install an older model",
        )


def _fault(path: Path, error: Any) -> str:
    key = ".".join(str(part) for part in error["loc"])
    reason = error["msg"].removeprefix("Value error, ")
    given = error.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float | None) and error["type"] != "missing" else ""
    return f"{path}: {key}: {reason}{shown[:200]}" if key else f"{path}: {reason}"


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: 0.2.0rc1 counts as 0.2.0."""
    return tuple(int(n) for n in re.findall(r"\d+", version.split("+", maxsplit=1)[0])[:3])
