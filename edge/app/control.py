"""Commands for the running service, left in kiosk.db where it looks every second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.alerts.database import open_database
from edge.alerts.maintenance_store import MaintenanceStore, Period
from edge.clock import SystemClock, boot_id
from edge.config import Config, resolve
from edge.errors import BadArgument

if TYPE_CHECKING:
    from pathlib import Path

    from edge.clock import Clock

MAX_MINUTES = 24 * 60
_MAX_REASON = 120


def maintenance(
    config: Config,
    config_path: Path,
    action: str,
    *,
    minutes: float = 60.0,
    reason: str = "",
    clock: Clock | None = None,
    boot: str | None = None,
) -> str:
    """Switch maintenance mode "on" or "off", or ask for its "status"; returns what to print.

    :raises StateError: the state directory is not there.
    :raises OutboxError: the database cannot be read or written.
    """
    clock = clock or SystemClock()
    reason = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
    if action == "on":
        if not 0 < minutes <= MAX_MINUTES:
            raise BadArgument(
                f"maintenance: --minutes {minutes:g}: not a time", hint=f"allowed: more than 0, up to {MAX_MINUTES}"
            )
        if not reason or len(reason) > _MAX_REASON:
            raise BadArgument(
                "maintenance: --reason is missing or too long",
                hint=f"in 1 to {_MAX_REASON} characters, what it is for: the desk reads it in the mail",
            )
    database = open_database(resolve(config_path, config.state.dir), clock=clock)
    try:
        store = MaintenanceStore(database, clock=clock, boot_id=boot_id() if boot is None else boot)
        if action == "on":
            store.begin(minutes=minutes, reason=reason)
        elif action == "off" and store.end(reason="somebody switched it off") is None:
            return "maintenance mode was not on"
        return _status(store, store.running())
    finally:
        database.close()


def _status(store: MaintenanceStore, running: Period | None) -> str:
    left_min = store.remaining_s(running) / 60 if running else 0.0
    if running is None or left_min <= 0:
        return "maintenance mode is off"
    return f"maintenance mode is on for {left_min:.1f} min more of {running.minutes:g} min: {running.reason}"
