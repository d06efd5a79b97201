"""``restricted_area``: a person stands where only service staff may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.rules.distance import deepest_px, feet_px, heights_px, to_edge_px
from edge.rules.dwell import Stays, zones_of
from edge.types import Observation, Severity, ZoneKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.types import Bool, Scene, Zone

_GRACE_S = 0.6


class RestrictedArea:
    """True while a person is in a ``restricted`` zone for longer than ``dwell_s``: entered, not grazed its edge.

    A stay counts from the moment when the feet are inside by ``edge_margin``; from then on anywhere inside is inside.
    Somebody who stands on the line, and whose box trembles across it, is therefore never in. In a zone too narrow for
    that margin, half of the way to its middle is enough.

    :param edge_margin: in heights of the person's box; a detector's box trembles by about 0.04.
    """

    name = "restricted_area"

    def __init__(
        self,
        *,
        person_classes: Collection[int],
        dwell_s: float,
        edge_margin: float = 0.12,
        severity: Severity = Severity.HIGH,
    ) -> None:
        self._person_classes = person_classes
        self._dwell_s = dwell_s
        self._edge_margin = edge_margin
        self._severity = severity
        self._stays: dict[str, Stays] = {}
        self._entered: dict[str, set[int]] = {}
        self._deepest: dict[str, tuple[Zone, tuple[int, int], float]] = {}  # zone's name -> of which zone and picture

    def update(self, scene: Scene) -> list[Observation]:
        found = []
        for zone, inside in zones_of(scene, ZoneKind.RESTRICTED):
            if zone.name not in self._stays:
                self._stays[zone.name] = Stays(person_classes=self._person_classes, grace_s=_GRACE_S)
            dwell = self._stays[zone.name].update(scene, zone, inside, counted=self._entered_in(scene, zone, inside))
            over = {track: s for track, s in dwell.items() if s > self._dwell_s}
            if over:
                found.append(
                    Observation(
                        camera=scene.frame.camera,
                        rule=self.name,
                        zone=zone.name,
                        severity=self._severity,
                        track_ids=tuple(sorted(over)),
                        t_mono_s=scene.frame.t_mono_s,
                        what="a person has been inside for"
                        if len(over) == 1
                        else f"{len(over)} persons inside, one for",
                        value=max(over.values()),
                        threshold=self._dwell_s,
                        unit="s",
                    )
                )
        return found

    def _entered_in(self, scene: Scene, zone: Zone, inside: Bool) -> Bool:
        """Who is inside and was so by the margin at least once since they came in."""
        size, tracks = scene.frame.size, scene.tracks
        if not inside.any():  # as in most frames: only who is out of sight in there stays entered
            hidden = tracks.track_id[tracks.unseen_s > 0].tolist()
            self._entered[zone.name] = self._entered.get(zone.name, set()) & set(hidden)
            return inside
        of, at, deepest = self._deepest.get(zone.name, (None, size, 0.0))
        if of is not zone or at != size:  # under its old name a zone may have been drawn anew
            deepest = deepest_px(zone, size)
            self._deepest[zone.name] = zone, size, deepest
        margin = np.minimum(self._edge_margin * heights_px(tracks), deepest / 2)
        deep = inside & (tracks.unseen_s == 0) & (to_edge_px(feet_px(tracks), zone, size) >= margin)
        outside = ~inside & (tracks.unseen_s == 0)
        before = self._entered.get(zone.name, set()) - set(tracks.track_id[outside].tolist())
        entered = (before | set(tracks.track_id[deep].tolist())) & set(tracks.track_id.tolist())
        self._entered[zone.name] = entered
        mask: Bool = inside & np.isin(tracks.track_id, list(entered))
        return mask
