"""The walk test over the appliance's own parts: what the desk hears, what sounds, what is written down."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
from fakes.cameras import make_frames
from fakes.clocks import FakeClock
from fakes.detectors import FakeDetector, Seen
from fakes.indicators import FakeIndicator

from edge.alerts.database import open_database
from edge.alerts.evidence import EvidenceStore
from edge.alerts.incident_store import IncidentStore
from edge.alerts.outbox import Outbox
from edge.alerts.verdict_store import VerdictStore
from edge.alerts.writer import Job, WriterWorker
from edge.app.commissioning import CommissioningRecords, smaller
from edge.app.hand_over import AlertMaker, Annotator
from edge.app.walk_test import WalkTest
from edge.errors import StateError
from edge.health.acts import ActRefused
from edge.incidents import Incidents
from edge.pipeline import Line, Pipeline
from edge.rules.loitering import Loitering
from edge.track.tracker import Tracker
from edge.types import Frame, Observation, Severity, Tracks
from edge.zones import ZoneMap

if TYPE_CHECKING:
    from pathlib import Path

JPEG = b"\xff\xd8\xff\xe0"  # no picture: what cannot be decoded is kept as it is


class Kiosk:
    """Somebody stands in the lobby from the first frame on; loitering after two seconds."""

    def __init__(self, state_dir: Path) -> None:
        self.clock = FakeClock(mono_s=100.0)
        self.database = open_database(state_dir, clock=self.clock)
        self.outbox = Outbox(self.database, clock=self.clock, boot_id="boot")
        self.store = IncidentStore(self.database, clock=self.clock, boot_id="boot")
        self.verdicts = VerdictStore(self.database, clock=self.clock)
        self.present = True
        self.logged: list[tuple[str, dict[str, Any]]] = []
        detector, numbers = FakeDetector(lambda _: [Seen("person", (20, 5, 30, 30))] * self.present), itertools.count(1)
        self.pipeline = Pipeline(
            detector=detector,
            lines={
                "lobby": Line(
                    Tracker(), ZoneMap("lobby", []), [Loitering(person_classes={0}, dwell_s=2, escalate_s=900)]
                )
            },
            incidents=Incidents(new_id=lambda: f"i{next(numbers)}", close_after_s=1, cooldown_s=600),
            now_s=self.clock.monotonic_s,
            clock_synced=self.clock.synchronised,
        )
        evidence = EvidenceStore(state_dir / "evidence", clock=self.clock, min_free_bytes=0)
        self.records = CommissioningRecords(
            state_dir / "commissioning",
            cameras=["lobby"],
            rules=["loitering", "firearm"],
            resting={"firearm": "the model knows no firearm"},
            facts=lambda: {"kiosk": "kiosk-1", "site": "<b>Main</b>", "zones": [], "masks": [], "checks": []},
            live=lambda _: JPEG,
            stored=lambda _, path: (state_dir / "evidence" / path).read_bytes(),
            log=lambda kind, data: self.logged.append((kind, data)),
        )
        self.walk = WalkTest(
            incidents=self.pipeline.incidents,
            verdicts=self.verdicts,
            rules=["loitering", "firearm"],
            resting={"firearm": "the model knows no firearm"},
            enqueue=self.outbox.enqueue,
            write_record=self.records.write,
            clock=self.clock,
            boot_id="boot",
            model="fake 1",
        )
        self.alarm = FakeIndicator()
        self.indicator = self.walk.quiet(self.alarm)
        self.writer = WriterWorker(
            evidence=evidence,
            incidents=self.store,
            outbox=self.outbox,
            clock=self.clock,
            annotate=Annotator(detector),
            make_alert=self.walk.gated(AlertMaker("fake 1", "boot", self.clock, closed_from=Severity.INFO)),
            on_stored=lambda alert: self.pipeline.incidents.alert_queued(alert.incident_id, alert.severity),
        )
        self._frames = iter(self._endless())

    def _endless(self) -> Any:
        for start in itertools.count(0, 100):
            yield from make_frames(100, start_mono_s=100.0 + start / 10, first_seq=start)

    def run(self, seconds: float) -> list[str]:
        """What became of incidents."""
        became = []
        for frame in itertools.islice(self._frames, round(seconds * 10)):
            assert isinstance(frame, Frame)
            self.clock.advance(max(0.0, frame.t_mono_s - self.clock.monotonic_s()))
            judged = self.pipeline.step(frame)
            self.indicator.show(self.pipeline.incidents.open_incidents, now_s=frame.t_mono_s)
            for change in judged.changes:
                became.append(f"{change.kind.value} {change.incident.incident_id}")
                self.writer.put(Job(change, judged.frame, judged.tracks, judged.zones))
                self.writer.step()
        return became

    @property
    def mails(self) -> list[str]:
        return [f"{e.alert.kind} {e.alert.incident_id}" for e in reversed(self.outbox.entries()) if e.alert]


def begin(kiosk: Kiosk, *, siren: bool = False, minutes: float = 1.0) -> None:
    kiosk.walk.begin(minutes=minutes, siren=siren, technician="Anna", who="token")


def test_a_walk_test_marks_ticks_off_and_tells_the_desk_nothing_but_its_begin_and_end(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path)
    begin(kiosk)
    assert kiosk.run(5) == ["opened i1"]
    assert kiosk.mails == ["opened walk-20260301-020000"]
    assert kiosk.alarm.levels() == {"alarm": False}
    state = kiosk.walk.state()
    assert state["on"]
    ticks = {r["rule"]: (r["fired"], r["resting"]) for r in state["rules"]}
    assert ticks == {"loitering": (1, ""), "firearm": (0, "the model knows no firearm")}
    assert kiosk.verdicts.of(["i1"]) == {"i1": "test"}
    assert kiosk.verdicts.counts() == {("loitering", "test"): 1}


def test_at_its_end_what_is_still_true_opens_anew_and_is_told(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path)
    begin(kiosk)
    kiosk.run(5)
    assert kiosk.walk.end()
    assert kiosk.run(1) == ["closed i1", "opened i2"]
    assert kiosk.mails[1:] == ["opened i2"]
    assert kiosk.alarm.levels() == {"alarm": True}
    assert not kiosk.walk.end()
    kiosk.walk.chore()
    assert kiosk.mails[2:] == ["closed walk-20260301-020000"]


def test_it_ends_by_itself_and_alarms_are_in_earnest_from_that_second_on(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path)
    kiosk.present = False
    begin(kiosk, minutes=1)
    assert kiosk.run(60.5) == []
    kiosk.present = True
    assert kiosk.run(3) == ["opened i1"]  # the chore has not even run
    assert kiosk.mails[1:] == ["opened i1"]
    assert kiosk.alarm.levels() == {"alarm": True}
    kiosk.walk.chore()
    assert not kiosk.walk.state()["on"]
    assert kiosk.records.kept()[0]["ended"] == "2026-03-01T02:01:00+00:00"


def test_an_incident_and_a_cooldown_from_before_do_not_hide_a_rule_from_the_test(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path)
    assert kiosk.run(5) == ["opened i1"]
    begin(kiosk)
    assert kiosk.run(1) == ["closed i1", "opened i2"]
    assert "closed i1" in kiosk.mails  # in earnest, and so told
    assert kiosk.verdicts.of(["i1", "i2"]) == {"i2": "test"}


def test_the_siren_sounds_if_asked_for(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path)
    begin(kiosk, siren=True)
    kiosk.run(5)
    assert kiosk.alarm.levels() == {"alarm": True}
    assert len(kiosk.mails) == 1


def test_the_panic_button_is_always_told_and_ticked_off_all_the_same(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path)
    begin(kiosk)
    now_s, now_utc = kiosk.clock.monotonic_s(), kiosk.clock.utc_now()
    pressed = Observation("panic-button", "panic", "desk", Severity.CRITICAL, (), now_s, "pressed", 0.0, 0.0, "s")
    for change in kiosk.pipeline.incidents.update(
        "panic-button", [pressed], t_mono_s=now_s, t_utc=now_utc, always=True
    ):
        kiosk.writer.put(Job(change, None, Tracks.empty(), ()))
        kiosk.writer.step()
    assert kiosk.mails[1:] == ["opened i1"]
    assert kiosk.walk.state()["rules"][-1]["rule"] == "panic"
    kiosk.indicator.show(kiosk.pipeline.incidents.open_incidents, now_s=now_s)
    assert kiosk.alarm.levels() == {"alarm": True}


def test_the_record_holds_what_was_walked_and_its_hash_is_in_the_incident_log(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path)
    begin(kiosk)
    kiosk.run(5)
    kiosk.walk.end()
    kiosk.walk.chore()
    (kept,) = kiosk.records.kept()
    assert (kept["technician"], kept["fired"], kept["rules"]) == ("Anna", 1, 1)
    page, media = kiosk.records.read(f"{kept['id']}.html")
    assert media.startswith("text/html")
    text = page.decode()
    assert "\u2713 fired" in text
    assert "&lt;b&gt;Main" in text
    assert text.count("<img") == 2  # the live picture, and the one of the incident
    record = json.loads(kiosk.records.read(f"{kept['id']}.json")[0])
    assert record["rules"][0]["incident_id"] == "i1"
    assert kiosk.logged[0][0] == "commissioning"
    for name in ("../kiosk.db", "walk-20260301-020000.exe", "walk-20990101-000000.html", ""):
        with pytest.raises(ActRefused):
            kiosk.records.read(name)


def test_a_record_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path)
    (tmp_path / "commissioning").write_text("in the way")
    begin(kiosk)
    kiosk.walk.end()
    with pytest.raises(StateError, match="cannot be written"):
        kiosk.walk.chore()
    (tmp_path / "commissioning").unlink()
    kiosk.walk.chore()
    assert len(kiosk.records.kept()) == 1
    assert kiosk.mails.count("closed walk-20260301-020000") == 1


@pytest.mark.parametrize("minutes", [0, 0.5, 61, float("nan"), float("inf")])
def test_minutes_have_bounds(minutes: float, tmp_path: Path) -> None:
    with pytest.raises(ActRefused, match="minutes"):
        begin(Kiosk(tmp_path), minutes=minutes)


def test_one_walk_test_at_a_time(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path)
    begin(kiosk)
    with pytest.raises(ActRefused, match="is running"):
        begin(kiosk)


def test_verdicts_replace_each_other_are_counted_once_and_outlive_a_restart(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path)
    for verdict in ("true", "false", "false"):
        kiosk.verdicts.give("i1", verdict, rule="loitering", who="desk")
    kiosk.verdicts.give("i2", "true", rule="knife", who="desk")
    wanted = {("loitering", "false"): 1, ("knife", "true"): 1}
    assert kiosk.verdicts.counts() == wanted
    assert VerdictStore(kiosk.database, clock=kiosk.clock).counts() == wanted
    kiosk.verdicts.give("i2", "", rule="knife", who="desk")
    assert kiosk.verdicts.of(["i1", "i2", "i3"]) == {"i1": "false"}
    assert kiosk.verdicts.of([]) == {}
    assert smaller(JPEG, 100) == JPEG
