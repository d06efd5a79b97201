"""Pictures that prove an alert: files under the state directory, synced before the alert that names them."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import shutil
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import cv2

from edge.alerts.database import sync_folder
from edge.alerts.evidence_files import (
    HOLD_NAME,
    PICTURE_SUFFIXES,
    files_in,
    remove_empty_folders,
    remove_file,
    safe_name,
    write_synced,
)
from edge.errors import KioskError, StateError
from edge.types import EvidenceRef

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from datetime import datetime
    from pathlib import Path

    from edge.alerts.reserve import Reserve
    from edge.clock import Clock
    from edge.types import U8

log = logging.getLogger(__name__)

_TOLD_AT_ONCE = 200
_UNDATED_S = 2.0**31 - 1  # marks a picture stored while the clock was not set: the last second of 32 bits
_AHEAD_S = 86_400.0  # a picture that is younger than now by more than this has no true date


@dataclass(frozen=True, slots=True)
class Stored:
    """What the folder holds: number of pictures and their bytes."""

    files: int
    bytes: int


class EvidenceStore:
    """Pictures in ``folder``/YYYY-MM-DD/INCIDENT/ROLE-HASH.jpg.

    :param folder: created if missing.
    :param jpeg_quality: 1..100.
    :param max_bytes: beyond it the oldest pictures go, those that undelivered alerts need last.
    :param max_age_s: older pictures go, unless an undelivered alert needs them; 0: never. Only on a synchronised clock,
        and the age of a picture that was stored before the clock was set counts from then on.
    :param min_free_bytes: free space of the disk that pictures leave to the alerts themselves.
    :param reserve: given up before pictures where an alert itself has no room; made anew when there is room again.
    :param on_remove: told before pictures go: their paths (relative) and why; what it raises is logged only.
    :raises StateError: the folder cannot be made.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Clock,
        jpeg_quality: int = 85,
        max_bytes: int = 2 * 1024**3,
        max_age_s: float = 30 * 86400.0,
        min_free_bytes: int = 64 * 1024**2,
        reserve: Reserve | None = None,
        on_remove: Callable[[Sequence[str], str], object] | None = None,
    ) -> None:
        self.folder = folder
        self._clock = clock
        self._quality = jpeg_quality
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._min_free_bytes = min_free_bytes
        self._reserve = reserve
        self._on_remove = on_remove
        try:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            sync_folder(folder.parent)
        except OSError as error:
            raise StateError(
                f"the evidence folder {folder} cannot be made: {error.strerror}",
                hint="Its parent must be writable for the service's user.",
            ) from error
        self._bytes = sum(size for _, size, _ in files_in(self.folder))
        self._untold: list[tuple[list[str], str]] = []  # removals that the log could not take yet

    def save(self, image: U8, *, incident_id: str, role: str, t_utc: datetime) -> EvidenceRef:
        """Store a picture; on return its file and its name are on disk and synced.

        :param image: uint8 (H, W, 3) BGR.
        :param role: annotated, closeup or clean.
        :raises StateError: not stored: no space, read-only, or not a picture.
        """
        self._need_room()
        try:
            ok, coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self._quality])
        except cv2.error as error:
            raise StateError(f"the {role} picture cannot be encoded: {error.err}", hint="Report this error.") from error
        if not ok:
            raise StateError(f"the {role} picture cannot be encoded as JPEG", hint="Report this error.")
        return self._keep(coded.tobytes(), ".jpg", "image/jpeg", incident_id=incident_id, role=role, t_utc=t_utc)

    def save_film(self, data: bytes, *, incident_id: str, role: str, t_utc: datetime) -> EvidenceRef:
        """The same for an MP4. :raises StateError: not stored: no space, read-only."""
        self._need_room()
        return self._keep(data, ".mp4", "video/mp4", incident_id=incident_id, role=role, t_utc=t_utc)

    def _keep(
        self, data: bytes, suffix: str, media_type: str, *, incident_id: str, role: str, t_utc: datetime
    ) -> EvidenceRef:
        sha256 = hashlib.sha256(data).hexdigest()
        name = f"{safe_name(role)}-{sha256[:16]}{suffix}"
        relative = PurePosixPath(t_utc.strftime("%Y-%m-%d")) / safe_name(incident_id) / name
        try:
            dated = self._clock.synchronised()
            write_synced(self.folder / relative, data, mtime_s=None if dated else _UNDATED_S)
        except OSError as error:
            raise StateError(
                f"the picture {relative} cannot be stored in {self.folder}: {error.strerror}",
                hint="Check free space and `mount`; the alert goes on without it.",
            ) from error
        self._bytes += len(data)
        return EvidenceRef(role=role, path=str(relative), media_type=media_type, sha256=sha256, size_bytes=len(data))

    def _need_room(self) -> None:
        try:
            room = shutil.disk_usage(self.folder).free >= self._min_free_bytes or self.make_room(self._min_free_bytes)
        except OSError as error:
            raise StateError(f"the evidence folder {self.folder} is gone: {error.strerror}", hint="Restart.") from error
        if not room:
            raise StateError(
                f"the disk of {self.folder} is nearly full: the picture was not kept",
                hint=f"Pictures leave {self._min_free_bytes // 1024**2} MiB to the alerts; free some space.",
            )

    def resolve(self, ref: EvidenceRef) -> Path | None:
        """The picture's file, or None where it is missing, altered or outside the folder (which is logged)."""
        path = (self.folder / ref.path).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            log.error(
                "a stored alert names a picture outside the evidence folder",
                extra={"kg": {"event": "evidence_refused", "path": ref.path}},
            )
            return None
        try:
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            log.warning(
                f"the picture {ref.path} cannot be read: {error.strerror}",
                extra={"kg": {"event": "evidence_missing", "path": ref.path, "error": error.strerror}},
            )
            return None
        if sha256 == ref.sha256:
            return path
        with contextlib.suppress(OSError):
            path.rename(path.with_name(path.name + ".damaged"))
        log.error(
            f"the picture {ref.path} differs from what was stored; set aside",
            extra={"kg": {"event": "evidence_damaged", "path": ref.path, "wanted": ref.sha256, "got": sha256}},
        )
        return None

    def over_limit(self) -> bool:
        """Whether the pictures together exceed ``max_bytes`` (as counted since start; exact after ``prune``)."""
        return self._bytes > self._max_bytes

    def prune(self, *, keep: Collection[str] = ()) -> int:
        """Remove pictures that are too old or too many; returns how many went.

        :param keep: paths (relative, as in EvidenceRef) that undelivered alerts need: never too old, and the last to go
            when there are too many.
        """
        if self._reserve is not None:
            self._reserve.keep()
        # A clock that is not set makes no picture old: it may be decades off in either direction.
        limit = 0.0
        if self._clock.synchronised():
            now_s = self._clock.utc_now().timestamp()
            self._date(now_s)
            limit = now_s - self._max_age_s if self._max_age_s > 0 else 0.0
        files = sorted(files_in(self.folder))
        total = sum(size for _, size, _ in files)
        needed = {str(self.folder / path) for path in keep}
        going: list[tuple[int, Path]] = []
        left = total
        for mtime, size, path in sorted(files, key=lambda f: (str(f[2]) in needed, f[0])):
            too_old = mtime < limit and str(path) not in needed
            if (too_old or left > self._max_bytes) and not self.is_held(path.parent):
                left -= size
                going.append((size, path))
        self._tell([path for _, path in going], "retention by age or space")
        gone = 0
        for size, path in going:
            if remove_file(path):
                total -= size
                gone += 1
        self._bytes = total
        remove_empty_folders(self.folder)
        if gone:
            log.info(
                f"{gone} pictures were removed by age or space",
                extra={"kg": {"event": "evidence_pruned", "files": gone, "bytes_left": total}},
            )
        return gone

    def make_room(self, free_bytes: int, *, even_in_vain: bool = False) -> bool:
        """Remove the oldest pictures until the disk has that many bytes free; False: it still has not.

        :param even_in_vain: for an alert itself: the reserve goes first, and pictures also where all of them together
            would not make that room.
        """
        gone = 0
        free = shutil.disk_usage(self.folder).free
        if free < free_bytes and even_in_vain and self._reserve is not None and self._reserve.release():
            free = shutil.disk_usage(self.folder).free
        if free >= free_bytes:
            return True
        files = [f for f in sorted(files_in(self.folder)) if not self.is_held(f[2].parent)]
        if not even_in_vain and free + sum(size for _, size, _ in files) < free_bytes:
            return False  # something else fills the disk
        for _, size, path in files:
            if shutil.disk_usage(self.folder).free >= free_bytes:
                break
            self._tell([path], "the disk was full")
            if remove_file(path):
                self._bytes -= size
                gone += 1
        if gone:
            self._tell([], "")  # there may be room for the record by now
            log.warning(
                f"the disk is full: {gone} old pictures were removed to make room",
                extra={"kg": {"event": "evidence_gave_way", "files": gone}},
            )
        return shutil.disk_usage(self.folder).free >= free_bytes

    def stored(self) -> Stored:
        """Counts by looking at the folder."""
        sizes = [size for _, size, _ in files_in(self.folder)]
        return Stored(len(sizes), sum(sizes))

    def pictures_of(self, incident_id: str) -> list[str]:
        """Paths (relative) of an incident's pictures."""
        found = self.folder.glob(f"*/{safe_name(incident_id)}/*")
        return sorted(p.relative_to(self.folder).as_posix() for p in found if p.suffix in PICTURE_SUFFIXES)

    def erase(self, incident_id: str, *, why: str) -> list[str]:
        """Remove an incident's pictures, held or not, now; returns their paths. :raises StateError: one is still there."""
        paths = self.pictures_of(incident_id)
        self._tell([self.folder / p for p in paths], why)
        for path in paths:
            if not remove_file(self.folder / path):
                raise StateError(f"the picture {path} cannot be removed", hint="Try as root.")
        for folder in self.folder.glob(f"*/{safe_name(incident_id)}"):
            with contextlib.suppress(OSError):
                (folder / HOLD_NAME).unlink(missing_ok=True)
                folder.rmdir()
        return paths

    def hold(self, incident_id: str, *, on: bool) -> int:
        """Keep an incident's pictures whatever their age, or no longer; returns how many there are."""
        for folder in self.folder.glob(f"*/{safe_name(incident_id)}"):
            if on:
                (folder / HOLD_NAME).touch(mode=0o640)
            else:
                (folder / HOLD_NAME).unlink(missing_ok=True)
            sync_folder(folder)
        return len(self.pictures_of(incident_id))

    @staticmethod
    def is_held(folder: Path) -> bool:
        """Whether the pictures in this folder are under legal hold."""
        return (folder / HOLD_NAME).exists()

    def _date(self, now_s: float) -> None:
        """The age of pictures without a true date counts from now on."""
        for mtime_s, _, path in files_in(self.folder):
            if mtime_s > now_s + _AHEAD_S:
                with contextlib.suppress(OSError):
                    os.utime(path, (now_s, now_s))

    def _tell(self, paths: Sequence[Path], why: str) -> None:
        """What a full disk does not take is told along with the next."""
        if self._on_remove is None:
            return
        relative = [path.relative_to(self.folder).as_posix() for path in paths if path.name != HOLD_NAME]
        self._untold += [(relative[at : at + _TOLD_AT_ONCE], why) for at in range(0, len(relative), _TOLD_AT_ONCE)]
        try:
            while self._untold:
                self._on_remove(*self._untold[0])
                del self._untold[0]
        except KioskError as error:
            log.error(  # noqa: TRY400 - the message says it all
                f"that pictures are removed is in no record yet: {error.message}",
                extra={"kg": {"event": "log_failed", "error": error.message}},
            )
