"""A look into kiosk.db that changes nothing: beside the running service, and when it is down."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

from edge.alerts import outbox_rows as rows
from edge.alerts.database import DATABASE_NAME
from edge.errors import OutboxError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.alerts.outbox_rows import Entry, OutboxStats


class OutboxLook:
    """The outbox's contents, read only: no lock is held, nothing is created, mended or set aside.

    :param state_dir: the folder of kiosk.db.
    """

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / DATABASE_NAME

    def stats(self) -> OutboxStats:
        """The counts, without ages. :raises OutboxError: the database cannot be read."""
        with self._reading() as db:
            return rows.stats(db)[0]

    def entries(self, *, limit: int, undelivered_only: bool) -> list[Entry]:
        """The newest alerts, newest first. :raises OutboxError: as :meth:`stats`."""
        with self._reading() as db:
            return rows.newest(db, limit=limit, undelivered_only=undelivered_only)

    def entry(self, alert_id: str) -> Entry | None:
        """One alert, None: not there (any more). :raises OutboxError: as :meth:`stats`."""
        with self._reading() as db:
            return rows.find(db, alert_id)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        if not self._path.exists():
            raise OutboxError(f"there is no {self._path} yet", hint="The service makes it at its first start.")
        try:
            with contextlib.closing(self._open()) as db:
                yield db
        except sqlite3.Error as error:
            raise OutboxError(
                f"{self._path} cannot be read: {error}",
                hint="Try as root or as the service's user; a damaged file is set aside when the service starts.",
            ) from error

    def _open(self) -> sqlite3.Connection:
        name = quote(str(self._path))
        # Without its log the file is complete as it is; then a folder that may not be written is no obstacle either.
        log = self._path.with_name(self._path.name + "-wal")
        how = "mode=ro" if log.exists() else "mode=ro&immutable=1"
        return sqlite3.connect(f"file:{name}?{how}", uri=True, timeout=5.0, isolation_level=None)
