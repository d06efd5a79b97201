"""kill -9 at any moment: what enqueue acknowledged is there, whole, and goes out at least once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from fakes.alarms import BOOT
from fakes.channels import FakeChannel
from fakes.clocks import FakeClock

import edge
from edge.alerts.database import open_database
from edge.alerts.evidence import EvidenceStore
from edge.alerts.outbox import Outbox
from edge.alerts.worker import DeliveryWorker

# Stores alerts with a picture as fast as it can, sends some, and says what was acknowledged; it never ends by itself.
CHILD = """
import itertools, sys
from pathlib import Path
from fakes.alarms import make_alert, make_frame
from edge.alerts.database import open_database
from edge.alerts.evidence import EvidenceStore
from edge.alerts.outbox import Outbox
from edge.clock import SystemClock

folder, run = Path(sys.argv[1]), sys.argv[2]
clock = SystemClock()
outbox = Outbox(open_database(folder, clock=clock), clock=clock, boot_id=run)
evidence = EvidenceStore(folder / "evidence", clock=clock, min_free_bytes=0)
for i in itertools.count():
    name = f"{run}-{i}"
    ref = evidence.save(make_frame(seed=i).image, incident_id=name, role="clean", t_utc=clock.utc_now())
    outbox.enqueue(make_alert(name, evidence=(ref,), boot_id=run))
    print("stored", name, flush=True)
    if i % 3 == 2:
        print("sending", f"{run}-{i - 1}", flush=True)
        outbox.mark_delivered(f"{run}-{i - 1}.opened")
"""
KILLS = 16


def test_no_acknowledged_alert_is_lost_or_unreadable(tmp_path: Path) -> None:
    rng = random.Random(7)
    paths = [str(Path(edge.__file__).parents[1]), str(Path(__file__).parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    stored: list[str] = []
    sent: set[str] = set()
    for run in range(KILLS):
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path), f"r{run}"],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        ) as child:
            assert child.stdout is not None
            said = [child.stdout.readline()]  # it has begun
            time.sleep(rng.uniform(0, 0.2))
            os.kill(child.pid, signal.SIGKILL)
            said += child.stdout.readlines()
        for line in said:
            verb, _, name = line.rstrip("\n").partition(" ")
            if not line.endswith("\n"):
                continue  # cut off: nobody was told
            stored += [name] if verb == "stored" else []
            sent |= {name} if verb == "sending" else set()
    assert len(stored) >= KILLS
    print(f"{len(stored)} alerts acknowledged over {KILLS} kills")

    clock = FakeClock()
    database = open_database(tmp_path, clock=clock)
    assert database.moved_aside == ()
    outbox = Outbox(database, clock=clock, boot_id=BOOT, rng=random.Random(1))
    assert outbox.stats().corrupt == 0
    known = {e.alert_id.removesuffix(".opened"): e for e in outbox.entries(limit=100_000)}
    assert set(stored) <= known.keys()
    assert all(e.alert is not None for e in known.values())
    # At most the one alert that was being stored at the kill was not acknowledged.
    assert len(known) <= len(stored) + KILLS

    evidence = EvidenceStore(tmp_path / "evidence", clock=clock, min_free_bytes=0)
    channel = FakeChannel()
    worker = DeliveryWorker(outbox=outbox, channel=channel, resolve=evidence.resolve, clock=clock)
    while outbox.stats().waiting:
        clock.advance(worker.step())
    arrived = [s.alert.incident_id for s in channel.sent]
    assert len(arrived) == len(set(arrived))
    assert set(stored) <= set(arrived) | sent
    assert all(len(s.pictures) == 1 for s in channel.sent)  # synced before the row, and whole
