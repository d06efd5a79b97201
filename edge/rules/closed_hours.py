"""``closed_hours``: a person is inside while the lobby is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.rules.dwell import Stays, zones_of
from edge.types import Observation, Severity, Withheld, ZoneKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.rules.opening_hours import OpeningHours
    from edge.types import Scene

CLOCK_UNKNOWN = "the clock is not synchronised"
_GRACE_S = 2.0


class ClosedHours:
    """True while a person is in a ``lobby`` zone for longer than ``dwell_s`` outside the opening hours.

    While the clock is not synchronised nobody knows whether it is out of hours: whoever is inside is then reported as
    withheld, with that reason.

    :param margin_s: so long before opening and after closing nobody is out of hours: staff, and the last customer.
    """

    name = "closed_hours"

    def __init__(
        self,
        *,
        person_classes: Collection[int],
        hours: OpeningHours,
        dwell_s: float,
        margin_s: float,
        severity: Severity = Severity.HIGH,
    ) -> None:
        self._person_classes = person_classes
        self._hours = hours
        self._dwell_s = dwell_s
        self._margin_s = margin_s
        self._severity = severity
        self._stays: dict[str, Stays] = {}

    def update(self, scene: Scene) -> list[Observation | Withheld]:
        if self._hours.always:
            return []
        found: list[Observation | Withheld] = []
        for zone, inside in zones_of(scene, ZoneKind.LOBBY):
            if zone.name not in self._stays:
                self._stays[zone.name] = Stays(person_classes=self._person_classes, grace_s=_GRACE_S)
            dwell = self._stays[zone.name].update(scene, zone, inside)
            over = {track: s for track, s in dwell.items() if s > self._dwell_s}
            if not over:
                continue
            if scene.clock_synced and not self._hours.closed_throughout(scene.frame.t_utc, margin_s=self._margin_s):
                continue
            seen = Observation(
                camera=scene.frame.camera,
                rule=self.name,
                zone=zone.name,
                severity=self._severity,
                track_ids=tuple(sorted(over)),
                t_mono_s=scene.frame.t_mono_s,
                what="out of hours, a person has been inside for",
                value=max(over.values()),
                threshold=self._dwell_s,
                unit="s",
            )
            found.append(seen if scene.clock_synced else Withheld(seen, CLOCK_UNKNOWN))
        return found
