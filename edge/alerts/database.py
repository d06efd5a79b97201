"""kiosk.db: one SQLite file under the state directory, synced at every commit.

WAL with synchronous=FULL: recorded power cuts lost acknowledged rows with NORMAL and none with FULL. One connection
with a lock serves all threads of the service; command-line tools open their own.
"""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import sqlite3
import threading
from typing import TYPE_CHECKING

from edge.errors import OutboxError, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.clock import Clock

log = logging.getLogger(__name__)

DATABASE_NAME = "kiosk.db"
_MAGIC = b"SQLite format 3\0"

# Each entry moves the schema one version on. Only additions (CREATE TABLE, ADD COLUMN with a default): the version
# before must be able to go on with the file after a rollback. Never edit an entry that was released.
MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE outbox (
        seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of arrival: the wall clock may jump, this does not
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
    CREATE INDEX outbox_urgent ON outbox (state, severity, seq);
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
        seq INTEGER PRIMARY KEY AUTOINCREMENT,
        incident_id TEXT NOT NULL UNIQUE,
        closed INTEGER NOT NULL DEFAULT 0,
        payload TEXT NOT NULL,
        boot_id TEXT NOT NULL
    );
    CREATE INDEX incidents_closed ON incidents (closed, seq);
    """,
)


class Database:
    """The open database. Made by :func:`open_database`."""

    def __init__(self, path: Path, *, clock: Clock, busy_timeout_s: float) -> None:
        self.path = path
        self._clock = clock
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.RLock()
        self._moved_aside: list[Path] = []
        self._connection = self._open_or_replace()

    @property
    def moved_aside(self) -> tuple[Path, ...]:
        """Corrupt databases that were set aside since this one was opened, for health."""
        return tuple(self._moved_aside)

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; when the block ends without an error, it is on disk and synced.

        :raises OutboxError: the disk is full, read-only or broken, or another process holds the file too long.
        """
        with self._lock:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    yield self._connection
                    self._connection.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        self._connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise self._explain(error) from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A consistent look without writing a byte.

        :raises OutboxError: the file cannot be read.
        """
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise self._explain(error) from error

    def close(self) -> None:
        """Fold the write-ahead log in and close; may be called twice."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._connection.close()

    def _explain(self, error: sqlite3.Error) -> OutboxError:
        """The error in words. A file that turns out to be corrupt is replaced first, so that the next try succeeds."""
        if _is_corruption(error):
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._set_aside(error)
            self._connection = self._open()
            return OutboxError(
                f"{self.path} was damaged ({error}) and has been set aside as {self._moved_aside[-1].name}",
                hint="A new database was started; the same step succeeds when tried again. Check the SD card.",
            )
        text = str(error).lower()
        if "full" in text:
            hint = "The disk is full: free space; pictures give way by themselves."
        elif "readonly" in text or "read-only" in text or "unable to open" in text or "disk i/o" in text:
            hint = "The disk is read-only or failing: check `dmesg`, remount or replace the card."
        elif "locked" in text:
            hint = "Another process holds the database; end it or try again."
        else:
            hint = "Look at the service's log; the alert is kept in memory and tried again."
        return OutboxError(f"{self.path}: {error}", hint=hint)

    def _open_or_replace(self) -> sqlite3.Connection:
        try:
            return self._open()
        except OSError as error:
            raise StateError(
                f"cannot read the database {self.path}: {error.strerror}",
                hint=f"It must be readable and writable for user {_user()}.",
            ) from error
        except sqlite3.Error as error:
            if not _is_corruption(error):
                raise StateError(
                    f"cannot open the database {self.path}: {error}",
                    hint=f"It must be readable and writable for user {_user()}, on a disk with free space.",
                ) from error
            self._set_aside(error)
        try:
            return self._open()
        except sqlite3.Error as error:
            raise StateError(f"cannot start a new database {self.path}: {error}", hint="Check the disk.") from error

    def _open(self) -> sqlite3.Connection:
        """Open, check and migrate.

        :raises sqlite3.Error: as SQLite says it.
        :raises OSError: the file cannot be read.
        """
        # Before SQLite itself: it would throw away the log of a file that it does not recognise.
        if self.path.exists() and self.path.stat().st_size > 0:
            with self.path.open("rb") as file:
                if file.read(len(_MAGIC)) != _MAGIC:
                    raise sqlite3.DatabaseError("file is not a database")
        connection = sqlite3.connect(
            self.path, timeout=self._busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 256")  # about 1 MiB: a small log, rewritten in place
            _check(connection)
            self._migrate(connection)
            # The names of kiosk.db and its log must be on disk too, before anything in them is called stored.
            sync_folder(self.path.parent)
        except BaseException:
            connection.close()
            raise
        return connection

    @staticmethod
    def _migrate(connection: sqlite3.Connection) -> None:
        """A file of a newer version is left as it is: versions only add."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            for number, script in enumerate(MIGRATIONS[version:], start=version + 1):
                for statement in _statements(script):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise

    def _set_aside(self, error: sqlite3.Error) -> None:
        stamp = self._clock.utc_now().strftime("%Y%m%dT%H%M%SZ")
        target = self.path.with_name(f"{self.path.name}.corrupt-{stamp}")
        number = 1
        while target.exists():
            number += 1
            target = self.path.with_name(f"{self.path.name}.corrupt-{stamp}-{number}")
        try:
            # The log first: a new database must never find the log of the old one beside it.
            for suffix in ("-wal", "-shm", ""):
                part = self.path.with_name(self.path.name + suffix)
                if part.exists():
                    part.rename(target.with_name(target.name + suffix))
            sync_folder(self.path.parent)
        except OSError as failure:
            raise StateError(
                f"the database {self.path} is damaged ({error}) and cannot be set aside: {failure}",
                hint=f"Move it away by hand; the folder must be writable for user {_user()}.",
            ) from failure
        self._moved_aside.append(target)
        log.error(
            f"the database was damaged ({error}); set aside as {target.name}, a new one was started",
            extra={"kg": {"event": "database_set_aside", "file": target.name, "error": str(error)}},
        )


def open_database(state_dir: Path, *, clock: Clock, busy_timeout_s: float = 5.0) -> Database:
    """Open ``state_dir``/kiosk.db, or create it. A corrupt one is set aside with its log (see ``moved_aside``).

    :param busy_timeout_s: how long to wait for another process that holds the file.
    :raises StateError: the directory is missing or cannot be written.
    """
    if not state_dir.is_dir():
        raise StateError(
            f"the state directory {state_dir} does not exist or is no directory",
            hint=f"Create it and give it to user {_user()}: "
            f"install -d -o {_user()} -m 0750 {state_dir}  (the service's unit does this by StateDirectory=).",
        )
    probe = state_dir / f".write-test-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StateError(
            f"the state directory {state_dir} cannot be written by user {_user()}: {error.strerror}",
            hint=f"Alerts could not be kept. Check the owner (chown {_user()} {state_dir}), free space and `mount`.",
        ) from error
    return Database(state_dir / DATABASE_NAME, clock=clock, busy_timeout_s=busy_timeout_s)


def sync_folder(folder: Path) -> None:
    """Make names in a folder durable. :raises OSError: the folder cannot be synced."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(connection: sqlite3.Connection) -> None:
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise sqlite3.DatabaseError(f"malformed: {verdict}")


def _is_corruption(error: sqlite3.Error) -> bool:
    # Error codes came with Python 3.11; the words are SQLite's own and stable.
    text = str(error).lower()
    return "malformed" in text or "not a database" in text


def _statements(script: str) -> Iterator[str]:
    """executescript() would commit on its own; a migration must be all or nothing."""
    part = ""
    for line in script.splitlines(keepends=True):
        part += line
        if sqlite3.complete_statement(part):
            yield part
            part = ""


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
