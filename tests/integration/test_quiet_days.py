"""Days in a lobby where nothing unusual happens, through everything behind the detector, with every rule at its default.

One rendered picture stands for the camera's: light rises and falls, lamps are switched, infrared light takes over at night,
headlights pass, the sensor rushes. Customers come, use the machine and leave; now and then the detector sees a person who
is none, and all the time it half takes a coat, a chair and a poster for one. Two seconds lie between two pictures, as between two
looks at a scene in which nothing moves; half a second while somebody is there. Nothing of it is an incident.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from fakes.detectors import FakeDetector, Seen

from edge.app.build import build_incidents, build_line
from edge.config import Config
from edge.pipeline import Pipeline
from edge.types import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge.types import U8, IncidentChange

CLIP = Path(__file__).parents[1] / "clips" / "normal-use.mp4"
START = datetime(2026, 3, 2, 6, tzinfo=timezone.utc)  # a Monday
KIOSK_CLASSES = ("person", "firearm", "knife", "tool", "face_cover", "helmet", "phone")
STILL_S, LIVELY_S = 2.0, 0.5
SIZE = (320, 180)  # px; half of the clip's: the logic does not mind, and four times the hours fit into a minute
DOOR, MACHINE, CORNER = (218.0, 112.0), (151.0, 102.5), (165.0, 145.0)  # feet, px, in the clip's zones
HEIGHT_PX = 57.0


@dataclass
class Quiet:
    """Pictures and detections of a quiet lobby, from a seed."""

    hours: float
    rng: np.random.Generator
    visits: list[tuple[float, float]] = field(default_factory=list)  # from, to
    lights: list[float] = field(default_factory=list)  # when headlights pass

    def __post_init__(self) -> None:
        ok, picture = cv2.VideoCapture(str(CLIP)).read()
        assert ok
        self._day: U8 = np.asarray(cv2.resize(picture, SIZE, interpolation=cv2.INTER_AREA), np.uint8)
        self._grey: U8 = cv2.cvtColor(cv2.cvtColor(self._day, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR).astype(np.uint8)
        spread = np.clip(self.rng.normal(12, 3, (8, *self._day.shape)), 0, 255)
        self._noise = [noise.astype(np.uint8) for noise in spread]
        t = 300.0
        while t < 3600 * self.hours - 300:
            by_day = 7 <= self._hour(t) < 22
            stay = float(self.rng.uniform(30, 110))
            if by_day:
                self.visits.append((t, t + stay))
            elif self.rng.random() < 0.3:
                self.lights.append(t)
            t += stay + float(self.rng.exponential(1500.0))

    def _hour(self, t_s: float) -> float:
        return (START.hour + t_s / 3600) % 24

    def moments(self) -> Iterator[float]:
        t, ahead = 0.0, iter([*self.visits, (np.inf, np.inf)])
        since, until = next(ahead)
        while t < 3600 * self.hours:
            yield t
            while t > until + 5:
                since, until = next(ahead)
            t += LIVELY_S if since - 2 <= t <= until + 5 else STILL_S

    def picture(self, t_s: float) -> U8:
        hour = self._hour(t_s)
        # Daylight on top of the lamps, which are out from 23 to 5: then infrared light takes over.
        dark = hour >= 23 or hour < 5
        light = 0.62 if dark else 0.7 + 0.3 * max(0.0, float(np.sin((hour - 6) / 12 * np.pi)))
        shot = cv2.convertScaleAbs(self._grey if dark else self._day, alpha=light)
        for passes in self.lights:
            if 0 <= t_s - passes < 4:
                centre = (int(40 + 60 * (t_s - passes)), 95)
                glow = np.zeros(shot.shape[:2], np.uint8)
                cv2.circle(glow, centre, 35, 90, -1)
                shot = cv2.add(shot, cv2.cvtColor(cv2.blur(glow, (21, 21)), cv2.COLOR_GRAY2BGR))
        noise = self._noise[int(self.rng.integers(len(self._noise)))]
        shot = cv2.subtract(cv2.add(shot, noise), np.full(3, 12, np.float64))
        if dark:  # an infrared picture's noise has no colour either
            shot = cv2.cvtColor(cv2.cvtColor(shot, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        for box in self.people(t_s):
            x1, y1, x2, y2 = (int(v) for v in box)
            shot[y1:y2, x1:x2] = (70, 60, 50)
        return np.asarray(shot, np.uint8)

    def people(self, t_s: float) -> list[tuple[float, float, float, float]]:
        return [self._customer(t_s, since, until) for since, until in self.visits if since <= t_s <= until]

    def _customer(self, t_s: float, since: float, until: float) -> tuple[float, float, float, float]:
        share = min(1.0, (t_s - since) / 4, (until - t_s) / 4)  # four seconds each way
        x = DOOR[0] + share * (MACHINE[0] - DOOR[0])
        y = DOOR[1] + share * (MACHINE[1] - DOOR[1])
        return (x - 0.2 * HEIGHT_PX, y - HEIGHT_PX, x + 0.2 * HEIGHT_PX, y)

    def detected(self, frame: Frame) -> Sequence[Seen]:
        t_s = frame.t_mono_s
        found = [
            Seen("person", (a + w, b + w, c + w, d + w), float(self.rng.uniform(0.4, 0.95)))
            for a, b, c, d in self.people(t_s)
            for w in [float(self.rng.normal(0, 0.8))]
            if self.rng.random() > 0.05
        ]
        if self.rng.random() < 0.004:  # a moth, a web, a reflection
            x, y = self.rng.uniform(50, 270), self.rng.uniform(80, 170)
            found.append(Seen("person", (x - 10, y - 45, x + 10, y), float(self.rng.uniform(0.25, 0.7))))
        if found and self.rng.random() < 0.004:  # a telephone that looks like something else for a moment
            x1, y1 = found[0].xyxy[:2]
            thing = str(self.rng.choice(["firearm", "knife", "tool", "phone"]))
            found.append(Seen(thing, (x1 + 3, y1 + 20, x1 + 9, y1 + 25), 0.6))
        return found

    def half_seen(self, frame: Frame) -> Sequence[Seen]:
        """Things that look a little like people, for ever: where they stand, and where they leave."""
        rng = np.random.default_rng(frame.seq)
        return [
            Seen("person", (x - 11, y - 55, x + 11, y), float(rng.uniform(0.1, 0.25)))
            for x, y in (DOOR, MACHINE, CORNER)
            if rng.random() < 0.6
        ]


class Loiterer(Quiet):
    """One of the customers stays, away from the machine."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.visits = [(60.0, 400.0)]

    def _customer(self, t_s: float, since: float, until: float) -> tuple[float, float, float, float]:
        x, y = CORNER
        return (x - 0.2 * HEIGHT_PX, y - HEIGHT_PX, x + 0.2 * HEIGHT_PX, y)


