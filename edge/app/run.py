"""``kiosk-guard run``: as a command, which ends with an exit code; as the service, which stays up whatever is wrong."""

from __future__ import annotations

import contextlib
import faulthandler
import signal
import threading
from typing import TYPE_CHECKING

from edge import logs
from edge.app.fault_mode import FaultMode
from edge.app.notify import Notifier
from edge.app.service import Appliance
from edge.app.watchdog import Watchdog
from edge.clock import SystemClock, boot_id
from edge.config import load
from edge.config.salvage import salvage
from edge.errors import EX_OK, KioskError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.clock import Clock


def run(config_path: Path, *, log_style: str | None) -> int:
    """Guard until told to stop, or until every video file is over; returns the exit code.

    :param log_style: "text" or "json"; None: as the configuration says.
    :raises KioskError: it cannot start, or cannot go on.
    """
    config = load(config_path)
    stop = _told_to_stop()
    with contextlib.ExitStack() as stack:
        stack.callback(logs.configure(style=log_style or config.log.format, level=config.log.level))
        Appliance(config, config_path, stop=stop).run()
    return EX_OK


def run_service(
    config_path: Path, *, log_style: str | None, notifier: Notifier | None = None, clock: Clock | None = None
) -> int:
    """The same under a service manager, which is told how it goes. What is wrong leads to fault mode, not to an end."""
    clock = clock or SystemClock()
    stop = _told_to_stop()
    faulthandler.enable()  # a service that is killed because it hangs leaves in the journal where
    with contextlib.ExitStack() as stack:
        log_table = salvage(config_path).log
        stack.callback(logs.configure(style=log_style or log_table.format, level=log_table.level))
        watchdog = Watchdog(notifier or Notifier.from_environment(), clock=clock)
        watchdog.start()
        stack.callback(watchdog.stop)
        while not stop.is_set():
            try:
                Appliance(load(config_path), config_path, stop=stop, watchdog=watchdog, clock=clock).run()
            except KioskError as error:  # noqa: PERF203 - a turn is a life of the box
                FaultMode(error, config_path, clock=clock, boot_id=boot_id()).stay(stop, watchdog)
            else:
                break
    return EX_OK


def _told_to_stop() -> threading.Event:
    """Set by SIGTERM and SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop
