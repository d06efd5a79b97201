"""``zones.toml``: zones and masks as somebody drew them, whole or not at all, with the versions before."""

from __future__ import annotations

import contextlib
import hashlib
import re
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from edge.alerts.evidence_files import write_synced
from edge.config.load import check_zones, read_zones, zone_history
from edge.errors import ConfigError, KioskError, StateError
from edge.health.acts import ActRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.clock import Clock
    from edge.config.tables import MaskTable, ZonesFile, ZoneTable

KEEP = 10
_HEAD = re.compile(r"# saved (\S+) by (.*)")
_NAME = re.compile(r"(\d{6})-[0-9a-f]{12}\.toml")
_MAX_WHO = 80


@dataclass(frozen=True, slots=True)
class Version:
    """A file as it was once saved. ``saved_utc`` None, ``by`` "": it was written by hand."""

    name: str
    saved_utc: datetime | None
    by: str
    zones: int
    masks: int


class ZoneStore:
    """The zones file of a running box.

    :param path: the file; need not be there yet.
    :param writable: "" or why it is not to be written.
    :param cameras: their names.
    :param fixed: zones and masks of the configuration file itself, never written.
    :param apply: makes the box use these from the next frame on.
    """

    def __init__(
        self,
        path: Path,
        *,
        cameras: Sequence[str],
        fixed: ZonesFile,
        apply: Callable[[ZonesFile], object],
        clock: Clock,
        writable: str = "",
        keep: int = KEEP,
    ) -> None:
        self.path = path
        self.fixed = fixed
        self.why_not = writable
        self._history = zone_history(path)
        self._cameras = list(cameras)
        self._apply = apply
        self._clock = clock
        self._keep = keep
        self._lock = threading.Lock()

    def read(self) -> tuple[ZonesFile, str]:
        """What the file says now, and its version. :raises ConfigError: somebody wrote into it what cannot be read."""
        text = self._text()
        return read_zones(text, self.path, cameras=self._cameras, fixed=self.fixed), _version(text)

    def save(self, drawn: dict[str, Any], *, based_on: str, by: str) -> ZonesFile:
        """Check, store, use.

        :param drawn: ``zones`` and ``masks`` as in the file.
        :param based_on: the version that was drawn upon.
        :raises ActRefused: they are not right, or the file was changed meanwhile.
        :raises StateError: they cannot be stored; the old ones stay in use.
        """
        if self.why_not:
            raise ActRefused(self.why_not, hint="Change them there, then restart the service.")
        rounded = {
            k: [_rounded(t) for t in drawn.get(k, [])] if isinstance(drawn.get(k, []), list) else drawn[k]
            for k in ("zones", "masks")
        }
        try:
            wanted = check_zones(rounded, self.path, cameras=self._cameras, fixed=self.fixed)
        except ConfigError as error:
            raise ActRefused(error.message, hint=error.hint, status=400) from None
        _no_crossing(wanted)
        with self._lock:
            text = self._text()
            if _version(text) != based_on:
                raise ActRefused(
                    "the zones were changed by somebody else meanwhile", hint="Load the page again, then draw yours."
                )
            self._write(wanted, before=text, by=by)
        return wanted

    def restore(self, name: str, *, by: str) -> ZonesFile:
        """Use an earlier version again. :raises ActRefused: there is none of that name. :raises StateError: as save."""
        if self.why_not:
            raise ActRefused(self.why_not, hint="Change them there, then restart the service.")
        found = [p for p in self._files() if p.name.partition("-")[0] == name]
        if not found:
            raise ActRefused(f"there is no version {name!r}", hint="The page lists those that are kept.", status=404)
        try:
            text = found[0].read_text(encoding="utf-8")
            wanted = read_zones(text, found[0], cameras=self._cameras, fixed=self.fixed)
        except (OSError, UnicodeDecodeError) as error:
            raise StateError(f"{found[0]} cannot be read: {error}", hint="Restore another version.") from error
        except ConfigError as error:
            raise ActRefused(f"version {name} does not fit any more: {error.message}", hint=error.hint) from None
        with self._lock:
            self._write(wanted, before=self._text(), by=by)
        return wanted

    def versions(self) -> list[Version]:
        """What can be restored, newest first."""
        found = []
        for path in reversed(self._files()):
            with contextlib.suppress(OSError, UnicodeDecodeError):
                text = path.read_text(encoding="utf-8")
                head = _HEAD.match(text)
                saved = None
                with contextlib.suppress(ValueError, TypeError):
                    saved = datetime.fromisoformat(head[1]) if head else None
                zones, masks = text.count("[[zones]]"), text.count("[[masks]]")
                found.append(Version(path.name.partition("-")[0], saved, head[2] if head else "", zones, masks))
        return found

    def _text(self) -> str:
        try:
            return self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""
        except (OSError, UnicodeDecodeError) as error:
            raise StateError(f"{self.path} cannot be read: {error}", hint="Check the file and its owner.") from error

    def _write(self, wanted: ZonesFile, *, before: str, by: str) -> None:
        who = "".join(c if c.isprintable() else " " for c in by)[:_MAX_WHO]
        text = f"# saved {self._clock.utc_now().isoformat(timespec='seconds')} by {who}\n{to_toml(wanted)}"
        try:
            unknown = not any(p.name.endswith(f"-{_version(before)}.toml") for p in self._files())
            if before and unknown:
                self._keep_version(before)  # written by hand
            # Before any version of it: a file that is gone although there is one is a fault.
            write_synced(self.path, text.encode())
            if not before and unknown:
                self._keep_version(before)  # nothing drawn: that, too, can be used again
            self._keep_version(text)
            for old in self._files()[: -self._keep - 1]:  # the newest is the one in use
                old.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(
                f"{self.path} cannot be written: {error.strerror}", hint="The old zones stay in use. Is the disk full?"
            ) from error
        try:
            self._apply(wanted)
        except KioskError as error:
            raise StateError(f"stored, but not in use: {error.message}", hint="Restart the service.") from error

    def _keep_version(self, text: str) -> None:
        files = self._files()
        number = int(files[-1].name[:6]) + 1 if files else 1
        write_synced(self._history / f"{number:06d}-{_version(text)}.toml", text.encode())

    def _files(self) -> list[Path]:
        return sorted(p for p in self._history.glob("*.toml") if _NAME.fullmatch(p.name))


