"""From configuration to the model: which one runs, and what watches over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.app.build import build_detector
from edge.app.model_exchange import ModelExchange
from edge.app.model_watch import ModelWatch, ended_in_order, open_model
from edge.app.present_model import PresentModel
from edge.models.shipped import shipped_bundle
from edge.models.signature import verify_files
from edge.models.store import ModelStore
from edge.models.switches import SHIPPED
from edge.models.trial import Pulse

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edge.app.board import Board
    from edge.app.build_storage import Storage
    from edge.app.model_exchange import Labelled
    from edge.cameras.interface import Camera
    from edge.clock import Clock
    from edge.config import Config
    from edge.detect.onnx import OnnxDetector
    from edge.health.interface import Check
    from edge.pipeline import Line, Pipeline
    from edge.types import Alert


@dataclass(frozen=True, slots=True)
class Opened:
    """The model to begin with. ``store``: None: the configuration names the model, and nothing ever exchanges it."""

    present: PresentModel
    store: ModelStore | None
    name: str
    load: Callable[[str], OnnxDetector]


def open_present(
    config: Config, config_path: Path, state_dir: Path, stack: contextlib.ExitStack, *, clock: Clock
) -> Opened:
    """The model that is to run, every file of it compared with its hash.

    :param stack: when it is closed, the service ended in order.

    :raises DetectorError: none can be loaded.
    :raises ConfigError: a rule of the file names a class that the model does not know.
    """
    store = ModelStore(state_dir, clock=clock)

    def load(name: str) -> OnnxDetector:
        bundle = shipped_bundle() if name == SHIPPED else store.path(name)
        verify_files(bundle)
        return build_detector(config, config_path, bundle=bundle)

    if config.model.path:
        return Opened(PresentModel(build_detector(config, config_path)), None, SHIPPED, load)
    detector, name = open_model(store, load)
    stack.callback(ended_in_order, store)
    return Opened(PresentModel(detector), store, name, load)


def build_watch(
    config: Config,
    opened: Opened,
    *,
    storage: Storage,
    lines: Mapping[str, Line],
    pipeline: Pipeline,
    cameras: Sequence[Camera],
    board: Board,
    labelled: Sequence[Labelled],
    classes: Callable[[tuple[str, ...]], object],
    send: Callable[[Alert], None],
    clock: Clock,
    boot_id: str,
) -> ModelWatch | None:
    """What follows the installed models; None: the configuration names the model.

    :param classes: told all class names after every exchange.
    """
    if opened.store is None:
        return None
    present = opened.present
    follow = ModelExchange(config, present=present, lines=lines, pipeline=pipeline, board=board, labelled=labelled)
    budget_s = 1 / sum(t.max_fps for t in config.cameras)

    def exchanged() -> None:
        follow()
        classes(present.classes)

    def pulse() -> Pulse:
        vitals = pipeline.vitals
        live = any(camera.status().state == "live" for camera in cameras)
        return Pulse(vitals.frames_judged, live=live, slow=vitals.inference_s > budget_s)

    return ModelWatch(
        store=opened.store,
        present=present,
        name=opened.name,
        load=opened.load,
        exchanged=exchanged,
        pulse=pulse,
        enqueue=send,
        record=lambda kind, data: storage.incident_log.append(kind, dict(data)),
        trial_s=60 * config.model.trial_min,
        clock=clock,
        boot_id=boot_id,
    )


def model_checks(watch: ModelWatch | None) -> list[Check]:
    """For the board."""
    return [watch.check()] if watch else []
