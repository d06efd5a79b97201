"""Who has an alert already: a mail that some recipients took and others not is sent again to the others only."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from edge.errors import OutboxError

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.alerts.database import Database

log = logging.getLogger(__name__)


class RecipientLedger(Protocol):
    """Remembers, per alert, the recipients whose server took it."""

    def accepted(self, alert_id: str) -> frozenset[str]: ...

    def accept(self, alert_id: str, recipients: Collection[str]) -> None: ...


class MemoryLedger:
    """Remembers until the process ends."""

    def __init__(self) -> None:
        self._accepted: dict[str, frozenset[str]] = {}

    def accepted(self, alert_id: str) -> frozenset[str]:
        return self._accepted.get(alert_id, frozenset())

    def accept(self, alert_id: str, recipients: Collection[str]) -> None:
        self._accepted[alert_id] = self.accepted(alert_id) | frozenset(recipients)


class StoredLedger:
    """Remembers in kiosk.db; the outbox clears an alert's rows when it is delivered.

    A disk that fails is no reason to hold mail back: what cannot be stored is remembered until the process ends.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._memory = MemoryLedger()

    def accepted(self, alert_id: str) -> frozenset[str]:
        try:
            with self._database.reading() as db:
                rows = db.execute("SELECT recipient FROM recipients WHERE alert_id = ?", (alert_id,)).fetchall()
        except OutboxError as error:
            self._note(alert_id, error)
            rows = []
        return self._memory.accepted(alert_id) | frozenset(str(row[0]) for row in rows)

    def accept(self, alert_id: str, recipients: Collection[str]) -> None:
        try:
            with self._database.transaction() as db:
                db.executemany(
                    "INSERT OR IGNORE INTO recipients (alert_id, recipient) VALUES (?, ?)",
                    [(alert_id, recipient) for recipient in recipients],
                )
        except OutboxError as error:
            self._memory.accept(alert_id, recipients)
            self._note(alert_id, error)

    @staticmethod
    def _note(alert_id: str, error: OutboxError) -> None:
        log.warning(
            f"who has alert {alert_id} already is remembered in memory only: {error.message}",
            extra={"kg": {"event": "recipients_not_stored", "alert_id": alert_id, "error": error.message}},
        )
