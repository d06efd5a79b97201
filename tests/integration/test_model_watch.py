"""A running box and its model: exchanged between frames, tried, taken back; incidents, tracks and mails survive it."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
from fakes.cameras import make_frames
from fakes.clocks import FakeClock
from fakes.detectors import FakeDetector, Seen

from edge.app.build import build_incidents, build_line
from edge.app.model_exchange import ModelExchange
from edge.app.model_watch import ModelWatch, ended_in_order, open_model
from edge.app.present_model import PresentModel
from edge.config import Config
from edge.errors import DetectorError, OutboxError
from edge.health.interface import Status
from edge.models.store import MAX_STARTS, ModelStore
from edge.models.switches import SHIPPED
from edge.models.trial import Pulse
from edge.pipeline import Pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge.detect.interface import Detector
    from edge.types import Alert, Frame, IncidentChange

MAN, KNIFE = Seen("person", (20.0, 5.0, 30.0, 30.0)), Seen("knife", (24.0, 15.0, 28.0, 20.0))
# The same classes under other numbers, and one less or more.
CLASSES = {SHIPPED: ("person", "phone"), "a": ("person", "phone"), "b": ("knife", "phone", "person"), "c": ("person",)}


class Labels:
    model = ""
    resting: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed


class Box:
    """Pipeline and watch on a real store; models are folders with scripted detectors."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.store = ModelStore(folder, clock=self.clock)
        self.config = Config.model_validate(
            {
                "cameras": [{"name": "lobby", "source": "/dev/video0"}],
                "rules": {"loitering": {"dwell_s": 2.0}, "knife": {"near_person": False}},
                "incidents": {"close_after_s": 1.0},
                "model": {"still_every_s": 0.0},
            }
        )
        self.broken: set[str] = set()
        self.failing: set[str] = set()
        self.loaded: list[str] = []
        self.mails: list[Alert] = []
        self.full = False
        self.records: list[dict[str, Any]] = []
        self.changes: list[IncidentChange] = []
        self.pulse = Pulse(0, live=True, slow=False)
        self.frames = iter(make_frames(1_000, fps=4))
        self.start()

    def load(self, name: str) -> Detector:
        self.loaded.append(name)
        if name in self.broken:
            raise DetectorError(f"{name}: sha256 differs")

        def script(_: Frame) -> Sequence[Seen]:
            if name in self.failing:
                raise DetectorError(f"{name} fails on this frame")
            return [MAN, KNIFE] if "knife" in CLASSES[name] else [MAN]

        return FakeDetector(script, classes=CLASSES[name], model=f"model {name or 'shipped'}")

    def start(self) -> None:
        detector, name = open_model(self.store, self.load)
        self.present = PresentModel(detector)
        lines = {t.name: build_line(self.config, t, self.present) for t in self.config.cameras}
        numbers = itertools.count(1)
        self.pipeline = Pipeline(
            detector=self.present,
            lines=lines,
            incidents=build_incidents(self.config, lambda: f"i{next(numbers)}"),
            now_s=self.clock.monotonic_s,
            clock_synced=lambda: True,
        )
        self.labels = Labels()
        follow = ModelExchange(
            self.config,
            present=self.present,
            lines=lines,
            pipeline=self.pipeline,
            board=self.labels,  # type: ignore[arg-type] - all that it touches
            labelled=[],
        )
        self.watch = ModelWatch(
            store=self.store,
            present=self.present,
            name=name,
            load=self.load,
            exchanged=follow,
            pulse=lambda: self.pulse,
            enqueue=self.enqueue,
            record=lambda kind, data: self.records.append({"kind": kind, **data}),
            trial_s=900.0,
            clock=self.clock,
            boot_id="boot",
        )
        self.watch._last = self.store.latest()
        latest = self.store.latest()
        if latest and latest.state == "trial":
            self.watch._begin_trial(slow_before=False)
        self.present.rescue = self.watch._rescue

    def enqueue(self, alert: Alert) -> None:
        if self.full:
            raise OutboxError("the disk is full")
        self.mails.append(alert)

    def install(self, name: str) -> None:
        with self.store.changing():
            (self.store.folder / name).mkdir(exist_ok=True)
            (self.store.folder / name / "manifest.json").write_text("{}")
            self.store.switch(name, by="test", why="installed", trial=True)

    def run(self, seconds: float, *, frames: bool = True) -> None:
        """Time passes, four frames a second; the watch looks once a second."""
        for _ in range(int(seconds)):
            for _ in range(4):
                self.clock.advance(0.25)
                if frames:
                    self.changes += self.pipeline.step(next(self.frames)).changes
                    self.pulse = Pulse(self.pulse.frames + 1, live=True, slow=self.pulse.slow)
            self.watch.look()

    def coast(self, seconds: float) -> None:
        """Time passes and all goes well, at one look in ten seconds."""
        for _ in range(int(seconds / 10)):
            self.clock.advance(10)
            self.pulse = Pulse(self.pulse.frames + 50, live=True, slow=self.pulse.slow)
            self.watch.look()

    @property
    def told(self) -> list[tuple[str, str]]:
        return [(c.kind.value, c.incident.rule) for c in self.changes]


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_an_open_incident_and_its_track_go_on_under_the_new_model(box: Box) -> None:
    box.run(5)
    assert box.told == [("opened", "loitering")]
    (track,) = box.changes[0].incident.peak.track_ids
    box.install("b")
    box.run(20)
    assert box.present.model == "model b"
    assert ("closed", "loitering") not in box.told
    assert [i.peak.track_ids for i in box.pipeline.incidents.open_incidents if i.rule == "loitering"] == [(track,)]


