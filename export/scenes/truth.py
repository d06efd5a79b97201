"""Ground truth: what is in every frame, who stayed where, and what a correct system raises. ``README.md`` has the schema."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from export.scenes.actor import RATE_HZ
from export.scenes.view import contains

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edge.types import U8, Bool
    from export.scenes.actor import Actor
    from export.scenes.rooms import Area

SCHEMA = "kiosk-guard/scene-truth"
VERSION = 1
MIN_PX = 15.0
"""A person or thing of which fewer pixels (of the picture) can be seen is left out of the frame."""

BoxPx = list[float]


@dataclass(frozen=True, slots=True)
class SeenPerson:
    """A person in one frame; boxes are x1 y1 x2 y2 in pixels."""

    id: int
    box: BoxPx
    full_box: BoxPx
    visibility: float
    floor_m: list[float]
    zones: list[str]
    action: str
    heading_deg: float


@dataclass(frozen=True, slots=True)
class SeenThing:
    """Something held or worn in one frame."""

    person: int
    label: str
    kind: str
    box: BoxPx
    visibility: float


@dataclass(frozen=True, slots=True)
class FrameTruth:
    """One frame. ``camera``: ok, or the fault that it has."""

    i: int
    t_s: float
    persons: list[SeenPerson] = field(default_factory=list)
    objects: list[SeenThing] = field(default_factory=list)
    camera: str = "ok"


@dataclass(frozen=True, slots=True)
class Visit:
    """One stay of a person in a zone, from the floor point at 100 Hz."""

    person: int
    zone: str
    entered_s: float
    left_s: float

    @property
    def dwell_s(self) -> float:
        return round(self.left_s - self.entered_s, 2)


@dataclass(frozen=True, slots=True)
class Expected:
    """An incident that a correct system opens, and the end of its condition (None: it lasts to the clip's end)."""

    rule: str
    zone: str
    person: int
    persons: list[int]
    opens_s: float
    closes_s: float | None
    what: str


def mask_box(mask: Bool, scale: int) -> BoxPx:
    """The box round a mask's pixels, in pixels of the picture (the mask is ``scale`` times as large)."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    sides = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    return [round(float(v) / scale, 1) for v in sides]


def pixels(mask: Bool, scale: int) -> float:
    """How many pixels of the picture a mask covers."""
    return float(mask.sum()) / scale**2


def one_of(tags: U8, wanted: Sequence[int]) -> Bool:
    """Where the tags are one of these."""
    table = np.zeros(256, bool)
    table[list(wanted)] = True
    out: Bool = table[tags]
    return out


def zones_at(areas: Sequence[Area], place: tuple[float, float]) -> list[str]:
    """Names of the zones that hold a floor point."""
    return [a.name for a in areas if contains(a.floor, *place)]


def visits(actors: Sequence[Actor], areas: Sequence[Area]) -> list[Visit]:
    """Every stay of everyone in every zone."""
    out = []
    for actor in actors:
        there = slice(actor.sample(actor.from_s), actor.sample(actor.to_s) + 1)
        for area in areas:
            inside = np.zeros(len(actor.x) + 2, np.int8)
            inside[1:-1][there] = [
                contains(area.floor, x, y) for x, y in zip(actor.x[there], actor.y[there], strict=True)
            ]
            change = np.diff(inside)
            for start, end in zip(np.flatnonzero(change == 1), np.flatnonzero(change == -1), strict=True):
                out.append(Visit(actor.person_id, area.name, round(start / RATE_HZ, 2), round(end / RATE_HZ, 2)))
    return sorted(out, key=lambda v: (v.entered_s, v.person, v.zone))


def write(path: Path, head: dict[str, Any], frames: Sequence[FrameTruth], tail: dict[str, Any]) -> None:
    """One frame a line, the rest spread out for people."""

    def spread(value: Any) -> str:
        lines = (
            [f"  {json.dumps(v)}" for v in value]
            if isinstance(value, list) and value and isinstance(value[0], dict)
            else []
        )
        return "[\n" + ",\n".join(lines) + "\n ]" if lines else json.dumps(value)

    parts = [f' "{k}": {spread(v)}' for k, v in (head | tail).items()]
    parts.append(f' "frames": {spread([asdict(f) for f in frames])}')
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", "utf-8")


def frames_of(table: Mapping[str, Any]) -> list[FrameTruth]:
    """The frames of a truth that was read back."""
    return [
        FrameTruth(
            i=f["i"],
            t_s=f["t_s"],
            persons=[SeenPerson(**p) for p in f["persons"]],
            objects=[SeenThing(**o) for o in f["objects"]],
            camera=f["camera"],
        )
        for f in table["frames"]
    ]
