"""The guarding: starts every part of the box, in order, runs until it is told to stop, and undoes it."""

from __future__ import annotations

import contextlib
import logging
from functools import partial
from typing import TYPE_CHECKING

from edge import __version__
from edge.alerts.writer import Job
from edge.app.build_box import Box, build_box
from edge.app.build_health import build_health
from edge.app.build_technician import build_acts
from edge.app.control_socket import open_control
from edge.app.figures import BoxFigures
from edge.app.hand_over import hand_over, keep, told_again
from edge.app.inputs import BUTTON, ENCLOSURE
from edge.app.watchdog import Stage
from edge.clock import SystemClock, boot_id
from edge.health.acts_routes import ActsRoutes
from edge.health.pages import GLANCE_PATHS, Pages
from edge.loop import Loop
from edge.types import Tracks

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from edge.app.control_socket import ControlSocket
    from edge.app.watchdog import Watchdog
    from edge.clock import Clock
    from edge.config import Config
    from edge.health.server import HealthServer

log = logging.getLogger(__name__)

_STORE_AT_STOP_S = 5.0  # what is queued when the service stops is stored for at most this long
_SEND_AT_END_S = 20.0  # when the source itself has ended there is time to send, too


class Appliance:
    """The box as one object.

    :param config: checked configuration; ``config_path`` is where it came from, for relative paths.
    :param stop: set from elsewhere: the guarding ends.
    :param watchdog: learns which threads must move; None: nobody watches.
    """

    def __init__(
        self,
        config: Config,
        config_path: Path,
        *,
        stop: threading.Event,
        watchdog: Watchdog | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._config = config
        self._config_path = config_path
        self._clock = clock or SystemClock()
        self._boot_id = boot_id()
        self._stop = stop
        self._watchdog = watchdog

    def run(self) -> None:
        """Guard until ``stop`` is set, or until every video file is over.

        :raises KioskError: it cannot start, or cannot go on; outputs are off and all that was queued is stored.
        """
        with contextlib.ExitStack() as stack:
            box = build_box(self._config, self._config_path, stack, clock=self._clock, boot_id=self._boot_id)
            server, control = self._serve_health(box, stack)
            self._start(box, stack)
            self._resume(box)
            loop = self._loop(box)
            self._tell_started(box, server.url if server else "")
            with self._watched(box, loop, server, control):
                loop.run(self._stop)
            self._finish(box)

    def _serve_health(self, box: Box, stack: contextlib.ExitStack) -> tuple[HealthServer | None, ControlSocket | None]:
        """The health port, None: switched off; and the control socket, which serves the same."""
        acts = build_acts(self._config, self._config_path, box, clock=self._clock)
        pages = Pages(box.board, acts, version=__version__, clock=self._clock)
        stack.callback(pages.close)
        server = build_health(
            self._config,
            self._config_path,
            state_dir=box.storage.state_dir,
            source=box.board,
            clock=self._clock,
            more_routes=[*pages.routes(), *ActsRoutes(acts).routes()],
            glance_paths=GLANCE_PATHS,
            figures=BoxFigures(box, clock=self._clock, verdicts=acts.verdict_counts),
        )
        stack.callback(server.stop)
        if self._config.health.enabled:
            server.start()
        control = open_control(server.application, box.storage.state_dir, stack)
        return (server if self._config.health.enabled else None), control

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
        if box.models:
            box.models.start()
            stack.callback(box.models.stop)

    def _resume(self, box: Box) -> None:
        """Take over what was open when the box went down."""
        found = box.technician.walk.leave_out(box.storage.incidents.load_open(), box.storage.incidents)
        now_s, now_utc = self._clock.monotonic_s(), self._clock.utc_now()
        sources = {camera.name for camera in box.cameras} | ({BUTTON, ENCLOSURE} if box.actions else set())
        over = box.pipeline.incidents.restore(found, sources=sources, t_mono_s=now_s, t_utc=now_utc)
        stored = box.storage.outbox.about(incident.incident_id for incident in found)
        for incident in found:
            change = told_again(incident, stored[incident.incident_id], now_s=now_s, now_utc=now_utc)
            box.writer.put(Job(change, None, Tracks.empty(), ()))
            log.warning(
                f"incident {incident.incident_id} ({incident.rule}) was open when the service stopped",
                extra={"kg": {"event": "incident_resumed", "incident_id": incident.incident_id, "rule": incident.rule}},
            )
        for change in over:
            box.writer.put(Job(change, None, Tracks.empty(), ()))

    @contextlib.contextmanager
    def _watched(
        self, box: Box, loop: Loop, server: HealthServer | None, control: ControlSocket | None
    ) -> Iterator[None]:
        """Meanwhile every thread that must move is held to its own promise."""
        if self._watchdog is None:
            yield
            return
        stages = [Stage("pipeline", loop), Stage("writer", box.writer), Stage("board", box.board)]
        stages += [Stage(f"capture of {camera.name}", camera) for camera in box.cameras]
        stages += [Stage("delivery", box.delivery)] if box.delivery else []
        stages += [Stage("health", server)] if server else []
        stages += [Stage("control socket", control)] if control else []
        self._watchdog.watch(stages, lambda: (box.board.begun(), box.board.summary))
        try:
            yield
        finally:
            self._watchdog.rest("ending")

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
            indicator=box.technician.walk.quiet(box.indicator),
            hand_over=lambda change, judged: hand_over(change, judged, box.writer),
            clock=self._clock,
            lost_after_s={table.name: table.lost_after_s for table in self._config.cameras},
            look_on=partial(keep, ring=box.ring) if box.ring else None,
            also=box.actions.observe if box.actions else None,
            watch=box.technician.watch,
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
