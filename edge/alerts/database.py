"""kiosk.db: one SQLite file under the state directory, synced at every commit.

WAL with synchronous=FULL: recorded power cuts lost acknowledged rows with NORMAL and none with FULL. One connection
with a lock serves all threads of the service; command-line tools open their own.
"""

from __future__ import annotations

import contextlib
import errno
import getpass
import logging
import os
import sqlite3
import threading
from typing import TYPE_CHECKING

from edge.alerts.rescue import rescue
from edge.alerts.schema import MAGIC, migrate
from edge.errors import OutboxError, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.clock import Clock

log = logging.getLogger(__name__)

DATABASE_NAME = "kiosk.db"
_FAILING = "The disk is read-only or failing: check `dmesg`, remount or replace the card."


class Database:
    """The open database. Made by :func:`open_database`."""

    def __init__(self, path: Path, *, clock: Clock, busy_timeout_s: float) -> None:
        self.path = path
        self._clock = clock
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.RLock()
        self._moved_aside: list[Path] = []
        self._rescued = 0
        self._closed = False
        self._connection: sqlite3.Connection | None = self._open_or_replace()

    @property
    def moved_aside(self) -> tuple[Path, ...]:
        """Corrupt databases that were set aside since this one was opened, for health."""
        return tuple(self._moved_aside)

    @property
    def rescued(self) -> int:
        """Alerts that were carried over from those, for health."""
        return self._rescued

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """All or nothing; when the block ends without an error, it is on disk and synced.

        :raises OutboxError: the disk is full, read-only or broken, or another process holds the file too long.
        """
        with self._lock:
            connection = self._ready()
            try:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield connection
                    connection.execute("COMMIT")
                except BaseException:  # raised again: whatever ends it, nothing half done may stay
                    with contextlib.suppress(sqlite3.Error):
                        connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise self._explain(error) from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A consistent look without writing a byte.

        :raises OutboxError: the file cannot be read.
        """
        with self._lock:
            connection = self._ready()
            try:
                yield connection
            except sqlite3.Error as error:
                raise self._explain(error) from error

    def close(self) -> None:
        """Fold the write-ahead log in and close; may be called twice."""
        with self._lock, contextlib.suppress(sqlite3.Error):
            self._closed = True
            if self._connection is not None:
                self._connection.close()

    def _ready(self) -> sqlite3.Connection:
        if self._closed:
            raise OutboxError(f"{self.path} is closed", hint="The service is stopping.")
        if self._connection is None:  # a damaged one could not be replaced; perhaps now
            try:
                self._connection = self._open_or_replace()
            except StateError as error:
                raise OutboxError(error.message, hint=error.hint) from error
        return self._connection

    def _explain(self, error: sqlite3.Error) -> OutboxError:
        """The error in words. A file that turns out to be corrupt is replaced first, so that the next try succeeds."""
        if _is_corruption(error):
            if self._connection is not None:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.close()
            self._connection = None
            try:
                self._connection = self._replace(error)
            except (StateError, sqlite3.Error, OSError) as failure:
                return OutboxError(f"{self.path} is damaged ({error}) and cannot be replaced: {failure}", hint=_FAILING)
            return OutboxError(
                f"{self.path} was damaged ({error}) and has been set aside as {self._moved_aside[-1].name}",
                hint="A new database was started; the same step succeeds when tried again. Check the SD card.",
            )
        text = str(error).lower()
        if "full" in text:
            hint = "The disk is full: free space; pictures give way by themselves."
        elif "readonly" in text or "unable to open" in text or "disk i/o" in text:
            hint = _FAILING
        elif "locked" in text:
            hint = "Another process holds the database; end it or try again."
        else:
            hint = "Look at the service's log; the alert is kept in memory and tried again."
        return OutboxError(f"{self.path}: {error}", hint=hint)

    def _open_or_replace(self) -> sqlite3.Connection:
        """:raises StateError: neither is possible."""
        try:
            try:
                return self._open()
            except sqlite3.Error as error:
                if not _is_corruption(error):
                    raise
                return self._replace(error)
        except (sqlite3.Error, OSError) as error:
            raise StateError(
                f"cannot open the database {self.path}: {error}",
                hint=f"It must be readable and writable for user {_user()} (a command: run it with sudo), on a disk with free space.",
            ) from error

    def _replace(self, error: sqlite3.Error) -> sqlite3.Connection:
        """Set the damaged file aside, start a new one, and carry over what can be read.

        :raises StateError: it cannot be set aside.
        :raises sqlite3.Error: the new one cannot be made.
        :raises OSError: see there.
        """
        aside = self._set_aside(error)
        connection = self._open()
        rescued = rescue(aside, connection)
        self._rescued += rescued
        log.error(
            f"the database was damaged ({error}); set aside as {aside.name}, a new one was started, "
            f"{rescued} waiting alerts were carried over",
            extra={"kg": {"event": "database_set_aside", "file": aside.name, "error": str(error), "rescued": rescued}},
        )
        return connection

    def _open(self) -> sqlite3.Connection:
        """Open, check and migrate.

        :raises sqlite3.Error: as SQLite says it.
        :raises OSError: the file cannot be read.
        """
        # Before SQLite itself: it would throw away the log of a file that it does not recognise.
        if self.path.exists() and self.path.stat().st_size > 0:
            with self.path.open("rb") as file:
                if file.read(len(MAGIC)) != MAGIC:
                    raise sqlite3.DatabaseError("file is not a database")
        connection = sqlite3.connect(
            self.path, timeout=self._busy_timeout_s, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode = WAL").fetchone()
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA wal_autocheckpoint = 256")  # about 1 MiB: a small log, rewritten in place
            _check(connection)
            migrate(connection)
            # The names of kiosk.db and its log must be on disk too, before anything in them is called stored.
            sync_folder(self.path.parent)
        except BaseException:  # raised again: a connection that is not ready must not stay open
            connection.close()
            raise
        return connection

    def _set_aside(self, error: sqlite3.Error) -> Path:
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
        return target


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
    probe = state_dir / ".write-test"  # one name: what a kill leaves, the next start removes
    try:
        probe.touch()
        probe.unlink(missing_ok=True)
    except OSError as error:
        raise StateError(
            f"the state directory {state_dir} cannot be written by user {_user()}: {error.strerror}",
            hint=_way_in(state_dir, error),
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
        raise sqlite3.DatabaseError(f"malformed: {' '.join(verdict.split())}")


def _is_corruption(error: sqlite3.Error) -> bool:
    # Error codes came with Python 3.11; the words are SQLite's own and stable.
    text = str(error).lower()
    return "malformed" in text or "not a database" in text


def _way_in(state_dir: Path, error: OSError) -> str:
    """What to do where nothing can be written. Nobody shall take the directory away from the service to use a command."""
    trouble = f"Check the owner (chown {_user()} {state_dir}), free space and `mount`."
    with contextlib.suppress(OSError):
        if error.errno in (errno.EACCES, errno.EPERM) and state_dir.stat().st_uid != os.geteuid():
            return f"A command: run it with sudo. If the service says this, alerts could not be kept: {trouble}"
    return f"Alerts could not be kept. {trouble}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())
