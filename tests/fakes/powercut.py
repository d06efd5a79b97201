"""Power cuts at any write of a disk: a file system whose every write and flush is recorded, and what a cut may leave of it.

qemu's storage daemon offers an image as a file (FUSE) and writes down each request (its "log writes" driver, in the format
of the kernel's dm-log-writes). A cut keeps all that was flushed, and of what the disk had only accepted any part, in any order.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator

TOOLS = ("qemu-storage-daemon", "qemu-img", "mkfs.ext4", "mount", "umount", "losetup")
_FLUSH, _FUA, _DISCARD = 1, 2, 4
_SIZE = 192 * 1024**2


def can_cut() -> bool:
    """Whether this machine lets us: root, the tools, FUSE and loop devices."""
    there = all(shutil.which(tool) for tool in TOOLS)
    return os.geteuid() == 0 and there and Path("/dev/fuse").exists() and Path("/dev/loop-control").exists()


@dataclass(frozen=True)
class Write:
    """One entry of the log: where it goes, how much, its flags, and where its data stand in the log."""

    offset: int
    length: int
    flags: int
    at: int


class RecordedDisk:
    """An ext4 of its own; ``folder`` is where it is mounted while :meth:`mounted` lasts.

    :param start: an image to begin with; None: an empty one of 192 MiB.
    """

    def __init__(self, work: Path, *, start: Path | None = None) -> None:
        self.work = work
        self.folder = work / "disk"
        self._start, self._image, self._log = start or work / "start.raw", work / "image.raw", work / "writes.log"
        if start is None:
            with self._start.open("wb") as file:
                file.truncate(_SIZE)
            run("mkfs.ext4", "-q", "-F", str(self._start))
        self._size = self._start.stat().st_size
        with self._log.open("wb") as file:
            file.truncate(4 * 1024**3)
        run("cp", "--sparse=always", str(self._start), str(self._image))
        self.folder.mkdir()

    @contextlib.contextmanager
    def mounted(self) -> Iterator[Path]:
        """Mounted, every write recorded."""
        blocks = (
            f"driver=file,node-name=file0,filename={self._image}",
            "driver=raw,node-name=raw0,file=file0",
            f"driver=file,node-name=log0,filename={self._log}",
            "driver=blklogwrites,node-name=top,file=raw0,log=log0,log-sector-size=512",
        )
        with self._offered(blocks) as device, self._mount(device):
            yield self.folder

    @contextlib.contextmanager
    def _offered(self, blocks: tuple[str, ...]) -> Iterator[Path]:
        """The node ``top`` as a file."""
        device = self.work / "device.raw"
        device.touch()
        words = ["qemu-storage-daemon", *(word for block in blocks for word in ("--blockdev", block))]
        words += ["--export", f"type=fuse,id=e0,node-name=top,mountpoint={device},writable=on"]
        with subprocess.Popen(words) as daemon:
            try:
                end = time.monotonic() + 20
                while device.stat().st_size != self._size and time.monotonic() < end:
                    time.sleep(0.02)
                yield device
            finally:
                daemon.terminate()

    @contextlib.contextmanager
    def _mount(self, device: Path) -> Iterator[None]:
        loop = run("losetup", "-f", "--show", str(device)).strip()
        try:
            run("mount", "-o", "noatime", loop, str(self.folder))
            try:
                yield
            finally:
                run("umount", str(self.folder))
        finally:
            run("losetup", "-d", loop)

    def position(self) -> int:
        """How many writes and flushes the log has now."""
        with self._log.open("rb") as file:
            return int(struct.unpack("<QQQI", file.read(28))[2])

    def entries(self) -> Iterator[Write]:
        """All that was recorded, in order."""
        with self._log.open("rb") as file:
            _, _, count, sector = struct.unpack("<QQQI", file.read(28))
            at = sector
            for _ in range(count):
                file.seek(at)
                first, sectors, flags, _ = struct.unpack("<QQQQ", file.read(32))
                at += sector
                yield Write(first * sector, sectors * sector, flags, at)
                at += 0 if flags & _DISCARD else sectors * sector

    def flushes(self, first: int = 0) -> list[int]:
        """Numbers of the entries from ``first`` on that make durable what came before."""
        return [n for n, write in enumerate(self.entries()) if n >= first and write.flags & (_FLUSH | _FUA)]

    def cuts(self, points: list[int], rng: random.Random) -> Iterator[tuple[int, Path]]:
        """For each point (ascending) the disk after a cut there, mounted; the journal has been replayed."""
        durable, cut = self.work / "durable.raw", self.work / "cut.qcow2"
        run("cp", "--sparse=always", str(self._start), str(durable))
        waiting = list(points)
        pending: list[Write] = []
        for number, write in enumerate(self.entries()):
            if write.flags & _FLUSH:
                self._apply(durable, pending)
                pending = []
            if write.length and write.flags & _FUA:
                self._apply(durable, [write])
            elif write.length:
                pending.append(write)
            while waiting and waiting[0] == number:
                waiting.pop(0)
                kept = [w for w in pending if rng.random() < 0.5]
                rng.shuffle(kept)
                run("qemu-img", "create", "-q", "-f", "qcow2", "-b", str(durable), "-F", "raw", str(cut))
                blocks = (
                    f"driver=file,node-name=below,filename={durable},read-only=on",
                    f"driver=file,node-name=file0,filename={cut}",
                    "driver=qcow2,node-name=top,file=file0,backing=below",
                )
                with self._offered(blocks) as device:
                    self._apply(device, kept)
                    with self._mount(device):
                        yield number, self.folder

    def _apply(self, image: Path, writes: list[Write]) -> None:
        with self._log.open("rb") as log, image.open("r+b", buffering=0) as file:
            for write in writes:
                if not write.flags & _DISCARD:  # keeping the old data is one thing a disk may do
                    log.seek(write.at)
                    file.seek(write.offset)
                    file.write(log.read(write.length))


def run(*words: str) -> str:
    """:raises subprocess.CalledProcessError: it failed."""
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout
