"""Time, as a thing that can be handed in: monotonic seconds for logic, UTC for records."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# systemd-timesyncd touches this file once the clock has been set from the network.
_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")


class Clock(Protocol):
    """Where every component gets its time from."""

    def monotonic_s(self) -> float:
        """Seconds that never jump; comparable within one boot only."""

    def utc_now(self) -> datetime:
        """Timezone-aware UTC; may jump when the network sets the clock."""

    def synchronised(self) -> bool:
        """Whether the wall clock is known to have been set from the network since boot."""

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        """Wait until the event is set or the time is over; returns whether it is set."""


class SystemClock:
    """The machine's own clock.

    :param synchronised_flag: file whose existence says that the clock was set from the network.
    """

    def __init__(self, synchronised_flag: Path = _SYNCHRONISED) -> None:
        self._flag = synchronised_flag

    def monotonic_s(self) -> float:
        return time.monotonic()

    def utc_now(self) -> datetime:
        return datetime.now(timezone.utc)

    def synchronised(self) -> bool:
        return self._flag.exists()

    def wait(self, event: threading.Event, timeout_s: float) -> bool:
        return event.wait(timeout_s)


def boot_id() -> str:
    """The kernel's identifier of this boot: monotonic times compare only where it is equal. Empty if unknown."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
