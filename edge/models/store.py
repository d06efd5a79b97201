"""The installed models under ``state_dir/models``, which one is to run, and how it came to that.

    <name>-<version>-<hash>/   bundles, whole and unchanged; the hash is the manifest's, first 8 digits
    current                    link to the one that is to run; not there: the one that came with the software
    switches.json              what was switched when, why, and how it went
    .anything                  unfinished: left by a power cut, removed by the next command

``current`` alone decides, and changes by one rename, after the record of it is on the disk. So a cut at any moment
leaves the old model or the new one, and a record without its switch is known by ``current`` not following it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import secrets
import threading
from typing import TYPE_CHECKING

from edge.detect.manifest import MANIFEST_NAME
from edge.errors import EX_DATAERR, EX_TEMPFAIL, KioskError, StateError
from edge.models.durable import Disk
from edge.models.switches import SHIPPED, Switch, parse, text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.clock import Clock
    from edge.detect.manifest import Manifest

FOLDER = "models"
CURRENT = "current"
SWITCHES = "switches.json"
KEPT = 3  # bundles besides those that are needed
MAX_STARTS = 3  # a model on trial with which the service went down so often is given up
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,120}")


class ModelRefused(KioskError):  # noqa: N818 - reads as the fact it states
    """The bundle is whole, but is not to run on this box."""

    exit_code = EX_DATAERR


class StoreBusy(KioskError):  # noqa: N818 - reads as the fact it states
    """Another command changes the installed models right now."""

    exit_code = EX_TEMPFAIL


class ModelStore:
    """The folder, its switches, and the one place that changes them.

    :param state_dir: the service's state directory; need not hold any model yet.
    :param disk: tests count and stop its steps.
    """

    def __init__(self, state_dir: Path, *, clock: Clock, disk: Disk | None = None) -> None:
        self.folder = state_dir / FOLDER
        self._clock = clock
        self.disk = disk or Disk()

    def current(self) -> str:
        """Folder name of the model that is to run; ``SHIPPED``: the one that came with the software.

        :raises StateError: it cannot be asked.
        """
        try:
            target = str((self.folder / CURRENT).readlink())
        except FileNotFoundError:
            return SHIPPED
        except OSError as error:
            raise StateError(
                f"{self.folder / CURRENT}: cannot be read: {error.strerror}",
                hint="try as root; it is a link that `kiosk-guard model` makes, nothing else",
            ) from None
        return target if _NAME.fullmatch(target) else f"not-a-model-{hashlib.sha256(target.encode()).hexdigest()[:8]}"

    def path(self, name: str) -> Path:
        """Where that bundle lies, ``SHIPPED`` apart."""
        return self.folder / name

    def installed(self) -> list[str]:
        """Names of the bundles, oldest first."""
        try:
            found = [p for p in self.folder.iterdir() if _NAME.fullmatch(p.name) and (p / MANIFEST_NAME).is_file()]
            return [p.name for p in sorted(found, key=lambda p: (p.stat().st_mtime, p.name)) if not p.is_symlink()]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unreadable(error) from None

    def switches(self) -> list[Switch]:
        """What was switched, oldest first; a record whose switch never came about is left out."""
        try:
            content = (self.folder / SWITCHES).read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._unreadable(error) from None
        return _happened(parse(content), self.current())

    def latest(self) -> Switch | None:
        """How the current model came to be that; None: it always was."""
        found = self.switches()
        return found[-1] if found else None

    def way_back(self) -> str:
        """The newest model before this one that is still there and did not fail; else ``SHIPPED``."""
        return self._way_back(self.switches())

    @contextlib.contextmanager
    def changing(self, *, patience_s: float = 0.0) -> Iterator[None]:
        """Held by whoever changes something; what others left half done is gone.

        :param patience_s: how long to wait for another who is at it.
        :raises StoreBusy: another command is at it.
        :raises StateError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(mode=0o750, exist_ok=True)
            descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o640)
        except OSError as error:
            raise self._unwritable(error) from None
        try:
            self._lock(descriptor, patience_s)
            try:
                self.clear()
                try:
                    yield
                finally:  # what was refused goes at once; after a power cut, the next one who comes does it
                    with contextlib.suppress(OSError):
                        self.clear()
            except OSError as error:
                raise self._unwritable(error) from error
        finally:
            os.close(descriptor)

    def staging(self) -> Path:
        """A fresh name for a bundle on its way in. Only while ``changing``."""
        return self.folder / f".incoming-{secrets.token_hex(4)}"

    def place(self, stage: Path, manifest: Manifest) -> str:
        """The checked bundle gets its name among the installed ones, and does not run yet; returns the name."""
        digest = hashlib.sha256((stage / MANIFEST_NAME).read_bytes()).hexdigest()
        name = f"{manifest.name}-{manifest.version}-{digest[:8]}"
        number = 1
        while os.path.lexists(self.folder / name):
            number += 1
            name = f"{manifest.name}-{manifest.version}-{digest[:8]}.{number}"
        self.disk.rename(stage, self.folder / name)
        return name

    def switch(self, to: str, *, by: str, why: str, trial: bool) -> Switch:
        """Make ``to`` the current model. Only while ``changing``."""
        return self._switch(to, by=by, why=why, state="trial" if trial else "good", told=True)

    def give_up(self, reason: str) -> Switch:
        """The current model failed: back to the one before, or to the shipped one; a mail about it is due.

        Only while ``changing``.
        """
        records, failed = self.switches(), self.current()
        if records:
            records[-1] = records[-1].but(state="failed", reason=reason)
        back = self._way_back(records)
        return self._switch(
            back, by="kiosk-guard", why=reason, state="good", told=False, records=records, failed=failed
        )

    def amend(self, record: Switch) -> None:
        """Put a newer state of that record in its place. Only while ``changing``."""
        self._write([record if r.number == record.number else r for r in self.switches()])

    def prune(self) -> None:
        """Remove bundles that are neither in use, nor the way back, nor among the newest. Only while ``changing``."""
        needed = {self.current(), *(r.back for r in self.switches()[-2:]), *self.installed()[-KEPT:]}
        for name in self.installed():
            if name not in needed:
                self.disk.remove_tree(self.folder / name)

    def _switch(
        self,
        to: str,
        *,
        by: str,
        why: str,
        state: str,
        told: bool,
        records: list[Switch] | None = None,
        failed: str = "",
    ) -> Switch:
        records = self.switches() if records is None else records
        now = self._clock.utc_now()
        record = Switch(
            number=max((r.number for r in records), default=0) + 1,
            to=to,
            back=self.current(),
            utc=now.isoformat(timespec="seconds"),
            by=by,
            why=why,
            state=state,
            told=told,
            failed=failed,
        )
        if record.to == record.back:
            return record
        self._write([*records, record])
        if to == SHIPPED:
            self.disk.unlink(self.folder / CURRENT)
        else:
            self.disk.point(self.folder / CURRENT, to)
        return record

    def _way_back(self, records: list[Switch]) -> str:
        now, state = self.current(), {r.to: r.state for r in records}  # the newest word on each
        there = self.installed()
        for record in reversed(records):
            if record.back != now and record.back in there and state.get(record.back) != "failed":
                return record.back
        return SHIPPED

    def _lock(self, descriptor: int, patience_s: float) -> None:
        until_s = self._clock.monotonic_s() + patience_s
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:  # noqa: PERF203 - a wait, no hot loop
                if self._clock.monotonic_s() >= until_s:
                    raise StoreBusy(
                        f"{self.folder}: another command changes the models right now", hint="try again in a moment"
                    ) from None
                self._clock.wait(threading.Event(), 0.1)
            else:
                return

    def _write(self, records: list[Switch]) -> None:
        self.disk.replace(self.folder / SWITCHES, text(records))

    def clear(self) -> None:
        """Remove what is unfinished. Only while ``changing``."""
        for path in self.folder.glob(".*"):
            if path.name.startswith((".incoming-", ".gone-")):
                self.disk.remove_tree(path)

    def _unreadable(self, error: OSError) -> StateError:
        return StateError(f"{error.filename or self.folder}: cannot be read: {error.strerror}", hint="try as root")

    def _unwritable(self, error: OSError) -> StateError:
        return StateError(
            f"{error.filename or self.folder}: cannot be written: {error.strerror}",
            hint="check free space and `mount`; the folder must belong to the service's user",
        )


def _happened(records: list[Switch], current: str) -> list[Switch]:
    """A power cut between record and switch leaves a last record that ``current`` never followed."""
    while records and records[-1].to != current:
        records = records[:-1]
    return records
