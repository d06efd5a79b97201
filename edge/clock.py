"""Time, as a thing that can be handed in: monotonic seconds for logic, UTC for records."""

from __future__ import annotations

import ctypes
import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised to a reference
_TIMEX_BYTES = 512  # struct timex is 208 bytes on 64-bit Linux


class Clock(Protocol):
    """Where every component gets its time from."""

    def monotonic_s(self) -> float:
        """Seconds that never jump; comparable within one boot only."""

    def utc_now(self) -> datetime:
        """Timezone-aware UTC; may jump when the network sets the clock."""

    def synchronised(self) -> bool:
        """Whether the wall clock is known to be right: set from the network or another reference."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until the event is set or the time is over; returns whether it is set."""


def kernel_clock_synchronised() -> bool:
    """Whether the kernel believes its clock, as ``timedatectl`` reports it: true after any NTP client has set it."""
    try:
        state: int = ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES))  # all zeros: only asks
    except (OSError, AttributeError):  # no such call here: better a needless warning than a wrong time believed
        return False
    return 0 <= state < _TIME_ERROR


class SystemClock:
    """The machine's own clock.

    :param ask_synchronised: whether the clock was set from a reference.
    """

    def __init__(self, ask_synchronised: Callable[[], bool] = kernel_clock_synchronised) -> None:
        self._ask = ask_synchronised

    def monotonic_s(self) -> float:
        return time.monotonic()

    def utc_now(self) -> datetime:
        return datetime.now(timezone.utc)

    def synchronised(self) -> bool:
        return self._ask()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)


def boot_id() -> str:
    """The kernel's identifier of this boot: monotonic times compare only where it is equal. Empty if unknown."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
