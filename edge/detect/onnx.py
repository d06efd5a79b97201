"""The detector that kiosks use: a model bundle, run by onnxruntime."""

from __future__ import annotations

import logging
import math
import os
import platform
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime as ort

from edge.detect.decode import Decoder
from edge.detect.letterbox import Letterbox
from edge.detect.manifest import MANIFEST_NAME, Manifest, read_manifest, read_model, read_variant
from edge.detect.nms import nms
from edge.errors import DetectorError, ManifestError
from edge.types import Detections, Features

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge.detect.decode import Candidates
    from edge.detect.letterbox import Geometry
    from edge.detect.manifest import FeatureSpec, OutputSpec
    from edge.types import F32, I64, U8, Frame

log = logging.getLogger(__name__)

# More threads than this gain nothing with a nano model, and the rest of the box needs a core as well.
_MAX_AUTO_THREADS = 4
_SESSION_CONFIG = {
    # A thread that sleeps between two of the graph's hundred steps wakes up too late to help: with two threads a frame takes
    # a quarter longer, and more processor time. One that spins for ever burns a core between frames, and is in the way on
    # a busy box. So: a short while, and only while a frame is worked on. (An onnxruntime that does not know the first of
    # these keeps to the second.)
    "session.intra_op.spin_duration_us": "50",
    "session.force_spinning_stop": "1",
    "session.inter_op.allow_spinning": "0",
}
# On x86 without VNNI the fast kernel adds 8-bit products in 16 bits, which overflow: scores drop by up to 0.7 (see
# weights/README.md). This takes the exact one there. With VNNI the fast one is exact too, and twice as fast as this.
EXACT_SUMS = {"session.x64quantprecision": "1"}
_VNNI_FLAGS = {"avx512_vnni", "avx_vnni"}
_CPUINFO = Path("/proc/cpuinfo")


