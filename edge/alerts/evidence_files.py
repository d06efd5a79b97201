"""Files of the evidence folder: written all or nothing, listed, removed."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
from pathlib import Path

from edge.alerts.database import sync_folder

log = logging.getLogger(__name__)

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+")
_MAX_NAME = 60
HOLD_NAME = "HOLD"  # in an incident's folder: its pictures stay
PICTURE_SUFFIXES = frozenset({".jpg", ".mp4"})


def write_synced(path: Path, data: bytes, *, mtime_s: float | None = None) -> None:
    """All or nothing: the name appears when the content is on disk.

    :param mtime_s: time of the last change that the file gets, seconds since 1970; None: now.
    :raises OSError: not written.
    """
    made = [p for p in (path.parent.parent, path.parent) if not p.exists()]
    for folder in made:
        folder.mkdir(mode=0o750, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            if mtime_s is not None:
                os.utime(file.fileno(), (mtime_s, mtime_s))
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:  # raised again: half a file must not stay on the card
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    for folder in [path.parent, *(p.parent for p in made)]:
        sync_folder(folder)


def files_in(root: Path) -> list[tuple[float, int, Path]]:
    """(modification time in seconds since 1970, bytes, path) of every picture."""
    found: list[tuple[float, int, Path]] = []
    for folder, _, names in os.walk(root):
        for name in set(names) - {HOLD_NAME}:
            path = Path(folder, name)
            with contextlib.suppress(OSError):
                status = path.lstat()
                found.append((status.st_mtime, status.st_size, path))
    return found


def remove_file(path: Path) -> bool:
    """False: it is still there, which is logged."""
    try:
        path.unlink()
    except OSError as error:
        log.warning(
            f"the picture {path.name} cannot be removed: {error.strerror}",
            extra={"kg": {"event": "evidence_stuck", "path": str(path), "error": error.strerror}},
        )
        return False
    return True


def remove_empty_folders(root: Path) -> None:
    """All below ``root`` that hold nothing."""
    for folder, _, _ in os.walk(root, topdown=False):
        if Path(folder) != root:
            with contextlib.suppress(OSError):  # not empty
                Path(folder).rmdir()


def safe_name(text: str) -> str:
    """A file name from anything: letters, digits, - and _; what had to change keeps apart by a hash.

    >>> safe_name("20260301-020000-1f3a")
    '20260301-020000-1f3a'
    >>> safe_name("../../etc/passwd")
    '_etc_passwd-a5a89dc8'
    """
    name = _UNSAFE.sub("_", text)
    if name == text and 0 < len(name) <= _MAX_NAME:
        return name
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return f"{name[:_MAX_NAME]}-{digest}"
