"""What the service writes to standard error: lines for people, or one JSON object a line for programs."""

from __future__ import annotations

import json
import logging
import sys
from datetime import datetime, timezone
from typing import TextIO


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


def configure(*, style: str, level: str, stream: TextIO = sys.stderr) -> None:
    """Send all log records to ``stream``. ``style``: "json" or "text"; ``level``: a logging level's name."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if style == "json" else Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def _utc(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds")
