from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from fakes.alarms import BOOT, make_alert, make_change, make_frame, make_incident
from fakes.clocks import FakeClock

from edge.alerts.database import open_database
from edge.alerts.evidence import EvidenceStore
from edge.alerts.incident_store import IncidentStore
from edge.alerts.outbox import Outbox
from edge.alerts.writer import Job, WriterWorker
from edge.clock import SystemClock
from edge.errors import StateError
from edge.types import ChangeKind, Frame, Severity, Tracks

if TYPE_CHECKING:
    from pathlib import Path

    from edge.types import U8, Alert, EvidenceRef, Incident, IncidentChange, Zone


def annotate(frame: Frame, tracks: Tracks, incident: Incident, zones: tuple[Zone, ...]) -> U8:
    drawn = frame.image.copy()
    drawn[:] = 255 - drawn
    return drawn


def to_alert(change: IncidentChange, evidence: tuple[EvidenceRef, ...]) -> Alert | None:
    if change.kind is ChangeKind.CLOSED:
        return None
    incident = change.incident
    return make_alert(incident.incident_id, severity=incident.severity, evidence=evidence)


def job(name: str = "a", severity: Severity = Severity.HIGH, *, frame: Frame | None = None, **how: Any) -> Job:
    return Job(make_change(make_incident(name, severity=severity), **how), frame or make_frame(), Tracks.empty(), ())


class Bench:
    def __init__(self, folder: Path, **options: Any) -> None:
        self.clock = FakeClock()
        self.database = open_database(folder, clock=self.clock)
        self.outbox = Outbox(self.database, clock=self.clock, boot_id=BOOT)
        self.incidents = IncidentStore(self.database, clock=self.clock, boot_id=BOOT)
        self.evidence = options.pop("evidence", None) or EvidenceStore(
            folder / "evidence", clock=self.clock, min_free_bytes=0
        )
        self.stored: list[str] = []
        self.writer = WriterWorker(
            **(
                {
                    "evidence": self.evidence,
                    "incidents": self.incidents,
                    "outbox": self.outbox,
                    "clock": self.clock,
                    "annotate": annotate,
                    "make_alert": to_alert,
                    "on_stored": lambda alert: self.stored.append(alert.incident_id),
                }
                | options
            )
        )

    def query_only(self, on: bool) -> None:
        """A disk that takes no writes."""
        with self.database.reading() as db:
            db.execute(f"PRAGMA query_only = {int(on)}")

    def steps(self, number: int = 1) -> None:
        for _ in range(number):
            self.writer.step()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_close_up_is_the_third_picture_and_its_failure_costs_nothing(tmp_path: Path) -> None:
    near = np.full((90, 120, 3), 77, np.uint8)

    def failing(*_: object) -> U8:
        raise ValueError("no cut")

    for name, closeup, wanted in (
        ("made", lambda *_: near, ["annotated", "clean", "closeup"]),
        ("none", lambda *_: None, ["annotated", "clean"]),
        ("failing", failing, ["annotated", "clean"]),
    ):
        (tmp_path / name).mkdir()
        bench = Bench(tmp_path / name, closeup=closeup)
        bench.writer.put(job())
        bench.steps()
        (entry,) = bench.outbox.due()
        assert entry.alert is not None
        assert [ref.role for ref in entry.alert.evidence] == wanted
        assert bench.writer.stats().pictures_lost == (name == "failing")


def test_a_job_becomes_pictures_incident_and_alert(bench: Bench) -> None:
    frame = make_frame()
    bench.writer.put(job(frame=frame))
    bench.steps()
    (entry,) = bench.outbox.due()
    assert entry.alert is not None
    assert [ref.role for ref in entry.alert.evidence] == ["annotated", "clean"]
    for ref, wanted in zip(entry.alert.evidence, (255 - frame.image, frame.image), strict=True):
        path = bench.evidence.resolve(ref)
        assert path is not None
        stored = cv2.imread(str(path))
        assert stored is not None
        assert np.abs(stored.astype(int) - wanted).mean() < 15
    assert [i.incident_id for i in bench.incidents.load_open()] == ["a"]
    assert bench.stored == ["a"]


