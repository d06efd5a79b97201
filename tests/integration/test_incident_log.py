"""The incident log on a real disk: what is done to it by hand is named."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from fakes.alarms import BOOT, UTC, make_alert, make_change, make_frame, make_incident
from fakes.clocks import FakeClock

from edge.alerts.database import open_database
from edge.alerts.device_key import KEY_NAME, PUBLIC_NAME, is_signed, open_device_key, read_public_key
from edge.alerts.evidence import EvidenceStore
from edge.alerts.incident_log import LOG_NAME, SIGNED, Head, IncidentLog, dump, record_hash
from edge.alerts.incident_store import IncidentStore
from edge.alerts.log_check import Verdict, check_log
from edge.alerts.outbox import Outbox
from edge.alerts.writer import Job, WriterWorker
from edge.app import evidence_commands as commands
from edge.app.hand_over import AlertMaker, log_record
from edge.config import Config
from edge.errors import EX_DATAERR, EX_OK, KioskError, StateError
from edge.types import Tracks

if TYPE_CHECKING:
    from collections.abc import Callable


class Box:
    """State directory with log, pictures, outbox and writer, as the service composes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.key = open_device_key(folder)
        self.log = IncidentLog(folder, key=self.key, clock=self.clock)
        self.evidence = EvidenceStore(
            folder / "evidence",
            clock=self.clock,
            on_remove=lambda paths, why: self.log.append("removed", {"removed": list(paths), "why": why}),
        )
        database = open_database(folder, clock=self.clock)
        self.outbox = Outbox(
            database, clock=self.clock, boot_id=BOOT, log_head=lambda: (self.log.head.number, self.log.head.hash)
        )
        self.writer = WriterWorker(
            evidence=self.evidence,
            incidents=IncidentStore(database, clock=self.clock, boot_id=BOOT),
            outbox=self.outbox,
            clock=self.clock,
            annotate=lambda frame, *_: frame.image.copy(),
            make_alert=AlertMaker("m 1", BOOT, self.clock),
            record=lambda change, pictures: self.log.append("incident", log_record(change, pictures)),
        )

    def incidents(self, number: int) -> None:
        for i in range(number):
            incident = make_incident(f"inc-{i}")
            self.writer.put(Job(make_change(incident), make_frame(seed=i), Tracks.empty(), ()))
            self.writer.step()

    @property
    def path(self) -> Path:
        return self.folder / LOG_NAME

    @property
    def lines(self) -> list[bytes]:
        return self.path.read_bytes().splitlines(keepends=True)

    def check(self, *heads: Head) -> Verdict:
        return check_log(self.path, self.folder / "evidence", public_key=self.key.public, heads=list(heads))

    @property
    def config(self) -> Config:
        return Config.model_validate(
            {"cameras": [{"name": "lobby", "source": "x.mp4"}], "state": {"dir": str(self.folder)}}
        )


@pytest.fixture
def box(tmp_path: Path) -> Box:
    box = Box(tmp_path)
    box.incidents(4)
    return box


def forged(line: bytes, sign: Callable[[bytes], str], **changes: Any) -> bytes:
    """A record with other contents, its hash made good."""
    record = json.loads(line) | changes
    body = {k: v for k, v in record.items() if k not in {"hash", "sig"}}
    digest = record_hash(body)
    return dump({**body, "hash": digest, "sig": sign(SIGNED + digest.encode())}) + b"\n"


def test_an_untouched_log_holds_and_every_alert_names_its_head(box: Box) -> None:
    verdict = box.check()
    assert (verdict.faults, verdict.notes) == ([], [])
    assert (verdict.records, verdict.pictures) == (5, 8)  # the key first
    heads = [(e.alert.log_seq, e.alert.log_head) for e in reversed(box.outbox.entries()) if e.alert]
    assert [n for n, _ in heads] == [2, 3, 4, 5]
    assert box.check(*(Head(*h) for h in heads)).faults == []
    box.outbox.enqueue(make_alert("other"))
    assert box.outbox.entries(limit=1)[0].alert.log_seq == 5  # type: ignore[union-attr]