class OnnxDetector:
    """Implements ``edge.detect.interface.Detector`` over a bundle folder. One thread at a time.

    The bytes that are hashed are the bytes that run, and the first, slow inference happens here, not on a frame.

    :param bundle: folder with ``manifest.json`` and the model it names.
    :param threads: threads for inference; 0: one per available core, at most 4.
    :param providers: onnxruntime's execution providers, in order of preference; one that is not built in is an error.
    :param classes: keep only these classes (ids still index all); None: all.
    :param score_floor: one threshold for all classes instead of the manifest's, 0..1; for evaluation.
    :param max_detections: boxes per frame at the most; 0: as the manifest says.
    :param session_config: onnxruntime session settings, by key, besides or instead of ours.
    :param variant: another form of the model that the bundle brings along, by name; empty: the model itself.
    :param features: also give the network's map, if the model has that output.
    :raises ManifestError: the manifest is wrong, or does not match the model.
    :raises DetectorError: the model cannot be loaded or run, or an argument names what is not there.
    """

    def __init__(
        self,
        bundle: Path,
        *,
        threads: int = 0,
        providers: Sequence[str] = ("CPUExecutionProvider",),
        classes: Sequence[str] | None = None,
        score_floor: float | None = None,
        max_detections: int = 0,
        session_config: Mapping[str, str] | None = None,
        variant: str = "",
        features: bool = False,
    ) -> None:
        # Told "letterbox", "inference" and "decode and NMS" as each of them ends, frame by frame: for whoever measures.
        self.mark: Callable[[str], object] = _unheard
        self._bundle = bundle
        self._manifest = read_manifest(bundle)
        m = self._manifest
        content = read_variant(bundle, m, variant) if variant else read_model(bundle, m)
        self._session = _session(
            content, bundle / m.model.file, threads=threads, providers=providers, config=session_config or {}
        )
        _check_graph(bundle, m, self._session)
        self._letterbox = Letterbox(width=m.input.width, height=m.input.height, fill=m.input.fill)
        self._thresholds = _thresholds(m, score_floor)
        self._faint = _faint(m, self._thresholds) if score_floor is None else None
        self._decoder = Decoder(
            self._thresholds,
            class_ids=_class_ids(bundle, m, classes),
            limit=m.nms.max_candidates,
            faint=self._faint,
        )
        self._limit = max_detections or m.nms.max_detections
        self._outputs = [m.outputs.boxes.name, m.outputs.scores.name]
        if features and m.outputs.features:
            self._outputs.append(m.outputs.features.name)
        self._warm_up()
        log.info(
            f"model {m.label} loaded from {bundle}",
            extra={"kg": {"event": "model_loaded", "model": m.label, "sha256": m.model.sha256, "bundle": str(bundle)}},
        )

    @property
    def classes(self) -> tuple[str, ...]:
        return self._manifest.classes

    @property
    def model(self) -> str:
        return self._manifest.label

    @property
    def map_name(self) -> str:
        return self._manifest.map_name

    @property
    def manifest(self) -> Manifest:
        """What the bundle says about itself."""
        return self._manifest

    def detect(self, frame: Frame) -> Detections:
        return self.detect_image(frame.image)

    def detect_image(self, image: U8) -> Detections:
        """As ``detect``, for a picture alone: uint8 (H, W, 3) BGR. A picture without pixels holds nothing.

        :raises DetectorError: the model cannot be run.
        """
        if image.size == 0:
            return Detections.empty()
        tensor, geometry = self._letterbox(image)
        self.mark("letterbox")
        boxes, scores, *maps = self._infer(tensor)
        self.mark("inference")
        found = self._find(boxes, scores, geometry)
        if maps:
            found = replace(found, features=self._features(maps[0], geometry))
        self.mark("decode and NMS")
        return found

    def _find(self, boxes: F32, scores: F32, geometry: Geometry) -> Detections:
        found = self._decoder(boxes, scores)
        if not len(found):
            return Detections.empty()
        # A sure box comes before every faint one of its class: these take nothing from it, nor a place.
        keep = nms(found.xyxy, found.score, found.class_id, iou=self._manifest.nms.iou, limit=len(found))
        if self._faint is None:
            return self._boxes(found, keep, geometry)
        sure = found.score[keep] >= self._thresholds[found.class_id[keep]]
        if sure.all():
            return self._boxes(found, keep, geometry)
        return replace(self._boxes(found, keep[sure], geometry), faint=self._boxes(found, keep[~sure], geometry))

    def _boxes(self, found: Candidates, keep: I64, geometry: Geometry) -> Detections:
        keep = keep[: self._limit]
        xyxy = geometry.to_frame(found.xyxy[keep])
        # What lies wholly in the grey border is cut down to nothing.
        inside = (xyxy[:, 2] > xyxy[:, 0]) & (xyxy[:, 3] > xyxy[:, 1])
        keep = keep[inside]
        return Detections(xyxy[inside], found.score[keep], found.class_id[keep])

    def _features(self, values: F32, geometry: Geometry) -> Features:
        cell = self._letterbox.width / values.shape[2]
        inside = (
            math.ceil(geometry.left / cell),
            math.ceil(geometry.top / cell),
            math.floor((geometry.left + geometry.width) / cell),
            math.floor((geometry.top + geometry.height) / cell),
        )
        across = (geometry.width / geometry.frame_width / cell, geometry.height / geometry.frame_height / cell)
        return Features(values, inside, across, (geometry.left / cell, geometry.top / cell), self.map_name)

    def _infer(self, tensor: U8) -> tuple[F32, ...]:
        try:
            answers = self._session.run(self._outputs, {self._manifest.input.name: tensor})
        except Exception as error:  # onnxruntime's own exceptions share no base but this
            raise DetectorError(
                f"{self._bundle}: the model failed while running: {_first_line(error)}",
                hint="check free memory; if it fails again, install the model bundle anew",
            ) from error
        return tuple(answer[0] for answer in answers)

    def _warm_up(self) -> None:
        blank = np.full((1, self._letterbox.height, self._letterbox.width, 3), self._manifest.input.fill, np.uint8)
        said = self._manifest.outputs
        keys = ("boxes", "scores", "features")  # the last one where it is asked for
        answers = self._infer(blank)
        for key, spec, answer in zip(keys, (said.boxes, said.scores, said.features), answers, strict=False):
            _check_shape(self._bundle, f"outputs.{key}", spec, answer)
        _check_numbers(self._bundle, *answers[:2])


def _unheard(_: str) -> None:
    """Nobody measures."""


def _session(content: bytes, path: Path, *, threads: int, providers: Sequence[str], config: Mapping[str, str]) -> Any:
    available = ort.get_available_providers()
    absent = [p for p in providers if p not in available]
    if absent or not providers:
        raise DetectorError(
            f"onnxruntime here has no execution provider {', '.join(absent) or '(none was named)'}",
            hint=f"available: {', '.join(available)}",
        )
    if threads < 0:
        raise DetectorError(f"threads = {threads}", hint="0 (as many as there are cores, at most 4) or more")
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or min(_MAX_AUTO_THREADS, _available_cores())
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    sums = EXACT_SUMS if needs_exact_sums() else {}
    for key, value in {**_SESSION_CONFIG, **sums, **config}.items():
        options.add_session_config_entry(key, value)
    try:
        session = ort.InferenceSession(content, options, providers=list(providers))
    except Exception as error:  # onnxruntime's own exceptions share no base but this
        raise DetectorError(
            f"{path}: onnxruntime {ort.__version__} cannot load it: {_first_line(error)}",
            hint="the file is no ONNX model, or needs a newer onnxruntime; make the bundle again with export-model",
        ) from error
    # onnxruntime goes on with the CPU when another provider does not start, and only a log line says so.
    unused = [p for p in providers if p not in session.get_providers()]
    if unused:
        raise DetectorError(
            f"onnxruntime's execution provider {', '.join(unused)} does not start on this machine",
            hint='check its driver and libraries, or set [model] providers = ["CPUExecutionProvider"]',
        )
    return session