def test_a_rule_wakes_with_the_model_that_knows_its_class_and_rests_again_without(box: Box) -> None:
    box.run(3)
    assert ("opened", "knife") not in box.told
    box.install("b")
    box.run(5)
    assert ("opened", "knife") in box.told
    assert "knife" not in box.labels.resting
    assert box.labels.model == "model b"
    box.install("c")
    box.run(5)
    assert "knife" in box.labels.resting
    assert ("closed", "knife") in box.told
    assert ("closed", "loitering") not in box.told


def test_fifteen_good_minutes_prove_a_model(box: Box) -> None:
    box.run(2)
    box.install("b")
    box.run(2)
    box.coast(890)
    assert "on trial" in box.watch.check().output
    box.coast(20)
    latest = box.store.latest()
    assert latest is not None
    assert latest.state == "good"
    assert box.mails == []
    assert box.watch.check().status is Status.PASS


def test_a_model_with_which_nothing_is_judged_is_given_up_and_a_mail_says_so(box: Box) -> None:
    box.run(2)
    box.install("b")
    box.run(5)
    box.run(40, frames=False)
    assert box.present.model == "model shipped"
    assert box.store.current() == SHIPPED
    (mail,) = box.mails
    assert mail.what == "model given up: b"
    assert any("no picture was judged" in text for _, text in mail.extra)
    assert box.records == [{**box.records[0], "kind": "model", "action": "given up", "model": "b"}]
    check = box.watch.check()
    assert check.status is Status.WARN
    assert "b was given up" in check.output


def test_a_camera_that_is_away_is_no_fault_of_the_model_and_proves_nothing(box: Box) -> None:
    box.install("b")
    box.watch.look()
    box.pulse = Pulse(0, live=False, slow=False)
    for _ in range(100):
        box.clock.advance(10)
        box.watch.look()
    latest = box.store.latest()
    assert latest is not None
    assert latest.state == "trial"
    box.run(5)
    assert box.present.model == "model b"


def test_a_model_that_is_too_slow_is_given_up_unless_the_one_before_was_too(box: Box) -> None:
    box.run(2)
    box.install("b")
    box.run(2)
    box.pulse = Pulse(box.pulse.frames, live=True, slow=True)
    box.coast(80)
    assert box.present.model == "model shipped"
    box.install("c")  # the box is slow now, whatever runs
    box.coast(80)
    assert box.present.model == "model c"


