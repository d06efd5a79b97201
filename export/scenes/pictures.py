"""Training pictures: random rooms, cameras, light, people, clothes and props, with YOLO labels for the kiosk's classes."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from export.scenes import truth
from export.scenes.cast import actor_of, pick
from export.scenes.children import end_with_parent
from export.scenes.play import PER_PERSON, Drawn, drawn
from export.scenes.pose import ACTIONS
from export.scenes.props import HELD, WORN
from export.scenes.renderer import TAG_SCALE, Lamps, Renderer, Thing, floor_blob
from export.scenes.rooms import ROOMS, Style
from export.scenes.scenario import ActorTable, ClothesTable, SensorTable, StepTable
from export.scenes.sensor import Sensor

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from edge.types import U8
    from export.scenes.rooms import Room
    from export.scenes.view import View

CLASSES = ("person", "firearm", "knife", "tool", "face_cover", "helmet", "phone")
"""The kiosk's classes, by id. Umbrellas, bottles, bags and sticks are drawn and carry no label: they are look-alikes."""

PER_ROOM = 8
"""Pictures of one room, camera and machine: lighting the room anew costs as much as several of them."""

_EMPTY = 0.06  # share of pictures without people
_MIN_PERSON_PX, _MIN_THING_PX = 120.0, 24.0
_MIN_VISIBLE = 0.3
_LIGHTS = ("day", "day", "evening", "night", "screen_only", "back_light", "ir")
_MORE = 4.0  # times as often as otherwise, what is asked for more of
_HOW_OFTEN = {"knife": 3.5, "phone": 3.5, "handgun": 2.2, "long_gun": 1.6, "bag": 0.6, "umbrella_open": 0.4}
_COLOURS = ((0.62, 0.61, 0.58), (0.50, 0.44, 0.36), (0.34, 0.38, 0.42), (0.60, 0.50, 0.36), (0.28, 0.30, 0.30))
_COVERS = (
    (0.02, 0.02, 0.02),
    (0.55, 0.56, 0.58),
    (0.10, 0.16, 0.34),
    (0.45, 0.05, 0.05),
    (0.30, 0.45, 0.52),
    (0.60, 0.50, 0.08),
)
_BRIGHT = ((0.16, 0.24, 0.42), (0.42, 0.10, 0.10), (0.10, 0.28, 0.20), (0.40, 0.32, 0.10), (0.22, 0.22, 0.24))


@dataclass(frozen=True, slots=True)
class Label:
    """One labelled box, normalised 0..1: middle and size."""

    class_id: int
    x: float
    y: float
    wide: float
    tall: float

    def line(self) -> str:
        """As YOLO has it."""
        return f"{self.class_id} {self.x:.6f} {self.y:.6f} {self.wide:.6f} {self.tall:.6f}\n"


def random_room(rng: np.random.Generator) -> tuple[Room, View]:
    """A room in random colours and a camera somewhere up in it."""
    kind = ("lobby", "hall", "street")[int(rng.choice(3, p=(0.45, 0.35, 0.20)))]
    style = Style(
        wall=pick(rng, _COLOURS), floor=pick(rng, _COLOURS), machine=pick(rng, _BRIGHT), accent=pick(rng, _BRIGHT)
    )
    room = ROOMS[kind](style)
    base = room.views[("corner", "corner", "overhead", "machine")[int(rng.integers(4))]]
    jitter = rng.normal(0, 1, 6)
    eye = (
        base.eye[0] + 0.12 * abs(jitter[0]),
        base.eye[1] + (0.12 if base.eye[1] < 2 else -0.08) * abs(jitter[1]),
        base.eye[2] - 0.15 * abs(jitter[2]),
    )
    view = replace(
        base, eye=eye, yaw_deg=base.yaw_deg + 6 * jitter[3], pitch_deg=base.pitch_deg + 4 * jitter[4], roll_deg=1.2 * jitter[5],
        hfov_deg=float(np.clip(base.hfov_deg * rng.uniform(0.5, 1.08), 40, 108)),
    )  # fmt: skip
    return room, view


def _spots(rng: np.random.Generator, room: Room, view: View, count: int) -> list[tuple[float, float]]:
    """Floor points in the picture, apart from each other, from the walls and from the camera."""
    floor = np.array(room.areas[0].floor)
    low, high = floor.min(0) + 0.5, floor.max(0) - (0.5, 0.95)
    found: list[tuple[float, float]] = []
    for _ in range(200):
        if len(found) == count:
            break
        x, y = rng.uniform(low, high)
        waist = view.project(np.array([[x, y, 0.9]]))[0]
        seen = 0.02 * view.width < waist[0] < 0.98 * view.width and 0.05 * view.height < waist[1] < 1.05 * view.height
        if (
            seen
            and np.hypot(x - view.eye[0], y - view.eye[1]) > 0.8
            and all(np.hypot(x - a, y - b) > 0.55 for a, b in found)
        ):
            found.append((float(x), float(y)))
    return found


