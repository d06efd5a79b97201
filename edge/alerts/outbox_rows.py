"""The outbox's rows: what stands in the table, and how it is read. Callers hold the transaction."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from edge.alerts.alert_json import decode_alert
from edge.alerts.identity import alert_id
from edge.types import Severity

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from edge.types import Alert

DROPPED_FOR = "dropped, "  # the beginning of a counter's name, before the reason
FULL, TOO_OLD, BY_HAND, NEVER_STORED = DROP_REASONS = ("full", "too_old", "by_hand", "never_stored")
WAITING, HELD, DELIVERED, CORRUPT = "waiting", "held", "delivered", "corrupt"
_CRITICAL, _OTHER = f"severity = {Severity.CRITICAL:d}", f"severity < {Severity.CRITICAL:d}"

_COLUMNS = "seq, alert_id, severity, payload, sha256, state, attempts, last_error, stored_utc, next_utc, delivered_utc"
# Of two rows o and e; an incident's alerts are called after it, and its own name has no dot. What else is asked of e wears
# a plus: it finds no use for any index, and the few of one name are found by that name, however many wait.
_SAME_INCIDENT = (
    "instr(o.alert_id, '.') > 0 AND e.alert_id > substr(o.alert_id, 1, instr(o.alert_id, '.'))"
    " AND e.alert_id < substr(o.alert_id, 1, instr(o.alert_id, '.') - 1) || '/'"
)
_EPOCH = datetime.fromtimestamp(0, timezone.utc)


@dataclass(frozen=True, slots=True)
class Entry:
    """An alert and how its delivery stands. ``state``: waiting, held (refused for good), delivered or corrupt.

    ``alert`` is None where the row cannot be read any more; ``last_error`` then says why.
    """

    seq: int
    alert_id: str
    alert: Alert | None
    severity: Severity
    state: str
    attempts: int
    last_error: str
    stored_utc: datetime
    next_utc: datetime
    delivered_utc: datetime | None


@dataclass(frozen=True, slots=True)
class OutboxStats:
    """Counts for health.

    ``waiting`` leaves out ``held``; both are undelivered. ``oldest_s``: age of the oldest undelivered alert in
    seconds, 0 if there is none. ``delivered`` and ``dropped`` count since the database was made, ``dropped_by``
    by reason (of :data:`DROP_REASONS`); ``last_error`` is empty once a delivery succeeded.
    """

    waiting: int = 0
    held: int = 0
    corrupt: int = 0
    oldest_s: float = 0.0
    delivered: int = 0
    dropped: int = 0
    dropped_by: Mapping[str, int] = field(default_factory=dict)
    last_success_utc: datetime | None = None
    last_error: str = ""


def due(
    db: sqlite3.Connection, *, now_s: float, limit: int, urgent_only: bool, patience_s: float | None
) -> list[Entry]:
    """Alerts whose time has come, critical first, then by arrival; what goes before a critical one comes on top.

    :param patience_s: an alert whose own delay is as long holds back no other of its incident; None: none does.
    """
    never = "AND attempts = 0" if urgent_only else ""
    found: list[tuple[Any, ...]] = []
    # The number stands in the text, not in a parameter: only so SQLite knows that the small index will do.
    for which in (_CRITICAL,) if urgent_only else (_CRITICAL, _OTHER):
        if len(found) == limit:
            break
        order = "" if patience_s is None else f"AND NOT EXISTS ({_before(which == _CRITICAL)})"
        # One state at a time: in this order the index needs no sorting, however many wait.
        rows = [
            row
            for state in (WAITING, HELD)
            for row in db.execute(
                f"SELECT {_COLUMNS} FROM outbox AS o WHERE state = :state AND {which}"  # noqa: S608 - constants
                f" AND next_mono_s <= :now {never} {order} ORDER BY seq LIMIT :limit",
                {"state": state, "now": now_s, "patience": patience_s, "limit": limit - len(found)},
            )
        ]
        found += sorted(rows, key=lambda row: row[0])[: limit - len(found)]
    entries = [_entry(row) for row in found]
    if urgent_only or patience_s is None:
        return entries
    return [one for entry in entries for one in (*_leads(db, entry), entry)]


def next_due_s(db: sqlite3.Connection, *, now_s: float, patience_s: float) -> float | None:
    """When the next one of :func:`due` is due, monotonic seconds; None: nothing waits."""
    (first,) = db.execute(
        "SELECT MIN(next_mono_s) FROM outbox AS o WHERE state IN (:waiting, :held) AND (next_mono_s > :now OR NOT EXISTS"  # noqa: S608
        f" ({_before(critical=False)} AND (e.{_CRITICAL} OR o.{_OTHER})))",
        {"waiting": WAITING, "held": HELD, "now": now_s, "patience": patience_s},
    ).fetchone()
    return None if first is None else float(first)


def follows(db: sqlite3.Connection, alert_id: str, severity: Severity, *, patience_s: float) -> bool:
    """Whether an alert that is not in the table would be held back by one that is."""
    before = _before(severity is Severity.CRITICAL)
    return (
        db.execute(
            f"SELECT 1 FROM (SELECT :id AS alert_id, 9e18 AS seq) AS o WHERE EXISTS ({before})",  # noqa: S608 - constants
            {"id": alert_id, "patience": patience_s},
        ).fetchone()
        is not None
    )


def _before(critical: bool) -> str:  # noqa: FBT001 - private
    """SQL for the earlier alerts of the same incident for which ``o`` has to wait: those that wait themselves.

    A critical one waits for no other; and nobody waits for ever for one that is refused, each time, on its own account.
    """
    return (
        f"SELECT 1 FROM outbox AS e WHERE {_SAME_INCIDENT} AND +e.seq < o.seq AND +e.state = '{WAITING}'"  # noqa: S608 - constants
        f" AND (e.channel_wide = 1 OR e.delay_s < :patience){f' AND +e.{_CRITICAL}' if critical else ''}"
    )


def _leads(db: sqlite3.Connection, entry: Entry) -> list[Entry]:
    """What goes before a critical alert, at once: the beginning of its incident, unless something is the matter with that."""
    if entry.severity is not Severity.CRITICAL:
        return []
    columns = ", ".join(f"e.{column}" for column in _COLUMNS.split(", "))
    found = db.execute(
        f"SELECT {columns} FROM outbox AS o JOIN outbox AS e ON {_SAME_INCIDENT} WHERE o.seq = ? AND +e.seq < o.seq"  # noqa: S608
        f" AND +e.state = ? AND +e.{_OTHER} AND (e.channel_wide = 1 OR e.attempts = 0) ORDER BY +e.seq",
        (entry.seq, WAITING),
    )
    return [_entry(row) for row in found]


def newest(db: sqlite3.Connection, *, limit: int, undelivered_only: bool) -> list[Entry]:
    """The last alerts stored, newest first."""
    found = db.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE state != ? ORDER BY seq DESC LIMIT ?",  # noqa: S608 - a constant
        (DELIVERED if undelivered_only else "", limit),
    ).fetchall()
    return [_entry(row) for row in found]


def about(db: sqlite3.Connection, incident_id: str) -> list[Entry]:
    """One incident's alerts, in the order of arrival."""
    name = alert_id(incident_id, "", Severity.INFO)  # what all of them begin with, the dot included
    found = db.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE alert_id >= ? AND alert_id < ? ORDER BY seq",  # noqa: S608 - a constant
        (name, f"{name[:-1]}/"),  # what follows the dot
    ).fetchall()
    return [_entry(row) for row in found]


