"""The power of a real box fails while a model and an upgrade are installed: what is on the disk then, and does it boot.

    sudo python3 tests/vm/power_cuts.py [--cuts 200] [--boots 3] [--suite bookworm] [--quick]

A Debian with systemd runs in a container on a disk whose every write and flush is recorded. Afterwards the disk is made
as a cut before and after every flush, and at so many writes chosen by chance, may leave it: what was flushed, and any part
of the rest. On each the release that ``current`` names must be whole and start, and the model must be whole; some are
booted and must guard. Needs root, git, mmdebstrap, systemd-container, qemu-storage-daemon and qemu-img (Debian:
qemu-utils), FUSE, and a network; 69: it cannot be run here. Takes an hour on two busy processors, eight minutes with
--quick --cuts 8 --boots 1. Closes with 'N passed, N failed'. The standard library only.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fakes.powercut import RecordedDisk, can_cut

HERE = Path(__file__).resolve().parent
NEW, MODEL = "9.0.1", "99"
TAG = ".kiosk-guard-complete"
# Inside: a box with a clip as its camera, a key, a newer model, and the next version with its wheels.
PREPARE = r"""
cd /root/tree && ./install.sh
cp firmware_config/demo/lobby.mp4 /var/lib/kiosk-guard/
sed -i 's|^source = .*|source = "file:/var/lib/kiosk-guard/lobby.mp4"|; s|^loop = false|loop = true|' /etc/kiosk-guard/kiosk-guard.toml
/opt/kiosk-guard/current/bin/python /root/sign_model.py /root/model-2 MODEL
systemctl restart kiosk-guard
sed -i 's/^MemoryMax=.*/MemoryMax=901M/' firmware_config/systemd/kiosk-guard.service
sed -i 's/^version = .*/version = "NEW"/' pyproject.toml && sed -i 's/^__version__ = .*/__version__ = "NEW"/' edge/__init__.py
./install.sh --make-wheelhouse /root/wheels
"""
# On a cut's disk: prints the release that runs and the model, both whole; fails else.
JUDGE = r"""
import csv, pathlib, sys
import cv2, onnxruntime
from edge import __version__
from edge.clock import SystemClock
from edge.models.shipped import shipped_bundle
from edge.models.signature import verify_files
from edge.models.store import ModelStore
site = pathlib.Path(cv2.__file__).parents[1]
for record in site.glob("*.dist-info/RECORD"):
    for name, _, size in csv.reader(record.read_text().splitlines()):
        path = site / name
        assert not size or path.stat().st_size == int(size), f"{path} is not whole"
