"""Whether ``incidents.log`` and the pictures are as the kiosk wrote them; if not, what exactly is wrong."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from edge.alerts.device_key import is_signed
from edge.alerts.evidence_files import PICTURE_SUFFIXES
from edge.alerts.incident_log import FIRST_PREV, MAX_LINE_BYTES, SIGNED, Head, record_hash
from edge.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_FIELDS = {"n", "t", "synced", "kind", "data", "prev", "hash", "sig"}


@dataclass(slots=True)
class Verdict:
    """``faults``: what was tampered with, one sentence each; ``notes``: what is odd but no tampering."""

    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    records: int = 0
    pictures: int = 0
    removed: int = 0
    head: Head = field(default_factory=lambda: Head(0, FIRST_PREV))


def check_log(path: Path, evidence: Path, *, public_key: str, heads: list[Head] | None = None) -> Verdict:
    """Read the whole log and every picture it names.

    :param public_key: the kiosk's (base64); a record signed by another is a fault.
    :param heads: number and hash of records that a mail named: they must be in the log.
    :raises StateError: the log cannot be read.
    """
    verdict = Verdict()
    wanted = {head.number: head.hash for head in heads or []}
    pictures: dict[str, tuple[str, int, str]] = {}  # path -> hash, record, incident
    removed: dict[str, int] = {}
    expected, prev = 1, FIRST_PREV
    for line_number, line in _lines(path, verdict):
        where = f"line {line_number}"
        record = _parsed(line)
        if record is None:
            verdict.faults.append(f"{where}: is no record: altered, or put in")
            continue
        number, digest = record["n"], record["hash"]
        where = f"record {number} ({where})"
        body = {k: v for k, v in record.items() if k not in {"hash", "sig"}}
        sound = record_hash(body) == digest
        if not sound:
            verdict.faults.append(f"{where}: was altered: its contents do not match its hash")
        elif not is_signed(public_key, record["sig"], SIGNED + digest.encode()):
            verdict.faults.append(f"{where}: is not signed by this kiosk's key: put in or rewritten")
        if number != expected:
            verdict.faults.append(_out_of_order(where, number, expected))
        elif record["prev"] != prev and sound:
            verdict.faults.append(f"{where}: does not follow the record before it: that one was replaced")
        expected, prev = number + 1, digest
        if number in wanted and wanted.pop(number) != digest:
            verdict.faults.append(f"{where}: is not the one that the mail named: the log was rewritten")
        verdict.records += 1
        verdict.head = Head(number, digest)
        if sound:
            _take_pictures(record, pictures, removed)
    verdict.faults += [
        f"record {number} is missing, which a mail named; the log ends with record {verdict.head.number}: "
        "its end was cut off, or it was replaced"
        for number in wanted
    ]
    _check_pictures(evidence, pictures, removed, verdict)
    return verdict


def _lines(path: Path, verdict: Verdict) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            number = 0
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if not line.endswith(b"\n") and len(line) <= MAX_LINE_BYTES:
                    verdict.notes.append(f"line {number}: half a record at the end: being written, or a power cut")
                    return
                yield number, line
    except OSError as error:
        raise StateError(f"{path} cannot be read: {error.strerror}", hint="Try as root.") from error


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or set(record) != _FIELDS:
        return None
    texts = all(isinstance(record[k], str) for k in ("t", "kind", "prev", "hash", "sig"))
    return record if texts and type(record["n"]) is int and isinstance(record["data"], dict) else None


def _out_of_order(where: str, number: int, expected: int) -> str:
    if number > expected:
        gap = f"record {expected} is" if number == expected + 1 else f"records {expected} to {number - 1} are"
        return f"{where}: {gap} missing before it: removed, or moved"
    return f"{where}: stands where record {expected} belongs: the order was changed, or it was put in again"


def _take_pictures(record: dict[str, Any], pictures: dict[str, tuple[str, int, str]], removed: dict[str, int]) -> None:
    data, number = record["data"], record["n"]
    for item in _list(data.get("pictures")):
        if isinstance(item, dict):
            path = str(item.get("path"))
            pictures[path] = (str(item.get("sha256")), number, str(data.get("incident_id", "")))
            removed.pop(path, None)
    removed.update({str(path): number for path in _list(data.get("removed"))})


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _check_pictures(
    evidence: Path, pictures: dict[str, tuple[str, int, str]], removed: dict[str, int], verdict: Verdict
) -> None:
    root = evidence.resolve()
    for relative, (sha256, number, incident) in pictures.items():
        path = (evidence / relative).resolve()
        if not path.is_relative_to(root):
            verdict.faults.append(f"record {number}: names a picture outside the evidence folder")
            continue
        whose = f"picture {relative} of incident {incident} (record {number})"
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            if relative in removed:
                verdict.removed += 1
            else:
                verdict.faults.append(f"{whose}: is missing, and no record says that it was removed")
            continue
        except OSError as error:
            verdict.faults.append(f"{whose}: cannot be read: {error.strerror}")
            continue
        verdict.pictures += 1
        if hashlib.sha256(data).hexdigest() != sha256:
            verdict.faults.append(f"{whose}: was altered")
    for path in sorted(evidence.rglob("*")):
        relative = path.relative_to(evidence).as_posix()
        if (
            path.is_file()
            and relative not in pictures
            and path.suffix in PICTURE_SUFFIXES
            and not path.name.startswith(".")
        ):
            verdict.notes.append(f"picture {relative}: is in no record: put in, or stored while the log could not be")