def test_a_failure_on_a_frame_is_judged_by_the_old_model_at_once(box: Box) -> None:
    box.run(5)
    box.install("b")
    box.run(3)
    box.failing.add("b")
    box.run(1)  # raises nothing
    assert box.present.model == "model shipped"
    box.run(2)
    assert box.store.current() == SHIPPED
    assert [m.what for m in box.mails] == ["model given up: b"]
    assert ("closed", "loitering") not in box.told


def test_a_proved_model_that_fails_on_a_frame_stops_the_service_as_before(box: Box) -> None:
    box.run(2)
    box.failing.add(SHIPPED)
    with pytest.raises(DetectorError):
        box.run(1)


def test_a_model_that_cannot_be_loaded_never_replaces_the_one_that_runs(box: Box) -> None:
    box.run(2)
    box.broken.add("b")
    box.install("b")
    box.run(3)
    assert box.present.model == "model shipped"
    assert box.store.current() == SHIPPED
    assert len(box.mails) == 1


def test_at_the_start_damaged_models_are_passed_over_down_to_the_shipped_one(box: Box) -> None:
    for name in ("a", "b", "c"):
        box.install(name)
    box.broken |= {"c", "b"}
    box.start()
    assert box.present.model == "model a"
    box.watch.look()
    assert [m.what for m in box.mails] == ["model given up: c", "model given up: b"]
    box.broken.add("a")
    box.start()
    assert box.present.model == "model shipped"
    box.broken.add(SHIPPED)
    with pytest.raises(DetectorError):
        box.start()


def test_a_model_that_takes_the_service_down_is_given_up_at_the_next_start(box: Box) -> None:
    box.install("b")
    for _ in range(MAX_STARTS):
        box.start()
        assert box.present.model == "model b"  # and then it crashes
    box.start()
    assert box.present.model == "model shipped"
    box.watch.look()
    assert "went down 3 times" in box.mails[0].extra[1][1]


def test_orderly_restarts_are_not_counted(box: Box) -> None:
    box.install("b")
    for _ in range(3 * MAX_STARTS):
        box.start()
        ended_in_order(box.store)
    assert box.present.model == "model b"


def test_the_mail_waits_until_it_can_be_stored_and_is_sent_once(box: Box) -> None:
    box.full = True
    box.broken.add("b")
    box.install("b")
    box.run(3)
    assert box.watch.check().status is Status.WARN
    box.full = False
    box.start()  # even over a restart
    box.run(3)
    assert len(box.mails) == 1


def test_the_command_to_roll_back_is_followed_without_a_trial_or_a_mail(box: Box) -> None:
    box.install("a")
    box.install("b")
    box.run(3)
    with box.store.changing():
        box.store.switch("a", by="test", why="rolled back by command", trial=False)
    box.run(3)
    assert box.present.model == "model a"
    assert box.mails == []
    assert "trial" not in box.watch.check().output


def test_the_thread_follows_by_itself(box: Box) -> None:
    box.install("b")
    box.watch.start()
    try:
        assert box.present.model == "model b"
        assert "on trial" in box.watch.check().output
    finally:
        box.watch.stop()


def test_classes_keep_their_numbers_whatever_the_model_calls_them() -> None:
    present = PresentModel(FakeDetector(lambda _: [MAN], classes=("phone", "person")))
    present.take(FakeDetector(lambda _: [MAN, KNIFE], classes=("knife", "person")))
    assert present.classes == ("phone", "person", "knife")
    assert present.known == ("knife", "person")
    (frame,) = make_frames(1)
    assert sorted(present.detect(frame).class_id.tolist()) == [1, 2]


def test_what_is_faint_goes_by_the_same_numbers() -> None:
    present = PresentModel(FakeDetector(classes=("phone", "person")))
    present.take(FakeDetector(lambda _: [KNIFE], classes=("knife", "person"), faint=lambda _: [MAN]))
    found = present.detect(make_frames(1)[0])
    assert found.class_id.tolist() == [2]
    assert found.faint is not None
    assert found.faint.class_id.tolist() == [1]
