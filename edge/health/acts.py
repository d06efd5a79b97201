"""What a technician may look at and do: the seam between the page (or a command on the socket) and the appliance.

Every answer is JSON-ready: dicts, lists, strings, numbers, None; times are UTC in ISO 8601, durations seconds in keys
that end in ``_s``. ``who`` names whoever asks, as the access check knows them (a token's label, a socket's user); it
goes into the incident log. Every method may be called from any thread, may wait for a disk, and never for a camera or
a network.

The HTTP side, in ``edge.health.acts_routes``: a request's body is one JSON object, so is the answer where nothing else
is said. What is refused answers ``{"error": "...", "hint": "..."}`` with the refusal's status. All of it needs the
token (or the socket).

==========================================  ========================================================================
``GET /acts``                               :meth:`Acts.possible`
``POST /acts/test-alarm``                   :meth:`Acts.test_alarm`; body ``{"seconds": 3, "outputs": ["siren"]}``
``POST /acts/test-mail``                    :meth:`Acts.test_mail`; body ``{}``
``GET /acts/test-mail/<id>``                :meth:`Acts.test_mail_state`
``POST /acts/retry-mail``                   :meth:`Acts.retry_mail`; body ``{}``
``POST /acts/maintenance``                  :meth:`Acts.maintenance`; ``{"on": true, "minutes": 60, "reason": "..."}``
``POST /acts/acknowledge``                  :meth:`Acts.acknowledge`; body ``{}``
``POST /acts/confirm-masks``                :meth:`Acts.confirm_masks`; body ``{}``
``POST /acts/walk-test``                    :meth:`Acts.walk_test`; ``{"on": true, "minutes": 10, "siren": false,
                                            "technician": "..."}``
``GET /acts/walk-test``                     :meth:`Acts.walk_test_state`
``GET /acts/walk-test/records``             :meth:`Acts.records`, as ``{"records": [...]}``
``GET /acts/walk-test/records/<file>``      :meth:`Acts.record`: a download, ``<id>.html`` or ``<id>.json``
``POST /acts/verdict``                      :meth:`Acts.verdict`; ``{"incident_id": "...", "verdict": "false"}``
``GET /acts/support-bundle``                :meth:`Acts.support_bundle`: a download, ``application/gzip``
``GET /acts/zones``                         :meth:`Acts.zones`
``PUT /acts/zones``                         :meth:`Acts.save_zones`; ``{"zones": [...], "masks": [...], "version": ""}``
``POST /acts/zones/restore``                :meth:`Acts.restore_zones`; ``{"version": "..."}``
``GET /live/<camera>.jpg``                  :meth:`Acts.live`; ``?plain``: without drawings
``GET /incidents``                          :meth:`Acts.incidents`; ``?limit=20``
``GET /incidents/<id>``                     :meth:`Acts.incident`
``GET /incidents/<id>/picture``             :meth:`Acts.picture`; ``?role=annotated``, closeup, clean, sheet; ``?small``
==========================================  ========================================================================
"""

from __future__ import annotations

from typing import Any, Protocol

from edge.errors import KioskError

Json = dict[str, Any]

VERDICTS = ("true", "false", "test")  # what the desk may say about an incident; "" takes it back


