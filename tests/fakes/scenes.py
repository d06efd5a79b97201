"""Scenes and observations made by hand, for tests of tracker, rules and incidents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import numpy as np

from edge.types import Detections, Frame, Observation, Scene, Severity, Tracks, Zone, ZoneKind
from edge.zones import ZoneMap

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZE = (640, 360)
BLACK = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
NOON = datetime(2026, 3, 1, 12, tzinfo=timezone.utc)
PERSON, PHONE, KNIFE, TOOL, HELMET = 0, 1, 2, 3, 4


@dataclass(frozen=True)
class Thing:
    """One track: ``x`` and ``feet`` in px, ``height`` of the box in px (a person is 0.4 times as wide)."""

    track: int
    x: float = 320.0
    feet: float = 300.0
    height: float = 150.0
    cls: int = PERSON
    score: float = 0.9
    unseen_s: float = 0.0
    holder: int = -1
    age_s: float = 0.0  # 0: first seen in this very frame
    width: float = 0.0  # px; 0: 0.4 of the height

    @property
    def box(self) -> tuple[float, float, float, float]:
        half = self.width / 2 or 0.2 * self.height
        return (self.x - half, self.feet - self.height, self.x + half, self.feet)


def utc(t_s: float) -> datetime:
    return NOON + timedelta(seconds=t_s)


def frame(t_s: float, *, seq: int = 0, camera: str = "lobby") -> Frame:
    return Frame(BLACK, seq, t_s, utc(t_s), camera)


def detections(*things: Thing, faint: Sequence[Thing] = ()) -> Detections:
    return Detections(
        np.array([t.box for t in things], np.float32).reshape(-1, 4),
        np.array([t.score for t in things], np.float32),
        np.array([t.cls for t in things], np.int64),
        faint=detections(*faint) if faint else None,
    )


def tracks(*things: Thing) -> Tracks:
    if not things:
        return Tracks.empty()
    return Tracks(
        track_id=np.array([t.track for t in things], np.int64),
        xyxy=np.array([t.box for t in things], np.float32),
        score=np.array([t.score for t in things], np.float32),
        class_id=np.array([t.cls for t in things], np.int64),
        age_s=np.array([t.age_s for t in things], np.float64),
        unseen_s=np.array([t.unseen_s for t in things], np.float64),
        holder_id=np.array([t.holder for t in things], np.int64),
    )


def zone(kind: ZoneKind, x1: float, y1: float, x2: float, y2: float, *, name: str = "", camera: str = "lobby") -> Zone:
    corners = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]], np.float32)
    return Zone(camera, name or kind.value, kind, corners)


def scene(
    t_s: float, *things: Thing, zones: Sequence[Zone] = (), t_utc: datetime | None = None, clock_synced: bool = True
) -> Scene:
    """A scene at ``t_s``; without zones the whole picture is a lobby."""
    zone_map, followed = ZoneMap("lobby", zones), tracks(*things)
    shot = frame(t_s) if t_utc is None else replace(frame(t_s), t_utc=t_utc)
    return Scene(shot, followed, zone_map.zones, zone_map.occupancy(followed, SIZE), clock_synced=clock_synced)


def observation(
    t_s: float,
    *,
    rule: str = "loitering",
    zone: str = "lobby",
    severity: Severity = Severity.LOW,
    value: float = 1.0,
    camera: str = "lobby",
) -> Observation:
    return Observation(camera, rule, zone, severity, (1,), t_s, "has stayed for", value, 1.0, "s")
