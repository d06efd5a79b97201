"""The machine is read under a root of the test's own."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edge.health.checks import MachineFacts
from edge.health.machine import read_disk, read_machine

if TYPE_CHECKING:
    from pathlib import Path


def put(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_a_raspberry_pi_tells_all(tmp_path: Path) -> None:
    put(
        tmp_path,
        "proc/meminfo",
        "MemTotal:        3884640 kB\nMemFree:  1 kB\nMemAvailable:    2001232 kB\nHugePages: 0\n",
    )
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "61833\n")
    put(tmp_path, "sys/class/thermal/thermal_zone1/temp", "55000\n")
    put(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "50005\n")
    facts = read_machine(tmp_path)
    assert facts.memory_available_bytes == 2001232 * 1024
    assert facts.memory_total_bytes == 3884640 * 1024
    assert facts.temperature_c == pytest.approx(61.833)
    assert facts.throttled == ("under-voltage", "throttled")


def test_what_only_happened_since_boot_is_not_now(tmp_path: Path) -> None:
    put(tmp_path, "sys/devices/platform/soc@107c000000/soc@107c000000:firmware/get_throttled", "50000\n")
    assert read_machine(tmp_path).throttled == ()


def test_the_voltage_alarm_of_the_kernel_counts_once(tmp_path: Path) -> None:
    put(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "1\n")
    put(tmp_path, "sys/class/hwmon/hwmon1/name", "rpi_volt\n")
    put(tmp_path, "sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
    put(tmp_path, "sys/class/hwmon/hwmon2/name", "other\n")
    put(tmp_path, "sys/class/hwmon/hwmon2/in0_lcrit_alarm", "1\n")
    assert read_machine(tmp_path).throttled == ("under-voltage",)


def test_a_machine_that_tells_nothing_or_nonsense(tmp_path: Path) -> None:
    assert read_machine(tmp_path) == MachineFacts()
    put(tmp_path, "proc/meminfo", "MemAvailable: lots\ngarbage\n\xff")
    put(tmp_path, "sys/class/thermal/thermal_zone0/temp", "-274000")
    put(tmp_path, "sys/class/thermal/thermal_zone1/temp", "0")
    put(tmp_path, "sys/class/thermal/thermal_zone2/temp", "hot")
    put(tmp_path, "sys/devices/platform/soc/soc:firmware/get_throttled", "")
    assert read_machine(tmp_path) == MachineFacts()


def test_the_disk_is_asked_where_the_path_is(tmp_path: Path) -> None:
    facts = read_disk(tmp_path)
    assert facts.free_bytes is not None
    assert facts.total_bytes is not None
    assert 0 < facts.free_bytes <= facts.total_bytes
    assert read_disk(tmp_path / "not there").free_bytes is None


def test_a_disk_that_takes_nothing_is_told_without_writing(tmp_path: Path) -> None:
    assert read_disk(tmp_path).writable
    assert not list(tmp_path.iterdir())
    gone = read_disk(tmp_path / "missing")
    assert (gone.free_bytes, gone.writable) == (None, True)  # "cannot be asked" has words of its own


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_of_somebody_else_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    assert not read_disk(tmp_path).writable
    tmp_path.chmod(0o700)
