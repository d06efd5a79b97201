"""What of a faulty configuration file can still be used: enough to say what is wrong, and to deliver what waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ValidationError

from edge.config.alert_tables import Email, EvidenceTable, OutboxTable
from edge.config.load import read_toml
from edge.config.tables import Config, Health, Kiosk, Log, State
from edge.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

# Delivering needs all of these; one that is wrong might send a mail to the wrong desk, or look in the wrong place.
_DELIVERY: dict[str, type[BaseModel]] = {
    "kiosk": Kiosk,
    "email": Email,
    "outbox": OutboxTable,
    "evidence": EvidenceTable,
    "state": State,
}
_REST: dict[str, type[BaseModel]] = {"health": Health, "log": Log}


def salvage(path: Path) -> Config:
    """The tables about mail, state, health and log that are right by themselves; the others have their built-in values.

    Mail is off in it unless all that delivering needs is right. Its camera is a placeholder: never to be opened.
    Raises nothing: of a file that cannot be read nothing is left.
    """
    try:
        data = read_toml(path)
    except ConfigError:
        data = {}
    kept = {}
    for name, table in {**_DELIVERY, **_REST}.items():
        if name in data:
            try:
                kept[name] = table.model_validate(data[name])
            except ValidationError:
                continue
    if "email" in kept and any(name in data and name not in kept for name in _DELIVERY):
        kept["email"] = Email()
    return Config.model_validate({"cameras": [{"name": "none", "source": "/dev/null"}], **kept})
