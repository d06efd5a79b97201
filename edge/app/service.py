"""The service: one process that guards until it is told to stop. Starts every part, in order, and undoes it."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from typing import TYPE_CHECKING

from edge import __version__, logs
from edge.alerts.writer import Job
from edge.app.build_box import Box, build_box
from edge.app.hand_over import hand_over
from edge.clock import SystemClock, boot_id
from edge.errors import EX_OK
from edge.health.server import HealthServer
from edge.pipeline import Loop
from edge.types import ChangeKind, IncidentChange, Tracks

if TYPE_CHECKING:
    from pathlib import Path

    from edge.clock import Clock
    from edge.config import Config

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

    def run(self) -> int:
        """Guard until SIGTERM or SIGINT, or until every video file is over; returns the exit code.

        :raises KioskError: it cannot start, or cannot go on; outputs are off and all that was queued is stored.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        with contextlib.ExitStack() as stack:
            stack.callback(logs.configure(style=self._log_style, level=self._config.log.level))
            box = build_box(self._config, self._config_path, stack, clock=self._clock, boot_id=self._boot_id)
            url = self._serve_health(box, stack)
            self._start(box, stack)
            self._resume(box)
            self._tell_started(box, url)
            self._loop(box).run(self._stop)
            self._finish(box)
        return EX_OK

    def _serve_health(self, box: Box, stack: contextlib.ExitStack) -> str:
        health = self._config.health
        if not health.enabled:
            return ""
        server = HealthServer(box.board, host=health.host, port=health.port, version=__version__, clock=self._clock)
        server.start()
        stack.callback(server.stop)
        return server.url

    def _start(self, box: Box, stack: contextlib.ExitStack) -> None:
        """The threads; the stack ends them in the opposite order."""
        box.board.start()
        stack.callback(box.board.stop)
        if box.delivery:
            box.delivery.start()
            stack.callback(box.delivery.stop)
        box.writer.start()
        stack.callback(box.writer.stop, _STORE_AT_STOP_S)
        box.maintenance.start()
        stack.callback(box.maintenance.stop)

    def _resume(self, box: Box) -> None:
        """Take over what was open when the box went down."""
        found = box.storage.incidents.load_open()
        now_s, now_utc = self._clock.monotonic_s(), self._clock.utc_now()
        box.pipeline.incidents.restore(found, t_mono_s=now_s, t_utc=now_utc)
        for incident in found:
            # Its alert may not have reached the disk. Storing it again does nothing if it has: the id is the same.
            box.writer.put(Job(IncidentChange(ChangeKind.OPENED, incident, now_s, now_utc), None, Tracks.empty(), ()))
            log.warning(
                f"incident {incident.incident_id} ({incident.rule}) was open when the service stopped",
                extra={"kg": {"event": "incident_resumed", "incident_id": incident.incident_id, "rule": incident.rule}},
            )

    def _tell_started(self, box: Box, url: str) -> None:
        names = [c.name for c in box.cameras]
        log.info(
            f"guarding: {', '.join(names)}; model {box.detector.model}; health {url or 'off'}",
            extra={
                "kg": {
                    "event": "started",
                    "version": __version__,
                    "model": box.detector.model,
                    "cameras": names,
                    "health_url": url,
                }
            },
        )

    def _loop(self, box: Box) -> Loop:
        return Loop(
            cameras=box.cameras,
            pipeline=box.pipeline,
            indicator=box.indicator,
            hand_over=lambda change, judged: hand_over(change, judged, box.writer),
            clock=self._clock,
            lost_after_s={table.name: table.lost_after_s for table in self._config.cameras},
            look_on=box.ring.look if box.ring else None,
            also=box.actions.observe if box.actions else None,
        )

    def _finish(self, box: Box) -> None:
        """Outputs off, everything stored; and sent, if the source itself has ended."""
        box.indicator.close()
        ended = not self._stop.is_set()
        box.writer.flush(_STORE_AT_STOP_S)
        if box.sheets:
            box.sheets.make_due(everything=True)
        outbox = box.storage.outbox if box.delivery else None
        until_s = self._clock.monotonic_s() + _SEND_AT_END_S
        while outbox and ended and outbox.stats().waiting and self._clock.monotonic_s() < until_s:
            if self._clock.wait(self._stop, 0.1):
                break
        box.blind.stop()
        frames = box.pipeline.vitals.frames_judged
        log.info(
            f"stopped ({'the source has ended' if ended else 'as told'}) after {frames} frames",
            extra={
                "kg": {
                    "event": "stopped",
                    "frames": frames,
                    "reason": "source ended" if ended else "signal",
                    "waiting": outbox.stats().waiting if outbox else 0,
                }
            },
        )
