"""Things in hands and on heads.

Held things are built in the grip's frame: the origin in the middle of the fist, z out of the thumb's side (a hammer's
shaft), x forward of the knuckles (a pistol's barrel).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from export.scenes.mesh import COLOUR, COLUMNS, MATERIAL, NORMAL, POSITION, Colour, Material, box, moved, shell, tube
from export.scenes.pose import Y, turn
from export.scenes.renderer import Thing

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.types import F32, F64
    from export.scenes.body import Body, Posed

_BLACK: Colour = (0.035, 0.035, 0.04)
_STEEL: Colour = (0.42, 0.43, 0.45)
_WOOD: Colour = (0.42, 0.27, 0.13)


@dataclass(frozen=True, slots=True)
class Held:
    """Something that can be held. ``label``: its class in the truth; ``upright``: hangs or stands by its own weight."""

    label: str
    build: Callable[[], F32]
    action: str = "hold"
    upright: bool = False


def _handgun() -> F32:
    grip = moved(box((-0.018, -0.014, -0.065), (0.022, 0.014, 0.05), _BLACK), turn(Y, -12), np.zeros(3))
    slide = box((-0.035, -0.014, 0.045), (0.165, 0.014, 0.08), (0.06, 0.06, 0.065))
    guard = tube(
        [(0.02, 0, 0.045), (0.045, 0, 0.018), (0.075, 0, 0.022), (0.08, 0, 0.047)], [0.004] * 4, _BLACK, sides=6
    )
    return np.concatenate([grip, slide, guard])


def _long_gun() -> F32:
    parts = [
        tube([(0.05, 0, 0.07), (0.62, 0, 0.07)], [0.012, 0.011], _BLACK),
        box((-0.12, -0.02, 0.03), (0.26, 0.02, 0.10), (0.07, 0.07, 0.075)),
        box((0.22, -0.022, 0.035), (0.46, 0.022, 0.085), _WOOD),
        box((-0.44, -0.018, -0.01), (-0.10, 0.018, 0.085), _WOOD),
        moved(box((-0.018, -0.014, -0.06), (0.022, 0.014, 0.05), _BLACK), turn(Y, -12), np.zeros(3)),
        moved(box((0.10, -0.014, -0.13), (0.16, 0.014, 0.04), _BLACK), turn(Y, 8), np.zeros(3)),
    ]
    return np.concatenate(parts)


def _knife() -> F32:
    handle = tube([(0, 0, -0.06), (0, 0, 0.06)], [0.013, 0.012], (0.05, 0.04, 0.035))
    blade = box((-0.014, -0.0015, 0.06), (0.020, 0.0015, 0.21), (0.62, 0.64, 0.66))
    tip = tube([(0, 0, 0.21), (0.006, 0, 0.26)], [0.011, 0.001], (0.62, 0.64, 0.66), sides=6)
    return np.concatenate([handle, blade, tip])


def _hammer() -> F32:
    head = tube([(-0.06, 0, 0.24), (0.05, 0, 0.24), (0.07, 0, 0.24)], [0.010, 0.022, 0.024], (0.20, 0.20, 0.22))
    return np.concatenate([tube([(0, 0, -0.08), (0, 0, 0.25)], [0.014, 0.012], _WOOD), head])


def _crowbar() -> F32:
    hook = [(0, 0, -0.12), (0, 0, 0.46), (0.015, 0, 0.50), (0.05, 0, 0.52), (0.09, 0, 0.50)]
    return tube(hook, [0.012, 0.012, 0.012, 0.011, 0.006], (0.10, 0.11, 0.14))


def _drill() -> F32:
    body = tube([(-0.07, 0, 0.07), (0.10, 0, 0.07), (0.13, 0, 0.07)], [0.034, 0.034, 0.024], (0.05, 0.22, 0.25))
    bit = tube([(0.13, 0, 0.07), (0.27, 0, 0.07)], [0.008, 0.005], _STEEL)
    grip = tube([(0, 0, 0.06), (-0.012, 0, -0.07)], [0.021, 0.019], _BLACK)
    battery = box((-0.055, -0.032, -0.13), (0.05, 0.032, -0.07), (0.06, 0.06, 0.065))
    return np.concatenate([body, bit, grip, battery])


def _screwdriver() -> F32:
    return np.concatenate(
        [
            tube([(0, 0, -0.06), (0, 0, 0.05)], [0.015, 0.013], (0.65, 0.12, 0.05)),
            tube([(0, 0, 0.05), (0, 0, 0.20)], [0.004, 0.003], _STEEL, sides=8),
        ]
    )


def _phone() -> F32:
    return np.concatenate(
        [
            box((0.0, -0.005, -0.055), (0.072, 0.004, 0.095), _BLACK),
            box((0.004, 0.004, -0.045), (0.068, 0.005, 0.088), (0.15, 0.20, 0.30)),
        ]
    )


def _umbrella_closed() -> F32:
    return np.concatenate(
        [
            tube([(0, 0, -0.06), (0, 0, 0.06)], [0.016, 0.014], _WOOD),
            tube(
                [(0, 0, 0.06), (0, 0, 0.2), (0, 0, 0.62), (0, 0, 0.72)], [0.02, 0.034, 0.022, 0.004], (0.06, 0.07, 0.16)
            ),
        ]
    )


def _umbrella_open() -> F32:
    roof = moved(
        shell((0.52, 0.52, 0.26), (0.16, 0.05, 0.08), Material.PLAIN, above=0.25), np.eye(3), np.array([0, 0, 0.50])
    )
    return np.concatenate([tube([(0, 0, -0.08), (0, 0, 0.75)], [0.010, 0.008], _STEEL), roof])


def _bag() -> F32:
    handles = [
        tube(
            [(-0.10, y, -0.20), (-0.07, y, -0.03), (0.07, y, -0.03), (0.10, y, -0.20)],
            [0.008] * 4,
            (0.10, 0.06, 0.04),
            sides=8,
        )
        for y in (-0.02, 0.02)
    ]
    return np.concatenate([*handles, box((-0.17, -0.06, -0.46), (0.17, 0.06, -0.19), (0.26, 0.15, 0.08))])


def _stick() -> F32:
    return np.concatenate(
        [
            tube([(-0.05, 0, 0.015), (0.06, 0, 0.015)], [0.014, 0.013], _WOOD),
            tube([(0, 0, 0.01), (0, 0, -0.86)], [0.011, 0.009], _WOOD),
        ]
    )


def _bottle() -> F32:
    return tube(
        [(0, 0, -0.10), (0, 0, 0.08), (0, 0, 0.12), (0, 0, 0.17)], [0.032, 0.032, 0.013, 0.013], (0.08, 0.22, 0.10)
    )


HELD: dict[str, Held] = {
    "handgun": Held("firearm", _handgun),
    "long_gun": Held("firearm", _long_gun, "carry"),
    "knife": Held("knife", _knife),
    "hammer": Held("tool", _hammer),
    "crowbar": Held("tool", _crowbar),
    "drill": Held("tool", _drill),
    "screwdriver": Held("tool", _screwdriver),
    "phone": Held("phone", _phone, "text"),
    "umbrella": Held("umbrella", _umbrella_closed, upright=False),
    "umbrella_open": Held("umbrella", _umbrella_open, "overhead", upright=True),
    "bag": Held("bag", _bag, "stand", upright=True),
    "walking_stick": Held("walking_stick", _stick, "stick", upright=True),
    "bottle": Held("bottle", _bottle),
}
"""``action``: what the actor does with it when the scenario does not say."""


def in_hand(name: str, posed: Posed) -> F32:
    """The thing in the right hand of a posed body, in the room."""

    def at(bone: str) -> F64:
        return posed.joint[bone][1]

    index, middle, little, wrist = at("finger2-1.R"), at("finger3-1.R"), at("finger5-1.R"), at("wrist.R")
    z = index - little
    z = z / np.linalg.norm(z)
    x = middle - wrist
    x = x - (x @ z) * z
    x = x / np.linalg.norm(x)
    frame = np.stack([x, np.cross(z, x), z], 1)
    if HELD[name].upright:
        forward = np.array([x[0], x[1], 0.0]) + 1e-6
        forward /= np.linalg.norm(forward)
        frame = np.stack([forward, np.cross([0.0, 0.0, 1.0], forward), [0.0, 0.0, 1.0]], 1)
    centre = (middle + at("finger3-2.R") + at("finger3-3.R")) / 3
    return moved(HELD[name].build(), frame, centre)


WORN = {"helmet": "helmet", "balaclava": "face_cover", "mask": "face_cover", "scarf": "face_cover"}
"""What can be worn on the head -> its class in the truth."""


def worn(name: str, body: Body, posed: Posed, colour: Colour | None = None) -> Thing:
    """The cover on a posed body's head, in the room."""
    about, joint = posed.joint["head"]
    head = body.head()
    if name == "helmet":
        shape = _helmet(head.radius_m, colour or (0.55, 0.06, 0.05))
        return Thing(moved(shape, about, joint + about @ (head.centre - head.joint - [0, 0, 0.2 * head.radius_m])))
    faces, off = head.cover(name)
    out = np.zeros((len(posed.position), COLUMNS), np.float32)
    out[:, POSITION] = posed.position + posed.normal * off[:, None]
    out[:, NORMAL] = posed.normal
    out[:, COLOUR] = colour or _COVER_COLOUR[name]
    out[:, MATERIAL] = Material.CLOTH
    return Thing(out, faces)


_COVER_COLOUR: dict[str, Colour] = {
    "balaclava": (0.025, 0.025, 0.03),
    "mask": (0.50, 0.66, 0.74),
    "scarf": (0.30, 0.07, 0.08),
}


def _helmet(radius: float, colour: Colour) -> F32:
    """A full-face motorcycle helmet about the head's centre, facing -y."""
    size = np.array([1.22, 1.36, 1.34]) * radius
    out = shell((size[0], size[1], size[2]), colour, Material.PLAIN, above=-0.82)
    for shade, front, low, high in (
        ((0.02, 0.02, 0.025), -0.42, -0.22, 0.26),
        ((0.12, 0.12, 0.12), -0.80, -0.52, -0.40),
    ):
        middle = out[:, POSITION].reshape(-1, 3, 3).mean(1) / size
        window = (middle[:, 1] < front) & (middle[:, 2] > low) & (middle[:, 2] < high)
        out[np.repeat(window, 3), COLOUR] = shade
    return out
