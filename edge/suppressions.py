"""What was seen and not told: the answer to "why was there no alert?"."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from edge.types import Observation, Severity

_KEPT = 200
_SAME_S = 30.0  # the same again within this long is one suppression that goes on


@dataclass(frozen=True, slots=True)
class Suppression:
    """Observations of one kind that became no incident, for one ``reason``.

    ``count``: how many in a row, the first at ``since_utc``, the last at ``t_utc``; ``severity`` and ``peak`` of the
    worst. ``number`` counts suppressions since the start.
    """

    number: int
    camera: str
    rule: str
    zone: str
    severity: Severity
    reason: str
    since_utc: datetime
    t_utc: datetime
    count: int
    peak: Observation


class Suppressions:
    """The latest ones. ``total`` counts all since the start, by reason."""

    def __init__(self) -> None:
        self.total: Counter[str] = Counter()
        self._kept: dict[int, Suppression] = {}  # by number
        self._going_on: dict[tuple[tuple[str, str, str], str], tuple[int, float]] = {}  # number, last seen

    @property
    def latest(self) -> tuple[Suppression, ...]:
        """In the order in which they began."""
        return tuple(self._kept.values())

    def note(self, seen: Observation, reason: str, t_mono_s: float, t_utc: datetime) -> None:
        """Take what is true now and is not told, for this reason."""
        what = ((seen.camera, seen.rule, seen.zone), reason)
        number, last_s = self._going_on.get(what, (0, -_SAME_S))
        known = self._kept.get(number)
        if known and t_mono_s - last_s <= _SAME_S:
            worse = (seen.severity, seen.value) > (known.peak.severity, known.peak.value)
            peak = seen if worse else known.peak
            self._kept[number] = replace(known, t_utc=t_utc, count=known.count + 1, severity=peak.severity, peak=peak)
        else:
            self.total[reason] += 1
            number = sum(self.total.values())
            self._kept[number] = Suppression(
                number, seen.camera, seen.rule, seen.zone, seen.severity, reason, t_utc, t_utc, 1, seen
            )
            if len(self._kept) > _KEPT:
                del self._kept[next(iter(self._kept))]
        self._going_on[what] = (number, t_mono_s)
