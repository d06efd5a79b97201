"""``kiosk-guard verify-log``, ``erase`` and ``hold``: the incident log and the pictures, in the technician's hands."""

from __future__ import annotations

import getpass
import os
import re
from typing import TYPE_CHECKING, Any

from edge.alerts.device_key import PUBLIC_NAME, open_device_key, read_public_key
from edge.alerts.evidence import EvidenceStore
from edge.alerts.incident_log import LOG_NAME, Head, IncidentLog
from edge.alerts.log_check import check_log
from edge.alerts.mail_words import one_line
from edge.app.state import as_owner, existing_state
from edge.clock import SystemClock
from edge.errors import EX_DATAERR, EX_NOINPUT, EX_OK, KioskError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.clock import Clock
    from edge.config import Config

_HEAD = re.compile(r"(\d{1,12})[:, ]\s*([0-9a-f]{64})")
_SHOWN = 50


class UnknownIncident(KioskError):  # noqa: N818 - reads as the fact it states
    """There are no pictures of that incident."""

    exit_code = EX_NOINPUT


def verify_log(
    config: Config, config_path: Path, *, heads: Sequence[str], key: Path | None, say: Callable[[str], object]
) -> int:
    """Check the log and every picture; says what was tampered with; returns the exit code.

    :param heads: "NUMBER:HASH" as mails name them.
    :param key: the kiosk's public key, kept elsewhere; None: the one beside the log.
    :raises KioskError: there is no log, or a head is none.
    """
    wanted = [_head(text) for text in heads]
    folder = existing_state(config, config_path)
    public = read_public_key(key or folder / PUBLIC_NAME)
    verdict = check_log(folder / LOG_NAME, folder / "evidence", public_key=public, heads=wanted)
    for words, found in (("WRONG", verdict.faults), ("note", verdict.notes)):
        for text in found[:_SHOWN]:
            say(f"{words}: {one_line(text)}")
        if len(found) > _SHOWN:
            say(f"{words}: and {len(found) - _SHOWN} more")
    say(
        f"{verdict.records} records, {verdict.pictures} pictures read, {verdict.removed} removed on record; "
        f"head {verdict.head.number}:{verdict.head.hash}"
    )
    if verdict.faults:
        say(f"the log does not hold: {len(verdict.faults)} faults")
        return EX_DATAERR
    if not wanted:
        say("the log is whole as far as it goes; only --head, from a mail, shows whether its end was cut off")
    else:
        say("the log is whole, and holds what the mail named")
    return EX_OK


def erase(config: Config, config_path: Path, incident_id: str, *, reason: str, clock: Clock | None = None) -> str:
    """Remove an incident's pictures; the log says so. :raises UnknownIncident: there are none."""
    clock = clock or SystemClock()
    folder = existing_state(config, config_path)
    with as_owner(folder):
        log = IncidentLog(folder, key=open_device_key(folder), clock=clock)
        by = who_asks()
        store = EvidenceStore(
            folder / "evidence",
            clock=clock,
            on_remove=lambda paths, why: log.append(
                "erased", {"incident_id": incident_id, "removed": list(paths), "why": why, "by": by}
            ),
        )
        if not store.pictures_of(incident_id):
            raise unknown_incident(incident_id)
        gone = store.erase(incident_id, why=one_line(reason))
    return f"{len(gone)} pictures of incident {incident_id} were erased; the incident log says so"


def hold(
    config: Config, config_path: Path, incident_id: str, *, reason: str, on: bool, clock: Clock | None = None
) -> str:
    """Keep an incident's pictures whatever their age and the space, or no longer. :raises UnknownIncident: none."""
    clock = clock or SystemClock()
    folder = existing_state(config, config_path)
    with as_owner(folder):
        store = EvidenceStore(folder / "evidence", clock=clock)
        if not store.pictures_of(incident_id):
            raise unknown_incident(incident_id)
        data = {"incident_id": incident_id, "on": on, "why": one_line(reason), "by": who_asks()}
        record_command(folder, "hold", data, clock=clock)
        number = store.hold(incident_id, on=on)
    return f"{number} pictures of incident {incident_id} are {'kept until released' if on else 'no longer held'}"


def record_command(folder: Path, kind: str, data: dict[str, Any], *, clock: Clock) -> None:
    """Write what somebody did by command into the incident log. :raises StateError: not stored."""
    IncidentLog(folder, key=open_device_key(folder), clock=clock).append(
        kind, {**data, "by": data.get("by", who_asks())}
    )


def _head(text: str) -> Head:
    match = _HEAD.fullmatch(text.strip())
    if match is None:
        raise KioskError(
            f"--head {one_line(text)!r} is none", hint="Wanted: NUMBER:HASH, as the mail's line 'Incident log' has it."
        )
    return Head(int(match[1]), match[2])


def who_asks() -> str:
    """Who gives the command: the one behind sudo, if it was used."""
    try:
        return one_line(os.environ.get("SUDO_USER") or getpass.getuser())
    except (KeyError, OSError):
        return str(os.getuid())


def unknown_incident(incident_id: str) -> UnknownIncident:
    return UnknownIncident(
        f"there are no pictures of incident {one_line(incident_id)!r}",
        hint="Mails and `kiosk-guard why` name incidents.",
    )