store = ModelStore(pathlib.Path("/var/lib/kiosk-guard"), clock=SystemClock())
model = store.current()
print(__version__, verify_files(store.path(model) if model else shipped_bundle()).version)
"""


class Box:
    """The container, driven by container.sh; its root is wherever ``root`` says."""

    def __init__(self, suite: str, folder: Path) -> None:
        self.suite, self.folder = suite, folder

    def do(self, words: str, *, root: Path | None = None, patience_s: float = 3600) -> subprocess.CompletedProcess[str]:
        here = f'BOX_ROOT="{root}"; box_unmount() {{ rm -f "$BOX/pid"; }}' if root else ":"
        script = f'set -eu; . "{HERE}/container.sh"; box_check; box_root {self.suite}; {here}; {words}'
        return subprocess.run(
            ["bash", "-c", script],
            env={**os.environ, "KG_BOX_DIR": str(self.folder)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=patience_s,
        )

    def must(self, words: str, *, root: Path | None = None) -> str:
        done = self.do(words, root=root)
        if done.returncode:
            print(done.stdout[-3000:], file=sys.stderr)
            raise SystemExit(69 if done.returncode == 69 else 1)
        return done.stdout

    def inside(self, words: str, *, root: Path | None = None) -> str:
        file = self.folder / "words.sh"
        file.write_text(f"set -eu\n{words}\n")
        return self.must(f'box_in sh -eu -c "$(cat "{file}")"', root=root)


def prepare(box: Box, repo: Path, image: Path) -> str:
    """A box that guards, switched off, as an image; returns its release."""
    clone = box.folder / "clone"
    shutil.rmtree(clone, ignore_errors=True)
    subprocess.run(
        ["git", "-c", "safe.directory=*", "clone", "-q", "--depth", "1", f"file://{repo}", clone], check=True
    )
    for name in (".git", "tests"):
        shutil.rmtree(clone / name)
    box.must("box_fresh; box_up")
    box.must(f'box_put "{clone}" /root/tree; box_in sh -c "cat >/root/sign_model.py" <"{HERE}/sign_model.py"')
    box.inside(PREPARE.replace("NEW", NEW).replace("MODEL", MODEL))
    old = box.inside("readlink /opt/kiosk-guard/current").strip().rpartition("/")[2]
    box.must("box_down; box_mount")
    box.must(f'rm -f "{image}"; mke2fs -q -t ext4 -d "$BOX_ROOT" "{image}" 4G; box_unmount')
    return old


@dataclass(frozen=True)
class Recorded:
    """Which release was there, and how far the record was when what was said or seen."""

    old: str
    begun: int
    model_said: int
    switched: int  # `current` names the new release
    said: int


def record(box: Box, disk: RecordedDisk, old: str) -> Recorded:
    """The model, then the upgrade."""
    switched: list[int] = []

    def watch(current: Path) -> None:
        while not switched:
            if current.readlink().name == NEW:
                switched.append(disk.position())
            time.sleep(0.01)

    with disk.mounted() as root:
        box.must("box_up", root=root)
        begun = disk.position()
        box.inside("kiosk-guard model install /root/model-2", root=root)
        model_said = disk.position()
        watching = threading.Thread(target=watch, args=(root / "opt/kiosk-guard/current",), daemon=True)
        watching.start()
        box.inside("unshare --net /root/tree/install.sh --offline /root/wheels", root=root)
        said = disk.position()
        watching.join(10)
        box.must("box_down", root=root)
    return Recorded(old, begun, model_said, switched[0], said)


def judge(root: Path) -> tuple[str, str]:
    """Release and model on a cut's disk. :raises ValueError: one is not whole, or a file of the system's is not."""
    whole: dict[str, set[bytes]] = {}
    for release in (root / "opt/kiosk-guard/releases").iterdir():
        for path in (release / "setup/firmware_config").rglob("*") if (release / TAG).is_file() else ():
            if path.is_file():
                whole.setdefault(path.name, set()).add(path.read_bytes())
    for line in (root / "opt/kiosk-guard/.files").read_text().splitlines():
        path = root / line.lstrip("/")
        if not path.is_symlink() and path.read_bytes() not in whole[path.name]:
            raise ValueError(f"{line} is neither the old one nor the new one")
    current = (root / "opt/kiosk-guard/current").readlink().name
    if not (root / "opt/kiosk-guard/releases" / current / TAG).is_file():
        raise ValueError(f"release {current} is not complete")
    command = ["chroot", str(root), "/opt/kiosk-guard/current/bin/python", "-B", "-c", JUDGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise ValueError(done.stderr.strip().rpartition("\n")[2])
    version, model = done.stdout.split()
    if version != current:
        raise ValueError(f"current names {current}, and {version} starts")
    return current, model


def boots(box: Box, root: Path) -> None:
    """:raises ValueError: it does not guard."""
    done = box.do(
        """box_up; box_wait 180 inside 'curl -sf http://127.0.0.1:8787/readyz'; inside 'kiosk-guard-update status'; box_kill""",
        root=root,
    )
    if done.returncode:
        box.do("box_is_gone || box_kill", root=root)
        raise ValueError(f"it does not guard: {done.stdout[-500:]}")
    print("  booted, guards: " + "; ".join(line for line in done.stdout.splitlines() if line.startswith("[update]")))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cuts", type=int, default=200, metavar="N", help="at writes chosen by chance; default: 200")
    parser.add_argument("--boots", type=int, default=3, metavar="N", help="of the images; default: 3")
    parser.add_argument("--quick", action="store_true", help="so many flushes only, not every one")
    parser.add_argument("--suite", default="bookworm")
    args = parser.parse_args()
    if not can_cut():
        print("[box] cannot be run here: needs root, qemu-storage-daemon, qemu-img and FUSE", file=sys.stderr)
        return 69
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=os.environ.get("KG_BOX_DIR")) as scratch:
        box = Box(args.suite, Path(os.environ.get("KG_BOX_DIR", scratch)))
        work, image = Path(scratch) / "work", Path(scratch) / "start.raw"
        work.mkdir()
        try:
            old = prepare(box, HERE.parents[1], image)
            disk = RecordedDisk(work, start=image)
            passed, failed = cut(box, disk, record(box, disk, old), args)
        finally:
            box.do("box_is_gone || box_kill; box_fresh")
    print(f"{time.monotonic() - began:.0f} s in all\n{passed} passed, {failed} failed")
    return 1 if failed else 0


def cut(box: Box, disk: RecordedDisk, recorded: Recorded, args: argparse.Namespace) -> tuple[int, int]:
    """Every cut, judged; how many were well and how many not."""
    begun, said = recorded.begun, recorded.said
    rng = random.Random(13)
    last = disk.position() - 1
    flushes = [n for n in disk.flushes(begun) if n <= said]
    tried = rng.sample(flushes, min(args.cuts, len(flushes))) if args.quick else flushes
    near = {m for n in tried for m in (n - 1, n) if m >= begun}
    points = sorted({*rng.sample(range(begun, said), min(args.cuts, said - begun)), *near, recorded.switched, last})
    # Booted are the moment of the switch, and others by chance, most of them after it.
    after = [n for n in points if n > recorded.switched]
    chosen = [recorded.switched, *rng.sample(after, min(len(after), max(0, args.boots - 2)))]
    boot = {*chosen, *rng.sample(points, 3)[: args.boots - len(chosen)]} if args.boots else set()
    print(
        f"{len(points)} cuts in {said - begun} writes, {len(flushes)} flushes, the switch at {recorded.switched - begun}; "
        f"{recorded.old} and {NEW}",
        flush=True,
    )
    results: dict[str, int] = {}
    failed = 0
    for number, root in disk.cuts(points, rng):
        try:
            release, model = judge(root)
            if (number >= said and release != NEW) or (number >= recorded.model_said and model != MODEL):
                raise ValueError(f"what was acknowledged is gone: release {release}, model {model}")  # noqa: TRY301
            if number in boot:
                boots(box, root)
            key = f"release {release}, model {model}"
            results[key] = results.get(key, 0) + 1
        except (ValueError, OSError, subprocess.SubprocessError) as error:  # noqa: PERF203 - no hot loop
            failed += 1
            print(f"FAILED: cut at write {number} of {last}: {error}", flush=True)
    for key, count in results.items():
        print(f"ok: {count} times {key}")
    return sum(results.values()), failed


if __name__ == "__main__":
    sys.exit(main())
