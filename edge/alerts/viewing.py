"""Pictures for people's eyes: none is handed out before the incident log says who had it."""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from edge.alerts.evidence_files import PICTURE_SUFFIXES, safe_name
from edge.alerts.incident_log import MAX_LINE_BYTES
from edge.errors import EX_NOINPUT, KioskError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.clock import Clock

KIND = "viewed"
How = Literal["viewed", "downloaded"]
_MAX_TEXT = 200
_MOST_REMEMBERED = 500


class NoSuchPicture(KioskError):  # noqa: N818 - reads as the fact it states
    """There is no such picture, or not any more."""

    exit_code = EX_NOINPUT


@dataclass(frozen=True, slots=True)
class Viewing:
    """One record: ``who`` had ``picture`` (its path in the evidence folder) of an incident, ``how``, and when."""

    at_utc: datetime
    incident_id: str
    picture: str
    who: str
    how: str


class PictureDesk:
    """Hands out stored pictures; each to a named person, and only once that is on record.

    A page that shows the same picture again and again to the same person makes one record in ``again_s``; a download is
    always one of its own.

    :param evidence: the evidence folder.
    :param record: appends to the incident log (:meth:`IncidentLog.append`); raises StateError.
    :param again_s: seconds within which looking again is the same look.
    """

    def __init__(
        self, evidence: Path, *, record: Callable[[str, dict[str, Any]], object], clock: Clock, again_s: float = 600.0
    ) -> None:
        self._folder = evidence
        self._record = record
        self._clock = clock
        self._again_s = again_s
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, str], float] = {}

    def pictures_of(self, incident_id: str) -> list[str]:
        """Paths, as :meth:`read` wants them, oldest day first; empty: there are none (any more)."""
        found = self._folder.glob(f"*/{safe_name(incident_id)}/*")
        return sorted(
            p.relative_to(self._folder).as_posix() for p in found if p.suffix in PICTURE_SUFFIXES and p.is_file()
        )

    def read(self, incident_id: str, picture: str, *, who: str, how: How = "viewed") -> bytes:
        """The picture's bytes, once it is on record that ``who`` has them.

        :param picture: one of :meth:`pictures_of`.
        :param who: whom the record names: a user, or where an unnamed one came from. Not empty.
        :raises NoSuchPicture: the incident has no picture of that name.
        :raises StateError: it cannot be recorded, or read: nothing is shown.
        """
        if not who.strip():
            raise ValueError("a viewing needs a name")
        if picture not in self.pictures_of(incident_id):
            raise NoSuchPicture(
                f"incident {incident_id[:_MAX_TEXT]!r} has no picture {picture[:_MAX_TEXT]!r}",
                hint="It may have been removed by age; `kiosk-guard pictures INCIDENT` lists what is there.",
            )
        try:
            data = (self._folder / picture).read_bytes()
        except OSError as error:
            raise StateError(f"{picture} cannot be read: {error.strerror}", hint="Check the card.") from error
        who = who.strip()[:_MAX_TEXT]
        now_s = self._clock.monotonic_s()
        with self._lock:
            last_s = self._seen.get((who, picture))
            if how == "downloaded" or last_s is None or now_s - last_s >= self._again_s:
                self._record(
                    KIND,
                    {
                        "incident_id": incident_id,
                        "picture": picture,
                        "sha256": hashlib.sha256(data).hexdigest(),
                        "who": who,
                        "how": how,
                    },
                )
                self._seen.pop((who, picture), None)
                self._seen[who, picture] = now_s
                while len(self._seen) > _MOST_REMEMBERED:
                    del self._seen[next(iter(self._seen))]
        return data


def viewings(log: Path, incident_id: str | None = None) -> Iterator[Viewing]:
    """Who had which picture, oldest first, as the incident log has it; ``verify-log`` says whether to believe it.

    :param incident_id: only of this incident; None: of all.
    :raises StateError: the log cannot be read.
    """
    try:
        with log.open("rb") as file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                if b'"kind":"viewed"' not in line:
                    continue
                found = _viewing(line)
                if found is not None and incident_id in {None, found.incident_id}:
                    yield found
    except OSError as error:
        raise StateError(f"{log} cannot be read: {error.strerror}", hint="Try as root.") from error


def _viewing(line: bytes) -> Viewing | None:
    try:
        record = json.loads(line)
        data = record["data"]
        return Viewing(
            at_utc=datetime.fromisoformat(record["t"]),
            incident_id=str(data["incident_id"]),
            picture=str(data["picture"]),
            who=str(data["who"]),
            how=str(data["how"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # verify-log names it
