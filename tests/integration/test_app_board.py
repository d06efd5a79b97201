"""The health report over real stores: what a technician reads when something is wrong."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

from fakes.alarms import make_alert
from fakes.cameras import FakeCamera, make_frames
from fakes.clocks import FakeClock
from fakes.detectors import FakeDetector, Seen
from fakes.indicators import FakeIndicator

from edge.alerts.database import open_database
from edge.alerts.evidence import EvidenceStore
from edge.alerts.incident_store import IncidentStore
from edge.alerts.outbox import Outbox
from edge.alerts.writer import WriterWorker
from edge.app.board import Board, Limits
from edge.app.hand_over import AlertMaker, Annotator, hand_over
from edge.errors import CameraLost
from edge.health.interface import Status
from edge.incidents import Incidents
from edge.loop import Loop
from edge.pipeline import Line, Pipeline
from edge.rules.loitering import Loitering
from edge.track.tracker import Tracker
from edge.zones import ZoneMap

if TYPE_CHECKING:
    from pathlib import Path


class Kiosk:
    """The appliance's own parts on a fake clock and camera; only threads and sockets are left out."""

    def __init__(self, state_dir: Path, script: list[object], *, boot: str = "boot-1") -> None:
        self.clock = FakeClock(mono_s=99.0)
        self.camera = FakeCamera(script, clock=self.clock)  # type: ignore[arg-type]
        self.database = open_database(state_dir, clock=self.clock)
        self.outbox = Outbox(self.database, clock=self.clock, boot_id=boot)
        self.store = IncidentStore(self.database, clock=self.clock, boot_id=boot)
        detector, numbers = FakeDetector(lambda _: [Seen("person", (20, 5, 30, 30))]), itertools.count(1)
        self.pipeline = Pipeline(
            detector=detector,
            lines={
                "lobby": Line(Tracker(), ZoneMap("lobby", []), [Loitering(person_classes={0}, dwell_s=2, escalate_s=9)])
            },
            incidents=Incidents(new_id=lambda: f"{boot}-i{next(numbers)}", close_after_s=1, cooldown_s=60),
            now_s=self.clock.monotonic_s,
            clock_synced=self.clock.synchronised,
        )
        self.writer = WriterWorker(
            evidence=EvidenceStore(state_dir / "evidence", clock=self.clock, min_free_bytes=0),
            incidents=self.store,
            outbox=self.outbox,
            clock=self.clock,
            annotate=Annotator(detector),
            make_alert=AlertMaker("fake 1", boot, self.clock),
            on_stored=lambda alert: self.pipeline.incidents.alert_queued(alert.incident_id, alert.severity),
        )
        self.indicator = FakeIndicator()
        self.statuses: list[Status] = []
        self.board = Board(
            kiosk="kiosk-1",
            version="1.0",
            model="fake 1",
            state_dir=state_dir,
            pipeline=self.pipeline,
            cameras=[self.camera],
            limits=Limits({"lobby": 3.0}, {"lobby": 10.0}),
            outbox=self.outbox,
            writer=self.writer,
            delivery=None,
            incident_store=self.store,
            indicator=self.indicator,
            clock=self.clock,
            on_status=self.statuses.append,
        )

    def run(self, *, until_incident: bool = False) -> None:
        stop = threading.Event()

        def tell(change: object, judged: object) -> None:
            hand_over(change, judged, self.writer)  # type: ignore[arg-type]
            self.writer.step()
            if until_incident:
                stop.set()

        Loop(
            cameras=[self.camera],
            pipeline=self.pipeline,
            indicator=self.indicator,
            hand_over=tell,
            clock=self.clock,
            lost_after_s={"lobby": 3.0},
        ).run(stop)
        self.board.refresh()

    def verdict(self, check: str) -> tuple[Status, str]:
        (found,) = [c for c in self.board.report().checks if c.name == check]
        return found.status, found.output


def test_before_the_first_picture_it_lives_but_is_not_ready(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path, [])
    assert kiosk.board.live() == (True, "")
    ready, why = kiosk.board.ready()
    assert not ready
    assert "no picture was judged yet" in why


def test_a_healthy_box_tells_what_it_did(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path, make_frames(40))
    kiosk.run(until_incident=True)
    assert kiosk.board.ready() == (True, "")
    details = kiosk.board.report().details
    assert details["frames_judged"] == kiosk.pipeline.vitals.frames_judged > 20
    assert [i["rule"] for i in details["incidents"]["open"]] == ["loitering"]
    assert [i["id"] for i in details["incidents"]["recent"]] == ["boot-1-i1"]
    assert details["incidents"]["opened"] == {"loitering/low": 1}
    assert details["outbox"]["waiting"] == 1
    assert details["outputs"] == {"alarm": True}
    assert kiosk.verdict("mail")[0] is Status.WARN  # switched off: nobody is told
    assert kiosk.verdict("camera:lobby")[0] is Status.PASS


