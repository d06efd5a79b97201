"""What is remembered of each step of an incident: its row, and its record in the incident log; late where the disk refuses."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from edge.errors import KioskError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.alerts.incident_store import IncidentStore
    from edge.types import EvidenceRef, IncidentChange

log = logging.getLogger(__name__)


class StepKeeper:
    """Rows and records, each in the order of their steps. For one thread.

    :param record: writes a step and its pictures into the incident log; raises KioskError where it cannot.
    :param capacity: steps that wait for a disk that takes them again; beyond it the oldest are given up.
    """

    def __init__(
        self,
        *,
        incidents: IncidentStore,
        record: Callable[[IncidentChange, tuple[EvidenceRef, ...]], object] | None,
        capacity: int,
    ) -> None:
        self._incidents = incidents
        self._record = record
        self._capacity = capacity
        self._rows: deque[IncidentChange] = deque()
        self._records: deque[tuple[IncidentChange, tuple[EvidenceRef, ...]]] = deque()

    @property
    def waiting(self) -> bool:
        """Whether something is to be tried again."""
        return bool(self._rows or self._records)

    def take(self, change: IncidentChange, evidence: tuple[EvidenceRef, ...]) -> str:
        """Remember a step, now or later; returns what is in the way, empty: nothing."""
        self._rows.append(change)
        if self._record is not None:
            self._records.append((change, evidence))
        trouble = self.settle()
        if self._records and self._records[-1][0] is change:
            self._tell(change, "is not in the incident log yet", trouble)
        if len(self._rows) > self._capacity:
            self._rows.popleft()
        if len(self._records) > self._capacity:
            self._tell(self._records.popleft()[0], "will not be in the incident log", trouble)
        return trouble

    def settle(self) -> str:
        """Try what waits, oldest first; returns what is in the way, empty: nothing."""
        trouble = ""
        for queue, keep in ((self._rows, self._keep_row), (self._records, self._keep_record)):
            while queue:
                try:
                    keep()
                except KioskError as error:
                    trouble = error.message
                    break
                except Exception:  # a fault of ours with this one step must not stop the others
                    log.exception("a step cannot be kept", extra={"kg": {"event": "writer_fault"}})
                queue.popleft()
        return trouble

    def _keep_row(self) -> None:
        self._incidents.save(self._rows[0])

    def _keep_record(self) -> None:
        if self._record is not None:
            self._record(*self._records[0])

    @staticmethod
    def _tell(change: IncidentChange, what: str, why: str) -> None:
        incident_id = change.incident.incident_id
        log.error(
            f"incident {incident_id} {what}: {why}",
            extra={"kg": {"event": "log_failed", "incident_id": incident_id, "error": why}},
        )