def find(db: sqlite3.Connection, alert_id: str) -> Entry | None:
    """One alert, None: not there."""
    row = db.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE alert_id = ?",  # noqa: S608 - a constant
        (alert_id,),
    ).fetchone()
    return None if row is None else _entry(row)


def counted(db: sqlite3.Connection, name: str) -> int:
    """A counter's value; 0 where there is none yet."""
    row = db.execute("SELECT value FROM counters WHERE name = ?", (name,)).fetchone()
    return int(row[0]) if row is not None and isinstance(row[0], int) else 0


def pending_evidence(db: sqlite3.Connection) -> set[str]:
    """Paths of pictures that undelivered alerts still need."""
    found = db.execute(
        f"SELECT {_COLUMNS} FROM outbox WHERE state IN (?, ?)",  # noqa: S608 - a constant
        (WAITING, HELD),
    )
    alerts = (_entry(row).alert for row in found)
    return {ref.path for alert in alerts if alert is not None for ref in alert.evidence}


def stats(db: sqlite3.Connection) -> tuple[OutboxStats, tuple[datetime, str, float] | None]:
    """The counts (``oldest_s`` left at 0), and when the oldest undelivered alert was stored: UTC, boot, monotonic."""
    by_state = dict(db.execute("SELECT state, COUNT(*) FROM outbox GROUP BY state").fetchall())
    counters = {name: (value, text) for name, value, text in db.execute("SELECT name, value, note FROM counters")}
    oldest = db.execute(
        "SELECT stored_utc, stored_boot_id, stored_mono_s FROM outbox WHERE seq ="
        " (SELECT MIN(first) FROM (SELECT MIN(seq) AS first FROM outbox WHERE state = ?"
        " UNION ALL SELECT MIN(seq) FROM outbox WHERE state = ?))",
        (WAITING, HELD),
    ).fetchone()
    delivered, last_success = counters.get("delivered", (0, ""))
    found = OutboxStats(
        waiting=by_state.get(WAITING, 0),
        held=by_state.get(HELD, 0),
        corrupt=by_state.get(CORRUPT, 0),
        delivered=delivered,
        dropped=counters.get("dropped", (0, ""))[0],
        dropped_by={reason: counters.get(DROPPED_FOR + reason, (0, ""))[0] for reason in DROP_REASONS},
        last_success_utc=_utc(last_success) if last_success else None,
        last_error=counters.get("last_error", (0, ""))[1],
    )
    return found, None if oldest is None else (_utc(oldest[0]), str(oldest[1]), _number(oldest[2]))


