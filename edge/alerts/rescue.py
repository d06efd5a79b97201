"""What can still be read in a damaged database goes into its successor: alerts that wait, and incidents."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from edge.alerts.outbox_rows import HELD, WAITING
from edge.alerts.schema import MAGIC

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_MAX_QUERIES = 2_000  # a table damaged all over is not dug through for ever


def rescue(damaged: Path, successor: sqlite3.Connection) -> int:
    """Copy what can be read; returns the number of alerts. Each is checked against its own checksum when it is due.

    :param damaged: the file that was set aside; it is not written to.
    :param successor: the new database, in no transaction.
    """
    alerts = 0
    try:
        with damaged.open("rb") as file:
            if file.read(len(MAGIC)) != MAGIC:
                return 0
        with contextlib.closing(sqlite3.connect(f"file:{quote(str(damaged))}?mode=ro", uri=True)) as old:
            successor.execute("BEGIN IMMEDIATE")
            alerts = _copy(old, successor, "outbox", f"state IN ('{WAITING}', '{HELD}')")
            _copy(old, successor, "incidents", "1")
            successor.execute("COMMIT")
    except (sqlite3.Error, OSError):
        # Better a new start than none.
        if successor.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                successor.execute("ROLLBACK")
        return 0
    return alerts


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str, condition: str) -> int:
    wanted = [row[1] for row in new.execute(f"PRAGMA table_info({table})")]
    try:
        there = {row[1] for row in old.execute(f"PRAGMA table_info({table})")}
    except sqlite3.Error:
        return 0
    columns = [c for c in wanted if c in there]
    if "seq" not in columns:
        return 0
    names, marks = ", ".join(columns), ", ".join("?" * len(columns))
    copied = 0
    for row in _rows(old, table, names, condition):
        with contextlib.suppress(sqlite3.IntegrityError):  # a column that must not be empty is
            copied += new.execute(
                f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})",  # noqa: S608 - names of our own tables
                row,
            ).rowcount
    return copied


def _rows(old: sqlite3.Connection, table: str, names: str, condition: str) -> Iterator[tuple[Any, ...]]:
    """Rows by ranges of their number; a range that cannot be read is halved until only the damage is left out."""
    ranges = [(1, _highest(old, table))]
    for _ in range(_MAX_QUERIES):
        if not ranges:
            return
        low, high = ranges.pop()
        if low > high:
            continue
        try:
            found = old.execute(
                f"SELECT {names} FROM {table} NOT INDEXED"  # noqa: S608 - names of our own tables
                f" WHERE seq BETWEEN ? AND ? AND {condition} ORDER BY seq",
                (low, high),
            ).fetchall()
        except sqlite3.Error:
            if low < high:
                middle = (low + high) // 2
                ranges += [(middle + 1, high), (low, middle)]
            continue
        yield from found


def _highest(old: sqlite3.Connection, table: str) -> int:
    for question in (
        f"SELECT seq FROM sqlite_sequence WHERE name = '{table}'",  # noqa: S608 - names of our own tables
        f"SELECT MAX(seq) FROM {table} NOT INDEXED",  # noqa: S608 - see above
    ):
        with contextlib.suppress(sqlite3.Error, TypeError, ValueError):
            highest = int(old.execute(question).fetchone()[0])
            if highest > 0:
                return min(highest, 2**40)
    return 2**20
