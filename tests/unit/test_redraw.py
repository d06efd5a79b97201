"""Zones and masks that change while the box guards; incidents that somebody ends; outputs that somebody tries."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from fakes.alarms import make_incident
from fakes.cameras import make_frames
from fakes.clocks import FakeClock
from fakes.detectors import FakeDetector, Seen
from fakes.scenes import observation, utc, zone

from edge.alerts.gpio import GpioIndicator, NoIndicator, OutputSpec
from edge.alerts.pins import open_pin_factory
from edge.incidents import Incidents
from edge.masks import Mask, Masks
from edge.pipeline import Line, Pipeline
from edge.rules.loitering import Loitering
from edge.rules.restricted_area import RestrictedArea
from edge.track.tracker import Tracker
from edge.types import ChangeKind, Severity, ZoneKind
from edge.zones import ZoneMap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.types import Zone

MAN = Seen("person", (20.0, 5.0, 30.0, 30.0))  # of 64 x 36: his feet at 0.39, 0.83
WHITE = np.full((36, 64, 3), 255, np.uint8)
CORNER = np.array([[0.9, 0], [1, 0], [1, 0.2]], np.float32)


def pipeline(zones: Sequence[Zone] = (), masks: Sequence[Mask] = ()) -> Pipeline:
    numbers = itertools.count(1)
    people = {0}
    return Pipeline(
        detector=FakeDetector(lambda _: [MAN]),
        lines={
            "lobby": Line(
                Tracker(),
                ZoneMap("lobby", zones),
                [
                    Loitering(person_classes=people, dwell_s=20.0, escalate_s=600.0),
                    RestrictedArea(person_classes=people, dwell_s=0.5),
                ],
                Masks("lobby", masks),
            )
        },
        incidents=Incidents(new_id=lambda: f"i{next(numbers)}", close_after_s=1.0, cooldown_s=0.0),
        now_s=lambda: 0.0,
        clock_synced=lambda: True,
    )


def test_a_zone_drawn_while_it_runs_counts_from_the_next_frame_on_and_nobody_is_forgotten() -> None:
    box, frames = pipeline(), make_frames(300)
    before = [box.step(f) for f in frames[:100]]
    assert not [c for j in before for c in j.changes]
    behind = zone(ZoneKind.RESTRICTED, 0.3, 0.5, 0.5, 1.0)
    box.redraw("lobby", zones=ZoneMap("lobby", [behind]), masks=[])
    after = [box.step(f) for f in frames[100:]]
    assert after[0].tracks.track_id.tolist() == before[-1].tracks.track_id.tolist()
    opened = {c.incident.rule: c.t_mono_s for j in after for c in j.changes if c.kind is ChangeKind.OPENED}
    assert set(opened) == {"restricted_area", "loitering"}
    assert opened["loitering"] - frames[0].t_mono_s < 20.5  # he has been there since before the drawing


def test_masks_drawn_while_it_runs_are_black_in_the_next_frame_and_those_removed_are_not() -> None:
    box = pipeline(masks=[Mask("lobby", CORNER, seen=True)])
    first, second, third = make_frames(3, image=WHITE)
    assert box.step(first).frame.image[1, 62].tolist() == [0, 0, 0]
    mirrored = np.array([[0, 0], [0.1, 0], [0, 0.2]], np.float32)
    box.redraw("lobby", zones=ZoneMap("lobby", []), masks=[Mask("lobby", mirrored, seen=False)])
    shown = box.step(second).frame.image
    assert shown[1, 62].tolist() == [255, 255, 255]
    assert shown[1, 1].tolist() == [0, 0, 0]
    box.redraw("lobby", zones=ZoneMap("lobby", []), masks=[Mask("yard", mirrored, seen=False)])
    assert (box.step(third).frame.image == 255).all()


def test_an_incident_that_somebody_ends_closes_with_their_reason_and_opens_anew_at_once() -> None:
    numbers = itertools.count(1)
    box = Incidents(new_id=lambda: f"i{next(numbers)}", close_after_s=5.0, cooldown_s=60.0)
    box.update("lobby", [observation(0)], t_mono_s=0, t_utc=utc(0))
    box.alert_queued("i1", Severity.CRITICAL)
    box.end(["i1", "long-gone"], "the walk test is over")
    closed, opened = box.update("lobby", [observation(1)], t_mono_s=1, t_utc=utc(1))
    assert (closed.kind, closed.incident.close_reason) == (ChangeKind.CLOSED, "the walk test is over")
    assert (opened.kind, opened.incident.incident_id) == (ChangeKind.OPENED, "i2")
    assert box.update("lobby", [observation(2)], t_mono_s=2, t_utc=utc(2)) == []


def test_an_output_that_is_tried_goes_off_by_itself_and_status_lights_are_left_alone() -> None:
    factory, clock = open_pin_factory("mock"), FakeClock()
    specs = {"siren": OutputSpec(17), "light": OutputSpec(22, role="status")}
    box = GpioIndicator(specs, pin_factory=factory)
    box._clock = clock  # no thread: the test beats
    assert box.test(None, seconds=3.0) == ["siren"]
    box.show([], now_s=clock.monotonic_s())
    assert bool(factory.pin(17).state)
    clock.advance(3.1)
    box.show([], now_s=clock.monotonic_s())
    assert not factory.pin(17).state
    box.test(["siren"], seconds=1.0)
    box.show([make_incident()], now_s=clock.monotonic_s())
    clock.advance(2)
    box.show([make_incident()], now_s=clock.monotonic_s())
    assert bool(factory.pin(17).state)  # in earnest: the end of the test does not end it
    box.close()
    factory.reset()
    assert NoIndicator().test(None, seconds=1.0) == []