def live(quiet: Quiet) -> list[IncidentChange]:
    zones = json.loads(CLIP.with_suffix("").with_suffix(".truth.json").read_text())["zones"]
    config = Config.model_validate(
        {
            "cameras": [{"name": "lobby", "source": "file:x"}],
            "zones": [{"camera": "lobby", **{k: z[k] for k in ("name", "kind", "polygon")}} for z in zones],
            "rules": {"face_cover": {"enabled": True}, "loitering": {"visits": 0}},
        }
    )
    detector = FakeDetector(quiet.detected, classes=KIOSK_CLASSES, faint=quiet.half_seen)
    clock = iter(range(10**9))
    pipeline = Pipeline(
        detector=detector,
        lines={"lobby": build_line(config, config.cameras[0], detector)},
        incidents=build_incidents(config, lambda: f"i{next(clock)}"),
        now_s=lambda: 0.0,
        clock_synced=lambda: True,
    )
    changes: list[IncidentChange] = []
    for count, t_s in enumerate(quiet.moments(), start=1):
        frame = Frame(quiet.picture(t_s), count, t_s, START + timedelta(seconds=t_s), "lobby")
        changes += pipeline.step(frame).changes
    return changes


def told(changes: list[IncidentChange]) -> list[tuple[str, float, str]]:
    return [(c.incident.rule, round(c.t_mono_s / 3600, 3), c.incident.peak.what) for c in changes]


def quiet_for(hours: float, seed: int) -> Quiet:
    return Quiet(hours, np.random.default_rng(seed))


def test_a_quiet_hour_is_quiet() -> None:
    quiet = quiet_for(1.0, seed=3)
    assert quiet.visits or quiet.lights
    assert told(live(quiet)) == []


def test_somebody_who_stays_in_it_is_told() -> None:
    changes = live(Loiterer(0.12, np.random.default_rng(1)))
    assert [(c.kind.value, c.incident.rule) for c in changes] == [
        ("opened", "loitering"),
        ("escalated", "loitering"),
        ("closed", "loitering"),
    ]


@pytest.mark.slow
def test_72_quiet_hours_are_quiet() -> None:
    quiet = quiet_for(72.0, seed=7)
    assert len(quiet.visits) > 50
    assert len(quiet.lights) > 5
    assert told(live(quiet)) == []