def to_toml(wanted: ZonesFile) -> str:
    """As a person would write it. Names are letters, digits, - and _: nothing needs escaping."""
    parts = []
    tables: list[tuple[str, ZoneTable | MaskTable]] = [("zones", z) for z in wanted.zones]
    tables += [("masks", m) for m in wanted.masks]
    for kind, table in tables:
        corners = ", ".join(f"[{x:g}, {y:g}]" for x, y in table.polygon)
        parts.append(
            f'\n[[{kind}]]\ncamera = "{table.camera}"\nname = "{table.name}"\nkind = "{table.kind}"\n'
            f"polygon = [{corners}]\n"
        )
    return "".join(parts)


def _rounded(table: Any) -> Any:
    """A ten-thousandth of the picture is far below a pixel of the finger."""
    polygon = table.get("polygon") if isinstance(table, dict) else None
    if not isinstance(polygon, list):
        return table
    corners = [
        [round(float(v), 4) if isinstance(v, int | float) and not isinstance(v, bool) else v for v in corner]
        if isinstance(corner, list)
        else corner
        for corner in polygon
    ]
    return {**table, "polygon": corners}


def _no_crossing(wanted: ZonesFile) -> None:
    """What crosses itself has an inside that nobody meant. :raises ActRefused: an outline does."""
    for table in [*wanted.zones, *wanted.masks]:
        corners = [(x, y) for x, y in table.polygon]
        edges = list(zip(corners, corners[1:] + corners[:1], strict=True))
        for i, (a, b) in enumerate(edges):
            for c, d in edges[i + 2 : len(edges) - (i == 0)]:
                if _side(a, b, c) * _side(a, b, d) < 0 and _side(c, d, a) * _side(c, d, b) < 0:
                    raise ActRefused(
                        f'"{table.name}" of camera "{table.camera}": its outline crosses itself',
                        hint="Set the corners one after the other, around the area.",
                        status=400,
                    )


def _side(a: tuple[float, float], b: tuple[float, float], p: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])


def _version(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]