class ActRefused(KioskError):  # noqa: N818 - reads as the fact it states
    """Not done, and why.

    :param status: the HTTP status that says it: 400 a bad value, 404 not there, 409 not now, 503 not possible here.
    """

    def __init__(self, message: str, *, hint: str = "", status: int = 409) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class Acts(Protocol):
    """Each method raises :class:`ActRefused`, or another ``KioskError`` where a disk fails."""

    def possible(self) -> Json:
        """What there is to act on.

        ``{"kiosk", "site", "cameras": ["lobby"], "outputs": {"siren": false}, "mail": true, "recipients": ["..."],
        "maintenance": {"on", "reason", "remaining_s"}, "walk_test": (as walk_test_state), "zones_file": "" or path}``
        """

    def test_alarm(self, *, seconds: float, outputs: list[str] | None, who: str) -> Json:
        """Sound and light outputs for so many seconds (0.5 to 10), then they go back to what the incidents ask for.

        :param outputs: names; None: all that are no status light.
        :returns: ``{"outputs": ["siren", "led"], "seconds": 3.0}``, at once; they go off by themselves.
        """

    def test_mail(self, *, who: str) -> Json:
        """Put a test mail into the outbox and try it now; returns at once what :meth:`test_mail_state` does."""

    def test_mail_state(self, mail_id: str) -> Json:
        """How that mail stands.

        ``{"id", "state": "waiting" | "delivered" | "failed", "words": "what the server said", "waited_s": 1.2,
        "recipients": ["..."]}``. A mail that failed is taken out of the outbox: it has said what it was to say.
        """

    def retry_mail(self, *, who: str) -> Json:
        """Try all waiting and refused mails now; ``{"mails": 3}``."""

    def maintenance(self, *, on: bool, minutes: float, reason: str, who: str) -> Json:
        """Silence the rules for so many minutes (up to 1440), or end that; ``{"on", "reason", "remaining_s"}``."""

    def acknowledge(self, *, who: str) -> Json:
        """Somebody is there: what sounds now is silent; ``{"incidents": ["id", ...]}``, those open now."""

    def confirm_masks(self, *, who: str) -> Json:
        """What the cameras see now is right, and privacy masks lie where they should: withheld pictures are kept again.

        :returns: ``{"words": "confirmed: lobby; ..."}``.
        """

    def walk_test(self, *, on: bool, minutes: float, siren: bool, technician: str, who: str) -> Json:
        """Begin a walk test (1 to 60 minutes), or end it and write its record; returns :meth:`walk_test_state`.

        :param siren: the outputs sound as in earnest.
        :param technician: who walks, for the record.
        """

    def walk_test_state(self) -> Json:
        """How it stands.

        ``{"on", "remaining_s", "siren", "technician", "began", "record": "id of the last record or ''",
        "rules": [{"rule", "fired": 2, "first": time or None, "incident_id": "" or id, "resting": "" or why}]}``
        """

    def records(self) -> list[Json]:
        """Commissioning records, newest first: ``{"id", "began", "ended", "technician", "fired", "rules"}``."""

    def record(self, name: str, *, who: str) -> tuple[bytes, str]:
        """A record's file ("<id>.html" with its pictures inside, or "<id>.json") and its media type."""

    def verdict(self, *, incident_id: str, verdict: str, who: str) -> Json:
        """Store what the desk says of an incident, one of :data:`VERDICTS` or ""; ``{"incident_id", "verdict"}``."""

    def verdict_counts(self) -> dict[tuple[str, str], int]:
        """(rule, verdict) -> incidents, from memory; for the metrics."""

    def support_bundle(self, *, who: str) -> tuple[str, bytes]:
        """File name and content (tar.gz): log, configuration without secrets, health, versions; no pictures."""

    def zones(self) -> Json:
        """What is drawn, and what was drawn before.

        ``{"editable": true, "why": "", "cameras": ["lobby"], "version": "...", "zones": [ZONE], "masks": [MASK],
        "fixed": {"zones": [ZONE], "masks": [MASK]}, "kinds": {"zones": [...], "masks": [...]}, "versions":
        [{"version", "saved", "by", "zones", "masks"}]}``.

        ZONE and MASK are ``{"camera", "name", "kind", "polygon": [[x, y], ...]}``, x y from 0 to 1. ``fixed`` are those
        of the configuration file, which is never written.
        """

    def save_zones(self, body: Json, *, who: str) -> Json:
        """Validate, store and use these zones and masks from the next frame on; returns :meth:`zones`.

        :param body: ``zones``, ``masks`` as above; ``version`` as last read: refused (409) if somebody else saved since.
        """

    def restore_zones(self, version: str, *, who: str) -> Json:
        """Go back to an earlier version, as a new one; returns :meth:`zones`."""

    def live(self, camera: str, *, plain: bool) -> bytes:
        """The newest judged picture as JPEG, privacy masks applied; ``plain``: without boxes and zones.

        Waits up to two seconds for the next picture where nobody has looked lately.
        """

    def glance(self) -> Json:
        """What the page shows beside the health report.

        ``{"cameras": {"lobby": {"fps", "frame_age_s", "state", "withheld", "moved"}}, "incidents": (as incidents()),
        "suppressed": [{"since", "camera", "rule", "zone", "severity", "reason", "count"}], "possible": (as possible())}``.
        """

    def incidents(self, *, limit: int) -> list[Json]:
        """The latest, newest first.

        ``{"id", "camera", "rule", "zone", "severity", "opened", "closed", "what",
        "close_reason", "test": false, "verdict": "", "pictures": ["annotated", "clean"], "told": "what became of its
        mails"}``.
        """

    def incident(self, incident_id: str) -> Json:
        """One of them, as above."""

    def picture(self, incident_id: str, *, role: str, small: bool, who: str) -> bytes:
        """A stored picture of an incident. One that is not ``small`` is on record as viewed, with ``who``."""
