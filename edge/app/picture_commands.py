"""``kiosk-guard pictures`` and ``viewed``: an incident's pictures for somebody, and who had them so far."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge.alerts.device_key import open_device_key
from edge.alerts.incident_log import LOG_NAME, IncidentLog
from edge.alerts.mail_words import one_line
from edge.alerts.viewing import PictureDesk, viewings
from edge.app.evidence_commands import unknown_incident, who_asks
from edge.app.state import as_owner, existing_state
from edge.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.clock import Clock
    from edge.config import Config


def pictures(
    config: Config,
    config_path: Path,
    incident_id: str,
    *,
    copy_to: Path | None,
    say: Callable[[str], object],
    clock: Clock,
) -> None:
    """List them, or copy them out. :raises UnknownIncident: there are none. :raises KioskError: not recorded, not written."""
    folder = existing_state(config, config_path)
    if copy_to is None:
        desk = PictureDesk(folder / "evidence", record=lambda *_: None, clock=clock)
        found = desk.pictures_of(incident_id)
        if not found:
            raise unknown_incident(incident_id)
        for path in found:
            say(path)
        return
    with as_owner(folder):
        log = IncidentLog(folder, key=open_device_key(folder), clock=clock)
        desk = PictureDesk(folder / "evidence", record=log.append, clock=clock)
        copies = [
            (path, desk.read(incident_id, path, who=who_asks(), how="downloaded"))
            for path in desk.pictures_of(incident_id)
        ]
    if not copies:
        raise unknown_incident(incident_id)
    try:
        copy_to.mkdir(parents=True, exist_ok=True)
        for path, data in copies:
            (copy_to / Path(path).name).write_bytes(data)
    except OSError as error:
        raise StateError(f"{copy_to} cannot be written: {error.strerror}", hint="Name another folder.") from error
    say(f"{len(copies)} pictures copied to {copy_to}; the incident log names {who_asks()}")


def viewed(config: Config, config_path: Path, incident_id: str | None, *, say: Callable[[str], object]) -> None:
    """One line a look. :raises StateError: there is no log, or it cannot be read."""
    none = True
    for look in viewings(existing_state(config, config_path) / LOG_NAME, incident_id):
        none = False
        who, picture = one_line(look.who), one_line(look.picture)
        say(f"{look.at_utc:%Y-%m-%d %H:%M:%S} UTC  {one_line(look.how)}  {picture}  by {who}")
    if none:
        say("nobody, as far as the incident log goes")
