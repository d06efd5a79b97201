"""``incidents.log``: what happened, one line a record, each bound to the one before it by hash and signed by the kiosk.

Appended to, never rewritten. Who has the card has the key, too: what proves the log against its owner is that every
mail carries the number and hash of its last record, out of reach of whoever holds the card.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.alerts.database import sync_folder
from edge.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.alerts.device_key import DeviceKey
    from edge.clock import Clock

log = logging.getLogger(__name__)

LOG_NAME = "incidents.log"
FIRST_PREV = "0" * 64
SIGNED = b"kiosk-guard incident log 1\n"
MAX_LINE_BYTES = 256 * 1024
_TAIL_BYTES = 2 * MAX_LINE_BYTES


@dataclass(frozen=True, slots=True)
class Head:
    """The last record: its number, from 1, and its hash in hex. Number 0: there is none."""

    number: int
    hash: str


class IncidentLog:
    """The log, open for appending; commands beside the service may append, too.

    :param key: signs each record.
    :raises StateError: the file cannot be made or read.
    """

    def __init__(self, folder: Path, *, key: DeviceKey, clock: Clock) -> None:
        self.path = folder / LOG_NAME
        self._key = key
        self._clock = clock
        self._lock = threading.Lock()
        self._size = -1
        self._head = Head(0, FIRST_PREV)
        self._keys: set[str] = set()
        self._trouble = ""
        fresh = not self.path.exists()
        try:
            with self._opened():
                pass
            if fresh:
                sync_folder(folder)
        except OSError as error:
            raise self._unusable(error) from error

    @property
    def head(self) -> Head:
        """As of the last append; answers from memory."""
        return self._head

    @property
    def trouble(self) -> str:
        """Why the last append failed; empty: it did not. For health."""
        return self._trouble

    def append(self, kind: str, data: dict[str, Any]) -> Head:
        """Add a record; on return it is on disk, synced. Returns what it became.

        :raises StateError: not stored: disk full, read-only.
        """
        with self._lock:
            try:
                with self._opened() as descriptor:
                    if self._key.public not in self._keys:
                        self._write(descriptor, "key", {"public_key": self._key.public})
                        self._keys.add(self._key.public)
                    self._write(descriptor, kind, data)
                    os.fdatasync(descriptor)
            except OSError as error:
                self._size = -1  # what is there now is looked up before the next one
                failure = self._unusable(error)
                self._trouble = failure.message
                raise failure from error
            self._trouble = ""
            return self._head

    def _write(self, descriptor: int, kind: str, data: dict[str, Any]) -> None:
        number = self._head.number + 1
        body = {
            "n": number,
            "t": self._clock.utc_now().isoformat(),
            "synced": self._clock.synchronised(),
            "kind": kind,
            "data": data,
            "prev": self._head.hash,
        }
        digest = record_hash(body)
        line = dump({**body, "hash": digest, "sig": self._key.sign(SIGNED + digest.encode())}) + b"\n"
        written = os.write(descriptor, line)
        if written != len(line):
            raise OSError(28, "no space left for a whole record")
        self._head = Head(number, digest)
        self._size += len(line)

    @contextlib.contextmanager
    def _opened(self) -> Any:
        """The file, for this process alone, with ``_head`` up to date."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_size != self._size:
                self._read_tail(descriptor)
            yield descriptor
        finally:
            os.close(descriptor)

    def _read_tail(self, descriptor: int) -> None:
        size = os.fstat(descriptor).st_size
        start = max(0, size - _TAIL_BYTES)
        tail = os.pread(descriptor, size - start, start)
        whole, newline, torn = tail.rpartition(b"\n")
        if torn:
            # A power cut while writing: half a record says nothing; that it was there is recorded.
            os.ftruncate(descriptor, size - len(torn))
            size -= len(torn)
        last = whole.rpartition(b"\n")[2] if newline else b""
        self._head = _head_of(last) if last else Head(0, FIRST_PREV)
        self._size = size
        if b'"kind":"key"' not in tail and self._key.public.encode() not in tail:
            self._keys = self._keys_in_file(descriptor)
        else:
            self._keys |= {self._key.public} if self._key.public.encode() in tail else set()
        if torn:
            log.error(
                f"{self.path.name} ended in half a record of {len(torn)} bytes, which was removed",
                extra={"kg": {"event": "log_repaired", "bytes": len(torn)}},
            )
            self._write(
                descriptor, "repaired", {"removed_bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()}
            )

    def _keys_in_file(self, descriptor: int) -> set[str]:
        found = set()
        with os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            for line in file:
                if b'"kind":"key"' in line:
                    with contextlib.suppress(ValueError, KeyError, TypeError):
                        found.add(str(json.loads(line)["data"]["public_key"]))
        return found

    def _unusable(self, error: OSError) -> StateError:
        return StateError(
            f"{self.path} cannot be written: {error.strerror}",
            hint="Check free space and `mount`; alerts go out all the same, without a record in the log.",
        )


def record_hash(body: dict[str, Any]) -> str:
    """SHA-256 in hex of a record without its hash and signature; it contains the hash of the one before."""
    return hashlib.sha256(dump(body)).hexdigest()


def dump(item: dict[str, Any]) -> bytes:
    """One line of ASCII JSON, keys in order, so that a record has one form only."""
    return json.dumps(item, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def _head_of(line: bytes) -> Head:
    """A last line that is none of ours does not stop the guarding: verify-log names it; the chain goes on from it."""
    try:
        record = json.loads(line)
        return Head(int(record["n"]), str(record["hash"]))
    except (ValueError, KeyError, TypeError):
        return Head(0, hashlib.sha256(line).hexdigest())
