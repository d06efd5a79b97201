"""The places: a small lobby, a bank's hall with three machines, and a machine in a street's wall.

x and y are metres on the floor, z is up. Every place has named views, named spots to walk to, zones on the floor, and
lamps that a light preset sets.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from edge.types import F32, ZoneKind
from export.scenes import furniture as fit
from export.scenes.light import Light
from export.scenes.mesh import Colour, Material, box
from export.scenes.view import Point, View

if TYPE_CHECKING:
    from collections.abc import Callable

_TALL_M = 2.8


@dataclass(frozen=True, slots=True)
class Area:
    """A zone on the floor, metres."""

    name: str
    kind: ZoneKind
    floor: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Spot:
    """A named place to stand: x, y in metres, and which way one faces there."""

    x: float
    y: float
    heading_deg: float


@dataclass(frozen=True, slots=True)
class Style:
    """What differs from one kiosk to the next."""

    wall: Colour = (0.64, 0.62, 0.57)
    floor: Colour = (0.50, 0.47, 0.43)
    machine: Colour = (0.16, 0.24, 0.42)
    accent: Colour = (0.75, 0.30, 0.18)


@dataclass(frozen=True, slots=True)
class Room:
    """A place to play in. ``levels``: light preset -> lamp -> brightness; the key ``sky`` is the bounced light."""

    name: str
    still: F32
    lights: tuple[Light, ...]
    areas: tuple[Area, ...]
    views: dict[str, View]
    spots: dict[str, Spot]
    doors: tuple[fit.SlidingDoor, ...]
    levels: dict[str, dict[str, float]]
    style: Style = field(default_factory=Style)


def _ceiling(name: str, x: float, y: float, z: float, intensity: float) -> Light:
    return Light(name, (x, y, z), intensity=intensity, spread=1.85, target=(x, y, 0.0), ambient=0.11)


def _indoor_levels() -> dict[str, dict[str, float]]:
    off = {"ceiling_a": 0.0, "ceiling_b": 0.0, "screen": 0.0, "outside": 0.0, "headlights": 0.0, "ir": 0.0, "sky": 0.0}
    return {
        "day": off | {"ceiling_a": 1.0, "ceiling_b": 1.0, "screen": 0.9, "outside": 0.5, "sky": 0.02},
        "evening": off | {"ceiling_a": 0.75, "ceiling_b": 0.85, "screen": 0.9, "outside": 0.03, "sky": 0.01},
        "night": off | {"ceiling_b": 0.05, "screen": 0.55, "outside": 0.03, "sky": 0.018},
        "screen_only": off | {"screen": 0.7, "sky": 0.010},
        "back_light": off | {"ceiling_a": 0.30, "ceiling_b": 0.30, "screen": 0.9, "outside": 3.2, "sky": 0.05},
        "ir": off | {"ir": 1.0, "screen": 0.25, "sky": 0.01},
    }


def lobby(style: Style | None = None) -> Room:
    """4.2 x 5.6 m, one machine on the far wall, a service door with a taped corner beside it, a door to the right."""
    s = style or Style()
    wide, deep, tall = 4.2, 5.6, _TALL_M
    wall = [
        box((0, deep, 0), (wide, deep + 0.1, tall), s.wall, Material.PLASTER),
        fit.at(fit.wall_with_hole(0, deep, tall, (2.75, 3.85, 0, 2.15), s.wall, Material.PLASTER), wide + 0.1, 0, 90),
        box((-0.1, 0, 0), (0, deep, tall), s.wall, Material.PLASTER),
        box((0, -0.1, 0), (wide, 0, tall), s.wall, Material.PLASTER),
        box((0, 0, tall), (wide, deep, tall + 0.1), (0.75, 0.75, 0.74), Material.PLASTER),
    ]
    lights = (
        _ceiling("ceiling_a", 2.0, 1.6, 2.75, 0.95),
        _ceiling("ceiling_b", 2.2, 4.2, 2.75, 1.05),
        Light("screen", (2.42, 4.75, 1.25), (0.35, 0.6, 1.0), 0.25, (0.15, 1.0)),
        Light("outside", (4.6, 3.3, 1.9), (0.8, 0.9, 1.0), 0.55, (1.0, 0.3), ambient=0.01),
        Light("headlights", (7.2, 3.0, 0.7), (1.0, 0.95, 0.85), 7.0, (1.0, 0.12), target=(0.0, 3.7, 0.7), cone=0.42),
        Light("ir", (0.4, 0.3, 2.6), (1.0, 1.0, 1.0), 3.2, (1.0, 0.22), ambient=0.05),
    )
    street: Colour = (0.42, 0.46, 0.50)
    still = [
        box((0, 0, -0.02), (wide, deep, 0), s.floor, Material.TILES),
        *wall,
        box((wide + 0.1, -6, -0.02), (wide + 3, 10, 0), (0.36, 0.35, 0.34), Material.ASPHALT),
        box((wide + 0.1, -5.1, 0), (wide + 2.7, -5.0, 4), street, Material.GLOW, 3),
        box((wide + 2.6, -6, 0), (wide + 2.7, 9, 4), (0.42, 0.40, 0.38), Material.BRICK),
        box((wide + 2.55, -6, 0.0), (wide + 2.6, 9, 4), tuple(0.6 * c for c in street), Material.GLOW, 3),  # type: ignore[arg-type]
        box((wide + 0.1, 6.5, 0), (wide + 2.7, 6.6, 4), street, Material.GLOW, 3),
        *(box((p.position[0] - 0.3, p.position[1] - 0.3, tall - 0.01), (p.position[0] + 0.3, p.position[1] + 0.3, tall), (3.0, 3.0, 2.9), Material.GLOW, i) for i, p in enumerate(lights[:2])),
        fit.at(fit.machine(s.machine, glow=2), 2.45, deep),
        fit.at(fit.service_door(), 1.04, deep),
        fit.marked_area(0.45, 4.15, 1.80, deep),
        box((wide - 0.05, 2.70, 0), (wide, 2.78, 2.2), (0.5, 0.5, 0.52)),
        box((wide - 0.05, 3.82, 0), (wide, 3.90, 2.2), (0.5, 0.5, 0.52)),
        box((wide - 0.05, 2.70, 2.12), (wide, 3.90, 2.2), (0.5, 0.5, 0.52)),
        box((3.0, 2.75, 0), (wide - 0.1, 3.85, 0.008), (0.13, 0.12, 0.12)),
        fit.at(fit.poster(0.8, 0.7, s.accent), 0, 2.3, 90),
        fit.at(fit.poster(0.6, 0.75, (0.2, 0.45, 0.35)), wide, 4.7, -90),
        fit.at(fit.bin_(), 3.7, deep - 0.2),
        fit.at(fit.shelf(), 0, 3.5),
    ]  # fmt: skip
    areas = (
        Area("lobby", ZoneKind.LOBBY, ((0, deep), (wide, deep), (wide, 0.3), (0, 0.3))),
        Area("machine", ZoneKind.MACHINE, ((1.95, 4.0), (2.95, 4.0), (2.95, 5.0), (1.95, 5.0))),
        Area("service-corner", ZoneKind.RESTRICTED, ((0.45, 4.15), (1.8, 4.15), (1.8, deep), (0.45, deep))),
        Area("door", ZoneKind.DOOR, ((3.3, 2.75), (wide, 2.75), (wide, 3.85), (3.3, 3.85))),
    )
    views = {
        "corner": View((0.35, 0.25, 2.6), 62, 25, 82),
        "overhead": View((2.3, 3.1, 2.74), 90, 68, 100),
        "machine": View((2.95, 5.1, 1.95), -104, 22, 96),
    }
    spots = {
        "outside": Spot(5.75, 3.3, 180), "passing_left": Spot(6.3, 6.3, -90), "passing_right": Spot(6.3, 1.7, 90),
        "door": Spot(3.5, 3.4, 180), "machine": Spot(2.45, 4.58, 90), "service": Spot(1.15, 4.75, 70),
        "queue1": Spot(2.6, 3.5, 100), "queue2": Spot(2.9, 2.7, 110), "queue3": Spot(2.3, 2.1, 70),
        "middle": Spot(2.2, 3.2, -90), "shelf": Spot(0.72, 3.5, 180), "corner_left": Spot(1.2, 2.6, 20), "corner_right": Spot(3.4, 4.2, -160),
    }  # fmt: skip
    door = fit.SlidingDoor((wide + 0.05, 3.3), 90)
    return Room("lobby", np.concatenate(still), lights, areas, views, spots, (door,), _indoor_levels(), s)


def hall(style: Style | None = None) -> Room:
    """7.5 x 6 m, three machines on the far wall, a glass front with the daylight to the right, a service corner left."""
    s = style or Style(
        wall=(0.70, 0.69, 0.66), floor=(0.56, 0.54, 0.50), machine=(0.40, 0.12, 0.10), accent=(0.15, 0.35, 0.55)
    )
    wide, deep, tall = 7.5, 6.0, 3.1
    lights = (
        _ceiling("ceiling_a", 2.2, 2.8, 3.05, 1.25),
        _ceiling("ceiling_b", 5.3, 3.4, 3.05, 1.25),
        Light("screen", (4.2, 5.1, 1.25), (0.6, 0.7, 1.0), 0.35, (0.2, 1.0)),
        Light("outside", (8.3, 2.6, 2.0), (0.85, 0.93, 1.0), 1.6, (1.0, 0.16), ambient=0.035),
        Light("headlights", (11.0, 1.0, 0.8), (1.0, 0.95, 0.85), 11.0, (1.0, 0.10), target=(2.0, 4.4, 0.8), cone=0.40),
        Light("ir", (0.4, 0.4, 2.9), (1.0, 1.0, 1.0), 4.2, (1.0, 0.20), ambient=0.05),
    )
    bars = [
        box((wide - 0.03, y - 0.03, 0), (wide + 0.03, y + 0.03, tall), (0.30, 0.31, 0.33))
        for y in (0.0, 1.6, 2.1, 3.3, 4.6, 6.0)
    ]
    bars += [box((wide - 0.03, 0, z), (wide + 0.03, deep, z + 0.06), (0.30, 0.31, 0.33)) for z in (2.2, tall - 0.1)]
    bars += [box((wide - 0.03, a, 0), (wide + 0.03, b, 0.35), (0.30, 0.31, 0.33)) for a, b in ((0.0, 2.1), (3.3, 6.0))]
    outdoors: Colour = (0.52, 0.60, 0.70)
    still = [
        box((0, 0, -0.02), (wide, deep, 0), s.floor, Material.TILES),
        box((0, deep, 0), (wide, deep + 0.1, tall), s.wall, Material.PLASTER),
        box((-0.1, 0, 0), (0, deep, tall), s.wall, Material.PLASTER),
        box((0, -0.1, 0), (wide, 0, tall), s.wall, Material.PLASTER),
        box((0, 0, tall), (wide, deep, tall + 0.1), (0.75, 0.75, 0.74), Material.PLASTER),
        *bars,
        box((wide, -16, -0.03), (wide + 8, 24, -0.01), (0.30, 0.30, 0.30), Material.ASPHALT),
        box((wide + 7.9, -16, 0), (wide + 8, 24, 8), outdoors, Material.GLOW, 3),
        box((wide, -16, 0), (wide + 8, -15.9, 8), outdoors, Material.GLOW, 3),
        box((wide + 5.2, -16, 0), (wide + 5.3, 24, 2.4), (0.20, 0.22, 0.20), Material.GLOW, 3),
        *(box((p.position[0] - 0.6, p.position[1] - 0.15, tall - 0.01), (p.position[0] + 0.6, p.position[1] + 0.15, tall), (3.0, 3.0, 2.9), Material.GLOW, i) for i, p in enumerate(lights[:2])),
        *(fit.at(fit.machine(s.machine, glow=2, screen=(0.9, 0.75, 0.4)), x, deep) for x in (3.0, 4.3, 5.6)),
        fit.at(fit.service_door(), 1.0, deep),
        fit.marked_area(0.2, 4.5, 1.9, deep),
        fit.at(fit.poster(0.9, 0.6, s.accent), 2.15, deep),
        fit.at(fit.plant(), 7.05, 5.5),
        fit.at(fit.plant(), 0.45, 3.9),
        fit.at(fit.barrier(1.3), 2.1, 3.9, 0),
        fit.at(fit.bin_(), 6.4, deep - 0.25),
        fit.at(fit.parked_car((0.35, 0.05, 0.05)), 10.6, 4.6, 90, -0.02),
    ]  # fmt: skip
    areas = (
        Area("lobby", ZoneKind.LOBBY, ((0, deep), (wide, deep), (wide, 0.2), (0, 0.2))),
        Area("machine", ZoneKind.MACHINE, ((2.5, 4.4), (6.1, 4.4), (6.1, 5.4), (2.5, 5.4))),
        Area("service-corner", ZoneKind.RESTRICTED, ((0.2, 4.5), (1.9, 4.5), (1.9, deep), (0.2, deep))),
        Area("door", ZoneKind.DOOR, ((6.5, 2.1), (wide, 2.1), (wide, 3.3), (6.5, 3.3))),
    )
    views = {
        "corner": View((0.3, 0.3, 2.95), 50, 24, 84),
        "overhead": View((4.3, 3.6, 3.04), 90, 66, 104),
        "machine": View((3.62, 5.5, 2.0), -75, 18, 100),
    }
    spots = {
        "outside": Spot(8.9, 2.7, 180), "passing_left": Spot(8.8, 8.6, -90), "passing_right": Spot(8.8, -3.5, 90),
        "door": Spot(6.8, 2.7, 180), "machine": Spot(4.3, 5.0, 90), "machine_left": Spot(3.0, 5.0, 90), "machine_right": Spot(5.6, 5.0, 90),
        "service": Spot(1.05, 5.1, 80), "queue1": Spot(4.4, 3.7, 90), "queue2": Spot(4.9, 3.0, 115), "queue3": Spot(5.6, 2.6, 150),
        "middle": Spot(3.6, 2.9, -60), "shelf": Spot(2.0, 3.4, 30), "corner_left": Spot(1.6, 2.8, 20), "corner_right": Spot(5.9, 4.1, -150),
    }  # fmt: skip
    door = fit.SlidingDoor((wide, 2.7), 90, half_m=0.58, glass=(0.30, 0.36, 0.40))
    return Room("hall", np.concatenate(still), lights, areas, views, spots, (door,), _indoor_levels(), s)


def street(style: Style | None = None) -> Room:
    """A machine in the wall of a house; the pavement in front of it, a kerb, a road, the other side."""
    s = style or Style(wall=(0.46, 0.36, 0.29), floor=(0.42, 0.41, 0.40), machine=(0.10, 0.26, 0.20))
    front = 4.0  # y of the house's wall; the pavement is y 1 to 4
    lights = (
        Light("sun", (-6.0, -11.0, 15.0), (1.0, 0.96, 0.88), 1.25, (1.0, 0.0), 0.42, (3.5, 2.5, 0.0), 0.0, 8.0, 36.0, 0.20),
        Light("lamp", (7.2, 0.9, 5.2), (1.0, 0.80, 0.55), 2.6, (1.0, 0.16), 1.6, (5.2, 2.2, 0.0), 0.0, 0.3, 14.0, 0.035),
        Light("screen", (3.4, 3.35, 1.25), (0.45, 0.8, 0.9), 0.25, (0.15, 1.0)),
        Light("sky", (3.0, -9.0, 10.0), (0.75, 0.85, 1.0), 0.25, (1.0, 0.0), ambient=0.18),
        Light("headlights", (16.0, -0.6, 0.75), (1.0, 0.95, 0.85), 24.0, (1.0, 0.08), target=(2.0, 1.8, 0.6), cone=0.30),
        Light("ir", (0.2, 3.6, 3.1), (1.0, 1.0, 1.0), 4.4, (1.0, 0.16), ambient=0.05),
    )  # fmt: skip
    glass: Colour = (0.05, 0.06, 0.07)
    still = [
        box((-4, 1.0, -0.02), (24, front, 0), s.floor, Material.TILES),
        box((-4, 0.86, -0.14), (24, 1.0, 0.0), (0.5, 0.5, 0.49)),
        box((-12, -6, -0.16), (40, 0.86, -0.13), (0.22, 0.22, 0.23), Material.ASPHALT),
        *(box((x, -2.1, -0.128), (x + 1.6, -1.98, -0.126), (0.7, 0.7, 0.68)) for x in range(-6, 30, 4)),
        box((-4, front, 0), (24, front + 0.2, 6), s.wall, Material.BRICK),
        box((-4, front - 0.03, 0), (24, front, 0.55), (0.30, 0.29, 0.28)),
        fit.at(fit.machine(s.machine, glow=2, in_wall=True, screen=(0.5, 1.0, 0.85)), 3.4, front),
        box((2.9, front - 0.28, 2.45), (3.9, front, 2.50), (0.2, 0.2, 0.22)),
        box((-90, -90, -0.3), (120, 90, -0.165), (0.24, 0.24, 0.23), Material.ASPHALT),
        box((-60, -60, -1), (-59, 60, 40), (0.50, 0.60, 0.74), Material.GLOW, 3),
        box((-60, -58, -1), (60, -57, 40), (0.52, 0.64, 0.80), Material.GLOW, 3),
        fit.at(fit.service_door((0.28, 0.30, 0.27)), 5.5, front),
        fit.marked_area(4.75, 3.05, 6.25, front, (0.7, 0.55, 0.08)),
        *(box((x, front - 0.02, 1.0), (x + 1.5, front, 2.5), glass) for x in (7.4, 9.6, 12.0)),
        *(box((x - 0.06, front - 0.04, 0.94), (x + 1.56, front, 1.0), (0.5, 0.5, 0.48)) for x in (7.4, 9.6, 12.0)),
        box((-20, -9.1, -0.1), (60, -9, 9), (0.34, 0.30, 0.27), Material.BRICK),
        box((-20, -6.2, -0.1), (60, -6, 0.0), (0.40, 0.39, 0.38)),
        box((55, -40, -1), (56, 40, 30), (0.55, 0.68, 0.85), Material.GLOW, 3),
        fit.at(fit.parked_car((0.30, 0.33, 0.38)), 9.5, -0.25, 0, -0.14),
        fit.at(fit.bin_(), 7.1, 3.7),
        fit.turned(box((7.15, 0.85, 0), (7.25, 0.95, 5.2), (0.25, 0.26, 0.27)), np.eye(3)),
    ]
    areas = (
        Area("pavement", ZoneKind.LOBBY, ((1.2, 2.1), (6.6, 2.1), (6.6, front), (1.2, front))),
        Area("machine", ZoneKind.MACHINE, ((2.85, 2.9), (3.95, 2.9), (3.95, front), (2.85, front))),
        Area("service-corner", ZoneKind.RESTRICTED, ((4.75, 3.05), (6.25, 3.05), (6.25, front), (4.75, front))),
    )
    views = {
        "corner": View((0.1, 3.45, 3.1), -12, 27, 78),
        "overhead": View((3.9, 3.9, 4.3), -100, 62, 88),
        "machine": View((3.62, 3.72, 2.25), -104, 28, 100),
    }
    spots = {
        "outside": Spot(13.0, 2.3, 180), "outside_left": Spot(-3.2, 2.2, 0), "passing_left": Spot(-3.2, 1.5, 0), "passing_right": Spot(15.0, 1.5, 180),
        "door": Spot(7.0, 2.6, 180), "machine": Spot(3.4, 3.38, 90), "service": Spot(5.5, 3.45, 80),
        "queue1": Spot(3.5, 2.4, 90), "queue2": Spot(4.3, 2.2, 130), "queue3": Spot(5.0, 2.3, 160),
        "middle": Spot(4.4, 2.6, -110), "shelf": Spot(2.3, 3.3, -60), "corner_left": Spot(2.2, 2.6, 0), "corner_right": Spot(6.2, 2.5, 170),
    }  # fmt: skip
    off = {"sun": 0.0, "lamp": 0.0, "screen": 0.0, "sky": 0.0, "headlights": 0.0, "ir": 0.0}
    levels = {
        "day": off | {"sun": 1.0, "sky": 1.0, "screen": 0.6},
        "evening": off | {"sky": 0.35, "lamp": 0.6, "screen": 0.9},
        "night": off | {"lamp": 0.5, "screen": 0.8, "sky": 0.03},
        "screen_only": off | {"screen": 0.9, "sky": 0.025},
        "back_light": off | {"sun": 0.12, "sky": 2.4, "screen": 0.6},
        "ir": off | {"ir": 1.0, "screen": 0.3, "sky": 0.01},
    }
    return Room("street", np.concatenate(still), lights, areas, views, spots, (), levels, s)


ROOMS: dict[str, Callable[[Style | None], Room]] = {"lobby": lobby, "hall": hall, "street": street}
