"""What the machine tells about itself in /proc and /sys; a missing file means "does not tell", never an error."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from edge.health.checks import DiskFacts, MachineFacts

# The Raspberry Pi's firmware, bits of now; bits 16 to 19 say "since boot" and would never go away again.
_THROTTLED_BITS = ((0, "under-voltage"), (1, "frequency capped"), (2, "throttled"), (3, "soft temperature limit"))


def read_machine(root: Path = Path("/")) -> MachineFacts:
    """Measure now.

    :param root: where /proc and /sys are found; tests build a small one.
    """
    memory = _memory(root)
    return MachineFacts(
        memory_available_bytes=memory.get("MemAvailable"),
        memory_total_bytes=memory.get("MemTotal"),
        temperature_c=_temperature(root),
        throttled=_throttled(root),
    )


def read_disk(path: Path) -> DiskFacts:
    """Room on the file system that holds ``path``."""
    try:
        usage = shutil.disk_usage(path)
    except OSError:
        return DiskFacts(str(path), None, None)
    return DiskFacts(str(path), usage.free, usage.total, writable=_writable(path))


def _writable(path: Path) -> bool:
    """A file system that failed is often mounted again for reading only. Asked without writing: the card wears."""
    try:
        return not os.statvfs(path).f_flag & os.ST_RDONLY and os.access(path, os.W_OK)
    except OSError:
        return False


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""


def _memory(root: Path) -> dict[str, int]:
    found = {}
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, rest = line.partition(":")
        number = rest.removesuffix("kB").strip()
        if number.isdigit():
            found[name] = int(number) * 1024
    return found


def _temperature(root: Path) -> float | None:
    """The hottest thermal zone, degrees Celsius. Zones that are switched off read 0 or absurd values."""
    zones = [_text(path) for path in (root / "sys/class/thermal").glob("thermal_zone*/temp")]
    degrees = [int(t) / 1000.0 for t in zones if t.lstrip("-").isdigit()]
    return max((d for d in degrees if -40.0 <= d <= 150.0 and d != 0.0), default=None)


def _throttled(root: Path) -> tuple[str, ...]:
    reasons = []
    for path in (root / "sys/devices/platform").glob("soc*/*firmware/get_throttled"):
        try:
            bits = int(_text(path), 16)
        except ValueError:
            continue
        reasons += [words for bit, words in _THROTTLED_BITS if bits >> bit & 1]
    for path in (root / "sys/class/hwmon").glob("hwmon*/in0_lcrit_alarm"):
        if _text(path.with_name("name")) == "rpi_volt" and _text(path) == "1":
            reasons.append("under-voltage")
    return tuple(dict.fromkeys(reasons))