def test_a_lost_camera_fails_the_box_and_the_status_light_hears_of_it(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path, [*make_frames(3), *[CameraLost("unplugged")] * 10])
    kiosk.run(until_incident=True)
    assert kiosk.board.ready()[0] is False
    status, words = kiosk.verdict("frame_age:lobby")
    assert status is Status.FAIL
    assert "does not see" in words
    assert kiosk.statuses[-1] is Status.FAIL


def test_alerts_given_up_before_this_start_or_on_purpose_are_no_warning_and_others_are(tmp_path: Path) -> None:
    before = Kiosk(tmp_path, [])
    tight = Outbox(before.database, clock=before.clock, boot_id="boot-1", max_items=1)
    for name in "ab":
        tight.enqueue(make_alert(name))
    assert tight.stats().dropped_by["full"] == 1
    kiosk = Kiosk(tmp_path, [])
    kiosk.outbox.drop(kiosk.outbox.entries()[0].alert_id)
    assert kiosk.verdict("outbox") == (Status.PASS, "")
    tight = Outbox(kiosk.database, clock=kiosk.clock, boot_id="boot-1", max_items=1)
    for name in "cd":
        tight.enqueue(make_alert(name))
    kiosk.outbox.retry()  # the gauges are read anew
    status, words = kiosk.verdict("outbox")
    assert (status, words.partition(" given up")[0]) == (Status.WARN, "1 alert was")


def test_a_pipeline_that_hangs_is_not_alive(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path, make_frames(3))
    kiosk.run()
    kiosk.clock.advance(31)
    alive, why = kiosk.board.live()
    assert not alive
    assert "31 s" in why


def test_an_alert_that_was_refused_is_told_in_one_line(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path, make_frames(3))
    alert = make_alert()
    kiosk.outbox.enqueue(alert)
    kiosk.outbox.mark_failed(alert.alert_id, "550 no such user\n  a hint", permanent=True)
    assert "a hint" not in kiosk.board._outbox_facts().last_error


def test_a_test_mail_that_failed_and_was_taken_out_again_leaves_no_check_that_passes(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path, make_frames(3))
    kiosk.board._delivery = object()  # type: ignore[assignment]  # mail is switched on
    alert = make_alert()
    kiosk.outbox.enqueue(alert)
    kiosk.outbox.mark_failed(alert.alert_id, "mail server 127.0.0.1:25 cannot be reached", channel_wide=True)
    kiosk.outbox.drop(alert.alert_id, counted=False)
    status, words = kiosk.verdict("mail")
    assert (status, "cannot be reached" in words) == (Status.WARN, True)
    kiosk.outbox.enqueue(make_alert("b"))
    kiosk.outbox.mark_delivered(make_alert("b").alert_id)
    assert kiosk.verdict("mail") == (Status.PASS, "")


def test_what_a_command_beside_the_service_took_out_of_the_outbox_waits_no_longer(tmp_path: Path) -> None:
    kiosk = Kiosk(tmp_path, make_frames(3))
    alert = make_alert()
    kiosk.outbox.enqueue(alert)
    command = open_database(tmp_path, clock=kiosk.clock)
    Outbox(command, clock=kiosk.clock, boot_id="boot-1", adopt_schedules=False).drop(alert.alert_id)
    command.close()
    kiosk.board.refresh()
    outbox = kiosk.board.report().details["outbox"]
    assert (outbox["waiting"], outbox["oldest_s"]) == (0, 0.0)
    assert kiosk.outbox.stats().dropped_by["by_hand"] == 1


def test_after_a_restart_the_same_loiterer_is_no_second_incident(tmp_path: Path) -> None:
    first = Kiosk(tmp_path, make_frames(40))
    first.run(until_incident=True)
    first.database.close()
    second = Kiosk(tmp_path, make_frames(60), boot="boot-2")
    found = second.store.load_open()
    assert [i.incident_id for i in found] == ["boot-1-i1"]
    second.pipeline.incidents.restore(found, sources=["lobby"], t_mono_s=99.0, t_utc=second.clock.utc_now())
    second.run()
    assert [i.incident_id for i in second.store.recent()] == ["boot-1-i1"]
    assert second.store.recent()[0].close_reason == "source ended"
    assert len(second.outbox.entries()) == 1
