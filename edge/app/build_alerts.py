"""From configuration to the objects that store and deliver alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.alerts.evidence import EvidenceStore
from edge.alerts.flood import FloodGate
from edge.alerts.heartbeat_store import HeartbeatStore
from edge.alerts.outbox import Outbox
from edge.alerts.worker import DeliveryWorker
from edge.app.hand_over import enqueue
from edge.app.heartbeat import Heartbeat

if TYPE_CHECKING:
    from pathlib import Path

    from edge.alerts.database import Database
    from edge.alerts.email import EmailChannel
    from edge.alerts.incident_log import IncidentLog
    from edge.app.board import Board
    from edge.clock import Clock
    from edge.config import Config


def build_evidence(config: Config, state_dir: Path, incident_log: IncidentLog, *, clock: Clock) -> EvidenceStore:
    """The pictures; what is removed is recorded. :raises StateError: the folder cannot be made."""
    return EvidenceStore(
        state_dir / "evidence",
        clock=clock,
        jpeg_quality=config.evidence.jpeg_quality,
        max_bytes=int(config.evidence.max_mb * 1_000_000),
        max_age_s=config.evidence.max_days * 86_400,
        on_remove=lambda paths, why: incident_log.append("removed", {"removed": list(paths), "why": why}),
    )


def build_outbox(
    config: Config, database: Database, incident_log: IncidentLog, *, clock: Clock, boot_id: str
) -> Outbox:
    """:raises OutboxError: the database cannot be read or written."""
    return Outbox(
        database,
        clock=clock,
        boot_id=boot_id,
        max_items=config.outbox.max_items,
        max_bytes=int(config.outbox.max_mb * 1_000_000),
        max_age_s=config.outbox.max_days * 86_400,
        log_head=lambda: (incident_log.head.number, incident_log.head.hash),
    )


def build_delivery(
    config: Config, outbox: Outbox, channel: EmailChannel, evidence: EvidenceStore, *, clock: Clock
) -> DeliveryWorker:
    """The thread is not started yet."""
    return DeliveryWorker(
        outbox=outbox,
        channel=channel,
        resolve=evidence.resolve,
        clock=clock,
        flood=FloodGate(per_hour=config.email.max_per_hour, digest_s=config.email.digest_s, clock=clock),
    )


def build_heartbeat(
    config: Config,
    database: Database,
    outbox: Outbox,
    delivery: DeliveryWorker,
    board: Board,
    *,
    clock: Clock,
    boot_id: str,
    model: str,
) -> Heartbeat:
    """The mail that says that the box is there."""
    return Heartbeat(
        outbox=outbox,
        store=HeartbeatStore(database),
        enqueue=lambda alert: enqueue(alert, outbox, delivery),
        report=board.report,
        interval_s=config.email.heartbeat_h * 3600,
        clock=clock,
        boot_id=boot_id,
        kiosk=config.kiosk.id,
        model=model,
    )
