"""Scenarios as data: one TOML file each, read strictly.

A path is a list of steps; each says where the actor is at a time (a named spot of the room, or x and y in metres) and
what it does there until the next.
"""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from export.scenes.errors import ScenarioError
from export.scenes.pose import ACTIONS
from export.scenes.props import HELD, WORN
from export.scenes.rooms import ROOMS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

if TYPE_CHECKING:
    from pathlib import Path

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=3600)]
Rgb = tuple[Share, Share, Share]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClothesTable(_Table):
    """What an actor wears; colours are linear, 0..1. Left out: drawn from the scenario's seed."""

    skin: Rgb | None = None
    top: Rgb | None = None
    bottom: Rgb | None = None
    shoes: Rgb | None = None
    hair: Rgb | None = None
    hair_length: Share | None = None
    short_sleeves: bool = False
    shorts: bool = False
    hood: bool = False
    cap: Rgb | None = None


class StepTable(_Table):
    """Where the actor is at ``t`` seconds: a ``spot`` of the room (moved by ``dx``, ``dy`` metres), or ``x`` and ``y``."""

    t: Seconds
    spot: str | None = None
    x: float | None = None
    y: float | None = None
    dx: float = 0.0
    dy: float = 0.0
    heading: float | None = None
    do: str = "stand"

    @model_validator(mode="after")
    def _somewhere(self) -> StepTable:
        if (self.spot is None) == (self.x is None) or (self.x is None) != (self.y is None):
            raise ValueError("give either spot, or x and y")
        if self.do not in {"stand", *ACTIONS}:
            raise ValueError(f"do: {self.do!r} is none of stand, {', '.join(sorted(ACTIONS))}")
        return self


class ActorTable(_Table):
    """One person."""

    name: str
    body: str | None = None
    height_m: Annotated[float, Field(ge=1.2, le=2.1)] | None = None
    clothes: ClothesTable = ClothesTable()
    wears: list[Literal["helmet", "balaclava", "mask", "scarf"]] = []
    cover_colour: Rgb | None = None
    holds: str | None = None
    path: Annotated[list[StepTable], Field(min_length=2)]

    @model_validator(mode="after")
    def _known(self) -> ActorTable:
        if self.holds is not None and self.holds not in HELD:
            raise ValueError(f"holds: {self.holds!r} is none of {', '.join(sorted(HELD))}")
        unknown = set(self.wears) - set(WORN)
        if unknown:
            raise ValueError(f"wears: {sorted(unknown)} is none of {', '.join(sorted(WORN))}")
        times = [s.t for s in self.path]
        if any(b <= a for a, b in itertools.pairwise(times)):
            raise ValueError("path: the steps' t must grow")
        return self


class LampTable(_Table):
    """From ``at_s`` on, within ``over_s``, a lamp goes to ``level`` (1: full). ``sky`` is the light from all sides."""

    lamp: str
    at_s: Seconds
    level: Annotated[float, Field(ge=0, le=10)]
    over_s: Annotated[float, Field(gt=0, le=600)] = 0.2


class FaultTable(_Table):
    """What happens to the camera. ``degrees``: how far it is turned."""

    kind: Literal["covered", "sprayed", "defocused", "turned", "frozen"]
    from_s: Seconds
    to_s: Seconds = 3600.0
    degrees: Annotated[float, Field(ge=-90, le=90)] = 35.0


class SensorTable(_Table):
    """The camera's own faults. ``noise``: standard deviation at gain 1, of full scale 1."""

    noise: Annotated[float, Field(ge=0, le=0.2)] = 0.006
    blur_px: Annotated[float, Field(ge=0, le=8)] = 0.75
    jpeg_quality: Annotated[int, Field(ge=5, le=100)] = 75
    ir: bool = False
    max_gain: Annotated[float, Field(ge=1, le=64)] = 9.0
    crf: Annotated[int, Field(ge=10, le=45)] = 27


class RulesTable(_Table):
    """The thresholds that the expected incidents are made for, seconds unless named otherwise."""

    loitering_s: Seconds = 60.0
    restricted_s: Seconds = 1.0
    crowding_persons: Annotated[int, Field(ge=1, le=30)] = 4
    crowding_s: Seconds = 3.0
    object_s: Seconds = 1.0
    revisit_entries: Annotated[int, Field(ge=2, le=20)] = 4
    revisit_window_s: Seconds = 300.0
    close_behind_m: Annotated[float, Field(gt=0, le=3)] = 0.9
    close_behind_s: Seconds = 2.0
    person_down_s: Seconds = 3.0
    struggle_s: Seconds = 1.0
    prying_s: Seconds = 2.0
    tamper_s: Seconds = 3.0
    closed: bool = False


class Scenario(_Table):
    """A clip to be rendered."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")]
    title: str
    room: Literal["lobby", "hall", "street"] = "lobby"
    view: Literal["corner", "overhead", "machine"] = "corner"
    light: Literal["day", "evening", "night", "screen_only", "back_light", "ir"] = "day"
    seconds: Annotated[float, Field(gt=0, le=600)]
    fps: Annotated[float, Field(gt=0, le=30)] = 5.0
    seed: int = 1
    sensor: SensorTable = SensorTable()
    rules: RulesTable = RulesTable()
    lamp: list[LampTable] = []
    fault: list[FaultTable] = []
    actor: Annotated[list[ActorTable], Field(max_length=30)] = []

    @model_validator(mode="after")
    def _in_the_room(self) -> Scenario:
        room = ROOMS[self.room](None)
        for actor in self.actor:
            unknown = sorted({s.spot for s in actor.path if s.spot is not None} - set(room.spots))
            if unknown:
                raise ValueError(
                    f"actor {actor.name!r}: no spot {', '.join(unknown)} in {self.room}: {', '.join(room.spots)}"
                )
            if actor.path[-1].t > self.seconds + 1e-6:
                raise ValueError(
                    f"actor {actor.name!r}: the path ends at {actor.path[-1].t:g} s, the clip at {self.seconds:g} s"
                )
        lamps = {light.name for light in room.lights} | {"sky"}
        for lamp in self.lamp:
            if lamp.lamp not in lamps:
                raise ValueError(f"lamp {lamp.lamp!r} is none of {', '.join(sorted(lamps))}")
        return self


def load(path: Path) -> Scenario:
    """Read a scenario.

    :raises ScenarioError: the file cannot be read, or a key is unknown, missing or wrong; names every fault.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ScenarioError(f"{path}: {error}", hint="Give a scenario file in TOML.") from error
    try:
        return Scenario.model_validate(table)
    except ValidationError as error:
        faults = [f"{path}: {'.'.join(str(p) for p in e['loc']) or 'scenario'}: {e['msg']}" for e in error.errors()]
        raise ScenarioError("\n".join(faults), hint="See export/scenes/README.md for every key.") from error
