"""The commissioning record: what a walk test proved, as one page that can be kept, and as JSON."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
from html import escape
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from edge.alerts.evidence_files import write_synced
from edge.alerts.mail_words import title
from edge.errors import KioskError, StateError
from edge.health.acts import ActRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.app.walk_test import Walk

_NAME = re.compile(r"(walk-\d{8}-\d{6})\.(html|json)")
_KEEP = 50
_PICTURE_WIDTH = 640
_MEDIA = {"html": "text/html; charset=utf-8", "json": "application/json"}

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:48rem;margin:2rem auto;padding:0 1rem;color:#16191d;background:#fff}
table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}
th,td{text-align:left;border-bottom:1px solid #ccd2d9;padding:.35rem .5rem;vertical-align:top;overflow-wrap:anywhere}
td:first-child,td:nth-child(2):not(:last-child){overflow-wrap:normal}
figure{margin:0 0 1.5rem;break-inside:avoid}img{max-width:100%;border:1px solid #ccd2d9}
figcaption{color:#57606a}.yes,.no{white-space:nowrap}.yes{font-weight:700;color:#1a7f37}.no{font-weight:700;color:#b3261e}
"""


class CommissioningRecords:
    """Records under ``folder``, the last fifty.

    :param facts: the box as it is now, JSON-ready: ``kiosk``, ``site``, ``software``, ``model``, ``zones``, ``masks``,
        ``checks``, ``proofs``.
    :param live: a camera's picture as JPEG, with its drawings; raises KioskError.
    :param stored: a picture of an incident as JPEG, by its path; raises KioskError.
    :param log: binds the record's hash to the incident log.
    """

    def __init__(
        self,
        folder: Path,
        *,
        cameras: Sequence[str],
        rules: Sequence[str],
        resting: dict[str, str],
        facts: Callable[[], dict[str, Any]],
        live: Callable[[str], bytes],
        stored: Callable[[str, str], bytes],
        log: Callable[[str, dict[str, Any]], object],
    ) -> None:
        self._folder = folder
        self._cameras = list(cameras)
        self._rules = list(rules)
        self._resting = dict(resting)
        self._facts = facts
        self._live = live
        self._stored = stored
        self._log = log

    def write(self, walk: Walk) -> None:
        """Write both files of a walk that is over. :raises StateError: they cannot be written."""
        record = self._record(walk)
        pictures = self._pictures(walk)
        page = _page(record, pictures).encode()
        data = json.dumps(record, indent=1, ensure_ascii=False).encode()
        try:
            for suffix, content in (("html", page), ("json", data)):
                write_synced(self._folder / f"{walk.number}.{suffix}", content)
            for old in sorted(self._folder.glob("walk-*.json"))[:-_KEEP]:
                old.with_suffix(".html").unlink(missing_ok=True)
                old.unlink(missing_ok=True)
        except OSError as error:
            raise StateError(
                f"the commissioning record cannot be written to {self._folder}: {error.strerror}",
                hint="Free some space; it is tried again.",
            ) from error
        self._log(
            "commissioning",
            {
                "record": walk.number,
                "technician": walk.technician,
                "who": walk.who,
                "fired": sorted(walk.ticks),
                "sha256": {"html": hashlib.sha256(page).hexdigest(), "json": hashlib.sha256(data).hexdigest()},
            },
        )

    def kept(self) -> list[dict[str, Any]]:
        """Newest first, as ``Acts.records``."""
        found = []
        for path in sorted(self._folder.glob("walk-*.json"), reverse=True):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                record = json.loads(path.read_bytes())
                rules = record["rules"]
                found.append(
                    {
                        "id": path.stem,
                        **{k: str(record[k]) for k in ("began", "ended", "technician")},
                        "fired": sum(bool(r["fired"]) for r in rules),
                        "rules": sum(not r["resting"] for r in rules),
                    }
                )
        return found

    def read(self, name: str) -> tuple[bytes, str]:
        """A file and its media type. :raises ActRefused: there is none of that name."""
        match = _NAME.fullmatch(name)
        try:
            if match:
                return (self._folder / name).read_bytes(), _MEDIA[match[2]]
        except OSError:
            pass
        raise ActRefused(f"there is no record {name[:80]!r}", hint="The page lists those that are kept.", status=404)

    def _record(self, walk: Walk) -> dict[str, Any]:
        rules = []
        for rule in [*self._rules, *(r for r in walk.ticks if r not in self._rules)]:
            tick = walk.ticks.get(rule)
            rules.append(
                {
                    "rule": rule,
                    "fired": tick.fired if tick else 0,
                    "first": tick.first_utc.isoformat(timespec="seconds") if tick else None,
                    "incident_id": tick.incident_id if tick else "",
                    "zone": tick.zone if tick else "",
                    "severity": tick.severity if tick else "",
                    "what": tick.what if tick else "",
                    "resting": self._resting.get(rule, ""),
                }
            )
        return {
            "id": walk.number,
            "technician": walk.technician,
            "who": walk.who,
            "began": walk.began_utc.isoformat(timespec="seconds"),
            "ended": walk.ended_utc.isoformat(timespec="seconds") if walk.ended_utc else "",
            "siren": walk.siren,
            "incidents": list(walk.incidents),
            "rules": rules,
            **self._facts(),
        }

    def _pictures(self, walk: Walk) -> list[tuple[str, bytes]]:
        """Caption and JPEG; a picture that cannot be had is left out."""
        found: list[tuple[str, bytes]] = []
        for camera in self._cameras:
            with contextlib.suppress(KioskError):
                found.append((f"Camera {camera} at the end, with its zones", self._live(camera)))
        for rule, tick in walk.ticks.items():
            for ref in tick.pictures:
                if ref.role == "annotated":
                    with contextlib.suppress(KioskError):
                        found.append((f"{rule}: {tick.what}", self._stored(tick.incident_id, ref.path)))
        return [(caption, smaller(jpeg, _PICTURE_WIDTH)) for caption, jpeg in found]


