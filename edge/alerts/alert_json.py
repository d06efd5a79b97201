"""Alerts and incidents as JSON text: strict, versioned, and readable one version back after a rollback."""

from __future__ import annotations

import json
import math
from dataclasses import fields
from datetime import datetime, timedelta
from numbers import Integral, Real
from typing import Any, cast

from edge.types import Alert, EvidenceRef, Incident, Observation, Severity

VERSION = 2  # 2: Alert got extra, log_seq, log_head


def encode_alert(alert: Alert) -> str:
    """One line of ASCII JSON."""
    return _dump({name: getattr(alert, name) for name in _names(Alert)})


def decode_alert(text: str) -> Alert:
    """The alert that :func:`encode_alert` wrote.

    :raises ValueError: not JSON, a key missing or of the wrong type, or an unknown key in a version that is known.
    """
    row = _Row(_load(text), Alert)
    return Alert(
        alert_id=row.text("alert_id"),
        kind=row.text("kind"),
        incident_id=row.text("incident_id"),
        severity=row.severity("severity"),
        camera=row.text("camera"),
        rule=row.text("rule"),
        zone=row.text("zone"),
        opened_utc=row.utc("opened_utc"),
        closed_utc=row.utc_or_none("closed_utc"),
        created_utc=row.utc("created_utc"),
        created_mono_s=row.number("created_mono_s"),
        boot_id=row.text("boot_id"),
        clock_synced=row.flag("clock_synced"),
        what=row.text("what"),
        value=row.number("value"),
        threshold=row.number("threshold"),
        unit=row.text("unit"),
        model=row.text("model"),
        software=row.text("software"),
        evidence=tuple(_decode_evidence(item, row.newer) for item in row.array("evidence")),
        extra=_decode_extra(row) if row.version > 1 else (),
        log_seq=row.whole("log_seq") if row.version > 1 else 0,
        log_head=row.text("log_head") if row.version > 1 else "",
    )


def encode_incident(incident: Incident) -> str:
    """One line of ASCII JSON."""
    return _dump({name: getattr(incident, name) for name in _names(Incident)})


def decode_incident(text: str) -> Incident:
    """The incident that :func:`encode_incident` wrote. :raises ValueError: as :func:`decode_alert`."""
    row = _Row(_load(text), Incident)
    peak = _Row(row.value("peak"), Observation, newer=row.newer)
    ids = peak.array("track_ids")
    if not all(type(i) is int for i in ids):
        raise ValueError("Observation.track_ids: wanted whole numbers")
    return Incident(
        incident_id=row.text("incident_id"),
        camera=row.text("camera"),
        rule=row.text("rule"),
        zone=row.text("zone"),
        severity=row.severity("severity"),
        opened_utc=row.utc("opened_utc"),
        opened_mono_s=row.number("opened_mono_s"),
        closed_utc=row.utc_or_none("closed_utc"),
        closed_mono_s=None if row.value("closed_mono_s") is None else row.number("closed_mono_s"),
        peak=Observation(
            camera=peak.text("camera"),
            rule=peak.text("rule"),
            zone=peak.text("zone"),
            severity=peak.severity("severity"),
            track_ids=tuple(cast("int", i) for i in ids),
            t_mono_s=peak.number("t_mono_s"),
            what=peak.text("what"),
            value=peak.number("value"),
            threshold=peak.number("threshold"),
            unit=peak.text("unit"),
        ),
        close_reason=row.text("close_reason"),
    )


def _decode_extra(row: _Row) -> tuple[tuple[str, str], ...]:
    pairs = row.array("extra")
    if not all(isinstance(p, list) and len(p) == 2 and all(isinstance(t, str) for t in p) for p in pairs):
        raise ValueError("Alert.extra: wanted pairs of texts")
    return tuple((str(p[0]), str(p[1])) for p in cast("list[list[object]]", pairs))


