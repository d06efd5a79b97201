"""``face_cover`` and ``helmet``: somebody inside wears what hides the face."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.rules.dwell import among, zones_of
from edge.rules.object_seen import Sightings, stands_for_s
from edge.types import Observation, Severity, ZoneKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.types import Scene

# The head is in the top of a person's box; where only the upper body is seen, it is a larger part of it.
_HEAD_PART = 0.4
_ABOVE = 0.15


class HeadCover:
    """True while a person in a ``lobby`` zone has a cover on the head: for ``seen_s`` of the last ``window_s`` seconds.

    On the head: the cover's centre lies in the top 40 % of the person's box (or just above it), between its sides. A
    helmet in the hand or under the arm is not worn.

    :param name: the rule's name: "face_cover" or "helmet".
    :param classes: class ids of the cover.
    :param min_score: detections below this do not count, 0..1.
    """

    def __init__(
        self,
        *,
        name: str,
        classes: Collection[int],
        person_classes: Collection[int],
        min_score: float,
        seen_s: float,
        window_s: float,
        severity: Severity = Severity.LOW,
    ) -> None:
        self.name = name
        self._classes = list(classes)
        self._person_classes = list(person_classes)
        self._min_score = min_score
        self._seen_s = seen_s
        self._severity = severity
        self._sightings = Sightings(window_s=window_s)

    def update(self, scene: Scene) -> list[Observation]:
        now = scene.frame.t_mono_s
        worn = self._worn(scene)
        self._sightings.update([sight for sight, _ in worn], now)
        over = {person: s for (person, *_), _ in worn if (s := self._sightings.seconds(person)) > self._seen_s}
        tracks = scene.tracks
        found = []
        for zone, inside in zones_of(scene, ZoneKind.LOBBY):
            here = {t: over[t] for t in tracks.track_id[inside].tolist() if t in over}
            if here:
                found.append(
                    Observation(
                        camera=scene.frame.camera,
                        rule=self.name,
                        zone=zone.name,
                        severity=self._severity,
                        track_ids=tuple(sorted({*here, *(cover for (person, *_), cover in worn if person in here)})),
                        t_mono_s=now,
                        what=f"a person wears what looks like a {self.name.replace('_', ' ')}, seen for",
                        value=max(here.values()),
                        threshold=self._seen_s,
                        unit="s",
                    )
                )
        return found

    def _worn(self, scene: Scene) -> list[tuple[tuple[int, float, float], int]]:
        """((person, score, seconds it stands for), cover) of every cover that sits on a head in a lobby, seen in this frame."""
        tracks = scene.tracks
        covers = among(tracks.class_id, self._classes).nonzero()[0]
        if not len(covers):  # as in most frames
            return []
        lobby = np.zeros(len(tracks), np.bool_)
        for _, row in zones_of(scene, ZoneKind.LOBBY):
            lobby |= row
        seen = tracks.unseen_s == 0
        covers = covers[(seen & (tracks.score >= self._min_score))[covers]]
        people = np.flatnonzero(among(tracks.class_id, self._person_classes) & seen & lobby)
        if not len(covers) or not len(people):
            return []
        box, head = tracks.xyxy[people].astype(np.float64), tracks.xyxy[covers].astype(np.float64)
        x, y = (head[:, 0] + head[:, 2]) / 2, (head[:, 1] + head[:, 3]) / 2
        height = box[:, 3] - box[:, 1]
        on = (
            (x[:, None] >= box[None, :, 0])
            & (x[:, None] <= box[None, :, 2])
            & (y[:, None] >= (box[:, 1] - _ABOVE * height)[None, :])
            & (y[:, None] <= (box[:, 1] + _HEAD_PART * height)[None, :])
        )
        # Of several bodies behind one head: the one whose head should be there.
        off = np.abs(x[:, None] - ((box[:, 0] + box[:, 2]) / 2)[None, :]) + np.abs(y[:, None] - box[None, :, 1])
        best = np.argmin(np.where(on, off, np.inf), axis=1)
        worn = on[np.arange(len(covers)), best]
        wearer, cover = people[best[worn]], covers[worn]
        sights = zip(
            tracks.track_id[wearer].tolist(), tracks.score[cover].tolist(), stands_for_s(scene, cover), strict=True
        )
        return list(zip(sights, tracks.track_id[cover].tolist(), strict=True))
