"""The tables of kiosk.db, and how a file of an earlier version gets to have them."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAGIC = b"SQLite format 3\0"  # the first bytes of every SQLite file

# Each entry moves the schema one version on. Only additions (CREATE TABLE, ADD COLUMN with a default): the version
# before must be able to go on with the file after a rollback. Never edit an entry that was released.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY,                -- the order of arrival: the wall clock may jump, this does not
        alert_id TEXT NOT NULL UNIQUE,
        severity INTEGER NOT NULL,
        payload TEXT NOT NULL,
        size_bytes INTEGER NOT NULL,
        sha256 TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting',  -- waiting, held, delivered, corrupt
        attempts INTEGER NOT NULL DEFAULT 0,
        boot_id TEXT NOT NULL,                  -- next_mono_s belongs to this boot
        next_mono_s REAL NOT NULL,
        next_utc TEXT NOT NULL,
        delay_s REAL NOT NULL DEFAULT 0,
        last_error TEXT NOT NULL DEFAULT '',
        channel_wide INTEGER NOT NULL DEFAULT 0,
        stored_utc TEXT NOT NULL,
        stored_synced INTEGER NOT NULL,         -- whether that time can be trusted
        stored_boot_id TEXT NOT NULL,
        stored_mono_s REAL NOT NULL,
        delivered_utc TEXT
    );
    CREATE INDEX outbox_state ON outbox (state, seq, size_bytes);
    CREATE INDEX outbox_critical ON outbox (state, seq) WHERE severity = 3;  -- few: most alerts cost no write here
    CREATE TABLE recipients (
        alert_id TEXT NOT NULL,
        recipient TEXT NOT NULL,
        PRIMARY KEY (alert_id, recipient)
    ) WITHOUT ROWID;
    CREATE TABLE counters (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL DEFAULT 0,
        note TEXT NOT NULL DEFAULT ''
    ) WITHOUT ROWID;
    CREATE TABLE incidents (
        seq INTEGER PRIMARY KEY,
        incident_id TEXT NOT NULL UNIQUE,
        closed INTEGER NOT NULL DEFAULT 0,
        payload TEXT NOT NULL,
        boot_id TEXT NOT NULL
    );
    CREATE INDEX incidents_closed ON incidents (closed, seq);
    """,
    """
    CREATE TABLE suppressions (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        run TEXT NOT NULL,                      -- one start of the service; numbers count within it
        number INTEGER NOT NULL,
        camera TEXT NOT NULL,
        rule TEXT NOT NULL,
        zone TEXT NOT NULL,
        severity TEXT NOT NULL,
        reason TEXT NOT NULL,
        since_utc TEXT NOT NULL,
        last_utc TEXT NOT NULL,
        count INTEGER NOT NULL,
        what TEXT NOT NULL,
        value REAL NOT NULL,
        threshold REAL NOT NULL,
        unit TEXT NOT NULL,
        UNIQUE (run, number)
    );
    CREATE TABLE maintenance (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        minutes REAL NOT NULL,
        reason TEXT NOT NULL,
        boot_id TEXT NOT NULL,                  -- began_mono_s belongs to this boot
        began_mono_s REAL NOT NULL,
        began_utc TEXT NOT NULL,
        ended_utc TEXT,
        end_reason TEXT NOT NULL DEFAULT '',
        told_begin INTEGER NOT NULL DEFAULT 0,  -- whether the mail about it is in the outbox
        told_end INTEGER NOT NULL DEFAULT 0
    );
    """,
    """
    CREATE TABLE verdicts (
        incident_id TEXT PRIMARY KEY,
        rule TEXT NOT NULL,
        verdict TEXT NOT NULL,                  -- true, false, test
        who TEXT NOT NULL,
        at_utc TEXT NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE blind_seconds (
        reason TEXT PRIMARY KEY,                -- power, camera, maintenance, upgrade, overload, stopped
        seconds REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE alive (                        -- one row: the last sign of life
        id INTEGER PRIMARY KEY CHECK (id = 1),
        boot_id TEXT NOT NULL,                  -- mono_s belongs to this boot
        mono_s REAL NOT NULL,
        utc TEXT NOT NULL,
        synced INTEGER NOT NULL,                -- whether that time can be trusted
        clean INTEGER NOT NULL,                 -- the service was told to stop
        version TEXT NOT NULL
    );
    CREATE TABLE gaps (                         -- times without the service
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        reason TEXT NOT NULL,
        from_utc TEXT NOT NULL,
        from_synced INTEGER NOT NULL,
        until_utc TEXT NOT NULL,
        until_synced INTEGER NOT NULL,
        until_boot_id TEXT NOT NULL,            -- until_mono_s belongs to this boot
        until_mono_s REAL NOT NULL,
        seconds REAL,                           -- NULL: not known (yet)
        clean INTEGER NOT NULL,
        told INTEGER NOT NULL DEFAULT 0
    );
    """,
)


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables up to this version; a file of a newer one is left as it is: versions only add.

    :raises sqlite3.Error: as SQLite says it; nothing is changed then.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        connection.execute("COMMIT")
    except BaseException:  # raised again: a migration is all or nothing
        connection.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """executescript() would commit on its own; a migration must be all or nothing."""
    part = ""
    for line in script.splitlines(keepends=True):
        part += line
        if sqlite3.complete_statement(part):
            yield part
            part = ""