def random_person(
    rng: np.random.Generator,
    room: Room,
    person_id: int,
    place: tuple[float, float],
    more: frozenset[str] = frozenset(),
) -> Drawn:
    """Somebody who does something there, perhaps with something in the hand or over the face; ``more`` of what it names."""
    holds = None
    if rng.random() < 0.62:
        names = sorted(HELD)
        weight = np.array([_HOW_OFTEN.get(n, 1.0) * (_MORE if n in more else 1.0) for n in names])
        holds = names[int(rng.choice(len(names), p=weight / weight.sum()))]
    doing = {
        "firearm": ("aim", "hold", "carry"),
        "knife": ("hold", "raise", "aim"),
        "tool": ("hold", "raise", "pry"),
        "phone": ("text", "phone", "hold"),
    }
    free = [
        a for a in sorted(ACTIONS) if a not in ("aim", "carry", "stick", "overhead", "hold", "text", "phone", "raise")
    ]
    if holds is None:
        action = ["stand", *free][int(rng.integers(len(free) + 1))]
    else:
        choice = doing.get(HELD[holds].label, (HELD[holds].action,))
        action = choice[int(rng.integers(len(choice)))]
    wears = [_worn(rng, more)] if rng.random() < 0.34 else []
    x, y = place
    heading = float(rng.uniform(-180, 180))
    walking = rng.random() < 0.3
    turn = np.radians(heading)
    ahead = (x + 1.1 * np.cos(turn), y + 1.1 * np.sin(turn)) if walking else (x, y)
    behind = (x - 1.1 * np.cos(turn), y - 1.1 * np.sin(turn)) if walking else (x, y)
    table = ActorTable(
        name="somebody",
        clothes=ClothesTable(
            short_sleeves=bool(rng.random() < 0.3), shorts=bool(rng.random() < 0.12), hood=bool(not wears and rng.random() < 0.15),
            cap=pick(rng, _BRIGHT) if not wears and rng.random() < 0.15 else None,
        ),
        wears=wears,  # type: ignore[arg-type]
        cover_colour=pick(rng, _COVERS) if rng.random() < 0.7 else None,
        holds=holds,
        path=[
            StepTable(t=0.0, x=behind[0], y=behind[1], heading=heading, do=action),
            StepTable(t=2.0, x=ahead[0], y=ahead[1], heading=heading, do=action),
        ],
    )  # fmt: skip
    actor = actor_of(table, person_id=person_id, room=room, seconds=2.0, rng=rng)
    return drawn(actor, float(rng.uniform(0.8, 1.2)))


def _worn(rng: np.random.Generator, more: frozenset[str]) -> str:
    names = sorted(WORN)
    if not more & set(names):  # drawn as it always was, so that a seed's pictures stay the same
        return names[int(rng.integers(len(names)))]
    weight = np.array([_MORE if n in more else 1.0 for n in names])
    return names[int(rng.choice(len(names), p=weight / weight.sum()))]


def random_light(rng: np.random.Generator, room: Room) -> tuple[str, Lamps]:
    """A preset of the room, each lamp somewhat brighter or darker."""
    name = _LIGHTS[int(rng.integers(len(_LIGHTS)))]
    level = room.levels[name]
    gain = tuple(level.get(light.name, 0.0) * float(rng.uniform(0.6, 1.3)) for light in room.lights)
    bounced = sum(g * light.ambient for g, light in zip(gain, room.lights, strict=True))
    return name, Lamps(gain, bounced + level.get("sky", 0.0) * (0.0 if room.name == "street" else 1.0))


def random_sensor(rng: np.random.Generator, light: str) -> SensorTable:
    """A camera, from good to poor."""
    return SensorTable(
        noise=float(rng.uniform(0.003, 0.016)), blur_px=float(rng.uniform(0.4, 1.4)), jpeg_quality=int(rng.integers(38, 92)),
        ir=light == "ir" or bool(rng.random() < 0.06), max_gain=float(rng.uniform(7, 16)),
    )  # fmt: skip


