"""The state directory: where it is, who may write in it, and whether a service runs on it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

from edge.config import Config, resolve
from edge.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import IO

LOCK_NAME = "run.lock"


def state_path(config: Config, config_path: Path) -> Path:
    """Where the configuration says the state is kept."""
    return resolve(config_path, config.state.dir)


def existing_state(config: Config, config_path: Path) -> Path:
    """The same, for a command that looks at it. :raises StateError: it is not there, or may not be entered."""
    path = state_path(config, config_path)
    try:
        if path.is_dir() and os.access(path, os.R_OK | os.X_OK):
            return path
    except OSError:
        pass
    raise StateError(
        f"the state directory {path} is not there or may not be read",
        hint="Has the service run yet? Else try as root, or name the right file with --config.",
    )


@contextlib.contextmanager
def as_owner(folder: Path) -> Iterator[None]:
    """What root writes here in the meantime belongs to the folder's owner: the service must be able to go on with it."""
    owner = folder.stat()
    if os.geteuid() != 0 or owner.st_uid == 0:
        yield
        return
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


class RunLock:
    """Held while a service runs on a state directory; the kernel lets go of it at any death.

    A record lock, because that is not inherited: a capture process that outlives the service must not hold it.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_NAME
        self._file: IO[str] | None = None

    def take(self) -> bool:
        """False: another process has it. :raises StateError: the file cannot be made."""
        try:
            file = self._path.open("a+", encoding="utf-8")
        except OSError as error:
            raise StateError(
                f"the state directory {self._path.parent} cannot be written: {self._path.name}: {error.strerror}",
                hint="It must belong to the service's user, on a disk with free space that is not read-only.",
            ) from error
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            return False
        self._file = file
        return True

    def release(self) -> None:
        """May be called twice."""
        if self._file is not None:
            self._file.close()
            self._file = None
