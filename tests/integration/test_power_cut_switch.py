"""The power fails around the switch of ``model install`` and of an upgrade: the old one or the new one, whole, never neither.

``KIOSK_GUARD_CUTS=200`` cuts at so many writes chosen by chance, and before and after every flush; by default there are
eight of each kind. Needs root and qemu's storage daemon; skipped elsewhere.
"""

from __future__ import annotations

import csv
import hashlib
import os
import random
import subprocess
from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING

import pytest
from fakes.bundles import Operator, make_bundle
from fakes.clocks import FakeClock
from fakes.powercut import RecordedDisk, can_cut
from fakes.releases import Box, Maker

from edge.app.model_commands import install
from edge.config import Config
from edge.models.shipped import shipped_bundle
from edge.models.signature import verify_files
from edge.models.store import ModelStore

if TYPE_CHECKING:
    from pathlib import Path

CUTS = int(os.environ.get("KIOSK_GUARD_CUTS", "0"))
FEW = 8
pytestmark = pytest.mark.skipif(
    not can_cut(), reason="no disk of our own can be recorded here (root, qemu-storage-daemon, FUSE)"
)


def points(disk: RecordedDisk, first: int, said: int, rng: random.Random) -> list[int]:
    """Where to cut: at writes chosen by chance, before and after flushes, around the acknowledgement, at the end."""
    last = disk.position() - 1
    flushes = disk.flushes(first)
    some = rng.sample(range(first, last), min(CUTS or FEW, last - first))
    near = [m for n in flushes for m in (n - 1, n) if m >= first]
    chosen = sorted({*some, *(near if CUTS else rng.sample(near, min(FEW, len(near)))), said, last})
    print(f"{len(chosen)} cuts, {len(flushes)} flushes in {last - first} writes")
    return chosen


def test_model_install_leaves_the_old_model_or_the_new_one(tmp_path: Path) -> None:
    rng = random.Random(8)
    (tmp_path / "work").mkdir()
    disk = RecordedDisk(tmp_path / "work")
    operator = Operator(tmp_path / "keys")
    first, second = (make_bundle(tmp_path / "made" / v, version=v, key=operator.key) for v in ("101", "102"))
    begun, said = 0, 0
    with disk.mounted() as folder:
        (folder / "state").mkdir()
        config = Config.model_validate(
            {
                "cameras": [{"name": "lobby", "source": "/dev/video0"}],
                "state": {"dir": str(folder / "state")},
                "model": {"trusted_keys": str(tmp_path / "keys"), "threads": 1},
            }
        )
        for bundle in (first, second):
            begun = disk.position()
            install(config, tmp_path / "x.toml", bundle, force=False, by="test", say=lambda _: None, clock=FakeClock())
            said = disk.position()
    outcomes = []
    for number, folder in disk.cuts(points(disk, begun, said, rng), rng):
        store = ModelStore(folder / "state", clock=FakeClock())
        name = store.current()
        label = verify_files(store.path(name) if name else shipped_bundle()).label  # raises if it is not whole
        outcomes.append(label)
        assert label in ({"kiosk 102"} if number >= said else {"kiosk 101", "kiosk 102"}), (
            f"cut at {number}, said at {said}"
        )
        with store.changing():
            store.clear()
        assert not list((folder / "state" / "models").glob(".incoming*"))
    assert set(outcomes) == {"kiosk 101", "kiosk 102"}


def whole(place: Path) -> list[str]:
    """Files of the release that its own wheel's record does not know so."""
    (site,) = place.glob("lib/python3*/site-packages")
    (record,) = site.glob("kiosk_guard-*.dist-info/RECORD")
    rows = [row for row in csv.reader(record.read_text().splitlines()) if row[1]]
    assert len(rows) > 100
    wrong = []
    for name, told, _ in rows:
        path = site / name
        digest = urlsafe_b64decode(told.removeprefix("sha256=") + "=")
        if not path.is_file() or hashlib.sha256(path.read_bytes()).digest() != digest:
            wrong.append(name)
    return wrong


@pytest.mark.slow  # a release is built on the recorded disk
def test_an_upgrade_leaves_the_old_release_or_the_new_one(tmp_path: Path) -> None:
    rng = random.Random(9)
    for name in ("work", "maker"):
        (tmp_path / name).mkdir()
    disk, maker = RecordedDisk(tmp_path / "work"), Maker(tmp_path / "maker")
    new = maker.release("1.1.0")
    with disk.mounted() as folder:
        box = Box(folder, maker)
        (box.root / "systemctl").write_text("#!/bin/sh\n")
        server = subprocess.Popen(["python3", "-c", HEALTHY], stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            box.health = f"http://127.0.0.1:{int(server.stdout.readline())}"
            box.adopt("1.0.0")
            os.sync()
            begun = disk.position()
            done = box.update("install", new, trial_s=0.1, ready_s=10)
            assert done.returncode == 0, done.stdout + done.stderr
            said = disk.position()
        finally:
            server.kill()
            server.wait()
    outcomes = []
    for number, folder in disk.cuts(points(disk, begun, said, rng), rng):
        box = Box(folder, maker)
        here = f"cut at {number}, said at {said}"
        if (folder / "var/lib/kiosk-guard-update/trial.json").exists():  # the unit's condition
            done = box.update("boot")
            assert done.returncode == 0, f"{here}: {done.stdout}{done.stderr}"
        outcomes.append(box.current)
        assert box.current in ({"1.1.0"} if number >= said else {"1.0.0", "1.1.0"}), here
        place = folder / "opt/kiosk-guard/releases" / box.current
        assert (place / ".kiosk-guard-complete").is_file(), here
        assert box.current == "1.0.0" or whole(place) == [], here
    assert set(outcomes) == {"1.0.0", "1.1.0"}


HEALTHY = """
import http.server
class Good(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Good)
print(server.server_port, flush=True)
server.serve_forever()
"""