def test_the_picture_is_copied_before_put_returns(bench: Bench) -> None:
    image = np.full((90, 160, 3), 10, np.uint8)
    frame = replace(make_frame(), image=image.view())
    bench.writer.put(job(frame=frame))
    image[:] = 200  # the camera reuses its memory
    bench.steps()
    (entry,) = bench.outbox.due()
    assert entry.alert is not None
    path = bench.evidence.resolve(entry.alert.evidence[1])
    stored = cv2.imread(str(path))
    assert stored is not None
    assert stored.mean() < 20


def test_a_change_nobody_is_told_about_is_still_remembered(bench: Bench) -> None:
    bench.writer.put(job())
    closed = make_incident("a", closed=True)
    bench.writer.put(Job(make_change(closed, ChangeKind.CLOSED), None, Tracks.empty(), ()))
    bench.steps(2)
    assert len(bench.outbox.due(limit=9)) == 1
    assert bench.incidents.load_open() == []
    assert bench.incidents.recent()[0].close_reason == "over"


def test_without_room_for_pictures_the_alert_goes_as_text(tmp_path: Path) -> None:
    bench = Bench(tmp_path, evidence=EvidenceStore(tmp_path / "e", clock=FakeClock(), min_free_bytes=10**18))
    bench.writer.put(job())
    bench.steps()
    (entry,) = bench.outbox.due()
    assert entry.alert is not None
    assert entry.alert.evidence == ()
    assert bench.writer.stats().pictures_lost == 1
    assert bench.stored == ["a"]


def test_a_drawing_that_fails_does_not_stop_the_alert(tmp_path: Path) -> None:
    def broken(*_: Any) -> U8:
        raise cv2.error("no such font")

    bench = Bench(tmp_path, annotate=broken)
    bench.writer.put(job())
    bench.steps()
    assert bench.stored == ["a"]


def test_what_cannot_be_stored_is_kept_tried_again_and_told(bench: Bench) -> None:
    bench.query_only(True)
    for name in "ab":
        bench.writer.put(job(name))
    bench.steps(2)
    stats = bench.writer.stats()
    assert (stats.unstored, stats.queued) == (2, 0)
    assert "readonly" in stats.last_error
    assert bench.stored == []
    bench.query_only(False)
    for _ in range(8):
        bench.clock.advance(bench.writer.step())
    assert bench.stored == ["a", "b"]
    assert bench.writer.stats().unstored == 0
    assert bench.writer.stats().last_error == ""


def test_what_was_sent_from_memory_is_not_stored_again(tmp_path: Path) -> None:
    told: list[str] = []
    bench = Bench(tmp_path, on_unstored=lambda alert: told.append(alert.incident_id))
    bench.query_only(True)
    for name in "ab":
        bench.writer.put(job(name))
    for _ in range(4):
        bench.clock.advance(bench.writer.step())
    assert told == ["a", "b"]
    assert [a.incident_id for a in bench.writer.unstored()] == ["a", "b"]
    bench.writer.forget("a.opened")
    bench.query_only(False)
    for _ in range(4):
        bench.clock.advance(bench.writer.step())
    assert bench.stored == ["b"]
    assert bench.writer.unstored() == ()


def test_what_happened_meanwhile_is_in_log_and_rows_in_order_once_the_disk_takes_it(tmp_path: Path) -> None:
    full, recorded, sent = True, list[str](), list[str]()

    def record(change: IncidentChange, _: object) -> None:
        if full:
            raise StateError("no space left for a whole record")
        recorded.append(f"{change.incident.incident_id} {change.kind.value}")

    bench = Bench(tmp_path, record=record, on_sent_unstored=lambda alert: sent.append(alert.incident_id), capacity=4)
    bench.query_only(True)
    for name in "abc":
        bench.writer.put(job(name))
    bench.writer.put(Job(make_change(make_incident("a", closed=True), ChangeKind.CLOSED), None, Tracks.empty(), ()))
    bench.steps(4)
    for name in "abc":  # all of them go out from memory: nothing is left to store but what happened
        bench.writer.forget(f"{name}.opened")
    assert sent == ["a", "b", "c"]
    for _ in range(5):
        bench.clock.advance(bench.writer.step())
    assert (recorded, bench.incidents.recent()) == ([], [])
    bench.query_only(False)
    full = False
    for _ in range(30):
        bench.clock.advance(bench.writer.step())
    assert recorded == ["a opened", "b opened", "c opened", "a closed"]
    assert sorted(i.incident_id for i in bench.incidents.load_open()) == ["b", "c"]
    # The memory for it is bounded, and a fault of ours with one step does not hold up the next.
    full = True
    for i in range(6):
        bench.writer.put(job(f"x{i}"))
        bench.steps()
    full = False
    bench.writer.put(job("last"))
    bench.steps()
    assert recorded[4:] == ["x2 opened", "x3 opened", "x4 opened", "x5 opened", "last opened"]


