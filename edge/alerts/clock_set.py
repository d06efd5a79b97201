"""Times taken before the clock was set, put right once it is: boot and monotonic time are stored beside them."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge.clock import Clock
    from edge.types import Alert

CORRECTED = ("Corrected", "the clock was set after it began; the times here are put right")


def clock_shift(alert: Alert, *, clock: Clock, boot_id: str) -> timedelta | None:
    """What is to be added to an alert's times; zero: they stand; None: they may be wrong, nobody knows by how much.

    :param boot_id: this boot; monotonic times compare only within it.
    """
    if alert.clock_synced:
        return timedelta(0)
    if alert.boot_id == boot_id != "" and clock.synchronised():
        return utc_of(alert.created_mono_s, clock) - alert.created_utc
    return None


def utc_of(mono_s: float, clock: Clock) -> datetime:
    """What the wall clock, as it goes now, would have shown at that monotonic time of this boot."""
    return clock.utc_now() - timedelta(seconds=clock.monotonic_s() - mono_s)


def put_right(alert: Alert, *, clock: Clock, boot_id: str) -> Alert:
    """The alert in terms of the clock that is known now, and marked so; as it is where nothing can be put right."""
    shift = clock_shift(alert, clock=clock, boot_id=boot_id)
    if not shift:
        return alert
    return replace(
        alert,
        opened_utc=alert.opened_utc + shift,
        closed_utc=None if alert.closed_utc is None else alert.closed_utc + shift,
        created_utc=alert.created_utc + shift,
        clock_synced=True,
        extra=(*alert.extra, CORRECTED),
    )
