"""Short random clips of what people do to each other and to the machine, and of what looks alike, for ``train-behaviour``."""

from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from export.scenes.children import end_with_parent
from export.scenes.clip import Encoder
from export.scenes.pictures import random_room, random_sensor
from export.scenes.play import Player
from export.scenes.renderer import Renderer
from export.scenes.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console

    from export.scenes.rooms import Room
    from export.scenes.view import View

    Step = dict[str, Any]
    Actors = list[dict[str, Any]]
    # Seconds of the clip and where something happens, or None, to who takes part.
    Play = Callable[[np.random.Generator], tuple[Actors, float, tuple[str, float, float] | None]]

_LIGHTS = ("day", "day", "day", "evening", "night", "back_light", "ir")
_VIEWS = ("corner", "corner", "overhead")


def _at(t: float, spot: str, do: str = "stand", **more: float) -> Step:
    return {"t": round(t, 2), "spot": spot, "do": do, **{k: round(v, 3) for k, v in more.items()}}


def _pair(rng: np.random.Generator, apart_m: float) -> tuple[dict[str, float], dict[str, float]]:
    """Two who face each other, ``apart_m`` from the middle of a spot."""
    turn = float(rng.uniform(-180, 180))
    dx, dy = apart_m / 2 * np.cos(np.radians(turn)), apart_m / 2 * np.sin(np.radians(turn))
    here = {"dx": float(dx), "dy": float(dy), "heading": (turn + 180 + 180) % 360 - 180}
    return here, {"dx": float(-dx), "dy": float(-dy), "heading": turn}


def _moved(place: dict[str, float], x: float, y: float) -> dict[str, float]:
    return {**place, "dx": place["dx"] + x, "dy": place["dy"] + y}


def _struggle(rng: np.random.Generator) -> tuple[Actors, float, tuple[str, float, float] | None]:
    """Two fight, dragging each other about; sometimes one ends on the floor."""
    spot = ("queue1", "queue1", "machine", "queue2")[int(rng.integers(4))]
    one, two = _pair(rng, float(rng.uniform(0.4, 0.62)))
    start, long = float(rng.uniform(2.0, 3.5)), float(rng.uniform(4.0, 6.5))
    a = [_at(0, "machine", "use_machine"), _at(start - 0.7, "machine", "use_machine")]
    b = [_at(0, "door"), _at(start, spot, "struggle", **two)]
    a.append(_at(start + 0.2, spot, "struggle", **one))
    t, x, y = start + 0.2, 0.0, 0.0
    while t + 1.2 < start + long:
        t += float(rng.uniform(0.7, 1.3))
        x, y = float(np.clip(x + rng.normal(0, 0.16), -0.5, 0.5)), float(np.clip(y + rng.normal(0, 0.16), -0.5, 0.3))
        a.append(_at(t, spot, "struggle", **_moved(one, x, y)))
        b.append(_at(t, spot, "struggle", **_moved(two, x, y)))
    end = start + long
    down = rng.random() < 0.4
    a.append(_at(end + 0.3, spot, "lie" if down else "loiter", **_moved(one, x, y)))
    a.append(_at(end + 4.0, spot, "lie" if down else "loiter", **_moved(one, x, y)))
    b += [_at(end + 0.3, spot, **_moved(two, x, y)), _at(end + 2.0, "door"), _at(end + 3.5, "outside")]
    return [{"name": "one", "path": a}, {"name": "two", "path": b}], end + 4.0, ("assault/robbery", start, end + 0.4)


