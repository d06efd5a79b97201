"""A bundle on its way in: a folder or an archive, neither of them trusted, becomes a folder of plain files."""

from __future__ import annotations

import contextlib
import gzip
import lzma
import os
import stat
import tarfile
import zlib
from abc import ABC, abstractmethod
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, cast

from edge.detect.manifest import MANIFEST_NAME
from edge.errors import EX_DATAERR, EX_NOINPUT, KioskError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.models.durable import Disk

MAX_FILES = 100
MAX_BYTES = 640 * 1024 * 1024
_DEPTH = 3  # an archive's own folder, golden/, a picture
_DAMAGED = (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError)
_HINT = "wanted: the folder that export-model made, or a .tar.gz of it"


class BundleUnreadable(KioskError):  # noqa: N818 - reads as the fact it states
    """What is to be installed is no bundle that can be unpacked."""

    exit_code = EX_DATAERR


class BundleMissing(BundleUnreadable):
    """There is nothing at that path."""

    exit_code = EX_NOINPUT


@contextlib.contextmanager
def opened(source: Path) -> Iterator[Incoming]:
    """The bundle's files, open. From here on no right to enter the source's folder is needed.

    :raises BundleUnreadable: missing, unreadable, no bundle, or with links, devices, strange names or too much in it.
    """
    with contextlib.ExitStack() as stack:
        try:
            incoming = _Folder(source, stack) if source.is_dir() else _Archive(source, stack)
        except FileNotFoundError as error:
            raise BundleMissing(f"{error.filename or source}: no such file", hint=_HINT) from None
        except (OSError, *_DAMAGED) as error:
            told = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            raise BundleUnreadable(f"{source}: cannot be read as a bundle: {told}", hint=_HINT) from None
        try:
            yield incoming
        except _DAMAGED as error:
            raise BundleUnreadable(f"{source}: no whole archive: {error}", hint="get it again") from None


class Incoming(ABC):
    """Files by name, each readable once, in order."""

    def __init__(self, source: Path) -> None:
        self.source = source

    @abstractmethod
    def files(self) -> Iterator[tuple[PurePosixPath, BinaryIO]]:
        """Relative path and content."""

    def unpack(self, target: Path, disk: Disk) -> Path:
        """All of it into the new folder ``target``, everything synced; returns the folder in it that is the bundle.

        :raises BundleUnreadable: too much, or not a bundle.
        :raises OSError: the disk refuses.
        """
        target.mkdir(mode=0o750)
        left, folders = MAX_BYTES, {target}
        seen: set[PurePosixPath] = set()
        for name, content in self.files():
            if name in seen or len(seen) == MAX_FILES:
                raise BundleUnreadable(
                    f"{self.source}: {name}: there twice, or one of more than {MAX_FILES} files", hint=_HINT
                )
            seen.add(name)
            path = target / name
            for folder in reversed(path.relative_to(target).parents):
                if target / folder not in folders:
                    (target / folder).mkdir(mode=0o750)
                    folders.add(target / folder)
            try:
                left -= disk.copy(content, path, limit=left)
            except ValueError:
                raise BundleUnreadable(
                    f"{self.source}: {name}: more than {MAX_BYTES} bytes in all", hint=_HINT
                ) from None
        for folder in sorted(folders, reverse=True):
            disk.sync_folder(folder)
        tops = {PurePosixPath(name.parts[0]) for name in seen}  # of an archive of a folder: that folder, alone
        for top in (PurePosixPath(), *(tops if len(tops) == 1 else ())):
            if top / MANIFEST_NAME in seen:
                return target.joinpath(top)
        raise BundleUnreadable(f"{self.source}: holds no {MANIFEST_NAME}", hint=_HINT)

    def _name(self, text: str) -> PurePosixPath:
        path = PurePosixPath(text)
        if path.is_absolute() or not path.parts or len(path.parts) > _DEPTH or {"..", "."} & set(path.parts):
            raise BundleUnreadable(f"{self.source}: {text[:200]!r}: no name of a bundle's file", hint=_HINT)
        return path


class _Folder(Incoming):
    def __init__(self, source: Path, stack: contextlib.ExitStack) -> None:
        super().__init__(source)
        self._open: list[tuple[PurePosixPath, BinaryIO]] = []
        for path in sorted(source.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                continue
            if len(self._open) > MAX_FILES:
                break
            name = self._name(path.relative_to(source).as_posix())
            # Not through links, and not waiting for a pipe's other end.
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            file = stack.enter_context(os.fdopen(descriptor, "rb"))
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise BundleUnreadable(f"{path}: no plain file", hint=_HINT)
            self._open.append((name, file))

    def files(self) -> Iterator[tuple[PurePosixPath, BinaryIO]]:
        yield from self._open


class _Archive(Incoming):
    def __init__(self, source: Path, stack: contextlib.ExitStack) -> None:
        super().__init__(source)
        file = stack.enter_context(source.open("rb"))
        self._tar = stack.enter_context(tarfile.open(fileobj=file, mode="r|*"))  # noqa: SIM115 - the stack closes it

    def files(self) -> Iterator[tuple[PurePosixPath, BinaryIO]]:
        for member in self._tar:
            if member.isdir():
                continue
            content = self._tar.extractfile(member) if member.isreg() else None
            if content is None:
                raise BundleUnreadable(f"{self.source}: {member.name[:200]!r}: no plain file", hint=_HINT)
            yield self._name(member.name), cast("BinaryIO", content)