def _decode_evidence(item: object, newer: bool) -> EvidenceRef:  # noqa: FBT001 - private, one caller
    row = _Row(item, EvidenceRef, newer=newer)
    size = row.value("size_bytes")
    if type(size) is not int or size < 0:
        raise ValueError("EvidenceRef.size_bytes: wanted a whole number, 0 or more")
    return EvidenceRef(
        role=row.text("role"),
        path=row.text("path"),
        media_type=row.text("media_type"),
        sha256=row.text("sha256"),
        size_bytes=size,
    )


class _Row:
    """A JSON object that stands for one dataclass; every getter checks the type."""

    def __init__(self, item: object, kind: type[Any], *, newer: bool | None = None) -> None:
        if not isinstance(item, dict):
            raise ValueError(f"{kind.__name__}: wanted an object")  # noqa: TRY004 - one error for all bad text
        self._kind = kind.__name__
        self._item: dict[str, object] = dict(item)
        self.version = VERSION
        if newer is None:
            version = self._item.pop("v", None)
            if type(version) is not int or version < 1:
                raise ValueError(f"{self._kind}.v: wanted a version number")
            newer = version > VERSION
            self.version = version
        self.newer = newer
        unknown = self._item.keys() - set(_names(kind))
        # Versions only add keys; what a newer version wrote stays deliverable after a rollback.
        if unknown and not newer:
            raise ValueError(f"{self._kind}: unknown key {min(unknown)!r}")

    def value(self, key: str) -> object:
        try:
            return self._item[key]
        except KeyError:
            raise ValueError(f"{self._kind}.{key}: missing") from None

    def text(self, key: str) -> str:
        value = self.value(key)
        if not isinstance(value, str):
            raise ValueError(f"{self._kind}.{key}: wanted text")  # noqa: TRY004 - see above
        return value

    def number(self, key: str) -> float:
        value = self.value(key)
        if type(value) in {int, float}:
            return float(cast("float", value))
        if value in {"nan", "inf", "-inf"}:
            return float(str(value))
        raise ValueError(f"{self._kind}.{key}: wanted a number")

    def whole(self, key: str) -> int:
        value = self.value(key)
        if type(value) is not int:
            raise ValueError(f"{self._kind}.{key}: wanted a whole number")
        return value

    def flag(self, key: str) -> bool:
        value = self.value(key)
        if not isinstance(value, bool):
            raise ValueError(f"{self._kind}.{key}: wanted true or false")  # noqa: TRY004 - see above
        return value

    def array(self, key: str) -> list[object]:
        value = self.value(key)
        if not isinstance(value, list):
            raise ValueError(f"{self._kind}.{key}: wanted a list")  # noqa: TRY004 - see above
        return value

    def severity(self, key: str) -> Severity:
        try:
            return Severity.of(self.text(key))
        except KeyError:
            raise ValueError(f"{self._kind}.{key}: wanted one of {[s.label for s in Severity]}") from None

    def utc(self, key: str) -> datetime:
        try:
            time = datetime.fromisoformat(self.text(key))
        except ValueError:
            raise ValueError(f"{self._kind}.{key}: wanted an ISO 8601 time") from None
        if time.utcoffset() != timedelta(0):
            raise ValueError(f"{self._kind}.{key}: wanted a time in UTC (+00:00)")
        return time

    def utc_or_none(self, key: str) -> datetime | None:
        return None if self.value(key) is None else self.utc(key)


def _names(kind: type[Any]) -> tuple[str, ...]:
    return tuple(f.name for f in fields(kind))


def _dump(item: dict[str, object]) -> str:
    return json.dumps({"v": VERSION} | {k: _plain(v) for k, v in item.items()}, allow_nan=False, separators=(",", ":"))


def _plain(value: object) -> object:  # noqa: PLR0911 - one line per type
    if isinstance(value, Severity):  # before numbers: it is one
        return value.label
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bool):
        return value
    if isinstance(value, Integral):  # NumPy's scalars too, which JSON does not know
        return int(value)
    if isinstance(value, Real):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, (EvidenceRef, Observation)):
        return {name: _plain(getattr(value, name)) for name in _names(type(value))}
    return value


def _load(text: str) -> object:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
