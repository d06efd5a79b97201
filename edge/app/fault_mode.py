"""Fault mode: a service that cannot guard stays up, says why, and delivers what waits, until the cause is gone."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

from edge import __version__
from edge.alerts.ledger import StoredLedger
from edge.app.build import build_detector
from edge.app.build_alerts import build_delivery
from edge.app.build_cameras import camera_sources
from edge.app.build_health import build_health
from edge.app.build_storage import Storage, open_storage
from edge.app.control_socket import open_control
from edge.app.fault_board import FaultBoard
from edge.app.mail_channel import build_channel
from edge.app.offline_bundle import offline_bundle
from edge.app.state import state_path
from edge.app.watchdog import Stage
from edge.config import load, resolve
from edge.config.salvage import salvage
from edge.errors import ConfigError, HealthError, KioskError
from edge.health.acts_routes import bundle_route, no_acts_routes
from edge.health.endpoints import health_json
from edge.health.server import HealthServer

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from edge.alerts.worker import DeliveryWorker
    from edge.app.watchdog import Watchdog
    from edge.clock import Clock

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0
TRY_EVERY_S = 60.0  # a chip, a disk or a camera's file may come back without any file of ours being changed
_MOST_FILES = 500
_STEP_S = 15.0  # the longest honest look: loading a model to try it


class FaultMode:
    """One stay in fault mode.

    :param error: why the box cannot guard.
    """

    def __init__(self, error: KioskError, config_path: Path, *, clock: Clock, boot_id: str) -> None:
        self._error = error
        self._config_path = config_path
        self._clock = clock
        self._boot_id = boot_id
        self._config = salvage(config_path)
        self._seen = self.signature()
        self.due_s = clock.monotonic_s() + _STEP_S  # see watchdog.Mover

    def stay(self, stop: threading.Event, watchdog: Watchdog) -> None:
        """Return when ``stop`` is set, or when guarding is worth another try."""
        with contextlib.ExitStack() as stack:
            storage, delivery, idle = self._deliver(stack)
            board = FaultBoard(
                self._error,
                kiosk=self._config.kiosk.id,
                version=__version__,
                state_dir=state_path(self._config, self._config_path),
                outbox=storage.outbox if storage and delivery else None,
                idle=idle,
                clock=self._clock,
            )
            self._serve(board, stack)
            stages = [Stage("fault mode", self)]
            if delivery:
                stages.append(Stage("delivery", delivery))
            watchdog.watch(stages, lambda: (True, f"FAULT, does not guard: {board.words}"))
            self._tell(board, delivers=delivery is not None)
            self._wait(stop, board)
            watchdog.rest("leaving fault mode")

    def _wait(self, stop: threading.Event, board: FaultBoard) -> None:
        """Until a file has changed, or until a try without a change says something else than before."""
        tried_s = self._clock.monotonic_s()
        while not self._clock.wait(stop, LOOK_EVERY_S):
            self.due_s = self._clock.monotonic_s() + _STEP_S
            board.refresh()
            if self.signature() != self._seen:
                return
            if self._clock.monotonic_s() - tried_s >= TRY_EVERY_S:
                tried_s = self._clock.monotonic_s()
                fault = self._fault()
                if fault is None or str(fault) != str(self._error):
                    return

    def _fault(self) -> KioskError | None:
        """What is wrong with the files, as far as they alone can tell; if they are good, guarding itself must be tried.

        A trouble that only shows when a part is built (a pin, a port) comes back by that try.
        """
        try:
            config = load(self._config_path)
            camera_sources(config, self._config_path)
            build_detector(config, self._config_path)
        except KioskError as error:
            return error
        return None

    def _deliver(self, stack: contextlib.ExitStack) -> tuple[Storage | None, DeliveryWorker | None, str]:
        """Begin to deliver what waits, if the configuration still says how; else why not."""
        config, clock = self._config, self._clock
        if not config.email.enabled:
            return None, None, "[email], [state], [outbox], [evidence] or [kiosk] is wrong, or mail is switched off"
        try:
            storage = open_storage(config, self._config_path, stack, clock=clock, boot_id=self._boot_id, run="fault")
            ledger = StoredLedger(storage.database)
            channel = build_channel(config, self._config_path, clock=clock, boot_id=self._boot_id, ledger=ledger)
        except KioskError as error:
            return None, None, error.message
        delivery = build_delivery(config, storage.outbox, channel, storage.evidence, clock=clock)
        delivery.start()
        stack.callback(delivery.stop)
        return storage, delivery, ""

    def _serve(self, board: FaultBoard, stack: contextlib.ExitStack) -> None:
        """The health page, where and how [health] says it if that table is right; it then needs the token as ever."""
        server = self._server(board)
        stack.callback(server.stop)
        try:
            if self._config.health.enabled:
                server.start()
        except HealthError as error:
            log.error(error.message, extra={"kg": {"event": "health_failed", "error": error.message}})  # noqa: TRY400
        state_dir = state_path(self._config, self._config_path)
        if state_dir.is_dir():
            open_control(server.application, state_dir, stack)

    def _server(self, board: FaultBoard) -> HealthServer:
        config = self._config
        try:
            return build_health(
                config,
                self._config_path,
                state_dir=state_path(config, self._config_path),
                source=board,
                clock=self._clock,
                more_routes=[bundle_route(lambda: self._bundle(board)), *no_acts_routes(lambda: board.words)],
            )
        except KioskError as error:  # no certificate, and none can be made: in clear, then, but for this machine alone
            log.error(error.message, extra={"kg": {"event": "health_failed", "error": error.message}})  # noqa: TRY400
            return HealthServer(board, port=config.health.port, version=__version__, clock=self._clock)

    def _bundle(self, board: FaultBoard) -> tuple[str, bytes]:
        def health() -> dict[str, Any]:
            return health_json(board.report(), version=__version__, now=self._clock.utc_now())

        return offline_bundle(self._config_path, clock=self._clock, health=health)

    def _tell(self, board: FaultBoard, *, delivers: bool) -> None:
        log.critical(
            f"fault mode, the box does not guard: {board.words}",
            extra={
                "kg": {
                    "event": "fault_mode",
                    "faults": board.report().details["faults"],
                    "delivers": delivers,
                    "exit_code_of_run": self._error.exit_code,
                }
            },
        )

    def signature(self) -> frozenset[tuple[str, int, int, int]]:
        """Changes whenever one of the files that guarding depends on does."""
        found = set()
        for path in self._files():
            with contextlib.suppress(OSError):
                stat = path.stat()
                found.add((str(path), stat.st_mtime_ns, stat.st_size, stat.st_ino))
        return frozenset(found)

    def _files(self) -> Iterator[Path]:
        state = state_path(self._config, self._config_path)
        folders = [state / "models", *(state / "models").glob("*")]
        try:
            config = load(self._config_path)
        except ConfigError:
            pass
        else:
            if config.model.path:
                folders.append(resolve(self._config_path, config.model.path))
        yield state / "zones.toml"
        with contextlib.suppress(OSError):
            # Files alone: the state directory may lie beside the configuration, and delivering writes there all the time.
            yield from [path for path in sorted(self._config_path.parent.iterdir()) if path.is_file()][:_MOST_FILES]
        count = 0
        for folder in folders:
            with contextlib.suppress(OSError):
                for path in sorted(folder.iterdir()):
                    count += 1
                    if count > _MOST_FILES:
                        return
                    yield path
