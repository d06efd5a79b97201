"""The power fails at any write of the disk, which also loses what it had only accepted: nothing acknowledged is lost.

``KIOSK_GUARD_CUTS=100`` makes so many cuts, with more alerts. Needs root and qemu's storage daemon; skipped elsewhere.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import pytest
from fakes.chain import build_chain
from fakes.mailserver import mail_server
from fakes.powercut import RecordedDisk, can_cut

from edge.alerts.database import open_database
from edge.alerts.device_key import open_device_key
from edge.alerts.evidence import EvidenceStore
from edge.alerts.incident_log import LOG_NAME, Head, IncidentLog
from edge.alerts.incident_store import IncidentStore
from edge.alerts.log_check import check_log
from edge.alerts.outbox import Outbox
from edge.clock import SystemClock

if TYPE_CHECKING:
    from pathlib import Path

CUTS = int(os.environ.get("KIOSK_GUARD_CUTS", "6"))
ALERTS = 10 + CUTS // 2


def guard(state: Path, disk: RecordedDisk, rng: random.Random) -> list[tuple[int, str]]:
    """Alerts are stored and some delivered; what was acknowledged, and how far the disk's record was then."""
    said: list[tuple[int, str]] = []
    state.mkdir()
    with mail_server() as (box, port):
        chain = build_chain(state, port, on_stored=lambda alert: said.append((disk.position(), alert.incident_id)))
        chain.start()
        for number in range(ALERTS):
            if number % 5 == 2:
                box.answers["mail"] = "450 4.7.1 later"
            elif number % 5 == 4:
                box.answers.clear()
            chain.incident(f"a{number}", seed=number)
            time.sleep(rng.uniform(0, 0.4))
        assert chain.writer.flush(60)
        chain.stop()
    return said


def faults_after(state: Path, acknowledged: list[str]) -> list[str]:
    """What a service that starts on this disk would miss; also what it could not open."""
    if not state.exists():
        return ["there is no state"] if acknowledged else []
    clock = SystemClock()
    key = open_device_key(state)
    IncidentLog(state, key=key, clock=clock)
    database = open_database(state, clock=clock)
    outbox = Outbox(database, clock=clock, boot_id="next")
    IncidentStore(database, clock=clock, boot_id="next").load_open()
    evidence = EvidenceStore(state / "evidence", clock=clock, min_free_bytes=0)
    there = {e.alert_id.removesuffix(".opened"): e.alert for e in outbox.entries(limit=10_000)}
    found = [f"{path} was moved aside" for path in database.moved_aside]
    found += [f"alert {name} is lost" for name in acknowledged if name not in there]
    heads = []
    for name, alert in there.items():
        if alert is None:
            found.append(f"alert {name} cannot be read")
            continue
        found += [f"picture {r.path} of {name} is lost" for r in alert.evidence if evidence.resolve(r) is None]
        heads += [Head(alert.log_seq, alert.log_head)] if alert.log_seq else []
    database.close()
    verdict = check_log(state / LOG_NAME, state / "evidence", public_key=key.public, heads=heads)
    return found + verdict.faults


@pytest.mark.skipif(not can_cut(), reason="no disk of our own can be recorded here (root, qemu-storage-daemon, FUSE)")
def test_every_acknowledged_alert_is_readable_after_a_cut_at_any_write(tmp_path: Path) -> None:
    rng = random.Random(5)
    disk = RecordedDisk(tmp_path)
    with disk.mounted() as folder:
        said = guard(folder / "state", disk, rng)
    assert len(said) == ALERTS
    last = disk.position() - 1
    points = sorted({*rng.sample(range(said[0][0], last), CUTS - 1), last})
    seen = 0
    for number, folder in disk.cuts(points, rng):
        acknowledged = [name for position, name in said if position <= number]
        assert faults_after(folder / "state", acknowledged) == [], f"cut at write {number} of {last}"
        seen = len(acknowledged)
    print(f"{len(points)} cuts in {last} writes, {seen} alerts acknowledged before the last")
    assert seen == ALERTS
