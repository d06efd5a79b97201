"""What a behaviour bundle says about itself; what does not match the files beside it is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from edge.behaviour.looks import LookSpec
from edge.behaviour.windows import WindowSpec
from edge.errors import ManifestError

MANIFEST_NAME = "manifest.json"
_MAX_BYTES = 1024 * 1024
_MAKE_ANOTHER = "make the bundle again with train-behaviour, or install Kiosk Guard again"


def _plain_name(name: str) -> str:
    if name != Path(name).name or name in {"", ".", ".."} or "\\" in name:
        raise ValueError("must be a plain file name inside the bundle")
    return name


Behaviour = Literal["assault", "machine_tampering"]
Unit = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=60)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class WindowTable(_Strict):
    """As ``edge.behaviour.windows.WindowSpec``."""

    seconds: Annotated[float, Field(gt=0, le=60)]
    mean_s: Seconds
    features: Annotated[tuple[str, ...], Field(min_length=1, max_length=100)]
    max_move: Annotated[float, Field(gt=0, le=100)]
    max_edge: Annotated[float, Field(gt=0, le=2)]
    min_close: Unit


class LookTable(_Strict):
    """As ``edge.behaviour.looks.LookSpec``, whose ``model`` and ``map_name`` are the manifest's."""

    seconds: Annotated[float, Field(gt=0, le=60)]
    mean_s: Seconds
    channels: Annotated[int, Field(ge=1, le=4096)]


class BehaviourTable(_Strict):
    """One behaviour: the model (float32 (N, width) "features" -> (N,) "probability"), its window, its threshold.

    ``measured``: what cross-validation found, name to number or text.
    """

    file: Annotated[str, AfterValidator(_plain_name)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, Field(gt=0, le=_MAX_BYTES)]
    window: WindowTable | LookTable
    threshold: Unit
    measured: dict[str, float | str] = {}


class BehaviourManifest(_Strict):
    """The whole statement. ``persons``: the detector whose boxes and maps it was trained on, name and version.

    ``map_sha256``: of the part of that detector that makes its map, as its manifest has it; None: it does not say.
    """

    schema_version: Literal[1]
    kind: Literal["behaviour"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,31}$")]
    persons: str
    map_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    threshold_rule: str
    behaviours: dict[Behaviour, BehaviourTable]
    provenance: dict[str, str] = {}

    @property
    def label(self) -> str:
        """Name and version, for records."""
        return f"{self.name} {self.version}"

    @property
    def map_name(self) -> str:
        """The map that it was learnt from, as the detectors name theirs."""
        return self.map_sha256 or self.persons

    def spec(self, behaviour: Behaviour) -> WindowSpec | LookSpec:
        """What a behaviour looks at. :raises ValueError: a feature that this software does not know."""
        w = self.behaviours[behaviour].window
        if isinstance(w, LookTable):
            return LookSpec(w.seconds, w.mean_s, self.persons, self.map_name, w.channels)
        return WindowSpec(w.seconds, w.mean_s, w.features, w.max_move, w.max_edge, w.min_close)


def read_behaviour_manifest(bundle: Path) -> BehaviourManifest:
    """The manifest of a behaviour bundle.

    :raises ManifestError: missing, unreadable or malformed, or it names features that this software does not know.
    """
    path = bundle / MANIFEST_NAME
    try:
        manifest = BehaviourManifest.model_validate_json(_bytes(path))
        for name in manifest.behaviours:
            manifest.spec(name)
    except ValidationError as error:
        faults = "\n".join(
            f"{path}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_url=False)
        )
        raise ManifestError(faults, hint=_MAKE_ANOTHER) from None
    except ValueError as error:
        raise ManifestError(f"{path}: {error}", hint=_MAKE_ANOTHER) from None
    return manifest


def read_behaviour_model(bundle: Path, table: BehaviourTable) -> bytes:
    """The model's bytes, exactly those that the manifest vouches for.

    :raises ManifestError: missing, unreadable, or of another size or hash.
    """
    path = bundle / table.file
    content = _bytes(path)
    found = hashlib.sha256(content).hexdigest()
    if len(content) != table.size_bytes or found != table.sha256:
        raise ManifestError(f"{path}: sha256 {table.sha256} in the manifest, {found} on the disk", hint=_MAKE_ANOTHER)
    return content


def _bytes(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ManifestError(f"{path}: larger than {_MAX_BYTES} bytes", hint=_MAKE_ANOTHER)
        return path.read_bytes()
    except FileNotFoundError:
        raise ManifestError(f"{path}: no such file", hint=_MAKE_ANOTHER) from None
    except OSError as error:
        raise ManifestError(
            f"{path}: cannot be read: {error.strerror}", hint="check the path and the file's permissions"
        ) from None
