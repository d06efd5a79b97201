"""What the metrics tell of a box that guards: gathered from memory when somebody scrapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.health.metrics import CameraFigures, Figures

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge.app.build_box import Box
    from edge.cameras.interface import Camera
    from edge.clock import Clock


class BoxFigures:
    """Callable: the figures of now.

    :param verdicts: (rule, verdict) -> incidents; from memory.
    """

    def __init__(self, box: Box, *, clock: Clock, verdicts: Callable[[], Mapping[tuple[str, str], int]] = dict) -> None:
        self._box = box
        self._clock = clock
        self._verdicts = verdicts

    def __call__(self) -> Figures:
        box = self._box
        vitals, incidents = box.pipeline.vitals, box.pipeline.incidents
        outbox, writer = box.storage.outbox.stats(), box.writer.stats()
        machine, disk, manifest = box.board.machine, box.board.disk, box.detector.manifest
        return Figures(
            model={
                "name": manifest.name,
                "version": manifest.version,
                "precision": manifest.model.precision,
                "sha256": manifest.model.sha256,
            },
            cameras=[self._camera(camera) for camera in box.cameras],
            frames_judged=vitals.frames_judged,
            frames_still=vitals.frames_still,
            closer_looks=vitals.closer_looks,
            inference=vitals.inference.cumulated(),
            inference_sum_s=vitals.inference.sum_s,
            # Each copied in one step: the pipeline adds keys while this is read.
            incidents=dict(incidents.opened_total),
            incidents_open=len(incidents.open_incidents),
            verdicts=self._verdicts(),
            suppressed=dict(incidents.suppressed_total),
            outbox_waiting=outbox.waiting + writer.unstored,
            outbox_held=outbox.held,
            outbox_oldest_s=outbox.oldest_s,
            outbox_dropped={**outbox.dropped_by, "never_stored": writer.dropped},
            delivered=outbox.delivered,
            delivered_at_s=outbox.last_success_utc.timestamp() if outbox.last_success_utc else None,
            pictures_lost=writer.pictures_lost,
            outputs=box.indicator.levels(),
            blind_s=box.blind.saved(),
            maintenance=bool(box.maintenance.details()["on"]),
            clock_synchronised=self._clock.synchronised(),
            disk_free_bytes=disk.free_bytes,
            disk_size_bytes=disk.total_bytes,
            memory_available_bytes=machine.memory_available_bytes,
            temperature_c=machine.temperature_c,
            throttled=bool(machine.throttled),
        )

    def _camera(self, camera: Camera) -> CameraFigures:
        status = camera.status()
        captured_s = self._box.pipeline.vitals.captured_mono_s.get(camera.name)
        return CameraFigures(
            camera.name,
            live=status.state == "live",
            frame_age_s=None if captured_s is None else max(0.0, self._clock.monotonic_s() - captured_s),
            frames=status.frames,
            dropped=status.dropped,
            reconnects=status.restarts,
        )
