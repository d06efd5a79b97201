from __future__ import annotations

import io
import json
import logging
import threading
from typing import TYPE_CHECKING

import pytest

from edge import logs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:], logger.level = handlers, level


def written(root: logging.Logger, style: str) -> str:
    stream = io.StringIO()
    stop = logs.configure(style=style, level="info", stream=stream)
    root.debug("not this")
    root.info("first\nsecond", extra={"kg": {"event": "output", "on": True}})
    try:
        int("cause")
    except ValueError:
        root.exception("it broke")
    stop()
    return stream.getvalue()


def test_one_json_object_a_line(root: logging.Logger) -> None:
    first, second = (json.loads(line) for line in written(root, "json").splitlines())
    assert first["message"] == "first\nsecond"
    assert (first["event"], first["on"], first["level"]) == ("output", True, "info")
    assert first["time"].endswith("+00:00")
    assert "ValueError" in second["traceback"]


def test_lines_for_people(root: logging.Logger) -> None:
    text = written(root, "text")
    assert "info    first\n  second\n" in text
    assert "ValueError" in text
    assert "not this" not in text


def test_a_reader_that_stalls_does_not_stall_the_writer(root: logging.Logger) -> None:
    class Stalled(io.StringIO):
        def write(self, _text: str) -> int:
            gate.acquire()
            return 0

    gate = threading.Semaphore(0)
    stop = logs.configure(style="json", level="info", stream=Stalled())
    for k in range(11_000):  # more than may wait
        root.info("%d", k)
    gate.release(1_000_000)
    stop()
