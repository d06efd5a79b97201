"""From the pipeline to the disk: a bounded queue and one thread, so that a slow card never slows the guarding."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge.alerts.jobs import Job, JobQueue
from edge.alerts.pictures import Pictures
from edge.alerts.steps import StepKeeper
from edge.errors import KioskError, OutboxError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.alerts.evidence import EvidenceStore
    from edge.alerts.incident_store import IncidentStore
    from edge.alerts.outbox import Outbox
    from edge.clock import Clock
    from edge.types import U8, Alert, EvidenceRef, Frame, Incident, IncidentChange, Tracks, Zone

__all__ = ["Job", "WriterStats", "WriterWorker"]

log = logging.getLogger(__name__)

FIRST_RETRY_S = 1.0
LONGEST_RETRY_S = 30.0
PRUNE_EVERY_S = 600.0
CHORE_EVERY_S = 5.0
STEP_S = 15.0  # the longest honest step: pictures, rows and chores on a slow card


@dataclass(frozen=True, slots=True)
class WriterStats:
    """``queued``: jobs not taken up yet; ``unstored``: alerts that the disk refuses, kept in memory and tried again.

    ``dropped``: jobs and alerts given up since the start because the queue or the memory was full, ``uncounted`` of them
    not in the outbox's counts yet. ``last_error`` is empty once all is stored. ``beat_s``: monotonic seconds of the
    thread's last turn.
    """

    queued: int
    unstored: int
    dropped: int
    uncounted: int
    pictures_lost: int
    last_error: str
    beat_s: float


class WriterWorker:
    """Stores evidence, incident and alert of each job, in this order; only then is the alert acknowledged.

    A full or read-only disk never ends the thread: the alert goes without pictures, and an alert that cannot be stored
    is kept in memory (up to ``capacity``) and tried again.

    :param annotate: draws boxes and zones; returns a new uint8 (H, W, 3) BGR picture.
    :param closeup: cuts out what the incident is about, uint8 (h, w, 3) BGR; None where that shows nothing more.
    :param make_alert: the alert of a change, or None where the desk is not to be told.
    :param capacity: jobs that may wait; beyond it the one with the lowest severity, then the oldest, is dropped.
    :param max_pictures: of those, how many may hold a picture (2.8 MB each at 1280x720); the others go as text.
    :param chore: called every few seconds, for what may wait for its turn; an error is logged and it is called again.
    :param record: writes a step and its pictures into the incident log; raises KioskError: the alert goes out anyway, and
        it is tried again.
    :param on_stored: told when an alert is on disk, synced: the acknowledgement, and the delivery's wake-up.
    :param on_unstored: told when the disk refused an alert, which is kept in memory: delivery may send it from there.
    :param on_sent_unstored: told when it did, and so as good as acknowledged.
    """

    def __init__(
        self,
        *,
        evidence: EvidenceStore,
        incidents: IncidentStore,
        outbox: Outbox,
        clock: Clock,
        annotate: Callable[[Frame, Tracks, Incident, tuple[Zone, ...]], U8],
        make_alert: Callable[[IncidentChange, tuple[EvidenceRef, ...]], Alert | None],
        capacity: int = 256,
        max_pictures: int = 12,
        on_stored: Callable[[Alert], None] | None = None,
        on_unstored: Callable[[Alert], None] | None = None,
        on_sent_unstored: Callable[[Alert], None] | None = None,
        record: Callable[[IncidentChange, tuple[EvidenceRef, ...]], object] | None = None,
        closeup: Callable[[Frame, Tracks, Incident], U8 | None] | None = None,
        chore: Callable[[], object] | None = None,
    ) -> None:
        self._evidence = evidence
        self._outbox = outbox
        self._clock = clock
        self._pictures = Pictures(evidence, annotate=annotate, closeup=closeup)
        self._make_alert = make_alert
        self._capacity = capacity
        self._on_stored = on_stored
        self._on_unstored = on_unstored
        self._on_sent_unstored = on_sent_unstored
        self._steps = StepKeeper(incidents=incidents, record=record, capacity=capacity)
        self._steps_at_s = math.inf
        self._chore = chore
        self._chore_at_s = 0.0
        self._lock = threading.Condition()
        self._jobs = JobQueue(capacity=capacity, max_pictures=max_pictures)
        self._unstored: deque[Alert] = deque()
        self._busy = False
        self._dropped = self._uncounted = 0
        self._last_error = ""
        self._retry_at_s = 0.0
        self._retry_s = 0.0
        self._prune_at_s = 0.0
        self._beat_s = clock.monotonic_s()
        self._due_s = self._beat_s + STEP_S
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread."""
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)
        self._thread.start()

    def put(self, job: Job) -> bool:
        """Hand a job over; never waits for a disk. False: a job (perhaps this one) had to be dropped.

        The picture is copied: the camera may reuse its memory after this call.
        """
        if job.frame is not None:
            job = replace(job, frame=replace(job.frame, image=job.frame.image.copy()))
        with self._lock:
            lost = self._jobs.put(job)
            self._dropped += lost is not None
            self._uncounted += lost is not None
        self._wake.set()
        if lost is not None:
            log.error(
                f"the disk is too slow: the step '{lost.change.kind.value}' of incident "
                f"{lost.change.incident.incident_id} was dropped",
                extra={
                    "kg": {
                        "event": "job_dropped",
                        "incident_id": lost.change.incident.incident_id,
                        "severity": lost.change.incident.severity.label,
                    }
                },
            )
        return lost is None

    def flush(self, timeout_s: float) -> bool:
        """Wait until all is stored; False: some of it is not after ``timeout_s``."""
        self._wake.set()
        with self._lock:
            self._retry_at_s = 0.0
            return self._lock.wait_for(
                lambda: not self._jobs and not self._unstored and not self._busy, timeout=timeout_s
            )

    def stats(self) -> WriterStats:
        """Answers from memory."""
        with self._lock:
            return WriterStats(
                queued=len(self._jobs),
                unstored=len(self._unstored),
                dropped=self._dropped,
                uncounted=self._uncounted,
                pictures_lost=self._pictures.lost + self._jobs.pictures_lost,
                last_error=self._last_error,
                beat_s=self._beat_s,
            )

    @property
    def due_s(self) -> float:
        """Monotonic time by which the thread moves again unless it hangs."""
        return self._due_s

    def unstored(self) -> tuple[Alert, ...]:
        """Alerts that the disk refuses, for the delivery to send from memory."""
        with self._lock:
            return tuple(self._unstored)

    def forget(self, alert_id: str) -> None:
        """One of them was delivered: it need not be stored any more."""
        with self._lock:
            sent = [a for a in self._unstored if a.alert_id == alert_id]
            self._unstored = deque(a for a in self._unstored if a.alert_id != alert_id)
            self._lock.notify_all()
        if self._on_sent_unstored is not None:
            for alert in sent:
                self._on_sent_unstored(alert)

    def stop(self, timeout_s: float = 2.0) -> bool:
        """Store what is queued, then end; True if the thread has ended within ``timeout_s``."""
        self._stopping.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
            return not self._thread.is_alive()
        return True

    def step(self) -> float:
        """Work off one job, or try a stored-up alert again; returns the seconds to wait. Never raises."""
        now_s = self._clock.monotonic_s()
        with self._lock:
            self._beat_s = now_s
            self._due_s = now_s + STEP_S
            job = self._jobs.take()
            late = self._unstored[0] if job is None and self._unstored and now_s >= self._retry_at_s else None
            self._busy = job is not None or late is not None
        try:
            if job is not None:
                self._store(job)
            elif late is not None:
                self._enqueue(late)
            elif now_s >= self._steps_at_s and not self.unstored():  # else an alert that is stored leads the way
                self._tried(self._steps.settle())
            elif now_s >= self._prune_at_s or self._evidence.over_limit():
                self._prune_at_s = now_s + PRUNE_EVERY_S
                self._evidence.prune(keep=self._outbox.pending_evidence())
        except Exception as error:  # whatever it is, the next job must be stored
            self._trouble(f"{type(error).__name__}: {error}")
            log.exception("a job of the writer failed", extra={"kg": {"event": "writer_fault"}})
        if self._chore is not None and now_s >= self._chore_at_s:
            self._chore_at_s = now_s + CHORE_EVERY_S
            self._do_chore()
        with self._lock:
            self._busy = False
            self._lock.notify_all()
            if self._jobs:
                return 0.0
            until_s = self._retry_at_s if self._unstored else min(self._prune_at_s, self._steps_at_s)
            if self._chore is not None:
                until_s = min(until_s, self._chore_at_s)
        return max(0.0, until_s - self._clock.monotonic_s())

    def _run(self) -> None:
        while True:
            self._wake.clear()
            stopping = self._stopping.is_set()  # looked at before the queue: what was put before stop() is stored
            wait_s = self.step()
            with self._lock:
                if stopping and not self._jobs:
                    break
            if wait_s > 0 and not stopping:
                self._due_s = self._clock.monotonic_s() + wait_s + STEP_S
                self._clock.wait(self._wake, wait_s)
        self._do_chore()
        self._steps.settle()
        for alert in list(self._unstored):  # a last try for what the disk refused
            self._enqueue(alert)

    def _do_chore(self) -> None:
        try:
            if self._chore is not None:
                self._chore()
        except KioskError as error:
            log.warning(error.message, extra={"kg": {"event": "chore_failed", "error": error.message}})
        except Exception:  # a chore that fails must not end the thread that stores alerts
            log.exception("a chore of the writer failed", extra={"kg": {"event": "writer_fault"}})

    def _store(self, job: Job) -> None:
        evidence = self._pictures.save(job)
        self._tried(self._steps.take(job.change, evidence))
        alert = self._make_alert(job.change, evidence)
        if alert is None:
            return
        alert = self._outbox.stamped(alert)
        # What came of the same incident before, and is in memory still, must be in the outbox before it.
        for earlier in [a for a in self.unstored() if a.incident_id == alert.incident_id]:
            error = self._enqueue(earlier)
            if error is not None:
                self._keep(alert, error)
                return
        self._enqueue(alert)

    def _tried(self, trouble: str) -> None:
        self._steps_at_s = self._clock.monotonic_s() + LONGEST_RETRY_S if self._steps.waiting else math.inf
        if trouble:
            self._trouble(trouble)

    def _enqueue(self, alert: Alert) -> OutboxError | None:
        """Returns what is in the way; the alert is kept then."""
        try:
            stored = self._outbox.enqueue(alert)
        except OutboxError as error:
            self._keep(alert, error)
            return error
        with self._lock:
            if self._unstored:
                self._unstored = deque(a for a in self._unstored if a is not alert)
            self._retry_s = 0.0
            self._retry_at_s = 0.0
            if not self._unstored:
                self._last_error = ""
            lost = self._uncounted
        if lost:
            with contextlib.suppress(OutboxError):  # it is counted another time
                self._outbox.given_up.never_stored(lost)
                with self._lock:
                    self._uncounted -= lost
        if self._steps.waiting:
            self._tried(self._steps.settle())  # the disk takes something: perhaps this, too
        if stored and self._on_stored is not None:
            self._on_stored(alert)
        return None

    def _keep(self, alert: Alert, error: OutboxError) -> None:
        """Not stored: remember it, and try again."""
        with self._lock:
            new = all(a is not alert for a in self._unstored)
            if new:
                self._unstored.append(alert)
                if len(self._unstored) > self._capacity:
                    lost = min(self._unstored, key=lambda a: a.severity)
                    self._unstored.remove(lost)
                    self._dropped += 1
                    self._uncounted += 1
            self._retry_s = min(max(2 * self._retry_s, FIRST_RETRY_S), LONGEST_RETRY_S)
            self._retry_at_s = self._clock.monotonic_s() + self._retry_s
        self._trouble(error.message)
        log.error(
            f"alert {alert.alert_id} cannot be stored and is kept in memory: {error.message}",
            extra={"kg": {"event": "alert_unstored", "alert_id": alert.alert_id, "error": error.message}},
        )
        # A full disk: pictures give way to the alert itself.
        with contextlib.suppress(OSError):
            self._evidence.make_room(1024 * 1024, even_in_vain=True)
        if new and self._on_unstored is not None:
            self._on_unstored(alert)

    def _trouble(self, message: str) -> None:
        with self._lock:
            self._last_error = message
