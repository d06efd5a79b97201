"""The outbox: alerts that are promised to arrive. On disk and synced before anybody may call them stored."""

from __future__ import annotations

import logging
import math
import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from edge.alerts import outbox_changes as changes
from edge.alerts import outbox_rows as rows
from edge.alerts.alert_json import encode_alert
from edge.alerts.given_up import GivenUp
from edge.alerts.identity import is_valid_id
from edge.alerts.outbox_gauge import OutboxGauge
from edge.alerts.outbox_rows import DELIVERED
from edge.alerts.schedule import Backoff
from edge.errors import OutboxError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Iterable

    from edge.alerts.database import Database
    from edge.alerts.outbox_rows import Entry, OutboxStats
    from edge.clock import Clock
    from edge.types import Alert

log = logging.getLogger(__name__)


class Outbox:
    """A durable queue in kiosk.db.

    Order: critical alerts first, then by arrival; within an incident no alert goes before an earlier one that waits.
    Refused alerts are held: shown to the technician, tried again every ``backoff.refused_s``, at a restart and on
    :meth:`retry`; nobody else needs to remember them.

    :param boot_id: this boot's identifier; monotonic times compare only within it.
    :param max_items: undelivered alerts kept at the most; beyond it the lowest severity goes first, then the oldest.
    :param max_bytes: the same bound on the alerts' text, in bytes (pictures have the evidence store's own bound).
    :param max_age_s: undelivered alerts older than this are dropped; 0: never. Measured on a synchronised clock only.
    :param keep_delivered: delivered alerts kept, at least, for the technician, and against a second enqueue of the same id.
    :param log_head: number and hash of the incident log's last record, which every alert carries.
    :param adopt_schedules: the service takes over the schedules of an earlier boot; False for a command-line tool
        that looks in beside the running service.
    :raises OutboxError: the database cannot be read or written.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        boot_id: str,
        rng: random.Random | None = None,
        backoff: Backoff | None = None,
        max_items: int = 10_000,
        max_bytes: int = 64 * 1024 * 1024,
        max_age_s: float = 0.0,
        keep_delivered: int = 1_000,
        log_head: Callable[[], tuple[int, str]] | None = None,
        adopt_schedules: bool = True,
    ) -> None:
        self._database = database
        self._clock = clock
        self._boot_id = boot_id
        self._rng = rng or random.Random()  # noqa: S311 - spreads retries, no secret
        self._backoff = backoff or Backoff()
        self._keep_delivered = keep_delivered
        self._log_head = log_head
        self._gauge = OutboxGauge(clock=clock, boot_id=boot_id)
        self.given_up = GivenUp(
            database,
            self._gauge,
            clock=clock,
            max_items=max_items,
            max_bytes=max_bytes,
            max_age_s=max_age_s,
        )
        with database.reading() as db:
            self._retries_seen = rows.counted(db, "retry_asked")
        if adopt_schedules:
            self._adopt_schedules()
        else:
            with database.reading() as db:
                self._gauge.read(db)

    @property
    def boot_id(self) -> str:
        """The boot that monotonic times belong to."""
        return self._boot_id

    def stamped(self, alert: Alert) -> Alert:
        """The alert with the incident log's head of now, unless it has one."""
        if self._log_head is None or alert.log_head:
            return alert
        number, digest = self._log_head()
        return replace(alert, log_seq=number, log_head=digest) if number else alert

    def enqueue(self, alert: Alert) -> bool:
        """Store an alert; when this returns True it is on disk, synced, and will be tried until delivered.

        The same ``alert_id`` again changes nothing and answers True. False: the outbox is full of more important
        alerts; this one was dropped and counted.

        :raises OutboxError: not stored (disk full or read-only); the caller keeps it and tries again.
        """
        if not is_valid_id(alert.alert_id):
            raise OutboxError(
                f"alert id {alert.alert_id[:80]!r} cannot be stored",
                hint="Allowed: 1 to 200 of A-Z a-z 0-9 . _ -; build it with edge.alerts.identity.alert_id().",
            )
        payload = encode_alert(self.stamped(alert))
        with self._database.transaction() as db:
            self._insert(db, alert, payload)
            dropped = self.given_up.make_room(db)
            self._gauge.read(db)
        self.given_up.tell(dropped)
        return alert.alert_id not in dropped

    def due(self, *, limit: int = 1, urgent_only: bool = False, in_order: bool = True) -> list[Entry]:
        """Alerts to try now, critical first, then by arrival. Rows that cannot be read are set aside on the way.

        :param limit: what goes before a critical one of its incident comes on top.
        :param urgent_only: only critical alerts that were never tried, which do not wait for a channel's pause.
        :param in_order: False: also those that an earlier one of their incident holds back.
        :raises OutboxError: the database cannot be read.
        """
        patience_s = self._backoff.longest_s if in_order else None
        while True:
            with self._database.reading() as db:
                entries = rows.due(
                    db,
                    now_s=self._clock.monotonic_s(),
                    limit=limit,
                    urgent_only=urgent_only,
                    patience_s=patience_s,
                )
            broken = [e for e in entries if e.alert is None]
            if not broken:
                return entries
            self._quarantine(broken)

    def next_due_in_s(self) -> float | None:
        """Seconds until the next alert is due (0: now); None: nothing waits. :raises OutboxError: as :meth:`due`."""
        now_s = self._clock.monotonic_s()
        with self._database.reading() as db:
            first = rows.next_due_s(db, now_s=now_s, patience_s=self._backoff.longest_s)
        return None if first is None else max(0.0, first - now_s)

    def follows(self, alert: Alert) -> bool:
        """Whether an alert that is not stored follows one of its incident that waits. :raises OutboxError: as :meth:`due`."""
        with self._database.reading() as db:
            return rows.follows(db, alert.alert_id, alert.severity, patience_s=self._backoff.longest_s)

    def critical_waits(self) -> bool:
        """Whether a critical alert is undelivered and not held. :raises OutboxError: as :meth:`due`."""
        with self._database.reading() as db:
            return rows.critical_waits(db)

    def mark_delivered(self, alert_id: str) -> None:
        """The channel took responsibility. Those refused along with the whole channel may go now.

        :raises OutboxError: not stored; the caller remembers it and marks again.
        """
        now_utc = self._clock.utc_now().isoformat()
        with self._database.transaction() as db:
            if changes.delivered(db, alert_id, now_s=self._clock.monotonic_s(), now_utc=now_utc):
                changes.trim_delivered(db, self._keep_delivered)
            self._gauge.read(db)

    def mark_failed(
        self,
        alert_id: str,
        error: str,
        *,
        permanent: bool = False,
        channel_wide: bool = False,
        longest_s: float = math.inf,
    ) -> float:
        """One attempt did not succeed; returns the seconds until the next.

        :param permanent: refused for good: the alert is held.
        :param channel_wide: the reason lies with the channel, not with this alert.
        :param longest_s: bound on the delay after a passing refusal, in seconds.
        :raises OutboxError: not stored.
        """
        with self._database.transaction() as db:
            last_s = changes.last_delay_s(db, alert_id, channel_wide=channel_wide)
            if permanent:
                delay_s = self._backoff.refused(self._rng)
            else:
                delay_s = min(self._backoff.next_s(last_s, self._rng), longest_s)
            changes.failed(
                db,
                alert_id,
                error,
                delay_s=delay_s,
                permanent=permanent,
                channel_wide=channel_wide,
                boot_id=self._boot_id,
                now_s=self._clock.monotonic_s(),
                now_utc=self._clock.utc_now(),
            )
            changes.remember(db, "last_error", error)
            self._gauge.read(db)
        return delay_s

    def fold(self, alert_ids: Collection[str], digest: Alert) -> None:
        """Store a digest in the place of those alerts, in one step: they count as delivered.

        :raises OutboxError: not stored; the alerts still wait.
        """
        payload = encode_alert(self.stamped(digest))
        now_utc = self._clock.utc_now().isoformat()
        with self._database.transaction() as db:
            self._insert(db, digest, payload)
            changes.folded(db, alert_ids, into=digest.alert_id, now_utc=now_utc)
            changes.trim_delivered(db, self._keep_delivered)
            self._gauge.read(db)

    def retry(self, alert_id: str | None = None) -> int:
        """Make one alert, or all, due now (a technician asks, or the line came back); returns how many.

        :raises OutboxError: not stored.
        """
        with self._database.transaction() as db:
            done = changes.due_now(
                db,
                alert_id,
                boot_id=self._boot_id,
                now_s=self._clock.monotonic_s(),
                now_utc=self._clock.utc_now().isoformat(),
            )
            changes.count(db, "retry_asked", 1)  # the service, another process perhaps, ends its pause
            self._gauge.read(db)
        return done

    def line_is_back(self) -> int:
        """Make due what waits only because the whole channel was away; returns how many. Nothing held is touched.

        :raises OutboxError: not stored.
        """
        with self._database.transaction() as db:
            done = changes.line_is_back(db, boot_id=self._boot_id, now_s=self._clock.monotonic_s())
            if done:
                self._gauge.read(db)
        return done

    def retry_asked(self) -> bool:
        """Whether anybody called :meth:`retry`, in whichever process, since the last question.

        :raises OutboxError: the database cannot be read.
        """
        with self._database.reading() as db:
            asked = rows.counted(db, "retry_asked")
        new, self._retries_seen = asked != self._retries_seen, asked
        return new

    def drop(self, alert_id: str, *, counted: bool = True) -> bool:
        """Give up an undelivered or corrupt alert (a technician decides). :raises OutboxError: not stored.

        :param counted: it tells of a loss; False: a test mail that failed is none.
        """
        with self._database.transaction() as db:
            done = db.execute("DELETE FROM outbox WHERE alert_id = ? AND state != ?", (alert_id, DELIVERED)).rowcount
            if done and counted:
                changes.count_dropped(db, done, rows.BY_HAND)
            self._gauge.read(db)
        return done > 0

    def entries(self, *, limit: int = 100, undelivered_only: bool = False) -> list[Entry]:
        """The newest alerts, newest first, for the technician. :raises OutboxError: the database cannot be read."""
        with self._database.reading() as db:
            return rows.newest(db, limit=limit, undelivered_only=undelivered_only)

    def about(self, incident_ids: Iterable[str]) -> dict[str, list[Entry]]:
        """The alerts of these incidents, each in the order of arrival. :raises OutboxError: the database cannot be read."""
        with self._database.reading() as db:
            return {incident_id: rows.about(db, incident_id) for incident_id in incident_ids}

    def pending_evidence(self) -> set[str]:
        """Paths of pictures that undelivered alerts still need. :raises OutboxError: the database cannot be read."""
        with self._database.reading() as db:
            return rows.pending_evidence(db)

    def stats(self) -> OutboxStats:
        """As of the last change or look; answers from memory, never waits for the disk."""
        return self._gauge.stats()

    def look(self) -> None:
        """Take note of what another process has changed: a command beside the service. :raises OutboxError: as :meth:`due`."""
        with self._database.reading() as db:
            self._gauge.look(db)

    def waited_s(self, alert: Alert) -> float:
        """Seconds since the alert was made; not a number where a reboot and a clock that was not set leave that unknown."""
        if alert.boot_id == self._boot_id != "":
            return max(0.0, self._clock.monotonic_s() - alert.created_mono_s)
        if not alert.clock_synced or not self._clock.synchronised():
            return math.nan
        return max(0.0, (self._clock.utc_now() - alert.created_utc) / timedelta(seconds=1))

    def mend(self) -> int:
        """Look after rows that would never be due, because the card gave back something else than was written.

        Returns how many there were. :raises OutboxError: not stored.
        """
        with self._database.transaction() as db:
            done = changes.mend(db, now_s=self._clock.monotonic_s(), longest_s=2 * self._backoff.refused_s)
            self._gauge.read(db)
        if done:
            log.error(
                f"{done} damaged entries of the outbox were put right: check the card",
                extra={"kg": {"event": "outbox_mended", "count": done}},
            )
        return done

    def _insert(self, db: sqlite3.Connection, alert: Alert, payload: str) -> None:
        changes.insert(
            db,
            alert_id=alert.alert_id,
            severity=alert.severity,
            payload=payload,
            boot_id=self._boot_id,
            now_s=self._clock.monotonic_s(),
            now_utc=self._clock.utc_now().isoformat(),
            synced=self._clock.synchronised(),
        )

    def _quarantine(self, broken: list[Entry]) -> None:
        with self._database.transaction() as db:
            for entry in broken:
                changes.quarantine(db, entry)
            self._gauge.read(db)
        for entry in broken:
            log.error(
                f"a stored alert cannot be read and was set aside: {entry.last_error}",
                extra={"kg": {"event": "alert_quarantined", "seq": entry.seq, "alert_id": entry.alert_id}},
            )

    def _adopt_schedules(self) -> None:
        """Put schedules of an earlier boot into this boot's monotonic terms, and make refused alerts due.

        A restart is a reason to try those again: the configuration may have been mended.
        """
        with self._database.transaction() as db:
            changes.adopt(db, boot_id=self._boot_id, now_s=self._clock.monotonic_s(), now_utc=self._clock.utc_now())
        self.mend()
