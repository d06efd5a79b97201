"""What waits for the writer's thread: a bounded queue that gives up the least important first."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.types import Frame, IncidentChange, Tracks, Zone


@dataclass(frozen=True, slots=True)
class Job:
    """One step of an incident, with the picture of the moment; ``frame`` None: there is none (a lost camera)."""

    change: IncidentChange
    frame: Frame | None
    tracks: Tracks
    zones: tuple[Zone, ...]


class JobQueue:
    """Jobs in order of arrival. Callers hold a lock of their own.

    :param capacity: jobs that may wait; beyond it the one with the lowest severity, then the oldest, is dropped.
    :param max_pictures: of those, how many may hold a picture; beyond it the one with the lowest severity, then the newest,
        goes as text.
    """

    def __init__(self, *, capacity: int, max_pictures: int) -> None:
        self._capacity = capacity
        self._max_pictures = max_pictures
        self._jobs: deque[Job] = deque()
        self.pictures_lost = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def put(self, job: Job) -> Job | None:
        """Add one; returns the job that had to go for it, perhaps this one."""
        self._jobs.append(job)
        if len(self._jobs) > self._capacity:
            lost = min(self._jobs, key=lambda j: j.change.incident.severity)  # min() takes the oldest of equals
            del self._jobs[self._at(lost)]
            return lost
        if sum(j.frame is not None for j in self._jobs) > self._max_pictures:
            # The newest of the least important: were it the oldest, a queue that stays full would let go of every picture
            # just before its turn.
            pictured = [j for j in reversed(self._jobs) if j.frame is not None]
            plain = min(pictured, key=lambda j: j.change.incident.severity)
            self._jobs[self._at(plain)] = replace(plain, frame=None)
            self.pictures_lost += 1
        return None

    def take(self) -> Job | None:
        """The oldest, which is no longer in the queue; None: it is empty."""
        return self._jobs.popleft() if self._jobs else None

    def _at(self, job: Job) -> int:
        """By identity: comparing jobs would compare pictures."""
        return next(i for i, j in enumerate(self._jobs) if j is job)
