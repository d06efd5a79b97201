"""From configuration to the whole box: every part, built in order and joined, none of its threads running yet."""

from __future__ import annotations

import logging
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge import __version__
from edge.alerts.blind_store import BlindStore
from edge.alerts.ledger import StoredLedger
from edge.alerts.writer import WriterWorker
from edge.app.blind_time import BlindTime, Lookout
from edge.app.board import Board, Limits
from edge.app.build import build_incidents, build_line, bundle_path, resting_rules
from edge.app.build_alerts import build_delivery, build_heartbeat, build_ring, build_sheets
from edge.app.build_cameras import build_camera, camera_sources
from edge.app.build_local import build_indicator, build_inputs, build_pins, light
from edge.app.build_model import build_watch, model_checks, open_present
from edge.app.build_storage import Storage, open_storage
from edge.app.build_technician import Technician, build_technician
from edge.app.chores import do_all
from edge.app.config_watch import ConfigWatch
from edge.app.hand_over import AlertMaker, Annotator, acknowledge, close_up, enqueue, log_record, troubles
from edge.app.mail_channel import build_channel
from edge.app.maintenance import MaintenanceKeeper
from edge.app.mask_confirmation import MaskKeeper
from edge.app.model_files import ModelFiles
from edge.app.view_checks import view_checks
from edge.config import load
from edge.pipeline import Line, Pipeline

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edge.alerts.email import EmailChannel
    from edge.alerts.gpio import GpioIndicator, NoIndicator
    from edge.alerts.inputs import GpioInputs
    from edge.alerts.ring import PictureRing
    from edge.alerts.worker import DeliveryWorker
    from edge.app.inputs import InputActions
    from edge.app.model_watch import ModelWatch
    from edge.app.present_model import PresentModel
    from edge.app.sheets import Sheets
    from edge.cameras.capture import CaptureProcess
    from edge.clock import Clock
    from edge.config import Config
    from edge.types import Alert

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Box:
    """The parts of a box that guards.

    ``channel``, ``delivery``: None: mail is switched off. ``ring``, ``sheets``: None: no contact sheets.
    ``inputs``, ``actions``: None: there are no switches. ``chores``: what the writer's thread does every few seconds.
    """

    storage: Storage
    channel: EmailChannel | None
    delivery: DeliveryWorker | None
    detector: PresentModel
    lines: Mapping[str, Line]
    pipeline: Pipeline
    indicator: GpioIndicator | NoIndicator
    inputs: GpioInputs | None
    actions: InputActions | None
    ring: PictureRing | None
    sheets: Sheets | None
    writer: WriterWorker
    maintenance: MaintenanceKeeper
    cameras: Sequence[CaptureProcess]
    board: Board
    blind: BlindTime
    models: ModelWatch | None
    technician: Technician
    chores: list[Callable[[], object]]