def _snatch(rng: np.random.Generator) -> tuple[Actors, float, tuple[str, float, float] | None]:
    """Somebody comes up from behind, grabs and runs."""
    at = float(rng.uniform(4.0, 6.0))
    beside = {"dx": float(rng.choice((-1, 1)) * rng.uniform(0.3, 0.5)), "dy": float(rng.uniform(-0.6, -0.35))}
    customer = [
        _at(0, "machine", "use_machine"), _at(at + 0.4, "machine", "reach", heading=float(rng.uniform(-80, 20))),
        _at(at + 1.6, "machine", "loiter", heading=-40.0), _at(at + 6.0, "machine", "loiter", heading=-40.0),
    ]  # fmt: skip
    thief = [
        _at(0, "door"), _at(at - 2.4, "queue1", "loiter"), _at(at - 0.7, "queue1", "loiter"),
        _at(at, "machine", "snatch", heading=115.0, **beside), _at(at + rng.uniform(0.6, 1.2), "machine", "snatch", heading=115.0, **beside),
    ]  # fmt: skip
    away = thief[-1]["t"]
    thief += [_at(away + float(rng.uniform(0.6, 0.9)), "door"), _at(away + 2.0, "outside")]
    return (
        [{"name": "customer", "path": customer}, {"name": "thief", "body": "youth", "path": thief}],
        at + 6.0, ("snatch/robbery", at - 0.2, away + 1.2),
    )  # fmt: skip


def _prying(rng: np.random.Generator) -> tuple[Actors, float, tuple[str, float, float] | None]:
    """At the machine with a tool, or bare hands, up and down it."""
    do = ("pry", "pry", "raise")[int(rng.integers(3))]
    holds = (None, "crowbar", "hammer", "screwdriver", "drill")[int(rng.integers(5))]
    end = float(rng.uniform(8, 11))
    path, t = [_at(0, "door"), _at(1.8, "machine", do)], 1.8
    while t + 2.0 < end:
        t += float(rng.uniform(1.5, 3.0))
        path.append(_at(t, "machine", do, dx=float(rng.uniform(-0.3, 0.3)), dy=float(rng.uniform(-0.1, 0.05))))
    path += [_at(max(end, t + 0.5), "machine", do), _at(max(end, t + 0.5) + 2, "door")]
    actor: dict[str, Any] = {"name": "thief", "path": path} | ({"holds": holds} if holds else {})
    return [actor], path[-1]["t"], ("tampering", 1.8, path[-2]["t"])


def _hug(rng: np.random.Generator) -> tuple[Actors, float, tuple[str, float, float] | None]:
    spot = ("queue1", "queue2")[int(rng.integers(2))]
    one, two = _pair(rng, float(rng.uniform(0.3, 0.45)))
    a = [_at(0, "machine", "use_machine"), _at(2.2, spot, "reach", **one), _at(6.5, spot, "reach", **one), _at(8, "door")]
    b = [_at(0, "door"), _at(2.0, spot, "reach", **two), _at(6.5, spot, "reach", **two), _at(7.5, "machine", "use_machine"), _at(11, "machine")]
    return [{"name": "one", "path": a}, {"name": "two", "path": b}], 11.0, None


def _queue(rng: np.random.Generator) -> tuple[Actors, float, tuple[str, float, float] | None]:
    busy = float(rng.uniform(4, 6))
    first = [_at(0, "machine", "use_machine"), _at(busy, "machine", "use_machine"), _at(busy + 2, "door"), _at(busy + 3.5, "outside")]
    second = [_at(0, "queue1"), _at(busy + 1, "queue1"), _at(busy + 2.2, "machine", "use_machine"), _at(12, "machine")]
    third = [_at(0, "door"), _at(2, "queue2", "text"), _at(busy + 2, "queue2", "text"), _at(busy + 3, "queue1", "text"), _at(12, "queue1")]
    return [{"name": "a", "path": first}, {"name": "b", "path": second}, {"name": "c", "holds": "phone", "path": third}][: int(rng.integers(1, 4))], 12.0, None


