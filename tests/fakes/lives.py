"""Random lives of people in a lobby, seeded: who is where at any moment, and what a detector would make of it.

The lobby is seen from the service side: the door is on the left, the machine in the middle, the restricted corner on
the right. A life: come in through the door, stop at one to three places, leave through the door. On the way people
are hidden for a while (a column, a plant), stand in front of each other, and change places.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from fakes.scenes import PERSON, SIZE, zone

from edge.types import Detections, ZoneKind

if TYPE_CHECKING:
    from edge.types import F64

DOOR = zone(ZoneKind.DOOR, 0.02, 0.3, 0.16, 1)
LOBBY = zone(ZoneKind.LOBBY, 0.16, 0.3, 1, 1)
RESTRICTED = zone(ZoneKind.RESTRICTED, 0.8, 0.3, 1, 1)
ZONES = (LOBBY, RESTRICTED, DOOR)
LOBBY_X, RESTRICTED_X = 0.16 * SIZE[0], 0.8 * SIZE[0]

# x1 y1 x2 y2, px: where coats hang that the detector half takes for somebody, one of them in the doorway.
COATS = ((296.0, 140.0, 344.0, 252.0), (24.0, 127.0, 70.0, 240.0))

_DOOR_X = 45.0  # px: where people appear and vanish, in the doorway
_HIDES = 0.55  # share of a box behind a nearer one, from which on the detector misses it


def height_at(y: float) -> float:
    """How high a person is whose feet are at ``y``, px: perspective."""
    return 40 + 0.35 * y


@dataclass(frozen=True)
class Person:
    """``knots`` (K, 3): time s, x px, y px of the feet, straight lines in between; ``hidden``: from, to (s)."""

    name: int
    knots: F64
    hidden: tuple[tuple[float, float], ...]

    def present(self, t: float) -> bool:
        return bool(self.knots[0, 0] <= t <= self.knots[-1, 0])

    def at(self, t: float) -> tuple[float, float]:
        return (
            float(np.interp(t, self.knots[:, 0], self.knots[:, 1])),
            float(np.interp(t, self.knots[:, 0], self.knots[:, 2])),
        )

    def box(self, t: float) -> tuple[float, float, float, float]:
        x, y = self.at(t)
        h = height_at(y)
        return (x - 0.2 * h, y - h, x + 0.2 * h, y)

    def stays(self, beyond_x: float) -> list[tuple[float, float]]:
        """When the feet are to the right of a line, (from, to) in seconds."""
        t, x = self.knots[:, 0], self.knots[:, 1]
        found, since = [], None
        for k in range(len(t) - 1):
            a, b = x[k] - beyond_x, x[k + 1] - beyond_x
            if a >= 0 and since is None:
                since = t[k]
            if a * b < 0:
                crossing = t[k] + (t[k + 1] - t[k]) * a / (a - b)
                if b > 0:
                    since = crossing
                else:
                    found.append((float(since), float(crossing)))
                    since = None
        if since is not None:
            found.append((float(since), float(t[-1])))
        return found


@dataclass(frozen=True)
class Story:
    """Some people's lives in one lobby, and a detector's view of them."""

    people: tuple[Person, ...]
    seed: int

    @property
    def ends_s(self) -> float:
        return max(float(p.knots[-1, 0]) for p in self.people)

    def visible(self, t: float) -> list[Person]:
        """Who can be seen: not behind something, and not behind somebody nearer."""
        here = [p for p in self.people if p.present(t) and not any(a <= t <= b for a, b in p.hidden)]
        return [p for p in here if not any(_covers(q.box(t), p.box(t)) for q in self.people if q.present(t))]

    def detections(self, t: float, rng: np.random.Generator) -> tuple[Detections, list[int]]:
        """What a detector says at ``t``, and whose box each is (-1: nobody's, a false one)."""
        boxes, names, scores = [], [], []
        for p in self.visible(t):
            if rng.random() < 0.04:
                continue
            x1, y1, x2, y2 = p.box(t)
            wobble = np.clip(rng.normal(0, 0.02, 4), -0.06, 0.06) * (y2 - y1)
            boxes.append(np.array([x1, y1, x2, y2]) + wobble)
            names.append(p.name)
            scores.append(rng.uniform(0.5, 0.95) if rng.random() > 0.1 else rng.uniform(0.25, 0.45))
        if rng.random() < 0.01:
            x, y = rng.uniform(100, 600), rng.uniform(150, 340)
            boxes.append(np.array([x - 20, y - 90, x + 20, y]))
            names.append(-1)
            scores.append(rng.uniform(0.25, 0.6))
        return _seen(boxes, scores, self.faint(t, names)), names

    def faint(self, t: float, found: list[int]) -> Detections | None:
        """What a detector half sees at ``t``: some of those it missed or who are behind others, coats, and nothing at all.

        :param found: whose boxes it is sure of.
        """
        rng = np.random.default_rng([self.seed, round(t * 1000)])
        boxes = []
        for p in self.people:
            hidden = not p.present(t) or any(a <= t <= b for a, b in p.hidden)
            if not hidden and p.name not in found and rng.random() < 0.5:
                x1, y1, x2, y2 = p.box(t)
                boxes.append(np.array([x1, y1, x2, y2]) + np.clip(rng.normal(0, 0.04, 4), -0.1, 0.1) * (y2 - y1))
        for x1, y1, x2, y2 in COATS:
            if rng.random() < 0.5:
                boxes.append(np.array([x1, y1, x2, y2]) + np.clip(rng.normal(0, 0.04, 4), -0.1, 0.1) * (y2 - y1))
        if rng.random() < 0.1:
            x, y = rng.uniform(100, 600), rng.uniform(150, 340)
            boxes.append(np.array([x - 20, y - 90, x + 20, y]))
        return _seen(boxes, rng.uniform(0.1, 0.25, len(boxes)).tolist(), None) if boxes else None


def _seen(boxes: list[F64], scores: list[float], faint: Detections | None) -> Detections:
    n = len(boxes)
    return Detections(
        np.array(boxes, np.float32).reshape(n, 4),
        np.array(scores, np.float32),
        np.full(n, PERSON, np.int64),
        faint=faint,
    )


def _covers(front: tuple[float, ...], back: tuple[float, ...]) -> bool:
    if front[3] <= back[3]:  # farther away, or the same person
        return False
    width = min(front[2], back[2]) - max(front[0], back[0])
    height = min(front[3], back[3]) - max(front[1], back[1])
    return width > 0 and height > 0 and width * height > _HIDES * (back[2] - back[0]) * (back[3] - back[1])


def person(
    name: int,
    rng: np.random.Generator,
    *,
    enters_s: float,
    lane: tuple[float, float],
    loiter_s: float,
    restricted_s: float,
) -> Person:
    """One life in a lane of the room (feet between two y, px).

    :param loiter_s: seconds spread over the stops in the lobby; on top comes the walking.
    :param restricted_s: seconds in the restricted corner; 0: does not go there.
    """
    t, x, y = enters_s, _DOOR_X, float(rng.uniform(*lane))
    knots = [(t, x, y)]
    stops = int(rng.integers(1, 4))
    shares = rng.dirichlet(np.ones(stops)) * loiter_s
    places = [(float(rng.uniform(170, 440)), float(rng.uniform(*lane)), float(s)) for s in shares]
    if restricted_s > 0:
        places.insert(
            int(rng.integers(0, stops + 1)), (float(rng.uniform(560, 600)), float(rng.uniform(*lane)), restricted_s)
        )
    hidden = []
    for goal_x, goal_y, stop_s in [*places, (_DOOR_X, float(rng.uniform(*lane)), 0.0)]:
        # 0.45 to 0.85 of the own height a second: 0.8 to 1.4 m/s.
        walk_s = float(np.hypot(goal_x - x, goal_y - y)) / (height_at(y) * float(rng.uniform(0.45, 0.85)))
        t, x, y = t + walk_s, goal_x, goal_y
        knots.append((t, x, y))
        if stop_s > 0:
            if stop_s > 3.5 and rng.random() < 0.5:  # behind the column while they stand there
                since = t + float(rng.uniform(0.5, stop_s - 2.8))
                hidden.append((since, since + float(rng.uniform(0.5, 2.0))))
            t += stop_s
            knots.append((t, x, y))
    return Person(name, np.array(knots), tuple(hidden))


def story(seed: int, *, people: int, limit_s: float) -> Story:
    """Lives of which each clearly loiters or clearly does not, against a limit of ``limit_s`` in the lobby."""
    rng = np.random.default_rng(seed)
    lanes = [(150.0, 200.0), (235.0, 270.0), (310.0, 350.0)]
    rng.shuffle(lanes)
    lives = []
    enters_s = 1.0
    for name in range(people):
        while True:
            one = person(
                name,
                rng,
                enters_s=enters_s,
                lane=lanes[name],
                loiter_s=float(rng.uniform(1, 2 * limit_s)),
                restricted_s=float(rng.uniform(3, 5)) if rng.random() < 0.3 else 0.0,
            )
            (inside,) = one.stays(LOBBY_X)
            if abs(inside[1] - inside[0] - limit_s) > 2.0:
                break
        lives.append(one)
        enters_s += float(rng.uniform(0.5, 6))
    return Story(tuple(lives), seed)
