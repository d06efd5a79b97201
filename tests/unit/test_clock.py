from __future__ import annotations

import shutil
import subprocess
import threading
from datetime import timezone

import pytest

from edge.clock import SystemClock, boot_id, kernel_clock_synchronised


def test_the_machine_s_clock() -> None:
    clock = SystemClock()
    before = clock.monotonic_s()
    assert clock.utc_now().tzinfo is timezone.utc
    assert clock.monotonic_s() >= before
    done = threading.Event()
    assert not clock.wait(done, 0.0)
    done.set()
    assert clock.wait(done, 60.0)


def test_whether_it_is_synchronised_is_asked_each_time() -> None:
    answers = iter([False, True])
    clock = SystemClock(lambda: next(answers))
    assert [clock.synchronised(), clock.synchronised()] == [False, True]


@pytest.mark.skipif(shutil.which("adjtimex") is None, reason="Debian's adjtimex is not installed here")
def test_the_kernel_is_understood_as_adjtimex_does() -> None:
    said = subprocess.run(["adjtimex", "--print"], check=True, capture_output=True, text=True).stdout
    assert kernel_clock_synchronised() == ("return value = 5" not in said)


def test_a_boot_has_one_name() -> None:
    assert boot_id() == boot_id()
