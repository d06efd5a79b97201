"""Records as the journal gets them, on a socket that stands in for its own, and what a real journal makes of them."""

from __future__ import annotations

import io
import logging
import os
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.journal import JournalHandler, datagram, goes_to_journal

if TYPE_CHECKING:
    from collections.abc import Iterator


def record(message: str, level: int = logging.INFO, **kg: Any) -> logging.LogRecord:
    made = logging.LogRecord("edge.test", level, "file.py", 1, message, None, None)
    made.kg = kg
    return made


def fields(data: bytes) -> dict[str, str]:
    """As the journal's documentation says how to read them."""
    found = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, equals, value = line.partition(b"=")
        if not equals:
            size = int.from_bytes(rest[:8], "little")
            value, rest = rest[8 : 8 + size], rest[8 + size :]
            assert rest[:1] == b"\n"
            rest = rest[1:]
        found[name.decode()] = value.decode()
        data = rest
    return found


def test_a_record_has_its_priority_and_the_events_own_fields() -> None:
    found = fields(
        datagram(record("the camera is back", logging.WARNING, event="camera_live", restarts=3, of=["a", 1]))
    )
    assert found == {
        "MESSAGE": "the camera is back",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "kiosk-guard",
        "LOGGER": "edge.test",
        "KG_EVENT": "camera_live",
        "KG_RESTARTS": "3",
        "KG_OF": '["a", 1]',
    }


@pytest.mark.parametrize(
    ("level", "priority"),
    [(logging.DEBUG, "7"), (logging.INFO, "6"), (logging.WARNING, "4"), (logging.ERROR, "3"), (logging.CRITICAL, "2")],
)
def test_priorities(level: int, priority: str) -> None:
    assert fields(datagram(record("x", level)))["PRIORITY"] == priority


def test_an_exception_comes_with_its_traceback() -> None:
    try:
        int("cause")
    except ValueError:
        made = logging.LogRecord("edge.test", logging.ERROR, "file.py", 1, "it broke", None, sys.exc_info())
    message = fields(datagram(made))["MESSAGE"]
    assert message.startswith("it broke\nTraceback")
    assert "ValueError" in message


@given(st.text(), st.dictionaries(st.text(min_size=1), st.text()))
def test_no_text_gets_out_of_its_field(message: str, kg: dict[str, str]) -> None:
    data = datagram(record(message.replace("%", ""), **{f"a{key}": value for key, value in kg.items()}))
    names = list(fields(data))
    assert names[:4] == ["MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "LOGGER"]
    assert all(name.startswith("KG_") for name in names[4:])


def test_a_value_has_its_limit() -> None:
    assert len(datagram(record("x" * 10_000_000, event="y" * 10_000_000))) < 100_000


@pytest.fixture
def journal() -> Iterator[socket.socket]:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(Path(folder) / "socket"))
        listener.settimeout(10)
        yield listener


def test_records_go_to_the_journal_and_elsewhere_when_it_is_away(journal: socket.socket) -> None:
    stream = io.StringIO()
    handler = JournalHandler(logging.StreamHandler(stream), address=journal.getsockname())
    handler.handle(record("first"))
    assert fields(journal.recv(1 << 16))["MESSAGE"] == "first"
    assert stream.getvalue() == ""
    os.unlink(journal.getsockname())  # noqa: PTH108 - the address is a string
    handler.handle(record("second"))
    assert stream.getvalue() == "second\n"
    handler.close()


def test_only_the_very_stream_that_the_manager_names_is_the_journal(tmp_path: Path) -> None:
    with (tmp_path / "a").open("w") as ours, (tmp_path / "b").open("w") as other:
        file = os.fstat(ours.fileno())
        told = {"JOURNAL_STREAM": f"{file.st_dev}:{file.st_ino}"}
        assert goes_to_journal(ours, told)
        assert not goes_to_journal(other, told)
        assert not goes_to_journal(ours, {})
    assert not goes_to_journal(io.StringIO(), told)
