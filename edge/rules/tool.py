"""``tool``: a tool in somebody's hand at the machine, or in the lobby when it is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.rules.distance import near_zone
from edge.rules.dwell import zones_of
from edge.rules.object_seen import ObjectSeen
from edge.types import Severity, ZoneKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.rules.opening_hours import OpeningHours
    from edge.types import Bool, Scene


class Tool(ObjectSeen):
    """As ``ObjectSeen``, but only where a tool has no business.

    That is where the person who holds it stands in or near a ``machine`` zone, or in a ``lobby`` zone outside the
    opening hours (on a synchronised clock). A tool that nobody holds stands for itself, where such count at all.

    :param reach: how near to the machine zone, in heights of the person (or of the tool that nobody holds).
    :param anywhere_without_machine: where no machine zone is drawn, count tools in the whole lobby: the machine may be
        anywhere.
    """

    def __init__(
        self,
        *,
        classes: Collection[int],
        min_score: float,
        seen_s: float,
        window_s: float,
        score_s: float = 0.0,
        near_person: bool = True,
        hours: OpeningHours,
        reach: float = 0.3,
        anywhere_without_machine: bool = True,
        severity: Severity = Severity.HIGH,
    ) -> None:
        super().__init__(
            name="tool",
            classes=classes,
            min_score=min_score,
            seen_s=seen_s,
            window_s=window_s,
            score_s=score_s,
            near_person=near_person,
            close_up=False,  # large things before the lens are cleaners' and technicians', too
            sure_score=np.inf,  # a machine's front, a handle on a door: it is often quite sure of those
            severity=severity,
        )
        self._hours = hours
        self._reach = reach
        self._anywhere = anywhere_without_machine

    def counts(self, scene: Scene) -> Bool:
        tracks = scene.tracks
        lobby = np.zeros(len(tracks), np.bool_)
        for _, row in zones_of(scene, ZoneKind.LOBBY):
            lobby |= row
        place = np.zeros(len(tracks), np.bool_)
        machines = list(zones_of(scene, ZoneKind.MACHINE))
        for zone, row in machines:
            place |= near_zone(scene, zone, row, reach=self._reach)
        if not machines and self._anywhere:
            place |= lobby
        if scene.clock_synced and not self._hours.open_at(scene.frame.t_utc):
            place |= lobby
        # Where the holder stands decides: a tool in a raised hand is in front of the wall, not over the floor.
        at = {track: k for k, track in enumerate(tracks.track_id.tolist())}
        bearer = np.array([at.get(h, k) for k, h in enumerate(tracks.holder_id.tolist())], np.int64)
        counted: Bool = place[bearer] if len(bearer) else place
        return counted
