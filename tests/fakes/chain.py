"""The real chain from the writer's thread to a mail server, as the service composes it, on a folder and a port."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timezone
from typing import TYPE_CHECKING

from fakes.alarms import make_change, make_frame, make_incident
from fakes.mailserver import CERTIFICATE

from edge.alerts.database import open_database
from edge.alerts.device_key import open_device_key
from edge.alerts.email import EmailChannel
from edge.alerts.evidence import EvidenceStore
from edge.alerts.incident_log import IncidentLog
from edge.alerts.incident_store import IncidentStore
from edge.alerts.jobs import Job
from edge.alerts.ledger import StoredLedger
from edge.alerts.mail_words import Site
from edge.alerts.outbox import Outbox
from edge.alerts.worker import DeliveryWorker
from edge.alerts.writer import WriterWorker
from edge.app.hand_over import AlertMaker, log_record
from edge.clock import SystemClock
from edge.types import Severity, Tracks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.alerts.database import Database
    from edge.alerts.schedule import Backoff
    from edge.alerts.smtp_session import Security
    from edge.types import Alert


@dataclass
class Chain:
    """Not started yet."""

    database: Database
    outbox: Outbox
    writer: WriterWorker
    delivery: DeliveryWorker

    def start(self) -> None:
        self.delivery.start()
        self.writer.start()

    def stop(self) -> None:
        self.writer.stop()
        self.delivery.stop(30)
        self.database.close()

    def incident(self, name: str, *, seed: int = 0, severity: Severity = Severity.HIGH) -> None:
        """One opens now, with a picture."""
        change = make_change(make_incident(name, severity=severity))
        self.writer.put(Job(change, make_frame(seed=seed), Tracks.empty(), ()))


def build_chain(
    folder: Path,
    port: int,
    *,
    backoff: Backoff | None = None,
    pace_s: float = 0.0,
    critical_pause_s: float = 15.0,
    timeout_s: float = 2.0,
    security: Security = "none",
    on_stored: Callable[[Alert], object] = lambda _: None,
) -> Chain:
    """Everything real, the machine's clock included."""
    clock = SystemClock()
    log = IncidentLog(folder, key=open_device_key(folder), clock=clock)
    database = open_database(folder, clock=clock)
    outbox = Outbox(
        database, clock=clock, boot_id="boot", backoff=backoff, log_head=lambda: (log.head.number, log.head.hash)
    )
    evidence = EvidenceStore(folder / "evidence", clock=clock, min_free_bytes=0)
    channel = EmailChannel(
        host="localhost",  # the name in the server's certificate
        port=port,
        security=security,
        ca_file=CERTIFICATE,
        sender="kiosk@kiosk.example",
        recipients=["desk@bank.example"],
        site=Site("", "kiosk", "", timezone.utc),
        clock=clock,
        boot_id="boot",
        timeout_s=timeout_s,
        ledger=StoredLedger(database),
    )
    delivery = DeliveryWorker(
        outbox=outbox,
        channel=channel,
        resolve=evidence.resolve,
        clock=clock,
        backoff=backoff,
        pace_s=pace_s,
        critical_pause_s=critical_pause_s,
    )

    def stored(alert: Alert) -> None:
        on_stored(alert)
        delivery.wake()

    writer = WriterWorker(
        evidence=evidence,
        incidents=IncidentStore(database, clock=clock, boot_id="boot"),
        outbox=outbox,
        clock=clock,
        annotate=lambda frame, *_: frame.image,
        make_alert=AlertMaker("m 1", "boot", clock),
        record=lambda change, pictures: log.append("incident", log_record(change, pictures)),
        on_stored=stored,
    )
    return Chain(database, outbox, writer, delivery)