def build_box(config: Config, config_path: Path, stack: contextlib.ExitStack, *, clock: Clock, boot_id: str) -> Box:
    """Build every part; ``stack`` closes them. What is cheap to check comes first, what sounds or connects last.

    Capture and the inputs work from here on, the other threads begin with ``start`` of each part.

    :raises KioskError: a part cannot be had; the stack closes those that were built before it.
    """
    sources = camera_sources(config, config_path)
    storage = open_storage(config, config_path, stack, clock=clock, boot_id=boot_id, run=_new_id(clock))
    channel, delivery = _mail(config, config_path, storage, clock=clock, boot_id=boot_id)
    opened = open_present(config, config_path, storage.state_dir, stack, clock=clock)
    detector = opened.present
    pins = build_pins(config)
    indicator = build_indicator(config, pins, clock=clock)
    stack.callback(indicator.close)

    lines = {table.name: build_line(config, table, detector) for table in config.cameras}
    pipeline = Pipeline(
        detector=detector,
        lines=lines,
        incidents=build_incidents(config, lambda: _new_id(clock)),
        now_s=clock.monotonic_s,
        clock_synced=clock.synchronised,
    )

    def send(alert: Alert) -> None:
        enqueue(alert, storage.outbox, delivery)

    chores: list[Callable[[], object]] = [
        MaskKeeper(lines, storage.state_dir, clock=clock).look,
        lambda: storage.suppressions.save(pipeline.incidents.suppressions),
    ]
    ring = build_ring(config)
    sheets = build_sheets(config, ring, storage.evidence, storage.incident_log, send, clock=clock)
    if sheets:
        chores.append(sheets.make_due)
    technician = build_technician(
        config,
        config_path,
        stack,
        storage=storage,
        detector=detector,
        lines=lines,
        pipeline=pipeline,
        send=send,
        clock=clock,
        boot_id=boot_id,
    )
    chores.append(technician.walk.chore)
    make_alert = AlertMaker(detector.model, boot_id, clock, closed_from=config.email.closed_from)
    writer = WriterWorker(
        evidence=storage.evidence,
        incidents=storage.incidents,
        outbox=storage.outbox,
        clock=clock,
        annotate=Annotator(detector),
        closeup=close_up,
        make_alert=technician.walk.gated(make_alert),
        record=lambda change, pictures: storage.incident_log.append(
            "incident", log_record(change, pictures) | technician.walk.mark(change.incident)
        ),
        on_stored=lambda alert: acknowledge(alert, pipeline, delivery, sheets),
        on_unstored=lambda _: delivery.wake() if delivery else None,
        on_sent_unstored=lambda alert: pipeline.incidents.alert_queued(alert.incident_id, alert.severity),
        chore=lambda: do_all(chores),
    )
    if delivery:
        delivery.also_deliver(writer)  # what the disk refuses goes out from memory
    maintenance = MaintenanceKeeper(
        store=storage.periods,
        silence=pipeline.incidents.silence,
        enqueue=send,
        clock=clock,
        boot_id=boot_id,
        model=detector.model,
    )
    built = build_inputs(
        config,
        pins,
        incidents=pipeline.incidents,
        indicator=indicator,
        maintenance=storage.periods,
        incident_log=storage.incident_log,
        clock=clock,
    )
    inputs, actions = built or (None, None)
    if inputs and actions:
        inputs.start()
        stack.callback(inputs.close)
        chores.append(actions.chore)
    config_watch = ConfigWatch(config_path, try_load=lambda: load(config_path))
    chores.append(config_watch.look)
    model_files = ModelFiles(
        lambda: bundle_path(config, config_path), model_file=lambda: opened.present.manifest.model.file
    )
    chores.append(model_files.look)
    models: ModelWatch | None = None  # until everything stands that it works on
    cameras = [build_camera(table, source, clock=clock) for table, source in sources]
    for camera in cameras:
        stack.callback(camera.close)
    board = Board(
        kiosk=config.kiosk.id,
        version=__version__,
        model=detector.model,
        state_dir=storage.state_dir,
        pipeline=pipeline,
        cameras=cameras,
        limits=Limits({t.name: t.lost_after_s for t in config.cameras}, {t.name: t.max_fps for t in config.cameras}),
        outbox=storage.outbox,
        writer=writer,
        delivery=delivery,
        troubles=lambda: [
            *troubles(storage.database, storage.outbox),
            *([storage.incident_log.trouble] if storage.incident_log.trouble else []),
        ],
        driver=config.outputs.driver,
        input_faults=inputs.faults if inputs else dict,
        refused=lambda: channel.refused_recipients if channel else {},
        incident_store=storage.incidents,
        indicator=indicator,
        clock=clock,
        resting_rules=_tell_resting(config, detector),
        maintenance=maintenance,
        more_checks=lambda: [
            *view_checks(pipeline, cameras),
            config_watch.check(),
            model_files.check(),
            *technician.checks(),
            *model_checks(models),
        ],
        on_status=lambda status: indicator.set_status(light(status, maintenance=bool(maintenance.details()["on"]))),
    )
    blind = BlindTime(
        store=BlindStore(storage.database, clock=clock, boot_id=boot_id),
        enqueue=send if delivery else None,
        clock=clock,
        boot_id=boot_id,
        model=detector.model,
    )
    lookout = Lookout(
        vitals=pipeline.vitals,
        cameras=cameras,
        fresh_s={t.name: t.fresh_timeout_s for t in config.cameras},
        maintenance=lambda: bool(maintenance.details()["on"]),
        clock=clock,
    )
    chores.append(lambda: blind.look(lookout()))
    if delivery:
        heartbeat = build_heartbeat(
            config,
            storage.database,
            storage.outbox,
            delivery,
            board,
            clock=clock,
            boot_id=boot_id,
            model=detector.model,
            also=blind.rows,
        )
        chores.append(heartbeat.beat_if_due)
    models = build_watch(
        config,
        opened,
        storage=storage,
        lines=lines,
        pipeline=pipeline,
        cameras=cameras,
        board=board,
        labelled=[make_alert, maintenance, blind, technician.walk, *([heartbeat] if delivery else [])],
        classes=technician.live.know,
        send=send,
        clock=clock,
        boot_id=boot_id,
    )
    return Box(
        storage=storage,
        channel=channel,
        delivery=delivery,
        detector=detector,
        lines=lines,
        pipeline=pipeline,
        indicator=indicator,
        inputs=inputs,
        actions=actions,
        ring=ring,
        sheets=sheets,
        writer=writer,
        maintenance=maintenance,
        cameras=cameras,
        board=board,
        blind=blind,
        models=models,
        technician=technician,
        chores=chores,
    )


def _mail(
    config: Config, config_path: Path, storage: Storage, *, clock: Clock, boot_id: str
) -> tuple[EmailChannel | None, DeliveryWorker | None]:
    if not config.email.enabled:
        return None, None
    ledger = StoredLedger(storage.database)
    channel = build_channel(config, config_path, clock=clock, boot_id=boot_id, ledger=ledger)
    return channel, build_delivery(config, storage.outbox, channel, storage.evidence, clock=clock)


def _tell_resting(config: Config, detector: PresentModel) -> dict[str, tuple[str, ...]]:
    resting = resting_rules(config, detector.classes, detector.map_name)
    for rule, lacking in resting.items():
        log.warning(
            f"rule {rule} rests: the model {detector.model} knows no {', '.join(lacking)}",
            extra={"kg": {"event": "rule_rests", "rule": rule, "lacking": list(lacking), "model": detector.model}},
        )
    return resting


def _new_id(clock: Clock) -> str:
    """An incident's or a run's."""
    return f"{clock.utc_now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
