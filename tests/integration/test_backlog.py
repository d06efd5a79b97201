"""Days offline: what waits drains completely and in order, and neither the waiting nor the draining costs memory.

``KIOSK_GUARD_BACKLOG=10000`` makes so many alerts.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from fakes.mailserver import mail_server

import edge

ALERTS = int(os.environ.get("KIOSK_GUARD_BACKLOG", "200"))
EVERY = 50  # each such alert is critical

# Stores all while nobody answers, then drains it; says how much memory it has at each stage, in KiB.
CHILD = """
import sys, time
from pathlib import Path
from fakes.alarms import make_alert
from fakes.chain import build_chain
from edge.types import Severity

folder, port, number, every = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])

def say(stage):
    status = Path("/proc/self/status").read_text()
    print(stage, status.partition("VmRSS:")[2].split()[0], flush=True)

chain = build_chain(folder, port)
for i in range(number):
    severity = Severity.CRITICAL if i % every == 0 else Severity.HIGH
    chain.outbox.enqueue(make_alert(f"i{i}", severity=severity, boot_id="boot", created_mono_s=time.monotonic()))
    if i in {number // 10, number - 1}:
        say("stored")
print("ready", flush=True)
sys.stdin.readline()
chain.delivery.start()
told = False
while waiting := chain.outbox.stats().waiting:
    if not told and waiting < number * 9 // 10:
        told = True
        say("drained")
    time.sleep(0.05)
say("drained")
chain.stop()
"""


def test_a_backlog_drains_in_order_and_memory_stays_flat(tmp_path: Path) -> None:
    paths = [str(Path(edge.__file__).parents[1]), str(Path(__file__).parents[1])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    with mail_server() as (box, port):
        words = [sys.executable, "-c", CHILD, str(tmp_path), str(port), str(ALERTS), str(EVERY)]
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        ) as child:
            assert child.stdout is not None
            said = []
            while (line := child.stdout.readline().split()) != ["ready"]:
                assert line, "the child has died"
                said.append(line)
            rest, _ = child.communicate("go\n", timeout=60 + ALERTS)
        assert child.returncode == 0
    said += [line.split() for line in rest.splitlines()]
    print(f"{ALERTS} alerts: {', '.join(f'{stage} {int(kib) / 1024:.1f} MB' for stage, kib in said)}")
    stored, drained = ([int(kib) for stage, kib in said if stage == wanted] for wanted in ("stored", "drained"))
    assert len(box.ids) == len(set(box.ids)) == ALERTS
    numbers = [int(name.removeprefix("<i").partition(".")[0]) for name in box.ids]
    wanted = [i for i in range(ALERTS) if i % EVERY == 0] + [i for i in range(ALERTS) if i % EVERY]
    assert numbers == wanted
    assert stored[-1] - stored[0] < 4096
    assert drained[-1] - drained[0] < 4096
