"""Log records for systemd's journal, with their fields: ``journalctl -u kiosk-guard KG_EVENT=camera_retry``.

One datagram a record to the journal's own socket, in its native protocol: NAME=value lines, or for a value of several
lines the name, its length as eight bytes, little-endian, and the value.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from collections.abc import Mapping

SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "kiosk-guard"
_MOST_BYTES = 48_000  # of one value; a datagram has room for about 200 kB
_PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG = 7


def goes_to_journal(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Whether what is written to ``stream`` ends in the journal: ``JOURNAL_STREAM`` names its device and inode."""
    try:
        file = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return environ.get("JOURNAL_STREAM", "") == f"{file.st_dev}:{file.st_ino}"


class JournalHandler(logging.Handler):
    """Sends each record with PRIORITY, the logger's name and the event's own fields as ``KG_...``.

    :param otherwise: gets a record that the journal does not take.
    :param address: of the journal's socket.
    """

    def __init__(self, otherwise: logging.Handler, *, address: str = SOCKET) -> None:
        super().__init__()
        self._otherwise = otherwise
        self._address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def emit(self, record: logging.LogRecord) -> None:
        """Waits while the journal is busy; the thread that logs is not the one that waits here."""
        try:
            self._socket.sendto(datagram(record), self._address)
        except OSError:
            self._otherwise.handle(record)

    def close(self) -> None:
        self._socket.close()
        super().close()


def datagram(record: logging.LogRecord) -> bytes:
    """The record in the journal's protocol."""
    message = record.getMessage()
    if record.exc_info:
        message += "\n" + logging.Formatter().formatException(record.exc_info)
    fields: dict[str, Any] = {
        "MESSAGE": message,
        "PRIORITY": next((p for level, p in _PRIORITIES if record.levelno >= level), _DEBUG),
        "SYSLOG_IDENTIFIER": IDENTIFIER,
        "LOGGER": record.name,
    }
    fields |= {f"KG_{_name(key)}": value for key, value in getattr(record, "kg", {}).items()}
    return b"".join(_field(name, value) for name, value in fields.items())


def _name(key: str) -> str:
    return re.sub(r"[^A-Z0-9_]", "_", key.upper())[:60]  # 64 characters at most are a name


def _field(name: str, value: Any) -> bytes:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    data = text.encode("utf-8", "backslashreplace")[:_MOST_BYTES]
    if b"\n" not in data:
        return b"%s=%s\n" % (name.encode(), data)
    return b"%s\n%s%s\n" % (name.encode(), len(data).to_bytes(8, "little"), data)
