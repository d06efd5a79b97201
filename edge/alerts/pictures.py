"""The pictures of one incident change: marked, as it was, and from near."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from edge.errors import KioskError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.alerts.evidence import EvidenceStore
    from edge.alerts.jobs import Job
    from edge.types import U8, EvidenceRef, Frame, Incident, Tracks, Zone

log = logging.getLogger(__name__)


class Pictures:
    """Makes and stores them. Whatever is wrong with one, the alert goes on without it.

    :param annotate: draws boxes and zones; returns a new uint8 (H, W, 3) BGR picture.
    :param closeup: cuts out what the incident is about, uint8 (h, w, 3) BGR; None where that shows nothing more.
    """

    def __init__(
        self,
        evidence: EvidenceStore,
        *,
        annotate: Callable[[Frame, Tracks, Incident, tuple[Zone, ...]], U8],
        closeup: Callable[[Frame, Tracks, Incident], U8 | None] | None = None,
    ) -> None:
        self._evidence = evidence
        self._annotate = annotate
        self._closeup = closeup
        self.lost = 0
        """Changes whose pictures are not all there."""

    def save(self, job: Job) -> tuple[EvidenceRef, ...]:
        """What could be stored, synced; nothing where the job has no frame. Never raises."""
        frame, incident = job.frame, job.change.incident
        if frame is None:
            return ()
        saved: list[EvidenceRef] = []

        def keep(role: str, image: U8) -> None:
            saved.append(self._evidence.save(image, incident_id=incident.incident_id, role=role, t_utc=frame.t_utc))

        try:
            keep("annotated", self._annotate(frame, job.tracks, incident, job.zones))
            keep("clean", frame.image)
            # Last, so that it costs neither of the others whatever is wrong with it.
            near = self._closeup(frame, job.tracks, incident) if self._closeup is not None else None
            if near is not None:
                keep("closeup", near)
        except Exception as error:
            self.lost += 1
            message = error.message if isinstance(error, KioskError) else f"{type(error).__name__}: {error}"
            log.error(  # noqa: TRY400 - a known trouble says it all in its words
                f"incident {incident.incident_id}: a picture is missing: {message}",
                exc_info=not isinstance(error, KioskError),
                extra={"kg": {"event": "evidence_failed", "incident_id": incident.incident_id, "error": message}},
            )
        return tuple(saved)
