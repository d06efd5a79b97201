"""Plays a scenario: frame by frame the pictures and their truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.scenes import truth
from export.scenes.cast import cast
from export.scenes.mesh import TAG
from export.scenes.oracle import expected
from export.scenes.props import HELD, WORN, in_hand, worn
from export.scenes.renderer import TAG_SCALE, Lamps, Renderer, Thing, floor_blob
from export.scenes.rooms import ROOMS
from export.scenes.sensor import Faults, Sensor, ramp

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    from edge.types import U8
    from export.scenes.actor import Actor
    from export.scenes.rooms import Room
    from export.scenes.scenario import Scenario
    from export.scenes.view import View

PER_PERSON = 8
"""Tags: PER_PERSON x person id is the body; + 1 what is worn, + 2 what is held."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One person's things for one frame, each with its tag."""

    actor: Actor
    body: Thing
    covers: tuple[Thing, ...]
    held: Thing | None

    @property
    def all(self) -> list[Thing]:
        return [self.body, *self.covers, *([self.held] if self.held else [])]


def drawn(actor: Actor, t_s: float) -> Drawn:
    """A person with clothes, covers and what is in the hand."""
    posed = actor.pose(t_s)
    base = PER_PERSON * actor.person_id
    vertices = actor.body.drawn(posed)
    vertices[:, TAG] = base
    covers = []
    for name in actor.wears:
        cover = worn(name, actor.body, posed, actor.cover_colour)
        cover.vertices[:, TAG] = base + 1
        covers.append(cover)
    held = None
    if actor.holds:
        held = Thing(in_hand(actor.holds, posed))
        held.vertices[:, TAG] = base + 2
    return Drawn(actor, Thing(vertices, actor.body.mesh.faces), tuple(covers), held)


def lamps_at(scenario: Scenario, room: Room, t_s: float) -> Lamps:
    """How bright every lamp is at a moment."""
    level = dict(room.levels[scenario.light])
    for change in sorted(scenario.lamp, key=lambda c: c.at_s):
        if t_s >= change.at_s:
            before = level.get(change.lamp, 0.0)
            level[change.lamp] = before + (change.level - before) * ramp(t_s, change.at_s, change.over_s)
    gain = tuple(level.get(light.name, 0.0) for light in room.lights)
    bounced = sum(g * light.ambient for g, light in zip(gain, room.lights, strict=True))
    if all(light.name != "sky" for light in room.lights):
        bounced += level.get("sky", 0.0)
    return Lamps(gain, bounced)


