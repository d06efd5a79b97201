"""What changes the outbox's rows. Callers hold the transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from edge.alerts.outbox_rows import CORRUPT, DELIVERED, DROPPED_FOR, FULL, HELD, WAITING, payload_digest
from edge.alerts.schedule import remaining_s
from edge.types import Severity

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection

    from edge.alerts.outbox_rows import Entry

KEEP_CORRUPT = 100
_TRIM_BEYOND = 100  # rows are trimmed by the hundred: each single deletion would cost three pages of the card


def insert(
    db: sqlite3.Connection,
    *,
    alert_id: str,
    severity: Severity,
    payload: str,
    boot_id: str,
    now_s: float,
    now_utc: str,
    synced: bool,
) -> bool:
    """Add an alert that is due now; False: it is there already."""
    return (
        db.execute(
            "INSERT OR IGNORE INTO outbox (alert_id, severity, payload, size_bytes, sha256, boot_id, next_mono_s,"
            " next_utc, stored_utc, stored_synced, stored_boot_id, stored_mono_s)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                alert_id,
                int(severity),
                payload,
                len(payload),
                payload_digest(payload),
                boot_id,
                now_s,
                now_utc,
                now_utc,
                int(synced),
                boot_id,
                now_s,
            ),
        ).rowcount
        > 0
    )


def make_room(db: sqlite3.Connection, *, max_items: int, max_bytes: int) -> list[str]:
    """Delete until the bounds hold, the lowest severity first, then the oldest; returns what went."""
    items, size = db.execute(
        "SELECT COUNT(*), COALESCE(SUM(size_bytes), 0) FROM outbox WHERE state IN (?, ?)", (WAITING, HELD)
    ).fetchone()
    gone: list[str] = []
    while items > max_items or (size > max_bytes and items > 1):
        seq, alert_id, bytes_ = db.execute(
            "SELECT seq, alert_id, size_bytes FROM outbox WHERE state IN (?, ?) ORDER BY severity, seq LIMIT 1",
            (WAITING, HELD),
        ).fetchone()
        db.execute("DELETE FROM outbox WHERE seq = ?", (seq,))
        gone.append(alert_id)
        items, size = items - 1, size - bytes_
    if gone:
        count_dropped(db, len(gone), FULL)
    return gone


def count_dropped(db: sqlite3.Connection, number: int, reason: str) -> None:
    """Count alerts that were given up, in all and by reason."""
    count(db, "dropped", number)
    count(db, DROPPED_FOR + reason, number)


def delivered(db: sqlite3.Connection, alert_id: str, *, now_s: float, now_utc: str) -> bool:
    """The channel took it; those that were refused along with the whole channel are due. False: it was known."""
    changed = db.execute(
        "UPDATE outbox SET state = ?, delivered_utc = ?, attempts = attempts + 1, last_error = ''"
        " WHERE alert_id = ? AND state != ?",
        (DELIVERED, now_utc, alert_id, DELIVERED),
    ).rowcount
    if not changed:
        return False
    count(db, "delivered", 1, text=now_utc)
    remember(db, "last_error", "")
    db.execute("DELETE FROM recipients WHERE alert_id = ?", (alert_id,))
    db.execute(
        "UPDATE outbox SET next_mono_s = ?, delay_s = 0, channel_wide = 0 WHERE channel_wide = 1 AND state IN (?, ?)",
        (now_s, WAITING, HELD),
    )
    return True


def last_delay_s(db: sqlite3.Connection, alert_id: str, *, channel_wide: bool) -> float:
    """Seconds that it waited after its last attempt; 0: there was none, or what it waited for then was the channel alone.

    :param channel_wide: what it is to wait for now.
    """
    row = db.execute("SELECT delay_s, channel_wide FROM outbox WHERE alert_id = ?", (alert_id,)).fetchone()
    return 0.0 if row is None or (row[1] and not channel_wide) else float(row[0])


def failed(
    db: sqlite3.Connection,
    alert_id: str,
    error: str,
    *,
    delay_s: float,
    permanent: bool,
    channel_wide: bool,
    boot_id: str,
    now_s: float,
    now_utc: datetime,
) -> None:
    """One attempt did not succeed; the next is due after ``delay_s``."""
    db.execute(
        "UPDATE outbox SET state = ?, attempts = attempts + 1, delay_s = ?, boot_id = ?, next_mono_s = ?,"
        " next_utc = ?, last_error = ?, channel_wide = ? WHERE alert_id = ? AND state IN (?, ?)",
        (
            HELD if permanent else WAITING,
            # A held alert starts its backoff anew once the refusal is mended.
            0.0 if permanent else delay_s,
            boot_id,
            now_s + delay_s,
            (now_utc + timedelta(seconds=delay_s)).isoformat(),
            error,
            int(channel_wide),
            alert_id,
            WAITING,
            HELD,
        ),
    )


def folded(db: sqlite3.Connection, alert_ids: Collection[str], *, into: str, now_utc: str) -> None:
    """Those count as delivered: a digest tells them."""
    db.executemany(
        "UPDATE outbox SET state = ?, delivered_utc = ?, last_error = ? WHERE alert_id = ? AND state != ?",
        [(DELIVERED, now_utc, f"told in {into}", a, DELIVERED) for a in alert_ids],
    )
    count(db, "folded", len(alert_ids))


def due_now(db: sqlite3.Connection, alert_id: str | None, *, boot_id: str, now_s: float, now_utc: str) -> int:
    """Make one alert, or all, due; returns how many."""
    return db.execute(
        "UPDATE outbox SET next_mono_s = ?, next_utc = ?, boot_id = ?, delay_s = 0, state = ?"
        " WHERE state IN (?, ?) AND (? IS NULL OR alert_id = ?)",
        (now_s, now_utc, boot_id, WAITING, WAITING, HELD, alert_id, alert_id),
    ).rowcount


def line_is_back(db: sqlite3.Connection, *, boot_id: str, now_s: float) -> int:
    """Make due what waits for the channel, with its backoff begun anew; returns how many."""
    return db.execute(
        "UPDATE outbox SET next_mono_s = ?, boot_id = ?, delay_s = 0 WHERE state = ? AND channel_wide = 1",
        (now_s, boot_id, WAITING),
    ).rowcount


def adopt(db: sqlite3.Connection, *, boot_id: str, now_s: float, now_utc: datetime) -> None:
    """Put schedules of an earlier boot into this boot's monotonic terms; what was refused is due."""
    foreign = db.execute(
        "SELECT seq, next_utc, delay_s FROM outbox WHERE state = ? AND (boot_id != ? OR boot_id = '')",
        (WAITING, boot_id),
    ).fetchall()
    for seq, next_utc, delay_s in foreign:
        try:
            left_s = remaining_s(next_utc=datetime.fromisoformat(next_utc), delay_s=float(delay_s), now_utc=now_utc)
        except (TypeError, ValueError):
            left_s = 0.0
        db.execute("UPDATE outbox SET boot_id = ?, next_mono_s = ? WHERE seq = ?", (boot_id, now_s + left_s, seq))
    db.execute("UPDATE outbox SET boot_id = ?, next_mono_s = ? WHERE state = ?", (boot_id, now_s, HELD))


