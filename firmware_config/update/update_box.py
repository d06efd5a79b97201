"""The places of kiosk-guard-update on a machine, and the changes there that a power cut finds done or not begun."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

from release_archive import Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from service_probe import Probe

COMPLETE_TAG, OWNER_TAG = ".kiosk-guard-complete", ".made-by-kiosk-guard"
EX_OK, EX_BUSY = 0, 75


def say(text: str) -> None:
    """For the journal, or for a terminal, which may be gone: whoever was connected to it is no part of the update."""
    try:
        print(f"[update] {text}", flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


class Box:
    """The places on this machine. ``root``: in place of /, for tests."""

    def __init__(self, root: Path, *, systemctl: str, probe: Probe, trial_s: float, ready_s: float) -> None:
        self.opt = root / "opt/kiosk-guard"
        self.etc = root / "etc/kiosk-guard"
        self.state = root / "var/lib/kiosk-guard-update"
        self.systemctl = systemctl
        self.probe = probe
        self.trial_s = trial_s
        self.ready_s = ready_s

    def current(self, link: str = "current") -> str:
        """The version that ``current`` (or ``previous``) names; empty: none."""
        try:
            return (self.opt / link).readlink().name
        except OSError:
            return ""

    def complete(self, version: str) -> bool:
        return bool(version) and (self.opt / "releases" / version / COMPLETE_TAG).is_file()

    def point(self, link: str, version: str) -> None:
        fresh = self.opt / f".{link}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(f"releases/{version}")
        fresh.replace(self.opt / link)
        sync_folder(self.opt)

    def read(self, name: str) -> dict[str, Any]:
        try:
            told = json.loads((self.state / name).read_bytes())
        except (OSError, ValueError):
            return {}
        return told if isinstance(told, dict) else {}

    def write(self, name: str, content: dict[str, Any]) -> None:
        fresh = self.state / f".{name}.new"
        with fresh.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.state / name)
        sync_folder(self.state)

    def forget(self, name: str) -> None:
        (self.state / name).unlink(missing_ok=True)
        sync_folder(self.state)

    def trial(self) -> dict[str, Any]:
        """The trial that is on; empty: none, or its switch never came about."""
        trial = self.read("trial.json")
        return trial if trial and trial.get("version") == self.current() else {}

    def service(self, act: str) -> bool:
        return subprocess.run([self.systemctl, act, "kiosk-guard.service"], check=False).returncode == 0

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        self.state.mkdir(parents=True, exist_ok=True)
        with (self.state / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise Refused("another kiosk-guard-update, or install.sh, is at work", EX_BUSY) from None
            yield


def sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