def test_retries_slow_down_and_new_jobs_do_not_wait_for_them(bench: Bench) -> None:
    bench.query_only(True)
    bench.writer.put(job("a"))
    bench.writer.step()
    waits = []
    for _ in range(7):
        wait_s = bench.writer.step()
        waits.append(wait_s)
        bench.clock.advance(wait_s)
        bench.writer.step()
    assert waits == [1, 2, 4, 8, 16, 30, 30]
    bench.query_only(False)
    bench.writer.put(job("b"))
    bench.writer.step()
    assert bench.stored == ["b"]


@pytest.mark.parametrize("again", [False, True])
def test_what_an_incident_has_in_memory_is_stored_before_its_next_step(tmp_path: Path, again: bool) -> None:
    stored: list[str] = []

    def every(change: IncidentChange, evidence: tuple[EvidenceRef, ...]) -> Alert:
        return make_alert(change.incident.incident_id, kind=change.kind.value, evidence=evidence)

    bench = Bench(tmp_path, make_alert=every, on_stored=lambda alert: stored.append(alert.alert_id))
    bench.query_only(True)
    for name in "ba":
        bench.writer.put(job(name))
        bench.steps()
    bench.query_only(again)
    bench.writer.put(job("a", kind=ChangeKind.CLOSED))
    bench.steps()
    assert stored == ([] if again else ["a.opened", "a.closed"])
    bench.query_only(False)
    for _ in range(8):
        bench.clock.advance(bench.writer.step())
    assert stored == (["b.opened", "a.opened", "a.closed"] if again else ["a.opened", "a.closed", "b.opened"])
    assert [e.alert_id for e in reversed(bench.outbox.entries())] == stored
    assert bench.writer.stats().unstored == 0


def test_memory_for_unstored_alerts_is_bounded_and_critical_stays(tmp_path: Path) -> None:
    bench = Bench(tmp_path, capacity=3)
    bench.query_only(True)
    for name, severity in (("c", Severity.CRITICAL), ("l", Severity.LOW), ("h", Severity.HIGH), ("h2", Severity.HIGH)):
        bench.writer.put(job(name, severity))
        bench.steps()
    assert bench.writer.stats().unstored == 3
    assert bench.writer.stats().dropped == 1
    bench.query_only(False)
    for _ in range(9):
        bench.clock.advance(bench.writer.step())
    assert bench.stored == ["c", "h", "h2"]
    # The next mail tells of it: the outbox has it in its counts.
    assert bench.outbox.given_up.untold() == 1
    assert bench.outbox.stats().dropped_by["never_stored"] == 1
    assert (bench.writer.stats().dropped, bench.writer.stats().uncounted) == (1, 0)


def test_a_full_queue_drops_the_lowest_severity(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(tmp_path, capacity=3)
    took = [
        bench.writer.put(job(name, severity))
        for name, severity in (
            ("l1", Severity.LOW),
            ("c", Severity.CRITICAL),
            ("l2", Severity.LOW),
            ("h", Severity.HIGH),  # l1 goes
            ("i", Severity.INFO),  # goes itself
        )
    ]
    assert took == [True, True, True, False, False]
    bench.steps(4)
    assert bench.stored == ["c", "l2", "h"]
    assert (bench.writer.stats().dropped, bench.outbox.given_up.untold()) == (2, 2)
    assert "was dropped" in caplog.text


def test_pictures_in_the_queue_are_bounded(tmp_path: Path) -> None:
    bench = Bench(tmp_path, max_pictures=2)
    for name, severity in (("l", Severity.LOW), ("h", Severity.HIGH), ("c", Severity.CRITICAL)):
        bench.writer.put(job(name, severity))
    bench.steps(3)
    pictures = {e.alert.incident_id: len(e.alert.evidence) for e in bench.outbox.due(limit=9) if e.alert}
    assert pictures == {"l": 0, "h": 2, "c": 2}
    assert bench.writer.stats().pictures_lost == 1


def test_a_queue_that_stays_full_still_keeps_pictures(tmp_path: Path) -> None:
    """As long as there is more to store than the disk can take, those whose turn comes have theirs."""
    bench = Bench(tmp_path, max_pictures=2)
    for i in range(20):
        bench.writer.put(job(f"i{i}"))
        if i % 3 == 2:
            bench.steps(1)
    bench.steps(20)
    with_pictures = [e.alert for e in bench.outbox.due(limit=99) if e.alert and e.alert.evidence]
    assert len(with_pictures) == 5  # letting go of the oldest would leave the last two
    assert bench.writer.stats().pictures_lost == 20 - len(with_pictures)


def test_a_fault_of_our_own_costs_one_job(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    def sometimes(change: IncidentChange, evidence: tuple[EvidenceRef, ...]) -> Alert | None:
        if change.incident.incident_id == "bad":
            raise ZeroDivisionError
        return to_alert(change, evidence)

    bench = Bench(tmp_path, make_alert=sometimes)
    for name in ("bad", "good"):
        bench.writer.put(job(name))
    bench.steps(2)
    assert bench.stored == ["good"]
    assert "writer failed" in caplog.text


def test_old_pictures_go_but_not_those_that_wait(tmp_path: Path) -> None:
    clock = FakeClock()
    bench = Bench(tmp_path, evidence=EvidenceStore(tmp_path / "e", clock=clock, max_bytes=1, min_free_bytes=0))
    for name in "ab":
        bench.writer.put(job(name, frame=make_frame(seed=ord(name))))
    bench.steps(2)
    bench.outbox.mark_delivered("a.opened")
    store = EvidenceStore(tmp_path / "e", clock=clock, max_bytes=10**9, max_age_s=0.001, min_free_bytes=0)
    clock.step_wall(10**9)
    assert store.prune(keep=bench.outbox.pending_evidence()) == 2
    assert store.stored().files == 2


class SlowStore(EvidenceStore):
    """A card that takes its time."""

    gate = threading.Event()

    def save(self, image: U8, **how: Any) -> EvidenceRef:
        self.gate.wait(20)
        return super().save(image, **how)


def test_put_never_waits_for_the_disk_and_flush_does(tmp_path: Path) -> None:
    clock = SystemClock()
    store = SlowStore(tmp_path / "e", clock=clock, min_free_bytes=0)
    bench = Bench(tmp_path, evidence=store, clock=clock)
    bench.writer.start()
    began = time.monotonic()
    for i in range(20):
        bench.writer.put(job(f"a{i}"))
    assert time.monotonic() - began < 1
    assert bench.writer.flush(0.1) is False
    store.gate.set()
    assert bench.writer.flush(10)
    assert len(bench.stored) == 20
    assert bench.writer.stop()


def test_stopping_stores_what_was_handed_over(tmp_path: Path) -> None:
    bench = Bench(tmp_path, clock=SystemClock())
    for i in range(10):
        bench.writer.put(job(f"a{i}"))
    bench.writer.start()
    assert bench.writer.stop(10)
    assert len(bench.stored) == 10


def test_stopping_tries_once_more_what_the_disk_refused(tmp_path: Path) -> None:
    bench = Bench(tmp_path, clock=SystemClock())
    bench.query_only(True)
    bench.writer.start()
    bench.writer.put(job("a"))
    assert bench.writer.flush(0.3) is False
    bench.query_only(False)
    assert bench.writer.stop(5)
    assert bench.stored == ["a"]


def test_an_evidence_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="cannot be made"):
        EvidenceStore(tmp_path / "file" / "evidence", clock=FakeClock())