def mend(db: sqlite3.Connection, *, now_s: float, longest_s: float) -> int:
    """Put right what would keep a row from ever being due: its text has a checksum, these have none; returns how many.

    :param longest_s: no alert waits longer than this, seconds.
    """
    waits = f"state IN ('{WAITING}', '{HELD}') AND"
    numbers = "('integer', 'real')"
    done = 0
    for change, wrong in (
        # It is told rather than not, and in its turn; what it says of itself stands in its text.
        (f"severity = {Severity.HIGH:d}", "typeof(severity) != 'integer' OR severity NOT BETWEEN 0 AND 3"),
        (
            f"state = CASE WHEN delivered_utc IS NULL THEN '{WAITING}' ELSE '{DELIVERED}' END",
            f"state NOT IN ('{WAITING}', '{HELD}', '{DELIVERED}', '{CORRUPT}')",
        ),
        ("next_mono_s = :now", f"{waits} (typeof(next_mono_s) NOT IN {numbers} OR next_mono_s > :now + :longest)"),
        ("delay_s = 0", f"{waits} typeof(delay_s) NOT IN {numbers}"),
    ):
        done += db.execute(
            f"UPDATE outbox SET {change} WHERE {wrong}",  # noqa: S608 - constants
            {"now": now_s, "longest": longest_s},
        ).rowcount
    return done


def quarantine(db: sqlite3.Connection, entry: Entry) -> None:
    """Set a row aside that cannot be read; the newest of them are kept for a look."""
    db.execute("UPDATE outbox SET state = ?, last_error = ? WHERE seq = ?", (CORRUPT, entry.last_error, entry.seq))
    _trim(db, CORRUPT, KEEP_CORRUPT)


def trim_delivered(db: sqlite3.Connection, keep: int) -> None:
    """Forget the oldest delivered alerts."""
    _trim(db, DELIVERED, keep)


def count(db: sqlite3.Connection, name: str, by: int, *, text: str = "") -> None:
    """Add to a counter."""
    db.execute(
        "INSERT INTO counters (name, value, note) VALUES (?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value, note = excluded.note",
        (name, by, text),
    )


def remember(db: sqlite3.Connection, name: str, text: str) -> None:
    """Keep a text; writes nothing where it stands already."""
    db.execute(
        "INSERT INTO counters (name, value, note) VALUES (?, 0, ?)"
        " ON CONFLICT (name) DO UPDATE SET note = excluded.note WHERE note != excluded.note",
        (name, text),
    )


def _trim(db: sqlite3.Connection, state: str, keep: int) -> None:
    (there,) = db.execute("SELECT COUNT(*) FROM outbox WHERE state = ?", (state,)).fetchone()
    if there <= keep + min(keep, _TRIM_BEYOND):
        return
    db.execute(
        "DELETE FROM outbox WHERE state = ? AND seq <="
        " (SELECT seq FROM outbox WHERE state = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)",
        (state, state, keep),
    )