def test_the_key_is_made_once_readable_for_its_owner_only(box: Box) -> None:
    assert (box.folder / KEY_NAME).stat().st_mode & 0o777 == 0o600
    assert open_device_key(box.folder).public == box.key.public == read_public_key(box.folder / PUBLIC_NAME)
    assert is_signed(box.key.public, box.key.sign(b"x"), b"x")
    assert not is_signed(box.key.public, box.key.sign(b"x"), b"y")
    assert not is_signed("?", "?", b"y")
    left = box.folder / f".{KEY_NAME}.4711"  # a start was killed between writing and renaming
    left.write_text("a second private key")
    assert open_device_key(box.folder).public == box.key.public
    assert not left.exists()
    (box.folder / KEY_NAME).write_text("half")
    with pytest.raises(StateError, match="damaged"):
        open_device_key(box.folder)


def test_an_altered_record_is_named(box: Box) -> None:
    box.path.write_bytes(b"".join(box.lines).replace(b'"incident_id":"inc-1"', b'"incident_id":"inc-9"'))
    assert box.check().faults[0] == "record 3 (line 3): was altered: its contents do not match its hash"


def test_a_record_with_its_hash_made_good_is_named(box: Box, tmp_path: Path) -> None:
    (tmp_path / "thief").mkdir()
    thief = open_device_key(tmp_path / "thief")
    lines = box.lines
    lines[2] = forged(lines[2], thief.sign, kind="nothing")
    box.path.write_bytes(b"".join(lines))
    faults = box.check().faults
    assert faults[0] == "record 3 (line 3): is not signed by this kiosk's key: put in or rewritten"
    assert faults[1] == "record 4 (line 4): does not follow the record before it: that one was replaced"
    # Whoever has the card has the key: then the next record's hash shows it, or the mail does.
    lines[2] = forged(lines[2], box.key.sign, kind="nothing")
    box.path.write_bytes(b"".join(lines))
    assert "record 4 (line 4): does not follow" in box.check().faults[0]


def test_a_removed_record_is_named(box: Box) -> None:
    lines = box.lines
    box.path.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert box.check().faults[0] == "record 4 (line 3): record 3 is missing before it: removed, or moved"


def test_a_changed_order_is_named(box: Box) -> None:
    lines = box.lines
    lines[2], lines[3] = lines[3], lines[2]
    box.path.write_bytes(b"".join(lines))
    faults = box.check().faults
    assert "record 4 (line 3): record 3 is missing before it: removed, or moved" in faults
    assert "record 3 (line 4): stands where record 5 belongs: the order was changed, or it was put in again" in faults


def test_a_cut_tail_and_a_rewritten_chain_show_with_the_head_of_a_mail(box: Box) -> None:
    head, lines = box.log.head, box.lines
    box.path.write_bytes(b"".join(lines[:-2]))
    assert box.check().faults == [f for f in box.check().faults if "inc-" in f] == []
    assert box.check(head).faults[0].startswith("record 5 is missing, which a mail named; the log ends with record 3")
    box.path.unlink()
    rewritten = IncidentLog(box.folder, key=box.key, clock=box.clock)
    for line in lines[1:]:
        rewritten.append("incident", {**json.loads(line)["data"], "severity": "low"})
    assert box.check().faults == []
    assert box.check(head).faults == ["record 5 (line 5): is not the one that the mail named: the log was rewritten"]


def test_altered_and_missing_pictures_are_named(box: Box) -> None:
    first, second = sorted((box.folder / "evidence").rglob("*.jpg"))[:2]
    first.write_bytes(first.read_bytes() + b"x")
    second.unlink()
    (box.folder / "evidence" / "put-in.jpg").write_bytes(b"x")
    verdict = box.check()
    assert [f.partition(" (")[2].partition(": ")[2] for f in verdict.faults] == [
        "was altered",
        "is missing, and no record says that it was removed",
    ]
    assert "of incident inc-0 (record 2)" in verdict.faults[0]
    assert verdict.notes == ["picture put-in.jpg: is in no record: put in, or stored while the log could not be"]


