"""From configuration to the objects that store and deliver alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.alerts.evidence import EvidenceStore
from edge.alerts.flood import FloodGate
from edge.alerts.heartbeat_store import HeartbeatStore
from edge.alerts.line_watch import LineWatch
from edge.alerts.outbox import Outbox
from edge.alerts.reserve import Reserve
from edge.alerts.ring import PictureRing
from edge.alerts.sheet import MOST
from edge.alerts.worker import DeliveryWorker
from edge.app.hand_over import enqueue
from edge.app.heartbeat import Heartbeat
from edge.app.sheets import Sheets

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.alerts.database import Database
    from edge.alerts.email import EmailChannel
    from edge.alerts.incident_log import IncidentLog
    from edge.app.board import Board
    from edge.clock import Clock
    from edge.config import Config
    from edge.types import Alert

_SLACK_S = 15.0  # the writer may be behind


def build_evidence(config: Config, state_dir: Path, incident_log: IncidentLog, *, clock: Clock) -> EvidenceStore:
    """The pictures; what is removed is recorded. :raises StateError: the folder cannot be made."""
    return EvidenceStore(
        state_dir / "evidence",
        clock=clock,
        jpeg_quality=config.evidence.jpeg_quality,
        max_bytes=int(config.evidence.max_mb * 1_000_000),
        max_age_s=config.evidence.max_days * 86_400,
        reserve=Reserve(state_dir),
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


def build_ring(config: Config) -> PictureRing | None:
    """The memory of the last seconds, if a contact sheet is wanted."""
    table = config.evidence
    if not table.contact_sheet or not config.email.enabled:
        return None
    span_s = table.before_s + table.after_s
    every_s = 1.0 / table.clip_fps if table.clip else max(0.5, span_s / MOST)
    return PictureRing(max_bytes=int(table.ring_mb * 1_000_000), keep_s=span_s + _SLACK_S, every_s=every_s)


def build_sheets(
    config: Config,
    ring: PictureRing | None,
    evidence: EvidenceStore,
    incident_log: IncidentLog,
    enqueue_one: Callable[[Alert], object],
    *,
    clock: Clock,
) -> Sheets | None:
    """What makes the second mail of an incident."""
    if ring is None:
        return None
    return Sheets(
        ring=ring,
        evidence=evidence,
        record=lambda alert, ref: incident_log.append(
            "sheet",
            {
                "incident_id": alert.incident_id,
                "pictures": [{"path": ref.path, "sha256": ref.sha256, "role": ref.role, "bytes": ref.size_bytes}],
            },
        ),
        enqueue=enqueue_one,
        before_s=config.evidence.before_s,
        after_s=config.evidence.after_s,
        clock=clock,
        clip_fps=config.evidence.clip_fps if config.evidence.clip else 0.0,
        clip_max_bytes=int(config.evidence.clip_max_mb * 1_000_000),
    )


def build_delivery(
    config: Config, outbox: Outbox, channel: EmailChannel, evidence: EvidenceStore, *, clock: Clock
) -> DeliveryWorker:
    """The thread is not started yet; once it is, a network that comes back wakes it."""
    delivery = DeliveryWorker(
        outbox=outbox,
        channel=channel,
        resolve=evidence.resolve,
        clock=clock,
        flood=FloodGate(per_hour=config.email.max_per_hour, digest_s=config.email.digest_s, clock=clock),
    )
    delivery.listen(LineWatch(on_return=delivery.line_is_back, clock=clock))
    return delivery


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
    also: Callable[[], Sequence[tuple[str, str]]] = tuple,
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
        also=also,
    )