def needs_exact_sums(machine: str = "", cpuinfo: Path = _CPUINFO) -> bool:
    """Whether this processor's fast 8-bit kernel would overflow: x86-64 without VNNI; when in doubt, yes.

    :param machine: as ``platform.machine()`` says it; empty: ask.
    """
    if (machine or platform.machine()).lower() not in {"x86_64", "amd64"}:
        return False
    try:
        flags = next((line for line in cpuinfo.read_text().splitlines() if line.startswith("flags")), "")
    except OSError:
        return True
    return not _VNNI_FLAGS & set(flags.split())


def _available_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def _check_graph(bundle: Path, manifest: Manifest, session: Any) -> None:
    """Every difference between what the manifest says and what the graph is, in one error."""
    spec = manifest.input
    wanted: dict[str, tuple[str, str, list[int]]] = {
        "input": (spec.name, "tensor(uint8)", [1, spec.height, spec.width, 3]),
        "outputs.boxes": (manifest.outputs.boxes.name, "tensor(float)", list(manifest.outputs.boxes.shape)),
        "outputs.scores": (manifest.outputs.scores.name, "tensor(float)", list(manifest.outputs.scores.shape)),
    }
    if manifest.outputs.features:
        features = manifest.outputs.features
        wanted["outputs.features"] = (features.name, "tensor(float)", list(features.shape))
    inputs = {i.name: i for i in session.get_inputs()}
    outputs = {o.name: o for o in session.get_outputs()}
    where = bundle / MANIFEST_NAME
    faults: list[str] = []
    for key, (name, dtype, shape) in wanted.items():
        nodes = inputs if key == "input" else outputs
        node = nodes.get(name)
        if node is None:
            faults.append(f"{where}: {key}.name: {name!r}, but the model has {sorted(nodes)}")
            continue
        if node.type != dtype:
            faults.append(f"{where}: {key}.dtype: {dtype}, but the model has {node.type}")
        if list(node.shape) != shape:
            faults.append(f"{where}: {key}: shape {shape}, but the model has {list(node.shape)}")
    if len(inputs) != 1:
        faults.append(f"{where}: input: the model has {len(inputs)} inputs, one is allowed")
    if faults:
        raise ManifestError("\n".join(faults), hint="the manifest belongs to another model; install the bundle anew")


def _check_shape(bundle: Path, key: str, spec: OutputSpec | FeatureSpec | None, got: F32) -> None:
    if spec is not None and tuple(got.shape) != tuple(spec.shape[1:]):
        raise ManifestError(
            f"{bundle / MANIFEST_NAME}: {key}.shape: {list(spec.shape[1:])}, but the model gave {list(got.shape)}",
            hint="the manifest belongs to another model; install the bundle anew",
        )


def _check_numbers(bundle: Path, boxes: F32, scores: F32) -> None:
    """What is no number is above no threshold: the box would call itself guarding and see nobody."""
    if not (np.isfinite(boxes).all() and (scores >= 0).all() and (scores <= 1.001).all()):  # the last digit may be off
        raise DetectorError(
            f"{bundle}: the model gives boxes that are no numbers, or scores that are not 0..1, for a grey picture",
            hint="its weights are damaged, or this onnxruntime cannot run it; install another model bundle",
        )


def _thresholds(manifest: Manifest, floor: float | None) -> F32:
    if floor is None:
        return np.array([manifest.thresholds[name] for name in manifest.classes], np.float32)
    if not 0 <= floor <= 1:
        raise DetectorError(f"score_floor = {floor}", hint="allowed: 0 to 1")
    return np.full(len(manifest.classes), floor, np.float32)


def _faint(manifest: Manifest, thresholds: F32) -> F32 | None:
    """Scores (C,) from which on a box may continue what is followed; None: nothing may below its threshold."""
    if not manifest.continues:
        return None
    least = [manifest.continues.get(name, thresholds[i]) for i, name in enumerate(manifest.classes)]
    return np.minimum(np.array(least, np.float32), thresholds)


def _class_ids(bundle: Path, manifest: Manifest, names: Sequence[str] | None) -> I64 | None:
    if names is None:
        return None
    unknown = sorted(set(names) - set(manifest.classes))
    if unknown:
        raise DetectorError(
            f"{bundle}: the model {manifest.label} has no class {', '.join(map(repr, unknown))}",
            hint=f"its classes: {', '.join(manifest.classes)}",
        )
    return np.array(sorted({manifest.classes.index(n) for n in names}), np.int64)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
