"""From configuration to all that lies in the state directory, opened for this service alone."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.alerts.database import Database, open_database
from edge.alerts.device_key import open_device_key
from edge.alerts.incident_log import IncidentLog
from edge.alerts.incident_store import IncidentStore
from edge.alerts.maintenance_store import MaintenanceStore
from edge.alerts.suppression_store import SuppressionStore
from edge.app.build_alerts import build_evidence, build_outbox
from edge.app.state import RunLock, state_path
from edge.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.alerts.evidence import EvidenceStore
    from edge.alerts.outbox import Outbox
    from edge.clock import Clock
    from edge.config import Config

_ROOM_TO_START = 1024**2  # bytes: the database's log and its index, and what a start writes


@dataclass(frozen=True, slots=True)
class Storage:
    """What outlives the process. ``incidents``, ``periods`` (of maintenance) and ``suppressions`` are in ``database``."""

    state_dir: Path
    database: Database
    incident_log: IncidentLog
    outbox: Outbox
    incidents: IncidentStore
    evidence: EvidenceStore
    periods: MaintenanceStore
    suppressions: SuppressionStore


def open_storage(
    config: Config, config_path: Path, stack: contextlib.ExitStack, *, clock: Clock, boot_id: str, run: str
) -> Storage:
    """Open everything; ``stack`` closes it.

    :param run: names this run of the service, for the suppressions.
    :raises StateError: the directory cannot be had, or another service has it.
    :raises OutboxError: the database cannot be read or written.
    """
    state_dir = claim_state(config, config_path, stack)
    incident_log = IncidentLog(state_dir, key=open_device_key(state_dir), clock=clock)
    evidence = build_evidence(config, state_dir, incident_log, clock=clock)
    with contextlib.suppress(OSError):  # a full disk must not keep the box from guarding
        evidence.make_room(_ROOM_TO_START, even_in_vain=True)
    database = open_database(state_dir, clock=clock)
    stack.callback(database.close)
    return Storage(
        state_dir=state_dir,
        database=database,
        incident_log=incident_log,
        outbox=build_outbox(config, database, incident_log, clock=clock, boot_id=boot_id),
        incidents=IncidentStore(database, clock=clock, boot_id=boot_id),
        evidence=evidence,
        periods=MaintenanceStore(database, clock=clock, boot_id=boot_id),
        suppressions=SuppressionStore(database, run=run),
    )


def claim_state(config: Config, config_path: Path, stack: contextlib.ExitStack) -> Path:
    """The state directory, for this service alone. :raises StateError: it cannot be had."""
    path = state_path(config, config_path)
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(
            f"the state directory {path} cannot be made: {error.strerror}",
            hint=f"make it for the service's user, or name another in {config_path}: [state] dir",
        ) from None
    lock = RunLock(path)
    if not lock.take():
        raise StateError(
            f"another kiosk-guard runs on the state directory {path}",
            hint="One service a box: see `systemctl status kiosk-guard`, or name another [state] dir.",
        )
    stack.callback(lock.release)
    return path
