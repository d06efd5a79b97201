"""From a scenario's tables to actors: bodies, clothes drawn from the seed, paths in metres."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from export.scenes.actor import Actor, Step
from export.scenes.body import Body, Clothes, body_names
from export.scenes.errors import ScenarioError
from export.scenes.props import HELD

if TYPE_CHECKING:
    from export.scenes.mesh import Colour
    from export.scenes.rooms import Room
    from export.scenes.scenario import ActorTable, ClothesTable, Scenario

SKINS: tuple[Colour, ...] = (
    (0.76, 0.55, 0.45), (0.68, 0.47, 0.37), (0.58, 0.38, 0.28), (0.44, 0.27, 0.18), (0.30, 0.17, 0.11), (0.17, 0.095, 0.06),
)  # fmt: skip
_TOPS: tuple[Colour, ...] = (
    (0.16, 0.22, 0.36), (0.50, 0.12, 0.11), (0.13, 0.17, 0.13), (0.05, 0.05, 0.06), (0.62, 0.60, 0.55), (0.34, 0.34, 0.36),
    (0.55, 0.42, 0.14), (0.12, 0.32, 0.34), (0.36, 0.16, 0.32), (0.40, 0.28, 0.18), (0.70, 0.66, 0.66), (0.20, 0.38, 0.60),
)  # fmt: skip
_BOTTOMS: tuple[Colour, ...] = (
    (0.12, 0.12, 0.14),
    (0.17, 0.21, 0.30),
    (0.05, 0.05, 0.055),
    (0.30, 0.27, 0.22),
    (0.20, 0.17, 0.14),
    (0.10, 0.12, 0.20),
)
_HAIR: tuple[Colour, ...] = (
    (0.03, 0.025, 0.02),
    (0.06, 0.045, 0.035),
    (0.16, 0.09, 0.05),
    (0.26, 0.17, 0.08),
    (0.42, 0.41, 0.40),
)
_TALL_M = {
    "man": (1.70, 1.86), "man_heavy": (1.68, 1.82), "man_old": (1.64, 1.76), "woman": (1.58, 1.72), "woman_heavy": (1.58, 1.70),
    "woman_old": (1.54, 1.64), "youth": (1.56, 1.72),
}  # fmt: skip


def pick(rng: np.random.Generator, choices: tuple[Colour, ...]) -> Colour:
    """One of some colours, slightly varied."""
    base = np.array(choices[int(rng.integers(len(choices)))]) * rng.uniform(0.85, 1.15)
    r, g, b = (float(c) for c in np.clip(base * rng.uniform(0.95, 1.05, 3), 0.01, 0.85))
    return r, g, b


def dressed(rng: np.random.Generator, shape: str, given: ClothesTable) -> Clothes:
    """Clothes from the generator; what ``given`` says is kept."""
    old = shape.endswith("_old")
    woman = shape.startswith("woman")
    drawn: dict[str, object] = {
        "skin": pick(rng, SKINS),
        "top": pick(rng, _TOPS),
        "bottom": pick(rng, _BOTTOMS),
        "shoes": pick(rng, ((0.04, 0.04, 0.04), (0.20, 0.13, 0.08), (0.55, 0.55, 0.55))),
        "hair": (0.50, 0.49, 0.48) if old else pick(rng, _HAIR),
        "hair_length": float(rng.uniform(0.5, 1.0) if woman else rng.uniform(0.1, 0.45)),
        "bulk_m": float(rng.uniform(0.013, 0.026)),
        "hem": float(rng.uniform(0.445, 0.485)),
    }
    drawn |= {k: v for k, v in given.model_dump().items() if v is not None}
    return Clothes(**drawn)  # type: ignore[arg-type]


def actor_of(table: ActorTable, *, person_id: int, room: Room, seconds: float, rng: np.random.Generator) -> Actor:
    """The actor of a table in a room.

    :raises ScenarioError: the body's name does not exist.
    """
    names = body_names()
    shape = table.body or names[int(rng.integers(len(names)))]
    if shape not in names:
        raise ScenarioError(f"actor {table.name!r}: no body {shape!r}", hint=f"One of {', '.join(names)}.")
    tall = table.height_m or float(rng.uniform(*_TALL_M[shape]))
    body = Body(shape=shape, height_m=tall, clothes=dressed(rng, shape, table.clothes))
    steps = []
    for step in table.path:
        if step.spot is not None:
            spot = room.spots[step.spot]
            x, y, heading = spot.x, spot.y, spot.heading_deg if step.heading is None else step.heading
        else:
            x, y, heading = step.x or 0.0, step.y or 0.0, step.heading  # type: ignore[assignment]
        do = HELD[table.holds].action if table.holds and step.do == "stand" else step.do
        steps.append(Step(step.t, x + step.dx, y + step.dy, heading, do))
    return Actor(
        person_id=person_id,
        name=table.name,
        body=body,
        steps=steps,
        duration_s=seconds,
        wears=table.wears,
        holds=table.holds,
        cover_colour=table.cover_colour,
    )


def cast(scenario: Scenario, room: Room) -> list[Actor]:
    """All actors of a scenario, numbered from 1."""
    rng = np.random.default_rng(scenario.seed)
    return [
        actor_of(table, person_id=i, room=room, seconds=scenario.seconds, rng=rng)
        for i, table in enumerate(scenario.actor, 1)
    ]