def test_retention_and_erasure_are_records_and_the_log_still_holds(box: Box) -> None:
    path = box.folder / "kiosk-guard.toml"
    assert commands.hold(box.config, path, "inc-2", reason="court", on=True).startswith("2 pictures")
    assert "erased" in commands.erase(box.config, path, "inc-0", reason="asked by the person")
    with pytest.raises(commands.UnknownIncident):
        commands.erase(box.config, path, "inc-0", reason="again")
    later = time.time() + 40 * 86_400
    box.clock.step_wall(later - box.clock.utc_now().timestamp())
    assert box.evidence.prune() == 4
    verdict = box.check()
    assert (verdict.faults, verdict.pictures, verdict.removed) == ([], 2, 6)
    kinds = [json.loads(line)["kind"] for line in box.lines]
    assert kinds == ["key", *["incident"] * 4, "hold", "erased", "removed"]
    assert json.loads(box.lines[6])["data"]["why"] == "asked by the person"
    commands.hold(box.config, path, "inc-2", reason="over", on=False)
    assert box.evidence.prune() == 2
    assert box.check().faults == []


def test_half_a_record_from_a_power_cut_is_no_tampering(box: Box) -> None:
    with box.path.open("ab") as file:
        file.write(b'{"n":6,"ha')
    assert box.check().faults == []
    assert "half a record" in box.check().notes[0]
    again = IncidentLog(box.folder, key=box.key, clock=box.clock)
    again.append("incident", {})
    verdict = box.check()
    assert (verdict.faults, verdict.notes, verdict.records) == ([], [], 7)
    assert json.loads(box.lines[5])["kind"] == "repaired"


def test_the_command_says_it_all_and_answers_by_its_exit_code(box: Box) -> None:
    said: list[str] = []
    path = box.folder / "kiosk-guard.toml"

    def verify(*heads: str) -> int:
        said.clear()
        return commands.verify_log(box.config, path, heads=heads, key=None, say=said.append)

    head = f"{box.log.head.number}:{box.log.head.hash}"
    assert verify() == EX_OK
    assert "only --head" in said[-1]
    assert verify(head) == EX_OK
    assert said[-1] == "the log is whole, and holds what the mail named"
    with pytest.raises(KioskError, match="is none"):
        verify("17")
    box.path.write_bytes(b"".join(box.lines[:-1]))
    assert verify(head) == EX_DATAERR
    assert said[0].startswith("WRONG: record 5 is missing")


def test_a_log_that_cannot_be_written_stops_no_alert(box: Box) -> None:
    def full(*_: object) -> object:
        raise StateError("incidents.log cannot be written: no space")

    box.writer._record = full
    box.incidents(5)
    assert box.outbox.stats().waiting == 5


def test_two_writers_share_one_chain(box: Box) -> None:
    beside = IncidentLog(box.folder, key=box.key, clock=box.clock)
    for i in range(6):
        (beside if i % 2 else box.log).append("hold", {"i": i})
    assert box.check().faults == []
    assert box.check().records == 11


KILLED = """
import sys
from pathlib import Path
from edge.alerts.device_key import open_device_key
from edge.alerts.incident_log import IncidentLog
from edge.clock import SystemClock
folder = Path(sys.argv[1])
log = IncidentLog(folder, key=open_device_key(folder), clock=SystemClock())
for i in range(100_000):
    print(log.append("incident", {"i": i, "text": "x" * 2000}).number, flush=True)
"""


def test_kill_9_loses_no_record_that_was_acknowledged(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    for _ in range(5):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(tmp_path)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert process.stdout is not None
        acknowledged = int(process.stdout.readline())
        time.sleep(float(rng.uniform(0.01, 0.2)))
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split(b"\n")
        acknowledged = max([acknowledged, *(int(n) for n in rest[:-1])])
        process.wait()
        process.stdout.close()
        key = open_device_key(tmp_path)
        IncidentLog(tmp_path, key=key, clock=FakeClock(utc=UTC))
        verdict = check_log(tmp_path / LOG_NAME, tmp_path / "evidence", public_key=key.public)
        assert verdict.faults == []
        assert verdict.head.number >= acknowledged


def test_a_log_that_fails_says_so_until_it_works_again(box: Box) -> None:
    kept = box.path.read_bytes()
    box.path.unlink()
    box.path.mkdir()
    with pytest.raises(StateError, match=r"incidents\.log cannot be written"):
        box.log.append("incident", {})
    assert "cannot be written" in box.log.trouble
    box.path.rmdir()
    box.path.write_bytes(kept)
    box.log.append("incident", {})
    assert box.log.trouble == ""
    assert box.check().faults == []
