"""Waiting for what other processes do, with much patience: a busy machine is no fault."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_S = 90.0  # no test waits this long when all is well


def wait_for(what: Callable[[], object], patience_s: float = PATIENCE_S) -> None:
    """Until it holds; fails when it does not."""
    end_s = time.monotonic() + patience_s
    while not what():
        assert time.monotonic() < end_s, "it did not happen"
        time.sleep(0.02)


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
