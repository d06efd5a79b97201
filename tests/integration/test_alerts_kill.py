"""kill -9 of the whole chain, from the writer's thread to a mail server that misbehaves: nothing acknowledged is lost."""

from __future__ import annotations

import itertools
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from fakes.mailserver import Mail, mail_server

import edge
from edge.alerts.device_key import open_device_key
from edge.alerts.incident_log import LOG_NAME, Head
from edge.alerts.log_check import check_log
from edge.alerts.look import OutboxLook

# For each line "RUN busy" it forks a child that stores incidents through the writer as fast as it can and sends them all
# the while; a child never ends by itself. The imports, the dearest part of a start, are made once.
NURSERY = """
import itertools, os, random, sys, time
from pathlib import Path
from fakes.chain import build_chain
from edge.alerts.schedule import Backoff

folder, port = Path(sys.argv[1]), int(sys.argv[2])

def live(run, busy):
    chain = build_chain(
        folder, port, security="starttls", timeout_s=0.5, critical_pause_s=0.2,
        backoff=Backoff(first_min_s=0.05, first_max_s=0.1, longest_s=0.2, refused_s=0.5),
        on_stored=lambda alert: print("stored", alert.incident_id, flush=True),
    )
    chain.start()
    for i in itertools.count():
        if busy and i < 400:
            chain.incident(f"{run}-{i}", seed=i)
        time.sleep(random.uniform(0, 0.06))

while line := os.read(0, 100):
    run, what = line.decode().split()
    child = os.fork()
    if child == 0:
        os.write(1, f"child {os.getpid()}\\n".encode())
        random.seed()
        live(run, what == "busy")
    os.waitpid(child, 0)
    os.write(1, b"\\nended\\n")
"""
KILLS = int(os.environ.get("KIOSK_GUARD_KILLS", "6"))
STAGES = ["connect", "mail", "data", "end"]
REPLIES = ["421 4.3.2 going down", "450 4.7.1 greylisted", "550 5.7.1 no", "552 5.2.2 full", "drop", "hang"]
FAULTS = [
    *itertools.product(STAGES, REPLIES),
    *itertools.product(["starttls"], ["garbage", "drop", "hang", "454 4.7.0 no TLS now"]),
    *itertools.product(["middle"], ["drop", "hang"]),
    ("after", "drop"),  # it says that it has the mail, and dies
]


def start(nursery: subprocess.Popen[str], words: str) -> int:
    """Process id of a child that has just begun: it may be killed while it opens what the one before it left."""
    assert nursery.stdin is not None
    assert nursery.stdout is not None
    nursery.stdin.write(f"{words}\n")
    word, number = nursery.stdout.readline().split()
    assert word == "child"
    return int(number)


def first_stored(nursery: subprocess.Popen[str]) -> str:
    """Waits until a child has acknowledged an alert."""
    assert nursery.stdout is not None
    line = nursery.stdout.readline()
    assert line.startswith("stored "), line
    return line.split()[1]


def rest(nursery: subprocess.Popen[str]) -> list[str]:
    """What a killed child had said, whole lines."""
    assert nursery.stdout is not None
    lines: list[str] = []
    while (line := nursery.stdout.readline()) != "ended\n":
        assert line, "the nursery has died"
        lines.append(line)
    return lines


def _incident_of(mail: Mail) -> str:
    return str(mail.message["Message-ID"]).removeprefix("<").partition(".opened@")[0]


def test_nothing_acknowledged_is_lost_and_the_log_holds(tmp_path: Path) -> None:
    rng = random.Random(11)
    paths = [str(Path(edge.__file__).parents[1]), str(Path(__file__).parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    stored: list[str] = []

    with mail_server(tls="starttls") as (box, port):
        words = [sys.executable, "-c", NURSERY, str(tmp_path), str(port)]
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment
        ) as nursery:
            for run in range(KILLS):
                box.answers.clear()
                if rng.random() < 0.7:
                    box.answers.update([rng.choice(FAULTS)])
                child = start(nursery, f"r{run} busy")
                if rng.random() < 0.8:  # the others are killed while they open what there is, or soon after
                    stored.append(first_stored(nursery))
                time.sleep(rng.uniform(0, 0.6))
                os.kill(child, signal.SIGKILL)
                stored += [line.split()[1] for line in rest(nursery) if line.startswith("stored")]
            box.answers.clear()
            child = start(nursery, "last drain")
            end = time.monotonic() + 60 + KILLS
            look = OutboxLook(tmp_path)
            while (stats := look.stats()).waiting + stats.held and time.monotonic() < end:
                time.sleep(0.2)
            os.kill(child, signal.SIGKILL)
            rest(nursery)
            assert nursery.stdin is not None
            nursery.stdin.close()
    assert look.stats().corrupt == 0
    arrived = [_incident_of(m) for m in box.mails]
    assert set(stored) <= set(arrived)
    # A server that takes a mail and refuses it in the same breath gets it again, with the same Message-ID; where it
    # confirmed the first one, only a kill between its word and ours explains a second.
    confirmed = [_incident_of(m) for m in box.mails if m.confirmed]
    again = len(confirmed) - len(set(confirmed))
    print(
        f"{KILLS} kills, {len(stored)} alerts acknowledged, {len(set(arrived))} arrived, {again} of them confirmed twice, "
        f"{len(arrived) - len(confirmed)} taken and refused"
    )
    assert again <= KILLS
    heads = []
    for mail in box.mails:
        words = mail.message.get_body(("plain",)).get_content()  # type: ignore[union-attr]
        found = re.search(r"Incident log: +(\d+):([0-9a-f]{64})", words)
        assert found
        heads.append(Head(int(found[1]), found[2]))
        pictures = len([p for p in mail.message.walk() if p.get_content_maintype() == "image"])
        # 552 is taken for "too large", and a writer that is far behind lets go of pictures: the mail says so.
        assert pictures == 2 or "2 pictures are missing" in words or "There is no picture of this moment" in words
    key = open_device_key(tmp_path)
    verdict = check_log(tmp_path / LOG_NAME, tmp_path / "evidence", public_key=key.public, heads=heads)
    assert verdict.faults == []
    assert verdict.records >= len(set(stored))
