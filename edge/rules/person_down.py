"""``person_down``: a person lies on the floor."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

from edge.rules.dwell import DwellClock, among, persons, zones_of
from edge.types import Observation, Severity, ZoneKind

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.types import Scene

_GRACE_S = 1.5
_UPRIGHT = 1.5  # height over width of somebody who stands, walks or waits; seated people are about 1.2 to 1.5
_REMEMBER_S = 20.0  # the upright shape of the last so many seconds: people walk, and grow or shrink in the picture
_LYING = 0.75  # height over width of somebody never seen upright who can only be lying
_FORGET_S = 10.0
_HIDDEN_S = 3.0  # who was out of sight for longer may have got up meanwhile
_EDGE_PX = 3.0


@dataclass(slots=True)
class _Shape:
    last_s: float = 0.0
    upright: deque[tuple[float, float, float]] = field(default_factory=deque)  # time, height, top of the box (px)


class PersonDown:
    """True while a person in a ``lobby``, ``machine`` or ``restricted`` zone has been down for longer than ``down_s``.

    Down, against the person's own shape while upright during the last seconds: the box is lower than ``low`` of its
    former height, wider than high or nearly so, and the head has come down. Somebody half hidden by a desk keeps the
    head up; somebody who crouches or sits stays higher than wide. Who was never seen upright is down when the box is
    clearly wider than high.

    :param low: share of the upright height, 0..1.
    :param wide: height over width below which a box is "wide".
    """

    name = "person_down"

    def __init__(
        self,
        *,
        person_classes: Collection[int],
        down_s: float,
        low: float = 0.65,
        wide: float = 1.1,
        severity: Severity = Severity.HIGH,
    ) -> None:
        self._person_classes = person_classes
        self._down_s = down_s
        self._low = low
        self._wide = wide
        self._severity = severity
        self._shapes: dict[int, _Shape] = {}
        self._clock = DwellClock(grace_s=_GRACE_S)

    def update(self, scene: Scene) -> list[Observation]:
        now, tracks = scene.frame.t_mono_s, scene.tracks
        people = persons(scene, self._person_classes, max_unseen_s=0.0)
        down = {
            track
            for track, box in zip(tracks.track_id[people].tolist(), tracks.xyxy[people].tolist(), strict=True)
            if self._is_down(track, box, scene)
        }
        hidden = tracks.track_id[
            among(tracks.class_id, self._person_classes) & (tracks.unseen_s > 0) & (tracks.unseen_s <= _HIDDEN_S)
        ]
        since = self._clock.update(down, now, hidden=hidden.tolist())
        for track in [t for t, shape in self._shapes.items() if now - shape.last_s > _FORGET_S]:
            del self._shapes[track]
        over = {track: s for track, s in since.items() if s > self._down_s}
        found, told = [], set()
        for kind in (ZoneKind.RESTRICTED, ZoneKind.MACHINE, ZoneKind.LOBBY):
            for zone, inside in zones_of(scene, kind):
                here = {t: over[t] for t in tracks.track_id[inside].tolist() if t in over and t not in told}
                told |= set(here)
                if here:
                    found.append(
                        Observation(
                            camera=scene.frame.camera,
                            rule=self.name,
                            zone=zone.name,
                            severity=self._severity,
                            track_ids=tuple(sorted(here)),
                            t_mono_s=now,
                            what="a person has been on the floor for",
                            value=max(here.values()),
                            threshold=self._down_s,
                            unit="s",
                        )
                    )
        return found

    def _is_down(self, track: int, box: list[float], scene: Scene) -> bool:
        now = scene.frame.t_mono_s
        shape = self._shapes.setdefault(track, _Shape())
        shape.last_s = now
        width, height = max(box[2] - box[0], 1.0), max(box[3] - box[1], 1.0)
        frame_width, frame_height = scene.frame.size
        if box[1] <= _EDGE_PX:  # the head is out of the picture: what is left of a standing person may look wide
            return False
        cut = box[0] <= _EDGE_PX or box[2] >= frame_width - _EDGE_PX or box[3] >= frame_height - _EDGE_PX
        if height / width >= _UPRIGHT and not cut:
            shape.upright.append((now, height, box[1]))
        # Only while upright does the memory fade: who lies for minutes stays as tall as before.
        while len(shape.upright) > 1 and shape.upright[0][0] < shape.upright[-1][0] - _REMEMBER_S:
            shape.upright.popleft()
        if not shape.upright:
            return height / width < _LYING and not cut
        tall, head = shape.upright[-1][1], shape.upright[-1][2]
        recent = [h for t, h, _ in shape.upright if t >= shape.upright[-1][0] - 1.0]
        tall = max(tall, median(recent))
        return height < self._low * tall and height / width < self._wide and box[1] > head + 0.3 * tall