def _busy(rng: np.random.Generator) -> tuple[Actors, float, tuple[str, float, float] | None]:
    """One person does one harmless thing after the other."""
    path, t = [_at(0, "door")], 0.0
    while t < 9:
        do = ("reach", "use_machine", "crouch", "use_machine", "loiter")[int(rng.integers(5))]
        where = ("machine", "machine", "queue1")[int(rng.integers(3))] if do in ("crouch", "loiter") else "machine"
        off = {"dx": float(rng.uniform(-0.25, 0.25)), "dy": float(rng.uniform(-0.4, 0.0))}
        t += float(rng.uniform(1.0, 1.8))
        path.append(_at(t, where, do, **off))
        t += float(rng.uniform(1.2, 3.0))
        path.append(_at(t, where, do, **off))
    path.append(_at(t + 2, "door"))
    return [{"name": "somebody", "path": path}], path[-1]["t"], None


PLAYS: dict[str, tuple[Play, int]] = {
    "struggle": (_struggle, 4), "snatch": (_snatch, 3), "prying": (_prying, 3), "hug": (_hug, 2), "queue": (_queue, 3), "busy": (_busy, 3),
}  # fmt: skip
"""What is played, and how often among the others."""


def scene(seed: int, number: int) -> tuple[Scenario, tuple[str, float, float] | None]:
    """One random clip: what is played and where something happens in it, seconds."""
    rng = np.random.default_rng((seed, number))
    order = [name for name, (_, share) in PLAYS.items() for _ in range(share)]
    name = order[number % len(order)]
    actors, seconds, event = PLAYS[name][0](rng)
    light = _LIGHTS[int(rng.integers(len(_LIGHTS)))]
    room = ("lobby", "lobby", "hall", "street")[int(rng.integers(4))]
    return Scenario.model_validate({
        "name": f"{name}-{number:03d}", "title": name, "room": room, "view": _VIEWS[int(rng.integers(len(_VIEWS)))], "light": light,
        "seconds": float(np.ceil(seconds)), "seed": int(rng.integers(2**31)), "actor": actors,
        "sensor": random_sensor(rng, light).model_dump(),
    }), event  # fmt: skip


def _place(rng: np.random.Generator, scenario: Scenario) -> tuple[Room, View]:
    """A room in which the camera sees the machine and who waits for it."""
    while True:
        room, view = random_room(rng, kind=scenario.room, view=scenario.view)
        body = np.array([(room.spots[n].x, room.spots[n].y, z) for n in ("machine", "queue1") for z in (0.5, 1.4)])
        x, y = view.project(body).T[:2]
        if ((x > 0) & (x < view.width) & (y > 0) & (y < view.height)).all():
            return room, view


def _render(seed: int, number: int, out: Path) -> dict[str, Any]:
    scenario, event = scene(seed, number)
    rng = np.random.default_rng((seed, number, 1))
    renderer = Renderer()
    try:
        player = Player(scenario, renderer, place=_place(rng, scenario))
        path = out / f"{scenario.name}.mp4"
        with Encoder(path, width=player.view.width, height=player.view.height, fps=scenario.fps, crf=23) as encoder:
            for picture in player.play():
                encoder.add(picture)
    finally:
        renderer.close()
    events = [{"what": event[0], "start_s": round(event[1], 2), "end_s": round(event[2], 2)}] if event else []
    return {"file": path.name, "view": f"{scenario.room} {scenario.view}", "what_happens": scenario.title, "events": events}


def make(*, count: int, seed: int, out: Path, jobs: int, console: Console) -> None:
    """Write ``count`` clips and their ``events.json``, as ``evaluate-events`` and ``train-behaviour`` read them."""
    out.mkdir(parents=True, exist_ok=True)
    bar = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console)
    context = multiprocessing.get_context("spawn")
    made = []
    with bar, ProcessPoolExecutor(jobs, mp_context=context, initializer=end_with_parent) as pool:
        task = bar.add_task("clips", total=count)
        for future in as_completed([pool.submit(_render, seed, n, out) for n in range(count)]):
            made.append(future.result())
            bar.advance(task)
    table = {"note": "Rendered; times are exact.", "clips": sorted(made, key=lambda m: str(m["file"]))}
    (out / "events.json").write_text(json.dumps(table, indent=1) + "\n", "utf-8")