def critical_waits(db: sqlite3.Connection) -> bool:
    """Whether a critical alert is undelivered and not refused for good."""
    return (
        db.execute(f"SELECT 1 FROM outbox WHERE state = ? AND {_CRITICAL} LIMIT 1", (WAITING,)).fetchone()  # noqa: S608
        is not None
    )


def _entry(row: tuple[Any, ...]) -> Entry:
    """Every column is taken as hostile: a card that fails gives back anything."""
    seq, alert_id, severity, payload, sha256, state, attempts, last_error, stored_utc, next_utc, delivered_utc = row
    alert: Alert | None = None
    error = str(last_error)
    try:
        if not isinstance(payload, str) or payload_digest(payload) != sha256:
            raise ValueError("the text does not match its checksum")  # noqa: TRY301 - one place handles bad rows
        alert = decode_alert(payload)
        if alert.alert_id != alert_id:
            raise ValueError("the row and its text name different alerts")  # noqa: TRY301 - see above
    except ValueError as problem:
        alert = None
        error = f"row {seq}: {problem}"
    return Entry(
        seq=int(seq),
        alert_id=str(alert_id),
        alert=alert,
        severity=Severity(severity) if severity in set(Severity) else Severity.INFO,
        state=str(state),
        attempts=attempts if isinstance(attempts, int) else 0,
        last_error=error,
        stored_utc=_utc(stored_utc),
        next_utc=_utc(next_utc),
        delivered_utc=None if delivered_utc is None else _utc(delivered_utc),
    )


def _utc(text: object) -> datetime:
    try:
        time = datetime.fromisoformat(str(text))
    except ValueError:
        return _EPOCH
    return time if time.tzinfo is not None else _EPOCH


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else 0.0


def payload_digest(payload: str) -> str:
    """SHA-256 of a stored text, in hex."""
    return hashlib.sha256(payload.encode("utf-8", "surrogatepass")).hexdigest()
