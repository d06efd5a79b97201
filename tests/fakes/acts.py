"""A technician's side that does nothing and remembers what it was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge.errors import StateError

if TYPE_CHECKING:
    from edge.health.acts import ActRefused

JPEG = b"\xff\xd8 a picture \xff\xd9"
INCIDENT = {
    "id": "20260301-020000-abc123",
    "camera": "lobby",
    "rule": "loitering",
    "title": "Loitering <b>",
    "zone": 'zone"x',
    "severity": "low",
    "opened": "2026-03-01T02:00:00+00:00",
    "closed": None,
    "what": "one person has stayed for 41.2 s, limit 30",
    "close_reason": "",
    "test": False,
    "verdict": "",
    "pictures": ["annotated"],
    "told": "mail (opened) delivered 02:00:02 UTC",
}
WALK: dict[str, Any] = {
    "on": False,
    "remaining_s": 0,
    "siren": False,
    "technician": "",
    "began": "",
    "record": "",
    "rules": [{"rule": "knife", "title": "Knife seen", "fired": 0, "first": None, "incident_id": "", "resting": ""}],
}
POSSIBLE: dict[str, Any] = {
    "kiosk": "kiosk-1",
    "site": "<Main>",
    "cameras": ["lobby"],
    "outputs": {"siren": False},
    "mail": True,
    "recipients": ["desk@bank.example"],
    "maintenance": {"on": False, "reason": "", "remaining_s": 0},
    "walk_test": WALK,
    "zones_file": "zones.toml",
}
ZONES: dict[str, Any] = {
    "editable": True,
    "why": "",
    "cameras": ["lobby"],
    "version": "abc",
    "zones": [{"camera": "lobby", "name": "floor", "kind": "lobby", "polygon": [[0, 0], [1, 0], [1, 1]]}],
    "masks": [],
    "fixed": {"zones": [], "masks": []},
    "kinds": {"zones": ["lobby"], "masks": ["never_stored"]},
    "versions": [{"version": "000001", "saved": None, "by": "", "zones": 1, "masks": 0}],
}


class FakeActs:
    """Implements ``edge.health.acts.Acts``.

    ``asked``: (method, arguments) in order. ``refuses``: raised by everything that acts. ``breaks``: by everything.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.refuses: ActRefused | None = None
        self.breaks: Exception | None = None
        self.glance_answer: dict[str, Any] = {
            "cameras": {"lobby": {"fps": 5.0, "frame_age_s": 0.1, "state": "live", "withheld": False, "moved": False}},
            "inference_ms": 21.0,
            "incidents": [INCIDENT],
            "suppressed": [],
            "possible": POSSIBLE,
        }

    def _ask(self, method: str, **arguments: Any) -> None:
        self.asked.append((method, arguments))
        if self.breaks is not None:
            raise self.breaks
        if self.refuses is not None:
            raise self.refuses

    def possible(self) -> dict[str, Any]:
        self._ask("possible")
        return POSSIBLE

    def test_alarm(self, *, seconds: float, outputs: list[str] | None, who: str) -> dict[str, Any]:
        self._ask("test_alarm", seconds=seconds, outputs=outputs, who=who)
        return {"outputs": outputs or ["siren"], "seconds": seconds}

    def test_mail(self, *, who: str) -> dict[str, Any]:
        self._ask("test_mail", who=who)
        return self.test_mail_state("test-1")

    def test_mail_state(self, mail_id: str) -> dict[str, Any]:
        return {"id": mail_id, "state": "delivered", "words": "accepted", "waited_s": 1.0, "recipients": []}

    def retry_mail(self, *, who: str) -> dict[str, Any]:
        self._ask("retry_mail", who=who)
        return {"mails": 2}

    def maintenance(self, *, on: bool, minutes: float, reason: str, who: str) -> dict[str, Any]:
        self._ask("maintenance", on=on, minutes=minutes, reason=reason, who=who)
        return {"on": on, "reason": reason, "remaining_s": 60 * minutes}

    def acknowledge(self, *, who: str) -> dict[str, Any]:
        self._ask("acknowledge", who=who)
        return {"incidents": []}

    def confirm_masks(self, *, who: str) -> dict[str, Any]:
        self._ask("confirm_masks", who=who)
        return {"words": "confirmed"}

    def walk_test(self, *, on: bool, minutes: float, siren: bool, technician: str, who: str) -> dict[str, Any]:
        self._ask("walk_test", on=on, minutes=minutes, siren=siren, technician=technician, who=who)
        return WALK

    def walk_test_state(self) -> dict[str, Any]:
        self._ask("walk_test_state")
        return WALK

    def records(self) -> list[dict[str, Any]]:
        return []

    def record(self, name: str, *, who: str) -> tuple[bytes, str]:
        self._ask("record", name=name, who=who)
        return b"<html>", "text/html"

    def verdict(self, *, incident_id: str, verdict: str, who: str) -> dict[str, Any]:
        self._ask("verdict", incident_id=incident_id, verdict=verdict, who=who)
        return {"incident_id": incident_id, "verdict": verdict}

    def verdict_counts(self) -> dict[tuple[str, str], int]:
        return {}

    def support_bundle(self, *, who: str) -> tuple[str, bytes]:
        self._ask("support_bundle", who=who)
        return 'bundle"\r\nX: y.tar.gz', b"\x1f\x8b"

    def zones(self) -> dict[str, Any]:
        self._ask("zones")
        return ZONES

    def save_zones(self, body: dict[str, Any], *, who: str) -> dict[str, Any]:
        self._ask("save_zones", body=body, who=who)
        return ZONES

    def restore_zones(self, version: str, *, who: str) -> dict[str, Any]:
        self._ask("restore_zones", version=version, who=who)
        return ZONES

    def live(self, camera: str, *, plain: bool) -> bytes:
        self._ask("live", camera=camera, plain=plain)
        return JPEG

    def glance(self) -> dict[str, Any]:
        self._ask("glance")
        return self.glance_answer

    def incidents(self, *, limit: int) -> list[dict[str, Any]]:
        self._ask("incidents", limit=limit)
        return [INCIDENT]

    def incident(self, incident_id: str) -> dict[str, Any]:
        self._ask("incident", incident_id=incident_id)
        return INCIDENT

    def picture(self, incident_id: str, *, role: str, small: bool, who: str) -> bytes:
        self._ask("picture", incident_id=incident_id, role=role, small=small, who=who)
        return JPEG


BROKEN = StateError("the disk is gone", hint="Replace the card.")