class Player:
    """One scenario, ready to be played once.

    :param renderer: may be used for several scenarios, one after the other.
    """

    def __init__(self, scenario: Scenario, renderer: Renderer) -> None:
        self.scenario, self._renderer = scenario, renderer
        self.room = ROOMS[scenario.room](None)
        self.view: View = self.room.views[scenario.view]
        self.actors = cast(scenario, self.room)
        size = {"width": self.view.width, "height": self.view.height}
        self._sensor = Sensor(scenario.sensor, **size, seed=scenario.seed)
        self._faults = Faults(list(scenario.fault), **size, seed=scenario.seed)
        self.frames: list[truth.FrameTruth] = []
        self._lit_for: View | None = None

    @property
    def count(self) -> int:
        return round(self.scenario.seconds * self.scenario.fps)

    def play(self) -> Iterator[U8]:
        """The pictures, uint8 (H, W, 3) BGR, in order; ``frames`` grows along."""
        for i in range(self.count):
            t_s = i / self.scenario.fps
            view = self._view_at(t_s)
            if view != self._lit_for:
                self._renderer.room(self.room.still, self.room.lights, view)
                self._lit_for = view
            people = [drawn(a, t_s) for a in self.actors if a.there(t_s)]
            spots = [p.actor.place(t_s) for p in people]
            doors = [Thing(d.mesh(d.opening(spots))) for d in self.room.doors]
            things = [*doors, *(thing for p in people for thing in p.all)]
            blobs = [floor_blob(p.body.vertices) for p in people]
            light = self._renderer.frame(things, lamps_at(self.scenario, self.room, t_s), blobs)
            picture = self._sensor.picture(light, step_s=1 / self.scenario.fps)
            self.frames.append(self._truth(i, t_s, people, things))
            yield self._faults.apply(picture, t_s)

    def _view_at(self, t_s: float) -> View:
        for fault in self.scenario.fault:
            if fault.kind == "turned" and fault.from_s <= t_s < fault.to_s:
                share = round(ramp(t_s, fault.from_s, 1.0), 2)
                return self.view.turned(yaw_deg=-fault.degrees * share, pitch_deg=0.3 * abs(fault.degrees) * share)
        return self.view

    def _truth(self, i: int, t_s: float, people: list[Drawn], things: list[Thing]) -> truth.FrameTruth:
        seen = self._renderer.tags(things) if people else np.zeros((1, 1), np.uint8)
        persons, objects = [], []
        for person in people:
            who = person.actor
            base = PER_PERSON * who.person_id
            mask = truth.one_of(seen, (base, base + 1))
            if truth.pixels(mask, TAG_SCALE) >= truth.MIN_PX:
                alone = self._renderer.tags([person.body, *person.covers], behind_room=False) > 0
                place = who.place(t_s)
                persons.append(
                    truth.SeenPerson(
                        id=who.person_id,
                        box=truth.mask_box(mask, TAG_SCALE),
                        full_box=truth.mask_box(alone, TAG_SCALE),
                        visibility=round(min(1.0, float(mask.sum() / max(1, alone.sum()))), 3),
                        floor_m=[round(c, 3) for c in place],
                        zones=truth.zones_at(self.room.areas, place),
                        action=who.action[who.sample(t_s)],
                        heading_deg=round(float(who.heading_deg[who.sample(t_s)]), 1),
                    )
                )
            extra = [(1, WORN[n], n, list(person.covers)) for n in who.wears[:1]]
            if person.held and who.holds:
                extra.append((2, HELD[who.holds].label, who.holds, [person.held]))
            for offset, label, kind, own in extra:
                part = truth.one_of(seen, (base + offset,))
                if truth.pixels(part, TAG_SCALE) >= truth.MIN_PX:
                    whole = max(1, int((self._renderer.tags(own, behind_room=False) > 0).sum()))
                    share = round(min(1.0, float(part.sum() / whole)), 3)
                    objects.append(truth.SeenThing(who.person_id, label, kind, truth.mask_box(part, TAG_SCALE), share))
        return truth.FrameTruth(i, round(t_s, 3), persons, objects, self._faults.state(t_s))

    def head(self) -> dict[str, Any]:
        """The truth's opening: clip, size, zones, persons."""
        view, scenario = self.view, self.scenario
        zones = [
            {"name": a.name, "kind": a.kind.value, "polygon": polygon, "floor_m": [list(p) for p in a.floor]}
            for a in self.room.areas
            if len(polygon := [[round(x, 4), round(y, 4)] for x, y in view.floor_polygon(a.floor)]) > 2
        ]
        return {
            "schema": truth.SCHEMA, "version": truth.VERSION, "clip": f"{scenario.name}.mp4", "title": scenario.title,
            "camera": "lobby", "room": scenario.room, "view": scenario.view, "light": scenario.light,
            "fps": scenario.fps, "width": view.width, "height": view.height, "frame_count": self.count,
            "duration_s": scenario.seconds, "zones": zones,
            "persons": [{"id": a.person_id, "name": a.name, "wears": list(a.wears), "holds": a.holds} for a in self.actors],
        }  # fmt: skip

    def tail(self) -> dict[str, Any]:
        """The truth's conclusions, once all frames are played."""
        return conclusions(self.scenario, self.room, self.actors, self.frames)


def conclusions(s: Scenario, room: Room, actors: Sequence[Actor], frames: Sequence[truth.FrameTruth]) -> dict[str, Any]:
    """What follows from the scenario and what is in sight in its frames: the truth's visits, config and expected."""
    stays = truth.visits(actors, room.areas)
    found = expected(
        rules=s.rules, areas=room.areas, actors=actors, visits=stays, frames=frames, faults=s.fault,
        fps=s.fps, seconds=s.seconds,
    )  # fmt: skip
    rules = s.rules
    return {
        "visits": [{"person": v.person, "zone": v.zone, "entered_s": v.entered_s, "left_s": v.left_s, "dwell_s": v.dwell_s} for v in stays],
        "config": {
            "loitering": {"dwell_s": rules.loitering_s}, "restricted_area": {"dwell_s": rules.restricted_s},
            "crowding": {"max_persons": rules.crowding_persons, "dwell_s": rules.crowding_s},
            "objects": {"seen_s": rules.object_s}, "revisit": {"entries": rules.revisit_entries, "window_s": rules.revisit_window_s},
            "close_behind": {"distance_m": rules.close_behind_m, "dwell_s": rules.close_behind_s},
            "person_down": {"down_s": rules.person_down_s}, "assault": {"dwell_s": rules.struggle_s},
            "machine_tampering": {"dwell_s": rules.prying_s}, "camera_tamper": {"dwell_s": rules.tamper_s}, "closed_hours": {"closed": rules.closed},
        },
        "expected": [
            {"rule": e.rule, "zone": e.zone, "person": e.person, "persons": e.persons, "opens_s": e.opens_s, "closes_s": e.closes_s, "what": e.what}
            for e in found
        ],
    }  # fmt: skip
