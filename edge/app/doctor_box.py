"""What ``kiosk-guard doctor`` finds out about the box itself: its disk, who may read what, its network."""

from __future__ import annotations

import grp
import os
import pwd
import socket
import stat
import statistics
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from edge.health.interface import Check, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SYNCS = 15
_SLOW_SYNC_MS, _BAD_SYNC_MS = 250.0, 3000.0
# JEDEC eMMC 5.0: estimate of life used in steps of ten per cent, 0x0b: exceeded; 0: not told.
_WORN, _WORN_OUT = 9, 11
# vcgencmd get_throttled: bits 16 to 19 say what happened since the box was started.
_SINCE_BOOT = {16: "under-voltage", 17: "frequency capped", 18: "throttled", 19: "soft temperature limit"}
_PIN_POWER = "Give the Pi its own power supply (5 V, 3 A; a Pi 5: 5 A) and cooling"


def check_disk_speed(folder: Path, *, now_s: Callable[[], float] = time.monotonic) -> Check:
    """How long a small file takes to be safe on the disk: every alarm waits for that before it is sent."""
    trial = folder / f".doctor-{os.getpid()}"
    took_ms = []
    try:
        with trial.open("wb", buffering=0) as file:
            for _ in range(_SYNCS):
                began_s = now_s()
                file.write(os.urandom(4096))
                os.fsync(file.fileno())
                took_ms.append(1000 * (now_s() - began_s))
    except OSError as error:
        words = f"{folder} cannot be written: {error.strerror}. Is the card full, broken or mounted read-only?"
        return Check("disk speed", Status.FAIL, words, None, "ms")
    finally:
        trial.unlink(missing_ok=True)
    typical, worst = statistics.median(took_ms), max(took_ms)
    words = f"a synced write takes {typical:.1f} ms, {worst:.0f} ms at worst"
    if worst > _BAD_SYNC_MS:
        return Check("disk speed", Status.FAIL, f"{words}: this card is failing. Replace it", round(typical, 1), "ms")
    if typical > _SLOW_SYNC_MS:
        words += ": a slow card delays alarms. Use one of application class A1 or A2"
        return Check("disk speed", Status.WARN, words, round(typical, 1), "ms")
    return Check("disk speed", Status.PASS, words, round(typical, 1), "ms")


def is_stranger(folder: Path) -> bool:
    """Whether whoever runs this is neither root nor the folder's owner: what they may not do tells nothing of the service."""
    try:
        return os.geteuid() not in (0, folder.stat().st_uid)
    except OSError:
        return False


def is_read_only(folder: Path) -> bool:
    """Whether the file system is mounted for reading only."""
    try:
        return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)
    except OSError:
        return False


def check_wear(root: Path = Path("/")) -> Check:
    """How much of its life the flash has behind it, where it tells (eMMC does, most SD cards do not)."""
    used = 0
    for file in (root / "sys/block").glob("mmcblk*/device/life_time"):
        try:
            used = max([used, *(int(word, 16) for word in file.read_text().split())])
        except (OSError, ValueError):  # noqa: PERF203 - one file
            continue
    if not used:
        return Check("disk wear", Status.PASS, "the disk does not tell its wear")
    percent = min(100, 10 * used)
    if used >= _WORN_OUT:
        return Check("disk wear", Status.FAIL, "the flash is worn out. Replace it", percent, "%")
    if used >= _WORN:
        return Check(
            "disk wear", Status.WARN, f"{percent} % of the flash's life are used. Replace it soon", percent, "%"
        )
    return Check("disk wear", Status.PASS, f"at most {percent} % of the flash's life are used", percent, "%")


def check_throttled(ask: Callable[[], str] | None = None) -> Check | None:
    """Whether the Raspberry Pi was short of power or too hot since it was started; None: no Raspberry Pi.

    :param ask: answers as ``vcgencmd get_throttled`` does ("throttled=0x50000"); raises OSError where there is none.
    """
    try:
        bits = int((ask or _vcgencmd)().strip().partition("=")[2], 16)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    past = [words for bit, words in _SINCE_BOOT.items() if bits >> bit & 1]
    now = [words for bit, words in _SINCE_BOOT.items() if bits >> (bit - 16) & 1]
    if now:
        return Check("throttling", Status.FAIL, f"now: {', '.join(now)}. {_PIN_POWER}", f"{bits:#x}")
    if past:
        return Check("throttling", Status.WARN, f"since the start: {', '.join(past)}. {_PIN_POWER}", f"{bits:#x}")
    return Check("throttling", Status.PASS, "", f"{bits:#x}")


