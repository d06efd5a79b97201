"""The service: one process that guards until it is told to stop. Builds every object and thread, in order, and undoes it."""

from __future__ import annotations

import contextlib
import logging
import secrets
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge import __version__, logs
from edge.alerts.database import open_database
from edge.alerts.device_key import open_device_key
from edge.alerts.incident_log import IncidentLog
from edge.alerts.incident_store import IncidentStore
from edge.alerts.ledger import StoredLedger
from edge.alerts.maintenance_store import MaintenanceStore
from edge.alerts.suppression_store import SuppressionStore
from edge.alerts.writer import Job, WriterWorker
from edge.app.board import Board, Limits
from edge.app.build import build_detector, build_incidents, build_line, resting_rules
from edge.app.build_alerts import (
    build_delivery,
    build_evidence,
    build_heartbeat,
    build_outbox,
    build_ring,
    build_sheets,
)
from edge.app.build_local import build_indicator, build_inputs, build_pins
from edge.app.hand_over import AlertMaker, Annotator, acknowledge, enqueue, hand_over, log_record, troubles
from edge.app.mail_channel import build_channel, read_secret
from edge.app.maintenance import MaintenanceKeeper
from edge.app.mask_confirmation import MaskKeeper
from edge.app.state import RunLock, state_path
from edge.cameras.capture import CaptureProcess
from edge.cameras.source import Kind, Source, parse_source
from edge.clock import SystemClock, boot_id
from edge.config import Config, resolve
from edge.errors import EX_OK, SourceNotFound, StateError
from edge.health.interface import Status
from edge.health.server import HealthServer
from edge.pipeline import Loop, Pipeline
from edge.types import ChangeKind, IncidentChange, Tracks

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.alerts.database import Database
    from edge.alerts.email import EmailChannel
    from edge.alerts.evidence import EvidenceStore
    from edge.alerts.gpio import GpioIndicator, NoIndicator
    from edge.alerts.inputs import GpioInputs
    from edge.alerts.interface import Indicator
    from edge.alerts.outbox import Outbox
    from edge.alerts.worker import DeliveryWorker
    from edge.app.sheets import Sheets
    from edge.clock import Clock
    from edge.config.tables import CameraTable

log = logging.getLogger(__name__)

_STORE_AT_STOP_S = 5.0  # what is queued when the service stops is stored for at most this long
_SEND_AT_END_S = 20.0  # when the source itself has ended there is time to send, too


class Appliance:
    """The box as one object.

    :param config: checked configuration; ``config_path`` is where it came from, for relative paths.
    :param log_style: "text" or "json".
    """

    def __init__(self, config: Config, config_path: Path, *, log_style: str, clock: Clock | None = None) -> None:
        self._config = config
        self._config_path = config_path
        self._log_style = log_style
        self._clock = clock or SystemClock()
        self._boot_id = boot_id()
        self._stop = threading.Event()
        self._inputs: GpioInputs | None = None

    def run(self) -> int:
        """Guard until SIGTERM or SIGINT, or until every video file is over; returns the exit code.

        :raises KioskError: it cannot start, or cannot go on; outputs are off and all that was queued is stored.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        with contextlib.ExitStack() as stack:
            stack.callback(logs.configure(style=self._log_style, level=self._config.log.level))
            self._run(stack)
        return EX_OK

    def _run(self, stack: contextlib.ExitStack) -> None:
        config, clock = self._config, self._clock
        sources = [(table, self._source(table)) for table in config.cameras]
        # What is cheap to check comes first, what sounds or connects comes last.
        state_dir = self._claim_state(stack)
        incident_log = IncidentLog(state_dir, key=open_device_key(state_dir), clock=clock)
        database = open_database(state_dir, clock=clock)
        stack.callback(database.close)
        outbox = build_outbox(config, database, incident_log, clock=clock, boot_id=self._boot_id)
        incident_store = IncidentStore(database, clock=clock, boot_id=self._boot_id)
        evidence = build_evidence(config, state_dir, incident_log, clock=clock)
        channel, delivery = self._mail(database, outbox, evidence)
        detector = build_detector(config, self._config_path)
        pins = build_pins(config)
        indicator = build_indicator(config, pins, clock=clock)
        stack.callback(indicator.close)

        resting = resting_rules(config, detector.classes)
        for rule, lacking in resting.items():
            log.warning(
                f"rule {rule} rests: the model {detector.model} knows no {', '.join(lacking)}",
                extra={"kg": {"event": "rule_rests", "rule": rule, "lacking": list(lacking), "model": detector.model}},
            )
        lines = {table.name: build_line(config, table, detector) for table in config.cameras}
        pipeline = Pipeline(
            detector=detector,
            lines=lines,
            incidents=build_incidents(config, self._new_incident_id),
            now_s=clock.monotonic_s,
            clock_synced=clock.synchronised,
        )
        suppressions = SuppressionStore(database, run=self._new_incident_id())
        chores: list[Callable[[], object]] = [
            MaskKeeper(lines, state_dir).look,
            lambda: suppressions.save(pipeline.incidents.suppressions),
        ]
        ring = build_ring(config)
        sheets = build_sheets(
            config, ring, evidence, incident_log, lambda alert: enqueue(alert, outbox, delivery), clock=clock
        )
        if sheets:
            chores.append(sheets.make_due)
        writer = WriterWorker(
            evidence=evidence,
            incidents=incident_store,
            outbox=outbox,
            clock=clock,
            annotate=Annotator(detector),
            make_alert=AlertMaker(detector.model, self._boot_id, clock, closed_from=config.email.closed_from),
            record=lambda change, pictures: incident_log.append("incident", log_record(change, pictures)),
            on_stored=lambda alert: acknowledge(alert, pipeline, delivery, sheets),
            on_unstored=lambda _: delivery.wake() if delivery else None,
            chore=lambda: [chore() for chore in chores],
        )
        periods = MaintenanceStore(database, clock=clock, boot_id=self._boot_id)
        maintenance = MaintenanceKeeper(
            store=periods,
            silence=pipeline.incidents.silence,
            enqueue=lambda alert: enqueue(alert, outbox, delivery),
            clock=clock,
            boot_id=self._boot_id,
            model=detector.model,
        )
        if delivery:
            delivery.also_deliver(writer)  # what the disk refuses goes out from memory
        observe = self._watch_inputs(
            stack,
            chores,
            pins=pins,
            indicator=indicator,
            pipeline=pipeline,
            periods=periods,
            incident_log=incident_log,
        )
        cameras = [self._camera(table, source) for table, source in sources]
        for camera in cameras:
            stack.callback(camera.close)
        board = Board(
            kiosk=config.kiosk.id,
            version=__version__,
            model=detector.model,
            state_dir=state_dir,
            pipeline=pipeline,
            cameras=cameras,
            limits=Limits(
                {t.name: t.lost_after_s for t in config.cameras}, {t.name: t.max_fps for t in config.cameras}
            ),
            outbox=outbox,
            writer=writer,
            delivery=delivery,
            troubles=lambda: [*troubles(database, outbox, channel), *self._local_troubles(incident_log)],
            incident_store=incident_store,
            indicator=indicator,
            clock=clock,
            resting_rules=resting,
            maintenance=maintenance,
            on_status=lambda status: indicator.set_status("fault" if status is Status.FAIL else "healthy"),
        )
        if delivery:
            heartbeat = build_heartbeat(
                config,
                database,
                outbox,
                delivery,
                board,
                clock=clock,
                boot_id=self._boot_id,
                model=detector.model,
            )
            chores.append(heartbeat.beat_if_due)
        url = self._serve_health(board, stack)
        board.start()
        stack.callback(board.stop)
        if delivery:
            delivery.start()
            stack.callback(delivery.stop)
        writer.start()
        stack.callback(writer.stop, _STORE_AT_STOP_S)
        maintenance.start()
        stack.callback(maintenance.stop)
        self._resume(pipeline, incident_store, writer)
        log.info(
            f"guarding: {', '.join(c.name for c in cameras)}; model {detector.model}; health {url or 'off'}",
            extra={
                "kg": {
                    "event": "started",
                    "version": __version__,
                    "model": detector.model,
                    "cameras": [c.name for c in cameras],
                    "health_url": url,
                }
            },
        )
        Loop(
            cameras=cameras,
            pipeline=pipeline,
            indicator=indicator,
            hand_over=lambda change, judged: hand_over(change, judged, writer),
            clock=clock,
            lost_after_s={table.name: table.lost_after_s for table in config.cameras},
            look_on=ring.look if ring else None,
            also=observe,
        ).run(self._stop)
        self._finish(pipeline, indicator, writer, outbox if delivery else None, sheets)

    def _finish(
        self,
        pipeline: Pipeline,
        indicator: Indicator,
        writer: WriterWorker,
        outbox: Outbox | None,
        sheets: Sheets | None,
    ) -> None:
        indicator.close()
        ended = not self._stop.is_set()
        writer.flush(_STORE_AT_STOP_S)
        if sheets:
            sheets.make_due(everything=True)
        until_s = self._clock.monotonic_s() + _SEND_AT_END_S
        while outbox and ended and outbox.stats().waiting and self._clock.monotonic_s() < until_s:
            if self._clock.wait(self._stop, 0.1):
                break
        log.info(
            f"stopped ({'the source has ended' if ended else 'as told'}) after {pipeline.vitals.frames_judged} frames",
            extra={
                "kg": {
                    "event": "stopped",
                    "frames": pipeline.vitals.frames_judged,
                    "reason": "source ended" if ended else "signal",
                    "waiting": outbox.stats().waiting if outbox else 0,
                }
            },
        )

    def _resume(self, pipeline: Pipeline, store: IncidentStore, writer: WriterWorker) -> None:
        """Take over what was open when the box went down."""
        found = store.load_open()
        now_s, now_utc = self._clock.monotonic_s(), self._clock.utc_now()
        pipeline.incidents.restore(found, t_mono_s=now_s, t_utc=now_utc)
        for incident in found:
            # Its alert may not have reached the disk. Storing it again does nothing if it has: the id is the same.
            writer.put(Job(IncidentChange(ChangeKind.OPENED, incident, now_s, now_utc), None, Tracks.empty(), ()))
            log.warning(
                f"incident {incident.incident_id} ({incident.rule}) was open when the service stopped",
                extra={"kg": {"event": "incident_resumed", "incident_id": incident.incident_id, "rule": incident.rule}},
            )

    def _source(self, table: CameraTable) -> Source:
        password = read_secret(self._config_path, table.password_file, f"cameras ({table.name}): password_file")
        text = table.source
        if "://" not in text and not text.startswith(("/dev/", "v4l2:", "file:/")) and not text.isdigit():
            text = f"file:{resolve(self._config_path, text.removeprefix('file:'))}"
        source = parse_source(text, user=table.user, password=password)
        if source.kind is Kind.FILE and not Path(source.target).exists():
            raise SourceNotFound(
                f'camera "{table.name}": video file "{source.label}" does not exist',
                hint="check [[cameras]] source; a relative path counts from the configuration file's folder",
            )
        return source

    def _camera(self, table: CameraTable, source: Source) -> CaptureProcess:
        return CaptureProcess(
            table.name,
            source,
            loop=table.loop,
            max_fps=table.max_fps,
            fresh_timeout_s=table.fresh_timeout_s,
            lost_after_s=table.lost_after_s,
            clock=self._clock,
        )

    def _watch_inputs(
        self,
        stack: contextlib.ExitStack,
        chores: list[Callable[[], object]],
        *,
        pins: Any,
        indicator: GpioIndicator | NoIndicator,
        pipeline: Pipeline,
        periods: MaintenanceStore,
        incident_log: IncidentLog,
    ) -> Callable[[], list[IncidentChange]] | None:
        """Begin to watch switches and buttons; returns what the loop is to ask at every turn."""
        built = build_inputs(
            self._config,
            pins,
            incidents=pipeline.incidents,
            indicator=indicator,
            maintenance=periods,
            incident_log=incident_log,
            clock=self._clock,
        )
        if built is None:
            return None
        inputs, actions = built
        self._inputs = inputs
        inputs.start()
        stack.callback(inputs.close)
        chores.append(actions.chore)
        return actions.observe

    def _local_troubles(self, incident_log: IncidentLog) -> list[str]:
        found = [incident_log.trouble] if incident_log.trouble else []
        if self._inputs:
            found += [f"input {name} cannot be read: {why}" for name, why in self._inputs.faults().items()]
        return found

    def _mail(
        self, database: Database, outbox: Outbox, evidence: EvidenceStore
    ) -> tuple[EmailChannel | None, DeliveryWorker | None]:
        if not self._config.email.enabled:
            return None, None
        channel = build_channel(
            self._config, self._config_path, clock=self._clock, boot_id=self._boot_id, ledger=StoredLedger(database)
        )
        return channel, build_delivery(self._config, outbox, channel, evidence, clock=self._clock)

    def _claim_state(self, stack: contextlib.ExitStack) -> Path:
        """The state directory, for this service alone. :raises StateError: it cannot be had."""
        state_dir = self._state_dir()
        lock = RunLock(state_dir)
        if not lock.take():
            raise StateError(
                f"another kiosk-guard runs on the state directory {state_dir}",
                hint="One service a box: see `systemctl status kiosk-guard`, or name another [state] dir.",
            )
        stack.callback(lock.release)
        return state_dir

    def _state_dir(self) -> Path:
        path = state_path(self._config, self._config_path)
        try:
            path.mkdir(mode=0o750, parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(
                f"the state directory {path} cannot be made: {error.strerror}",
                hint=f"make it for the service's user, or name another in {self._config_path}: [state] dir",
            ) from None
        return path

    def _serve_health(self, board: Board, stack: contextlib.ExitStack) -> str:
        health = self._config.health
        if not health.enabled:
            return ""
        server = HealthServer(board, host=health.host, port=health.port, version=__version__, clock=self._clock)
        server.start()
        stack.callback(server.stop)
        return server.url

    def _new_incident_id(self) -> str:
        return f"{self._clock.utc_now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
