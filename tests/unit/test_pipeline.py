from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.cameras import FakeCamera, make_frames
from fakes.clocks import FakeClock
from fakes.detectors import FakeDetector, Seen
from fakes.indicators import FakeIndicator
from fakes.scenes import zone

from edge.detect.gate import StillGate
from edge.errors import CameraLost, DetectorError, IndicatorError
from edge.incidents import Incidents
from edge.loop import CAMERA_LOST, Loop
from edge.pipeline import Judged, Line, Pipeline
from edge.rules.loitering import Loitering
from edge.track.exits import Exits
from edge.track.tracker import Tracker
from edge.types import ChangeKind, IncidentChange, ZoneKind
from edge.zones import ZoneMap

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from edge.types import Incident, Zone

MAN = Seen("person", (20.0, 5.0, 30.0, 30.0))


class Box:
    """A whole pipeline with a loop, on fakes."""

    def __init__(
        self,
        *cameras: FakeCamera,
        clock: FakeClock,
        detector: FakeDetector | None = None,
        zones: Sequence[Zone] = (),
        indicator: FakeIndicator | None = None,
    ) -> None:
        numbers = itertools.count(1)
        self.changes: list[tuple[IncidentChange, Judged | None]] = []
        self.indicator = indicator or FakeIndicator()
        self.pipeline = Pipeline(
            detector=detector or FakeDetector(lambda _: [MAN]),
            lines={
                c.name: Line(
                    Tracker(), ZoneMap(c.name, zones), [Loitering(person_classes={0}, dwell_s=2.0, escalate_s=60.0)]
                )
                for c in cameras
            },
            incidents=Incidents(new_id=lambda: f"i{next(numbers)}", close_after_s=1.0, cooldown_s=0.0),
            now_s=clock.monotonic_s,
            clock_synced=lambda: True,
        )
        self.loop = Loop(
            cameras=cameras,
            pipeline=self.pipeline,
            indicator=self.indicator,
            hand_over=lambda change, judged: self.changes.append((change, judged)),
            clock=clock,
            lost_after_s={c.name: 3.0 for c in cameras},
        )

    @property
    def told(self) -> list[tuple[ChangeKind, str]]:
        return [(c.kind, c.incident.rule) for c, _ in self.changes]


def test_a_loiterer_is_told_with_the_frame_that_showed_it_and_closed_at_the_end() -> None:
    clock = FakeClock(mono_s=99.0)
    box = Box(FakeCamera(make_frames(40, fps=10), clock=clock), clock=clock)
    box.loop.run(threading.Event())
    assert box.told == [(ChangeKind.OPENED, "loitering"), (ChangeKind.CLOSED, "loitering")]
    opened, judged = box.changes[0]
    assert judged is not None
    assert judged.frame.seq == 20  # there from the first frame on, more than 2 s
    assert opened.t_mono_s == pytest.approx(judged.frame.t_mono_s)
    assert box.changes[1][0].incident.close_reason == "source ended"
    assert box.pipeline.vitals.frames_judged == 40
    assert box.indicator.levels() == {"alarm": False}


def test_the_indicator_hears_of_an_incident_before_anybody_else() -> None:
    clock = FakeClock(mono_s=99.0)
    order: list[str] = []

    class Listening(FakeIndicator):
        def show(self, open_incidents: Collection[Incident], *, now_s: float) -> None:
            if open_incidents and "siren" not in order:
                order.append("siren")

    box = Box(FakeCamera(make_frames(40), clock=clock), clock=clock, indicator=Listening())
    box.loop._hand_over = lambda *_: order.append("writer")
    box.loop.run(threading.Event())
    assert order[:2] == ["siren", "writer"]


def test_nobody_in_an_ignore_zone_is_seen_by_a_rule() -> None:
    clock = FakeClock(mono_s=99.0)
    box = Box(FakeCamera(make_frames(60), clock=clock), clock=clock, zones=[zone(ZoneKind.IGNORE, 0.2, 0.5, 0.6, 1)])
    box.loop.run(threading.Event())
    assert box.told == []


