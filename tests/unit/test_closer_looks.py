"""A closer look finds what the first one cannot, costs one look a frame at the most, and learns no furniture."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from fakes.clocks import FakeClock
from fakes.detectors import FakeDetector, Seen
from fakes.scenes import KNIFE, PERSON, PHONE, SIZE, Thing, detections, scene, utc
from hypothesis import given
from hypothesis import strategies as st

from edge.detect.closer import CloserLooks, cut, joined, region_of, things_of
from edge.detect.gate import StillGate
from edge.incidents import Incidents
from edge.pipeline import Judged, Line, Pipeline
from edge.rules.object_seen import PART_OF_THE_ROOM, ObjectSeen, Sightings, stands_for_s
from edge.track.tracker import Tracker
from edge.types import ChangeKind, Detections, Features, Frame, Look
from edge.zones import ZoneMap
from export.closer import with_closer_looks

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.types import U8

STEP_S = 0.2
NOBODY = Detections.empty()
SOMETHING = detections(Thing(9, x=60, feet=60, height=20, cls=KNIFE))  # in the pixels of what is cut out


def looked(
    closer: CloserLooks, people: dict[float, list[Thing]], *, finds: tuple[float, float] | None = None
) -> list[tuple[float, float]]:
    """(when, the middle of what was looked at) while these people are there; ``finds``: from when to when a knife is found."""
    out = []
    for t, there in people.items():
        look = closer.choose(detections(*there), SIZE, t)
        if look is None:
            continue
        out.append((round(t, 2), (look.xyxy[0] + look.xyxy[2]) / 2))
        found = finds is not None and finds[0] <= t <= finds[1]
        closer.take(look, SOMETHING if found else NOBODY, detections(*there), SIZE, t)
    return out


def times(seconds: float, *, start: float = 0.0) -> list[float]:
    return [round(start + i * STEP_S, 3) for i in range(round(seconds / STEP_S))]


@given(
    x=st.floats(0, 640), feet=st.floats(10, 360), height=st.floats(1, 400), size=st.sampled_from([(640, 360), (1280, 720), (290, 284)])
)  # fmt: skip
def test_what_is_cut_out_lies_in_the_picture_and_holds_the_person(
    x: float, feet: float, height: float, size: tuple[int, int]
) -> None:
    box = np.clip(np.array(Thing(1, x=x, feet=feet, height=height).box), 0, [*size, *size]).astype(np.float32)
    region = region_of(box, size)
    most = min(size[0] / 1.625, size[1]) / 1.3
    if region is None:  # broader than what could be cut out, or only less than half of them would be in it
        assert 1.15 * (box[2] - box[0]) > 1.6 * most or box[3] - box[1] > 1.99 * most
        return
    x1, y1, x2, y2 = region
    assert 0 <= x1 < x2 <= size[0]
    assert 0 <= y1 < y2 <= size[1]
    assert x1 <= box[0] + 1
    assert y1 <= box[1] + 1
    assert x2 >= box[2] - 1
    assert y2 >= min(box[3], box[1] + 0.85 * most) - 1
    assert max((x2 - x1) / size[0], (y2 - y1) / size[1]) <= 1 / 1.3 + 0.01


def test_of_who_is_too_tall_for_it_the_upper_part_is_looked_at() -> None:
    region = region_of(np.array([250, 20, 390, 350], np.float32), SIZE)
    assert region is not None
    assert region[1] == 0
    assert 250 < region[3] < 280


def test_who_fills_the_picture_from_side_to_side_is_not_looked_at_closer() -> None:
    assert region_of(np.array([60, 10, 580, 350], np.float32), SIZE) is None


def test_each_person_in_turn_somebody_new_at_once() -> None:
    here, there = Thing(1, x=100), Thing(2, x=500)
    people = {t: [here] if t < 1 else [here, there] for t in times(2.6)}
    found = looked(CloserLooks(every_s=0.4, person_classes={PERSON}), people)
    assert [t for t, _ in found] == [0.0, 0.4, 0.8, 1.0, 1.4, 1.8, 2.2]
    assert [x > 300 for _, x in found] == [False, False, False, True, False, True, False]


def test_a_crowd_costs_no_more_than_one_person_and_nobody_is_forgotten() -> None:
    crowd = [Thing(i, x=50 + 90 * i, height=80) for i in range(7)]
    found = looked(CloserLooks(every_s=0.4, person_classes={PERSON}), dict.fromkeys(times(4.4), crowd))
    assert [t for t, _ in found] == [*times(1.4), 1.6, 2.0, 2.4, 2.8, 3.2, 3.6, 4.0]  # all are new, once
    assert len({round(x) for t, x in found if t > 1.4}) == 7


def test_who_stands_beside_the_person_looked_at_was_looked_at_too_but_not_who_is_far_behind() -> None:
    beside, behind = Thing(2, x=350, feet=295, height=140), Thing(3, x=280, feet=200, height=50)
    people = {t: [Thing(1, x=300), beside, behind] for t in times(2.0)}
    found = looked(CloserLooks(every_s=0.4, person_classes={PERSON}), people)
    assert [t for t, _ in found] == [0.0, 0.2, 0.6, 1.0, 1.4, 1.8]
    assert [abs(x - 280) < 10 for _, x in found] == [False, True, False, True, False, True]


def test_a_find_is_followed_in_every_frame_for_some_seconds() -> None:
    closer = CloserLooks(every_s=1.0, person_classes={PERSON})
    found = looked(closer, {t: [Thing(1)] for t in times(8.0)}, finds=(1.0, 99.0))
    when = [t for t, _ in found]
    assert when[:2] == [0.0, 1.0]
    assert [t for t in when if 1.0 <= t <= 5.0] == times(4.2, start=1.0)
    assert len([t for t in when if t > 5.0]) <= 3  # it stays, its rule has decided long ago


def test_a_find_of_one_person_does_not_starve_another() -> None:
    closer = CloserLooks(every_s=0.4, person_classes={PERSON})
    people = {t: [Thing(1, x=100), Thing(2, x=500)] for t in times(3.0)}
    found = []
    for t, there in people.items():
        look = closer.choose(detections(*there), SIZE, t)
        if look is not None:
            at = (look.xyxy[0] + look.xyxy[2]) / 2
            found.append(at > 300)
            closer.take(look, SOMETHING if at < 300 else NOBODY, detections(*there), SIZE, t)
    assert found.count(True) >= 3
    assert found.count(False) >= 9
    assert len(found) == 15


def test_an_empty_picture_costs_nothing() -> None:
    closer = CloserLooks(every_s=0.4, person_classes={PERSON})
    assert looked(closer, {t: [Thing(3, cls=PHONE)] if t > 1 else [] for t in times(3.0)}) == []
    assert not closer.waits(3.0)


def test_where_something_was_found_the_empty_place_is_looked_at_again_for_a_while() -> None:
    closer = CloserLooks(every_s=0.4, person_classes={PERSON})
    people = {t: [Thing(1)] if t < 2 else [] for t in times(20.0)}
    when = [t for t, _ in looked(closer, people, finds=(1.0, 99.0)) if t >= 2]
    assert when[0] == 2.0
    assert np.diff(when).max() <= 0.41
    assert 10.0 <= when[-1] <= 11.5
    assert not closer.waits(19.0)


def test_what_went_with_the_person_is_not_looked_for_for_long() -> None:
    closer = CloserLooks(every_s=0.4, person_classes={PERSON})
    people = {t: [Thing(1)] if t < 2 else [] for t in times(20.0)}
    when = [t for t, _ in looked(closer, people, finds=(1.0, 1.99)) if t >= 2]
    assert when == [2.0, 2.2, 2.4, 2.6, 3.0, 3.4]  # three times for them, three times for it


class Lost:
    """Looks for somebody at x = 320 who is in plain sight until 1 s, then only by a closer look, until ``gone_s``."""

    def __init__(self, *, gone_s: float, beside: Sequence[Thing] = ()) -> None:
        closer = CloserLooks(every_s=0.4, person_classes={PERSON})
        self.looks: list[float] = []
        self.found: list[tuple[float, int]] = []
        for t in times(6.0):
            whole = detections(*([Thing(1)] if t < 1 else []), *beside)
            look = closer.choose(whole, SIZE, t)
            if look is not None:
                self.looks.append(t)
                box = np.array([Thing(1).box], np.float32) - np.array([*look.xyxy[:2]] * 2, np.float32)
                person = Detections(box, np.array([0.6], np.float32), np.array([PERSON]))
                whole = closer.take(look, person if t < gone_s else NOBODY, whole, SIZE, t)
            self.found.append((t, int((whole.class_id == PERSON).sum())))


def test_who_is_lost_is_looked_for_where_they_were_but_not_for_ever() -> None:
    """What hangs there all along may look like them: two seconds, as long as a faint box counts."""
    lost = Lost(gone_s=99.0)
    assert [n for t, n in lost.found if t < 2.8] == [1] * 14
    assert [n for t, n in lost.found if t > 2.9] == [0] * len([t for t in times(6.0) if t > 2.9])
    assert max(lost.looks) < 2.9


def test_who_has_left_is_looked_for_three_times() -> None:
    lost = Lost(gone_s=1.0)
    assert [t for t in lost.looks if t >= 1] == [1.0, 1.2, 1.4]
    assert all(n == 0 for t, n in lost.found if t >= 1)


def test_who_is_in_plain_sight_is_nobody_who_was_lost() -> None:
    beside = Thing(2, x=330, feet=302, height=152, score=0.8)
    assert all(n == 1 for t, n in Lost(gone_s=99.0, beside=[beside]).found if t >= 1)


def test_what_the_cut_goes_through_is_left_to_other_looks_but_not_at_the_pictures_own_edge() -> None:
    look = Look((100, 0, 300, 120), stands_for_s=0.4)
    part = Detections(
        np.array(
            [[50, 40, 70, 60], [0, 40, 20, 60], [50, 0, 70, 20], [190, 40, 200, 60], [10, 10, 60, 100]], np.float32
        ),
        np.array([0.9, 0.8, 0.7, 0.6, 0.5], np.float32),
        np.array([KNIFE, KNIFE, KNIFE, KNIFE, PERSON]),
    )
    things = things_of(part, look, SIZE, [PERSON])
    assert things.xyxy.tolist() == [[150, 40, 170, 60], [150, 0, 170, 20]]
    assert things.score.tolist() == pytest.approx([0.9, 0.7])
    assert cut(np.zeros((360, 640, 3), np.uint8), look).shape == (120, 200, 3)


def test_of_what_both_looks_find_the_surer_stays_and_no_person_is_lost() -> None:
    whole = detections(
        Thing(1, x=300), Thing(2, x=306, score=0.5), Thing(3, x=300, feet=200, height=40, cls=KNIFE, score=0.45)
    )
    features = Features(np.zeros((1, 2, 2), np.float32), (0, 0, 2, 2), (1.0, 1.0), (0.0, 0.0), "x")
    whole = replace(whole, features=features, faint=detections(Thing(4)))
    things = detections(
        Thing(5, x=301, feet=201, height=40, cls=KNIFE, score=0.8), Thing(6, x=400, cls=PHONE, score=0.6)
    )
    both = joined(whole, things)
    assert both.score.tolist() == pytest.approx([0.9, 0.8, 0.6, 0.5])
    assert both.class_id.tolist() == [PERSON, KNIFE, PHONE, PERSON]
    assert both.features is features
    assert both.faint is whole.faint
    assert joined(whole, NOBODY) is whole


def test_a_look_stands_for_the_time_since_the_last_and_no_moment_counts_twice() -> None:
    sightings = Sightings(window_s=3.0)
    for t, stands_s in ((0.0, 0.0), (0.2, None), (0.4, 0.4), (0.6, 0.2), (0.8, None), (1.0, 0.4)):
        sightings.update([] if stands_s is None else [(7, 0.5, stands_s)], t)
    assert sightings.seconds(7) == pytest.approx(1.0)
    assert sightings.score_seconds(7) == pytest.approx(0.5)
    sightings.update([(7, 0.5, 60.0)], 1.2)
    assert sightings.seconds(7) == pytest.approx(1.2)


def test_only_what_lies_in_the_look_was_looked_at() -> None:
    seen = replace(
        scene(1.0, Thing(1, x=100, cls=KNIFE), Thing(2, x=500, cls=KNIFE)),
        look=Look((0, 0, 300, 360), stands_for_s=0.4),
    )
    assert stands_for_s(seen, np.array([True, True])) == pytest.approx([0.4, 0.0])
    assert stands_for_s(replace(seen, look=None), np.array([True, True])) == [0.0, 0.0]


class Lobby:
    """A pipeline whose detector sees a knife only in a picture that is less than half as wide."""

    def __init__(self, *, every_s: float | None) -> None:
        numbers = itertools.count(1)
        self.opened: list[float] = []
        closer = CloserLooks(every_s=every_s, person_classes={0}) if every_s else None
        clock = FakeClock(mono_s=0.0)
        self.pipeline = Pipeline(
            detector=FakeDetector(self._sees),
            lines={
                "lobby": Line(
                    Tracker(person_classes={0}, held_classes={2}),
                    ZoneMap("lobby", []),
                    [ObjectSeen(name="knife", classes={2}, min_score=0.5, seen_s=0.6, window_s=3.0, score_s=0.4)],
                    closer=closer,
                    gate=StillGate(),
                )
            },
            incidents=Incidents(new_id=lambda: f"i{next(numbers)}", close_after_s=1.0, cooldown_s=0.0),
            now_s=clock.monotonic_s,
            clock_synced=lambda: True,
        )

    @staticmethod
    def picture(*, person: bool, knife: bool) -> U8:
        image = np.full((360, 640, 3), 90, np.uint8)
        if person:
            image[140:300, 290:350] = (200, 0, 0)
        if knife:
            image[200:216, 330:340] = (0, 0, 200)
        return image

    @staticmethod
    def _sees(frame: Frame) -> list[Seen]:
        found = []
        for name, colour, large in (("person", (200, 0, 0), False), ("knife", (0, 0, 200), True)):
            rows, columns = np.nonzero((frame.image == colour).all(axis=2))
            if len(rows) and (frame.image.shape[1] < 320 or not large):
                box = (float(columns.min()), float(rows.min()), float(columns.max() + 1), float(rows.max() + 1))
                found.append(Seen(name, box, 0.8))
        return found

    def live(self, start_s: float, seconds: float, *, person: bool, knife: bool) -> Judged:
        for t in times(seconds, start=start_s):
            image = self.picture(person=person, knife=knife)
            judged = self.pipeline.step(Frame(image, round(t / STEP_S), t, utc(t), "lobby"))
            self.opened += [t for c in judged.changes if c.kind is ChangeKind.OPENED]
        return judged


def test_what_only_a_closer_look_shows_is_an_incident_as_soon_as_if_every_frame_had_shown_it() -> None:
    without, every_frame, in_turn = Lobby(every_s=None), Lobby(every_s=0.01), Lobby(every_s=0.4)
    for lobby in (without, every_frame, in_turn):
        lobby.live(0.0, 2.0, person=True, knife=False)
        lobby.live(2.0, 3.0, person=True, knife=True)
    assert without.opened == []
    assert len(every_frame.opened) == 1
    assert len(in_turn.opened) == 1
    assert in_turn.opened[0] <= every_frame.opened[0] + 0.41
    assert without.pipeline.vitals.closer_looks == 0
    assert in_turn.pipeline.vitals.closer_looks < every_frame.pipeline.vitals.closer_looks


def test_the_knife_is_in_the_holders_hand() -> None:
    lobby = Lobby(every_s=0.4)
    lobby.live(0.0, 2.0, person=True, knife=False)
    tracks = lobby.live(2.0, 1.0, person=True, knife=True).tracks
    assert tracks.class_id.tolist() == [0, 2]
    assert tracks.holder_id[1] == tracks.track_id[0]
    assert tracks.xyxy[1].tolist() == [330, 200, 340, 216]


def test_what_the_closer_look_takes_for_a_knife_on_the_furniture_alarms_once_and_is_known_from_then_on() -> None:
    """A sticker on the machine, seen only while somebody stands before it: the place is looked at when they have gone."""
    lobby = Lobby(every_s=0.4)
    lobby.live(0.0, 2.0, person=False, knife=True)
    lobby.live(2.0, 6.0, person=True, knife=True)
    assert len(lobby.opened) == 1
    lobby.live(8.0, 20.0, person=False, knife=True)
    again = lobby.pipeline.vitals.closer_looks
    lobby.live(28.0, 30.0, person=False, knife=True)
    assert lobby.pipeline.vitals.closer_looks == again  # and then left alone
    lobby.live(58.0, 10.0, person=True, knife=True)
    assert len(lobby.opened) == 1
    assert lobby.pipeline.incidents.suppressed_total[PART_OF_THE_ROOM] > 0


class Near:
    """A model that sees a knife in the middle of whatever it is given, if that is small."""

    classes = ("person", "phone", "knife")

    def detect_image(self, image: U8) -> Detections:
        height, width = image.shape[:2]
        return detections(Thing(1, x=width / 2, feet=height / 2 + 5, height=10, cls=KNIFE)) if width < 300 else NOBODY


def test_measured_is_what_a_look_at_each_person_shows() -> None:
    people = [np.array(Thing(1, x=x).box, np.float32) for x in (150, 450)]
    image, found = np.zeros((360, 640, 3), np.uint8), detections(*(Thing(1, x=x) for x in (150, 450)))
    both = with_closer_looks(Near(), image, found, people)  # type: ignore[arg-type]
    assert both.class_id.tolist() == [PERSON, PERSON, KNIFE, KNIFE]
    assert sorted((both.xyxy[2:, 0] + both.xyxy[2:, 2]) / 2) == pytest.approx([150, 450], abs=1)
    assert with_closer_looks(Near(), image, found, []) is found  # type: ignore[arg-type]
