"""The second mail of an incident's thread: pictures from before to after it began."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2

from edge.alerts.clip import make_clip
from edge.alerts.clock_set import put_right
from edge.alerts.identity import alert_id
from edge.alerts.sheet import contact_sheet, pick
from edge.errors import KioskError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge.alerts.evidence import EvidenceStore
    from edge.alerts.ring import Kept, PictureRing
    from edge.clock import Clock
    from edge.types import Alert, EvidenceRef

log = logging.getLogger(__name__)

_MOST_PENDING = 32
_FEWEST = 3


class Sheets:
    """Makes a contact sheet some seconds after each opening. Expected ones are kept in memory only.

    :param clip_fps: also a film, of so many pictures a second; 0: none.
    :param clip_max_bytes: a film that cannot be made smaller than this is left out.
    :param record: writes the sheet's hash into the incident log.
    :param enqueue: stores the mail.
    """

    def __init__(
        self,
        *,
        ring: PictureRing,
        evidence: EvidenceStore,
        record: Callable[[Alert, EvidenceRef], object],
        enqueue: Callable[[Alert], object],
        before_s: float,
        after_s: float,
        clock: Clock,
        clip_fps: float = 0.0,
        clip_max_bytes: int = 2_000_000,
    ) -> None:
        self._ring = ring
        self._evidence = evidence
        self._record = record
        self._enqueue = enqueue
        self._before_s = before_s
        self._after_s = after_s
        self._clock = clock
        self._clip_fps = clip_fps
        self._clip_max_bytes = clip_max_bytes
        self._lock = threading.Lock()
        self._pending: dict[str, Alert] = {}

    def expect(self, alert: Alert) -> None:
        """An alert is on disk; if it opens an incident of a camera, a sheet will follow."""
        if alert.kind != "opened" or not alert.camera:
            return
        begin_s, end_s = alert.created_mono_s - self._before_s, alert.created_mono_s + 0.1
        if not self._ring.between(self._camera_of(alert), begin_s, end_s):
            return  # taken over from before a restart, or no picture at all
        with self._lock:
            self._pending[alert.incident_id] = alert
            while len(self._pending) > _MOST_PENDING:
                del self._pending[next(iter(self._pending))]

    def make_due(self, *, everything: bool = False) -> None:
        """Make what is due; ``everything``: the source has ended, nothing more will come."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            due = [
                alert
                for alert in self._pending.values()
                if everything or now_s >= alert.created_mono_s + self._after_s + 1.0
            ]
            for alert in due:
                del self._pending[alert.incident_id]
        for alert in due:
            self._make(alert)

    def _camera_of(self, alert: Alert) -> str:
        """A button has no picture of its own: what the first camera saw is worth more than nothing."""
        cameras = self._ring.cameras()
        return alert.camera if alert.camera in cameras or not cameras else cameras[0]

    def _make(self, opening: Alert) -> None:
        at_s = opening.created_mono_s
        kept = self._ring.between(self._camera_of(opening), at_s - self._before_s, at_s + self._after_s)
        if len(kept) < _FEWEST:
            return
        image = contact_sheet(pick(kept, at_s), at_s)
        if image is None:
            return
        try:
            ref = self._evidence.save(image, incident_id=opening.incident_id, role="sheet", t_utc=opening.created_utc)
            self._record(opening, ref)
            film = self._film(opening, kept)
            self._enqueue(
                replace(
                    put_right(opening, clock=self._clock, boot_id=opening.boot_id),
                    alert_id=alert_id(opening.incident_id, "sheet", opening.severity),
                    kind="sheet",
                    created_utc=self._clock.utc_now(),
                    created_mono_s=self._clock.monotonic_s(),
                    clock_synced=self._clock.synchronised(),
                    evidence=(ref, *film),
                    log_seq=0,
                    log_head="",
                )
            )
        except KioskError as error:
            log.warning(
                f"incident {opening.incident_id}: no contact sheet: {error.message}",
                extra={"kg": {"event": "sheet_failed", "incident_id": opening.incident_id, "error": error.message}},
            )

    def _film(self, opening: Alert, kept: Sequence[Kept]) -> tuple[EvidenceRef, ...]:
        """The film beside the sheet; whatever is wrong with it, the sheet goes."""
        if self._clip_fps <= 0:
            return ()
        try:
            data = make_clip(
                kept,
                opening.created_mono_s,
                fps=self._clip_fps,
                max_bytes=self._clip_max_bytes,
                folder=self._evidence.folder,
            )
            if data is None:
                return ()
            ref = self._evidence.save_film(
                data, incident_id=opening.incident_id, role="clip", t_utc=opening.created_utc
            )
            self._record(opening, ref)
        except (KioskError, cv2.error) as error:
            message = error.message if isinstance(error, KioskError) else str(error)
            log.warning(
                f"incident {opening.incident_id}: no clip: {message}",
                extra={"kg": {"event": "clip_failed", "incident_id": opening.incident_id, "error": message}},
            )
            return ()
        return (ref,)