def _utc(stamp: str) -> str:
    """A time in ISO 8601 as people read it."""
    return escape(stamp.replace("T", " ").replace("+00:00", " UTC"))


def _result(record: dict[str, Any]) -> str:
    able = [r for r in record["rules"] if not r["resting"]]
    fired = sum(bool(r["fired"]) for r in able)
    amiss = [c for c in record.get("checks", []) if c["status"] != "pass"]
    health = f"{len(amiss)} checks are amiss" if amiss else "all checks pass"
    return f"{fired} of {len(able)} rules fired; {health}"


def smaller(jpeg: bytes, width: int) -> bytes:
    """The picture at most so wide, as JPEG; what cannot be decoded stays as it is."""
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    if image is None or image.shape[1] <= width:
        return jpeg
    size = (width, max(1, round(image.shape[0] * width / image.shape[1])))
    ok, coded = cv2.imencode(
        ".jpg", cv2.resize(image, size, interpolation=cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, 80]
    )
    return coded.tobytes() if ok else jpeg


def _page(record: dict[str, Any], pictures: Sequence[tuple[str, bytes]]) -> str:
    def rows(pairs: Sequence[Sequence[Any]]) -> str:
        return "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in pair) + "</tr>" for pair in pairs)

    def text(value: Any) -> str:
        return escape(str(value))

    head = [
        ("Kiosk", text(record.get("kiosk", ""))),
        ("Site", text(record.get("site", ""))),
        ("Technician", text(record["technician"])),
        ("Access", text(record["who"])),
        ("Began", _utc(record["began"])),
        ("Ended", _utc(record["ended"])),
        ("Result", _result(record)),
        ("Software", text(record.get("software", ""))),
        ("Model", text(record.get("model", ""))),
        *((text(name), text(words)) for name, words in record.get("proofs", {}).items()),
    ]
    rules = [
        (
            text(title(r["rule"])),
            '<span class="yes">\u2713 fired</span>'
            if r["fired"]
            else f"rests: {text(r['resting'])}"
            if r["resting"]
            else '<span class="no">\u2715 not seen</span>',
            text(f"{r['fired']}x, first {_utc(r['first'])}: {r['what']}" if r["fired"] else ""),
        )
        for r in record["rules"]
    ]
    drawn = [
        (text(z["camera"]), text(z["name"]), text(z["kind"]), text(z["polygon"]))
        for z in [*record.get("zones", []), *record.get("masks", [])]
    ]
    checks = [(text(c["name"]), text(c["status"]), text(c["output"])) for c in record.get("checks", [])]
    figures = "".join(
        f'<figure><img alt="{text(caption)}" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'
        f"<figcaption>{text(caption)}</figcaption></figure>"
        for caption, jpeg in pictures
    )
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{text(record["id"])}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{_STYLE}</style></head><body>'
        f"<h1>Commissioning record</h1><table>{rows(head)}</table>"
        f"<h2>Rules</h2><table>{rows(rules)}</table>{figures}"
        f"<h2>Zones and privacy masks</h2>{f'<table>{rows(drawn)}</table>' if drawn else '<p>None: the whole picture.</p>'}"
        f"<h2>Health at the end</h2><table>{rows(checks)}</table></body></html>"
    )
