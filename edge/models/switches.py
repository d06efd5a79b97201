"""The record of a model switch, as it stands in ``switches.json``. Versions only add keys, and skip those they do not know."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

log = logging.getLogger(__name__)

SHIPPED = ""  # in place of a folder's name: the model that came with the software
_KEPT = 50


@dataclass(frozen=True, slots=True)
class Switch:
    """One switch. ``to``/``back``: the model that is to run, and the one that ran until then.

    ``state``: "trial" while it must prove itself, then "good" or "failed" with a ``reason``. ``starts``: how often the
    service went down on trial without being told to. ``told``: whether the mail about it is in the outbox; ``failed``:
    the model that was given up by this switch.
    """

    number: int
    to: str
    back: str
    utc: str
    by: str
    why: str
    state: str
    reason: str = ""
    starts: int = 0
    told: bool = True
    failed: str = ""

    def but(self, **changes: Any) -> Switch:
        """The same with other values."""
        return replace(self, **changes)


def parse(content: bytes) -> list[Switch]:
    """Records in order. One that cannot be read is skipped: the link decides what runs, not this file."""
    try:
        told = list(json.loads(content)["switches"])
    except (ValueError, KeyError, TypeError):
        log.error(  # noqa: TRY400 - the message says it all
            "the record of model switches cannot be read; it begins anew", extra={"kg": {"event": "switches_lost"}}
        )
        return []
    return [record for record in map(_record, told) if record is not None]


def _record(told: Any) -> Switch | None:
    try:
        known: dict[str, Any] = {f.name: told[f.name] for f in fields(Switch) if f.name in told}
        record = Switch(**known)
    except (KeyError, TypeError):
        return None
    for field, kind in _KINDS.items():
        if type(getattr(record, field)) is not kind:
            return None
    return record


_KINDS: dict[str, type] = {
    **dict.fromkeys(("to", "back", "utc", "by", "why", "state", "reason", "failed"), str),
    **dict.fromkeys(("number", "starts"), int),
    "told": bool,
}


def text(records: list[Switch]) -> bytes:
    """The file's content; the newest records only."""
    return (json.dumps({"switches": [asdict(r) for r in records[-_KEPT:]]}, indent=1) + "\n").encode()
