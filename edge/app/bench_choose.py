"""``kiosk-guard bench --choose``: every form of the model that came along, on one thread and on more; the fastest is kept."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import cv2
import numpy as np
import onnxruntime as ort

from edge.app.build import bundle_path, wanted_classes
from edge.app.state import as_owner, state_path
from edge.detect.manifest import read_manifest, variants
from edge.detect.onnx import OnnxDetector
from edge.errors import DetectorError, ManifestError, StateError
from edge.models.choice import Choice, processors, read_choice, write_choice
from edge.models.golden import GOLDEN_NAME, compare_golden, read_expected

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge.config import Config
    from edge.detect.manifest import Manifest
    from edge.types import U8

_THREADS = (1, 2, 4)
_ROUNDS = 12
_NEAR = 1.1  # so much slower on fewer threads is worth the processor that it leaves alone


@dataclass(slots=True)
class Candidate:
    """One way to run the model. ``ms``: wall and processor time of each picture; ``fault``: why it may not be chosen."""

    variant: str
    threads: int
    ms: list[tuple[float, float]] = field(default_factory=list)
    fault: str = ""

    @property
    def name(self) -> str:
        return f"{self.variant or 'the model itself'}, {self.threads} thread{'s' if self.threads > 1 else ''}"

    @property
    def wall_ms(self) -> float:
        return float(np.median([wall for wall, _ in self.ms]))

    @property
    def cpu_ms(self) -> float:
        return float(np.median([cpu for _, cpu in self.ms]))


@dataclass(frozen=True, slots=True)
class Chosen:
    """``kept``: whether it is written down; ``same``: it was before."""

    model: str
    candidates: tuple[Candidate, ...]
    chosen: Candidate
    kept: bool
    same: bool


def choose(config: Config, config_path: Path, *, rounds: int = _ROUNDS) -> Chosen:
    """Measure all candidates in turn on the bundle's own pictures, and keep the fastest that answers as it must.

    The gate is the bundle's proof: whoever finds something else in its golden pictures than where it was made is out.

    :raises DetectorError: the model cannot be run, or has no golden pictures.
    :raises StateError: the state directory is there and the choice cannot be written.
    """
    bundle = bundle_path(config, config_path)
    manifest = read_manifest(bundle)
    pictures = _pictures(bundle)
    wanted = wanted_classes(config, manifest.classes)
    threads = [config.model.threads] if config.model.threads else [n for n in _THREADS if n <= processors()]
    running: list[tuple[Candidate, OnnxDetector]] = []
    out: list[Candidate] = []
    for variant in ("", *variants(manifest)):
        fault = _fault(config, bundle, manifest, variant)
        for count in threads:
            one = Candidate(variant, count, fault=fault)
            out.append(one)
            if not one.fault:
                running.append((one, _detector(config, bundle, one, wanted)))
    if not running:
        raise DetectorError(
            f"{bundle}: {out[0].fault}", hint="no form of the model answers as it should: install the bundle anew"
        )
    for turn in range(rounds + 1):
        for one, detector in running:
            for picture in pictures:
                wall, cpu = time.perf_counter(), time.process_time()
                detector.detect_image(picture)
                spent = (1e3 * (time.perf_counter() - wall), 1e3 * (time.process_time() - cpu))
                if turn:  # the first is for warming up
                    one.ms.append(spent)
    chosen = best([one for one, _ in running])
    state = state_path(config, config_path)
    before = read_choice(state, sha256=manifest.model.sha256)
    choice = Choice(
        sha256=manifest.model.sha256,
        runtime=ort.__version__,
        processors=processors(),
        variant=chosen.variant,
        threads=chosen.threads,
        measured_ms={one.name: round(one.wall_ms, 2) for one, _ in running},
    )
    same = before is not None and (before.variant, before.threads) == (choice.variant, choice.threads)
    return Chosen(manifest.label, tuple(out), chosen, same or _keep(state, choice), same)


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The fastest, or one on fewer threads that is nearly as fast."""
    least = min(one.wall_ms for one in candidates)
    near = [one for one in candidates if one.wall_ms <= _NEAR * least]
    return min(near, key=lambda one: (one.threads, one.wall_ms))


def words(found: Chosen) -> Iterator[str]:
    """For people."""
    yield f"{found.model}: milliseconds of a picture, from the frame to its boxes"
    yield f"{'':32}{'wall':>9}{'CPU':>9}"
    for one in found.candidates:
        yield f"{one.name:32}" + (f" left out: {one.fault}" if one.fault else f"{one.wall_ms:9.2f}{one.cpu_ms:9.2f}")
    if len({one.variant for one in found.candidates}) == 1:
        yield "only one variant of this model came along"
    yield f"chosen: {found.chosen.name}" + (
        "; used from the service's next start on"
        if found.kept
        else "; not written down, there is no state directory here"
    )


def _fault(config: Config, bundle: Path, manifest: Manifest, variant: str) -> str:
    """Why this form of the model may not run; empty: it answers as it must."""
    try:
        whole = OnnxDetector(bundle, threads=1, providers=config.model.providers, variant=variant)
    except DetectorError as error:
        if not variant:
            raise
        return error.message
    proof = compare_golden(bundle, whole, thresholds=manifest.thresholds)
    return proof.faults[0] if proof.faults else ""


def _detector(config: Config, bundle: Path, one: Candidate, classes: Sequence[str]) -> OnnxDetector:
    return OnnxDetector(
        bundle, threads=one.threads, providers=config.model.providers, classes=classes, variant=one.variant
    )


def _keep(state: Path, choice: Choice) -> bool:
    try:
        if not state.is_dir():
            return False
        with as_owner(state):
            write_choice(state, choice)
    except OSError as error:
        raise StateError(f"{state}: {error.strerror}", hint="try as root") from None
    return True


def _pictures(bundle: Path) -> list[U8]:
    """The golden pictures. :raises ManifestError: there are none, or one cannot be read."""
    found = []
    for one in read_expected(bundle).pictures:
        path = bundle / GOLDEN_NAME / one.file
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if picture is None:
            raise ManifestError(f"{path}: no readable picture", hint="install the bundle anew")
        found.append(np.asarray(picture, np.uint8))
    return found