def labels(renderer: Renderer, people: list[Drawn], things: list[Thing]) -> list[Label]:
    """Boxes round what can be seen, from the masks."""
    if not people:
        return []
    seen = renderer.tags(things).copy()
    size = (renderer.width, renderer.height)
    out = []
    for person in people:
        who = person.actor
        base = PER_PERSON * who.person_id
        wanted = [(0, [base, base + 1], [person.body, *person.covers], _MIN_PERSON_PX, 0.12)]
        if who.wears and WORN[who.wears[0]] in CLASSES:
            wanted.append(
                (CLASSES.index(WORN[who.wears[0]]), [base + 1], list(person.covers), _MIN_THING_PX, _MIN_VISIBLE)
            )
        if person.held and who.holds and HELD[who.holds].label in CLASSES:
            wanted.append(
                (CLASSES.index(HELD[who.holds].label), [base + 2], [person.held], _MIN_THING_PX, _MIN_VISIBLE)
            )
        for class_id, tags, own, least, visible in wanted:
            mask = truth.one_of(seen, tags)
            if truth.pixels(mask, TAG_SCALE) < least:
                continue
            whole = int((renderer.tags(own, behind_room=False) > 0).sum())
            if mask.sum() < visible * whole:
                continue
            x1, y1, x2, y2 = truth.mask_box(mask, TAG_SCALE)
            out.append(
                Label(
                    class_id, (x1 + x2) / 2 / size[0], (y1 + y2) / 2 / size[1], (x2 - x1) / size[0], (y2 - y1) / size[1]
                )
            )
    return out


def picture(
    rng: np.random.Generator, renderer: Renderer, room: Room, view: View, more: frozenset[str] = frozenset()
) -> tuple[U8, list[Label], dict[str, object]]:
    """One picture of a room that the renderer has lit, its labels, and how it was made."""
    count = 0 if rng.random() < _EMPTY else int(rng.choice((1, 1, 2, 2, 3, 4, 5)))
    people = [random_person(rng, room, i, spot, more) for i, spot in enumerate(_spots(rng, room, view, count), 1)]
    doors = [Thing(d.mesh(float(rng.choice((0.0, 0.0, 1.0))))) for d in room.doors]
    things = [*doors, *(t for p in people for t in p.all)]
    preset, lamps = random_light(rng, room)
    light = renderer.frame(things, lamps, [floor_blob(p.body.vertices) for p in people])
    table = random_sensor(rng, preset)
    shot = Sensor(table, width=renderer.width, height=renderer.height, seed=int(rng.integers(2**31))).picture(
        light, step_s=1.0
    )
    boxes = labels(renderer, people, things)
    if rng.random() < 0.5:  # a room mirrored is another room
        shot = np.ascontiguousarray(shot[:, ::-1])
        boxes = [replace(b, x=1 - b.x) for b in boxes]
    return shot, boxes, {"room": room.name, "light": preset, "ir": table.ir, "persons": len(people)}


def _room_of_pictures(
    room_seed: int, numbers: range, out: Path, split: str, more: frozenset[str]
) -> list[dict[str, object]]:
    rng = np.random.default_rng(room_seed)
    renderer = Renderer()
    made = []
    try:
        room, view = random_room(rng)
        renderer.room(room.still, room.lights, view)
        for i in numbers:
            shot, boxes, how = picture(rng, renderer, room, view, more)
            name = f"scene-{i:05d}"
            cv2.imwrite(str(out / "images" / split / f"{name}.jpg"), shot, [cv2.IMWRITE_JPEG_QUALITY, 90])
            (out / "labels" / split / f"{name}.txt").write_text("".join(b.line() for b in boxes), "ascii")
            made.append({"name": name, "split": split, "group": room_seed, **how})
    finally:
        renderer.close()
    return made


def make(*, count: int, seed: int, out: Path, jobs: int, console: Console, more: frozenset[str] = frozenset()) -> None:
    """Write ``count`` pictures as a YOLO data set; every tenth room is for validation.

    Of what ``more`` names (props of ``HELD`` and ``WORN``) there is four times as much as otherwise.
    """
    for kind in ("images", "labels"):
        for split in ("train", "val"):
            (out / kind / split).mkdir(parents=True, exist_ok=True)
    rooms = range((count + PER_ROOM - 1) // PER_ROOM)
    index: list[dict[str, object]] = []
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console
    )
    context = multiprocessing.get_context("spawn")
    with bar, ProcessPoolExecutor(jobs, mp_context=context, initializer=end_with_parent) as pool:
        task = bar.add_task("pictures", total=count)
        waiting = [
            pool.submit(_room_of_pictures, seed * 1_000_003 + r, range(r * PER_ROOM, min(count, (r + 1) * PER_ROOM)), out, "val" if r % 10 == 9 else "train", more)
            for r in rooms
        ]  # fmt: skip
        for future in as_completed(waiting):
            made = future.result()
            index += made
            bar.advance(task, len(made))
    names = "".join(f"  {i}: {name}\n" for i, name in enumerate(CLASSES))
    (out / "data.yaml").write_text(f"path: .\ntrain: images/train\nval: images/val\nnames:\n{names}", "utf-8")
    (out / "index.json").write_text(json.dumps(sorted(index, key=lambda m: str(m["name"])), indent=1) + "\n", "utf-8")
    console.print(f"{len(index)} pictures of {len(rooms)} rooms in {out}")
