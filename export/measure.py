"""The measuring half of an export: every view, thresholds, gate, each on images of its own."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edge.detect.measured import Gate, ThresholdSet, View
from edge.detect.onnx import EXACT_SUMS
from export import dataset, evaluate, gate, matches, thresholds
from export.bundle import make_manifest, write_bundle
from export.sources import by_source, divide
from export.views import THRESHOLD_VIEWS, ViewSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from edge.types import I64
    from export.dataset import Dataset
    from export.evaluate import Judged
    from export.onnx_export import FloatModel
    from export.sources import Origin

# Judged with sums that cannot saturate, as the runtime's are; what onnxruntime's own default costs here is told too.
_DEFAULT_SUMS = {"session.x64quantprecision": "0"}


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person may decide about measuring; points, shares and scores as on the command line."""

    views: tuple[ViewSpec, ...]
    precise: tuple[str, ...]
    threshold: float
    threshold_floor: float
    threshold_share: float
    accepted: Mapping[str, float]
    nms_iou: float
    threads: int


@dataclass(frozen=True, slots=True)
class Measured:
    """All figures of one export. ``curves``: by class, on the gate's images; ``sources``: AP50 by source and class."""

    views: dict[str, View]
    thresholds: thresholds.Thresholds
    threshold_set: ThresholdSet
    gate: Gate
    curves: dict[str, matches.Operating]
    confusion: I64
    confused: tuple[str, ...]
    sources: dict[str, dict[str, float]]


class Measurer:
    """Judges a float graph and its quantised bytes side by side.

    :param val: validation images. ``pairs``: the model's class id to the data set's.
    :param index: where the images come from, by file name without suffix.
    :param say: told what is going on.
    """

    def __init__(
        self,
        model: FloatModel,
        content: bytes,
        val: Dataset,
        pairs: dict[int, int],
        *,
        index: Mapping[str, Origin],
        choices: Choices,
        created_utc: datetime,
        say: Callable[[str], None],
    ) -> None:
        self._model = model
        self._graphs = {"fp32": model.graph.SerializeToString(), "int8": content}
        self._val = val
        self._pairs = pairs
        self._index = index
        self._choices = choices
        self._created_utc = created_utc
        self._say = say

    def measure(self) -> Measured:
        """The gate first, because what it refuses needs no further figures.

        :raises GateError: INT8 lost too much.
        """
        rows = divide(self._val, self._index, share=self._choices.threshold_share)
        with tempfile.TemporaryDirectory(prefix="export-model-") as scratch:
            bundles = {key: self._scratch_bundle(Path(scratch) / key, key) for key in self._graphs}
            plain = ViewSpec()
            fp32 = self._judge(bundles["fp32"], plain)
            int8 = self._judge(bundles["int8"], plain)
            default = self._judge(bundles["int8"], plain, _DEFAULT_SUMS)
            shown = dataset.subset(self._val, rows[0])
            chosen = thresholds.choose(
                [self._judge(bundles["int8"], view, of=shown) for view in THRESHOLD_VIEWS],
                self._model.classes,
                self._pairs,
                precise=self._choices.precise,
                floor=self._choices.threshold_floor,
                default=self._choices.threshold,
            )
            operating = {theirs: chosen.values[self._model.classes[ours]] for ours, theirs in self._pairs.items()}
            passed = self._pass_gate((fp32, int8, default), rows[1], operating)
            gate.check(passed)
            views = {plain.name: self._view((fp32, int8, default), operating)}
            for view in self._choices.views:
                if view.name not in views:
                    self._say(f"evaluating {view.name}")
                    both = (self._judge(bundles["fp32"], view), self._judge(bundles["int8"], view), None)
                    views[view.name] = self._view(both, operating)
        present = [theirs for theirs in operating if views[plain.name].fp32.classes.get(self._val.names[theirs])]
        held = [int8[i] for i in rows[1]]
        return Measured(
            views=views,
            thresholds=chosen,
            threshold_set=self._threshold_set(rows[0], chosen),
            gate=passed,
            curves={
                self._val.names[i]: matches.Operating(
                    matches.curve([fp32[r] for r in rows[1]], i),
                    matches.curve(held, i),
                    matches.curve(held, i, marking=True),
                    operating[i],
                )
                for i in present
            },
            confusion=_shown(matches.confusion(int8, operating, len(self._val.names)), present),
            confused=tuple(self._val.names[i] for i in present),
            sources=self._sources(int8),
        )

    def _scratch_bundle(self, folder: Path, key: str) -> Path:
        manifest = make_manifest(
            self._model,
            self._graphs[key],
            name="evaluation",
            version="0",
            created_utc=self._created_utc,
            licence="none",
            min_runtime="0",
            precision=key,
            thresholds=dict.fromkeys(self._model.classes, 0.0),
            threshold_rule="",
            nms_iou=self._choices.nms_iou,
        )
        write_bundle(folder, manifest, self._graphs[key])
        return folder

    def _judge(
        self, bundle: Path, view: ViewSpec, config: Mapping[str, str] | None = None, *, of: Dataset | None = None
    ) -> tuple[Judged, ...]:
        return evaluate.judge(
            bundle,
            of or self._val,
            self._pairs,
            threads=self._choices.threads,
            view=view,
            session_config=config or EXACT_SUMS,
        )

    def _view(
        self,
        judged: tuple[tuple[Judged, ...], tuple[Judged, ...], tuple[Judged, ...] | None],
        operating: Mapping[int, float],
    ) -> View:
        fp32, int8, default = judged
        return View(
            images=len(self._val.images),
            set_sha256=dataset.set_sha256([i.path for i in self._val.images]),
            fp32=evaluate.score(fp32, self._val.names),
            int8=evaluate.score(int8, self._val.names),
            int8_default=None if default is None else evaluate.score(default, self._val.names),
            recall_by_height=matches.recall_by_height(int8, operating),
        )

    def _pass_gate(
        self, judged: tuple[tuple[Judged, ...], ...], rows: Sequence[int], operating: Mapping[int, float]
    ) -> Gate:
        fp32, int8, default = ([all_of[i] for i in rows] for all_of in judged)
        scores = [evaluate.score(one, self._val.names) for one in (fp32, int8, default)]
        found = gate.judge_losses(
            fp32,
            int8,
            scores=(scores[0], scores[1]),
            names=self._val.names,
            thresholds=operating,
            set_sha256=dataset.set_sha256([self._val.images[i].path for i in rows]),
            accepted=self._choices.accepted,
        )
        lost = round(100 * (scores[0].map50_95 - scores[2].map50_95), 3)
        return found.model_copy(update={"default_loss_points": lost})

    def _threshold_set(self, rows: Sequence[int], chosen: thresholds.Thresholds) -> ThresholdSet:
        return ThresholdSet(
            images=len(rows),
            set_sha256=dataset.set_sha256([self._val.images[i].path for i in rows]),
            unmeasured=chosen.unmeasured,
        )

    def _sources(self, judged: Sequence[Judged]) -> dict[str, dict[str, float]]:
        return {
            source: {
                name: row.ap50
                for name, row in evaluate.score([judged[i] for i in rows], self._val.names).classes.items()
            }
            for source, rows in by_source(self._val, self._index).items()
        }


def _shown(table: I64, classes: Sequence[int]) -> I64:
    rows = [*classes, len(table) - 1]
    return table[rows][:, rows]
