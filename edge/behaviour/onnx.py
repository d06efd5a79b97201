"""The classifiers that kiosks use: a behaviour bundle, run by onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnxruntime as ort

from edge.behaviour.manifest import BehaviourTable, read_behaviour_manifest, read_behaviour_model
from edge.errors import DetectorError, ManifestError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.behaviour.looks import LookSpec
    from edge.behaviour.windows import WindowSpec
    from edge.types import F32


class OnnxClassifier:
    """Implements ``edge.behaviour.interface.Classifier`` over one behaviour of a bundle. One thread at a time.

    :raises ManifestError: the model does not match the manifest.
    :raises DetectorError: it cannot be loaded or run.
    """

    def __init__(self, bundle: Path, name: str, table: BehaviourTable, spec: WindowSpec | LookSpec) -> None:
        self.name = name
        self.spec = spec
        self.threshold = table.threshold
        self._path = bundle / table.file
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        content = read_behaviour_model(bundle, table)
        try:
            self._session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own exceptions share no base but this
            raise DetectorError(
                f"{self._path}: cannot be loaded: {error}", hint="install the behaviour bundle anew"
            ) from error
        tried = self._run(np.zeros((2, spec.width), np.float32))
        if tried.shape != (2,):
            raise ManifestError(
                f"{self._path}: gave {tried.shape} for 2 rows", hint="the manifest belongs to another model"
            )

    def probability(self, features: F32) -> F32:
        if not len(features):
            return np.zeros(0, np.float32)
        return self._run(features)

    def _run(self, features: F32) -> F32:
        try:
            answer = self._session.run(["probability"], {"features": features})[0]
        except Exception as error:  # onnxruntime's own exceptions share no base but this
            raise DetectorError(
                f"{self._path}: failed while running: {error}", hint="install the behaviour bundle anew"
            ) from error
        return np.asarray(answer, np.float32)


def load_classifiers(bundle: Path) -> dict[str, OnnxClassifier]:
    """All behaviours of a bundle, by name.

    :raises ManifestError: the manifest is wrong, or does not match the models.
    :raises DetectorError: a model cannot be loaded.
    """
    manifest = read_behaviour_manifest(bundle)
    return {
        str(name): OnnxClassifier(bundle, name, table, manifest.spec(name))
        for name, table in manifest.behaviours.items()
    }