def _vcgencmd() -> str:
    answer = subprocess.run(
        ["vcgencmd", "get_throttled"],  # noqa: S607 - wherever the system has it
        capture_output=True,
        text=True,
        timeout=5,
        check=True,
    )
    return answer.stdout


def check_secret(path: Path, what: str) -> Check:
    """Whether a file with a secret is there, and for its reader alone."""
    name = f"permissions:{what}"
    try:
        mode = path.stat().st_mode
    except PermissionError:
        return Check(name, Status.WARN, f"{path} cannot be looked at by this user. Run this with sudo")
    except OSError as error:
        return Check(name, Status.FAIL, f"{path}: {error.strerror}. Put the secret there, one line")
    if mode & stat.S_IRWXO:
        return Check(
            name, Status.FAIL, f"{path} is open to every user of this box: sudo chmod o= {path}", oct(mode & 0o777)
        )
    return Check(name, Status.PASS, "", oct(mode & 0o777))


def check_state_owner(folder: Path) -> Check:
    """Whether the state is closed to strangers."""
    try:
        info = folder.stat()
    except OSError as error:
        words = f"{folder}: {error.strerror}. It is made when the service first runs: systemctl start kiosk-guard"
        return Check("permissions:state", Status.WARN, words)
    if info.st_mode & stat.S_IRWXO:
        words = f"{folder} holds pictures and is open to every user of this box: sudo chmod o= {folder}"
        return Check("permissions:state", Status.FAIL, words, oct(info.st_mode & 0o777))
    return Check("permissions:state", Status.PASS, "", _user(info.st_uid))


def check_device(path: Path, uid: int) -> Check:
    """Whether the service's user may open a camera or a GPIO chip."""
    name = f"permissions:{path}"
    try:
        info = path.stat()
    except OSError as error:
        return Check(
            name, Status.FAIL, f"{path}: {error.strerror}. Is it plugged in, and named rightly? See: ls -l /dev"
        )
    if uid == 0 or (info.st_mode & stat.S_IROTH and info.st_mode & stat.S_IWOTH):
        return Check(name, Status.PASS)
    try:
        user = pwd.getpwuid(uid)
        groups = os.getgrouplist(user.pw_name, user.pw_gid)
        group = grp.getgrgid(info.st_gid).gr_name
    except KeyError:
        return Check(name, Status.WARN, f"user {uid} or group {info.st_gid} has no name on this box")
    if info.st_uid == uid or (info.st_gid in groups and info.st_mode & stat.S_IRGRP):
        return Check(name, Status.PASS, "", group)
    words = f"user {user.pw_name} may not open it: sudo usermod -aG {group} {user.pw_name}, then restart the service"
    return Check(name, Status.FAIL, words, group)


def check_network(
    hosts: Iterable[str], *, root: Path = Path("/"), look_up: Callable[[str], object] | None = None
) -> Check:
    """Whether there is a way out, and the names that the configuration uses are known."""
    look_up = look_up or (lambda host: socket.getaddrinfo(host, None))
    unknown = []
    for host in dict.fromkeys(hosts):
        try:
            look_up(host)
        except OSError:  # noqa: PERF203 - a name or two
            unknown.append(host)
    if not _has_route(root):
        words = "no way out: no default route. Alarms wait in the outbox until there is one. Check cable or modem, then: ip route"
        return Check("network", Status.WARN, words)
    if unknown:
        words = f"unknown: {', '.join(unknown)}. Check the names in the configuration, then the DNS server: resolvectl status"
        return Check("network", Status.FAIL, words)
    return Check("network", Status.PASS, "there is a default route")


def _has_route(root: Path) -> bool:
    try:
        four = [line.split() for line in (root / "proc/net/route").read_text().splitlines()[1:]]
        six = [line.split() for line in (root / "proc/net/ipv6_route").read_text().splitlines()]
    except OSError:
        return True  # this machine does not tell
    return any(row[1:2] == ["00000000"] for row in four) or any(
        row[:2] == ["0" * 32, "00"] and row[-1] != "lo" for row in six
    )


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