def test_what_is_faint_counts_nowhere_but_for_a_moment_with_who_was_there() -> None:
    """Somebody for three seconds, and a coat that looks a little like them, before and after, for ever."""
    frames = make_frames(200, fps=10, image=np.full((36, 64, 3), 90, np.uint8))
    there = range(60, 90)
    coat = Seen("person", MAN.xyxy, 0.2)
    detector = FakeDetector({k: [MAN] for k in there}, faint=lambda _: [coat])
    rule = Loitering(person_classes={0}, dwell_s=9.0, escalate_s=60.0)
    gate = StillGate(look_every_s=1.0, hold_s=0.5)
    numbers = itertools.count(1)
    tracker = Tracker(faint_s=2.0, exits=Exits(doors=[zone(ZoneKind.DOOR, 0.9, 0, 1, 1).polygon]))
    pipeline = Pipeline(
        detector=detector,
        lines={"lobby": Line(tracker, ZoneMap("lobby", []), [rule], gate=gate)},
        incidents=Incidents(new_id=lambda: f"i{next(numbers)}", close_after_s=1.0, cooldown_s=0.0),
        now_s=FakeClock(mono_s=0.0).monotonic_s,
        clock_synced=lambda: True,
    )
    seen = []
    for frame in frames:
        judged = pipeline.step(frame)
        seen.append(bool((judged.tracks.unseen_s == 0).any()))
        assert judged.changes == ()
        assert len(judged.tracks) == 0 or there[0] <= frame.seq <= there[-1] + 52
    assert not any(seen[: there[0]])
    assert sum(seen[there[-1] + 1 :]) == 20  # two seconds
    looked = np.array(detector.asked)
    assert (looked < there[0]).sum() < 20, "a picture with nothing but the coat is an empty one"
    assert (looked > 160).sum() < 10


def test_a_lost_camera_is_one_incident_and_closes_on_recovery() -> None:
    clock = FakeClock(mono_s=99.0)
    gone = [CameraLost("unplugged") for _ in range(20)]  # each costs the loop's half second of patience
    later = make_frames(30, start_mono_s=120.0, first_seq=20)
    box = Box(FakeCamera([*make_frames(5), *gone, *later], clock=clock), clock=clock, detector=FakeDetector())
    box.loop.run(threading.Event())
    assert box.told == [(ChangeKind.OPENED, CAMERA_LOST), (ChangeKind.CLOSED, CAMERA_LOST)]
    assert box.changes[0][1] is None
    peak = box.changes[1][0].incident.peak
    assert (peak.threshold, peak.unit) == (3.0, "s")
    assert peak.value > 3


def test_a_short_loss_is_no_incident() -> None:
    clock = FakeClock(mono_s=99.0)
    script = [
        *make_frames(5),
        CameraLost("hiccup"),
        CameraLost("hiccup"),
        *make_frames(5, start_mono_s=101.6, first_seq=9),
    ]
    box = Box(FakeCamera(script, clock=clock), clock=clock, detector=FakeDetector())
    box.loop.run(threading.Event())
    assert box.told == []


def test_a_camera_that_never_came_is_an_incident_too() -> None:
    clock = FakeClock(mono_s=99.0)
    box = Box(FakeCamera([CameraLost("no route")] * 20, clock=clock), clock=clock)
    box.loop.run(threading.Event())
    assert box.told[0] == (ChangeKind.OPENED, CAMERA_LOST)


def test_cameras_do_not_mix() -> None:
    clock = FakeClock(mono_s=99.0)
    quiet = FakeCamera(make_frames(40, camera="yard"), name="yard", clock=clock)
    busy = FakeCamera(make_frames(40, camera="lobby"), name="lobby", clock=clock)
    detector = FakeDetector(lambda frame: [MAN] if frame.camera == "lobby" else [])
    box = Box(quiet, busy, clock=clock, detector=detector)
    box.loop.run(threading.Event())
    assert {c.incident.camera for c, _ in box.changes} == {"lobby"}
    assert box.pipeline.vitals.frames_judged == 80


def test_a_stop_leaves_incidents_open_for_the_next_start() -> None:
    clock, stop = FakeClock(mono_s=99.0), threading.Event()
    box = Box(FakeCamera(make_frames(100), clock=clock), clock=clock)
    box.loop._hand_over = lambda *_: stop.set()
    box.loop.run(stop)
    assert len(box.pipeline.incidents.open_incidents) == 1


def test_a_model_that_fails_is_not_hushed_up() -> None:
    clock = FakeClock(mono_s=99.0)
    box = Box(FakeCamera(make_frames(5), clock=clock), clock=clock, detector=FakeDetector(failing=[3]))
    with pytest.raises(DetectorError):
        box.loop.run(threading.Event())


def test_an_output_that_fails_does_not_stop_the_guarding() -> None:
    class Broken(FakeIndicator):
        def show(self, open_incidents: Collection[Incident], *, now_s: float) -> None:
            raise IndicatorError("pin 17 is gone")

    clock = FakeClock(mono_s=99.0)
    box = Box(FakeCamera(make_frames(40), clock=clock), clock=clock, indicator=Broken())
    box.loop.run(threading.Event())
    assert (ChangeKind.OPENED, "loitering") in box.told
    assert box.pipeline.vitals.indicator_error == "pin 17 is gone"
