"""What the service writes to standard error: lines for people, or one JSON object a line for programs.

Where standard error is systemd's journal, lines for people go there as records with priority and fields instead.
"""

from __future__ import annotations

import contextlib
import json
import logging
import logging.handlers
import queue
import sys
import threading
from datetime import datetime, timezone
from typing import TYPE_CHECKING, TextIO

from edge.journal import JournalHandler, goes_to_journal

if TYPE_CHECKING:
    from collections.abc import Callable

_MOST_WAITING = 10_000
_AT_END_S = 2.0


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, message, and the event's own fields (``extra={"kg": {...}}``)."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _utc(record),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "kg", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class Lines(logging.Formatter):
    """Time, level, message. A message of several lines is indented from its second line on."""

    def format(self, record: logging.LogRecord) -> str:
        text = f"{_utc(record)} {record.levelname.lower():7} {record.getMessage()}".replace("\n", "\n  ")
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def configure(*, style: str, level: str, stream: TextIO = sys.stderr) -> Callable[[], None]:
    """Send all log records to ``stream``, by a thread of its own: a reader that stalls never stalls the guarding.

    :param style: "json" or "text".
    :param level: a logging level's name.
    :returns: to be called at the end: writes what is still waiting, unless the reader has stalled.
    """
    writer: logging.Handler = logging.StreamHandler(stream)
    writer.setFormatter(JsonLines() if style == "json" else Lines())
    if style == "text" and goes_to_journal(stream):
        writer = JournalHandler(writer)
    waiting: queue.Queue[logging.LogRecord | None] = queue.Queue(_MOST_WAITING)
    thread = threading.Thread(target=_write, args=(waiting, writer), name="log", daemon=True)
    root = logging.getLogger()
    root.handlers[:] = [_Handover(waiting)]
    root.setLevel(level.upper())
    thread.start()

    def stop() -> None:
        with contextlib.suppress(queue.Full):
            waiting.put(None, timeout=_AT_END_S)
        thread.join(_AT_END_S)

    return stop


def _write(waiting: queue.Queue[logging.LogRecord | None], writer: logging.Handler) -> None:
    while (record := waiting.get()) is not None:
        writer.handle(record)


class _Handover(logging.handlers.QueueHandler):
    """Hands records over as they are; drops them when the reader has stalled for long."""

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Saying so would write to the very stream that has stalled."""


def _utc(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
