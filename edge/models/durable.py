"""Changes on a disk that a power cut finds done or not begun: files and folders synced, names switched by rename."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CHUNK = 1024 * 1024


def _nothing(_: str) -> None:
    return None


class Disk:
    """What may be done to a folder whose content must survive.

    :param step: told the name of every single change before it is made; tests end the process there.

    Every method raises OSError as the system does.
    """

    def __init__(self, step: Callable[[str], None] = _nothing) -> None:
        self._step = step

    def copy(self, source: BinaryIO, target: Path, *, limit: int) -> int:
        """A new file with what ``source`` holds from here, synced; returns its size.

        :raises ValueError: more than ``limit`` bytes.
        """
        self._step(f"create {target.name}")
        size = 0
        with target.open("xb") as file:
            while chunk := source.read(_CHUNK):
                size += len(chunk)
                if size > limit:
                    raise ValueError(f"more than {limit} bytes")
                file.write(chunk)
            file.flush()
            self._step(f"sync {target.name}")
            os.fsync(file.fileno())
        return size

    def replace(self, path: Path, content: bytes) -> None:
        """The file has the old content or the new, never a part."""
        fresh = path.with_name(f".{path.name}.new")
        self._step(f"write {fresh.name}")
        with fresh.open("wb") as file:
            file.write(content)
            file.flush()
            self._step(f"sync {fresh.name}")
            os.fsync(file.fileno())
        self.rename(fresh, path)

    def point(self, link: Path, target: str) -> None:
        """The symbolic link names the old target or the new, and is never missing in between."""
        fresh = link.with_name(f".{link.name}.new")
        if os.path.lexists(fresh):
            self._step(f"unlink {fresh.name}")
            fresh.unlink()
        self._step(f"symlink {fresh.name}")
        fresh.symlink_to(target)
        self.rename(fresh, link)

    def rename(self, source: Path, target: Path) -> None:
        """Within one file system; what has the target's name gives way."""
        self._step(f"rename {source.name}")
        source.replace(target)
        self.sync_folder(target.parent)

    def unlink(self, path: Path) -> None:
        """A file or a link goes."""
        self._step(f"unlink {path.name}")
        path.unlink(missing_ok=True)
        self.sync_folder(path.parent)

    def remove_tree(self, folder: Path) -> None:
        """A folder goes, under a name that says so first: half a folder is never taken for a whole one."""
        gone = folder if folder.name.startswith(".") else folder.with_name(f".gone-{folder.name}")
        if gone != folder:
            self.rename(folder, gone)
        self._step(f"remove {gone.name}")
        shutil.rmtree(gone, ignore_errors=True)

    def sync_folder(self, folder: Path) -> None:
        """The names in a folder are on the disk."""
        self._step(f"sync folder {folder.name}")
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
