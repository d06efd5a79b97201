"""The acts on the running appliance: each hands on to the part that can, and is on record."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from edge.alerts.mail_words import title
from edge.app.control import MAX_MINUTES
from edge.app.incident_views import suppressed
from edge.app.view_checks import looks_moved
from edge.health.acts import ActRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from edge.alerts.gpio import GpioIndicator, NoIndicator
    from edge.alerts.incident_log import IncidentLog
    from edge.alerts.maintenance_store import MaintenanceStore
    from edge.alerts.verdict_store import VerdictStore
    from edge.app.commissioning import CommissioningRecords
    from edge.app.incident_views import IncidentViews
    from edge.app.mail_trials import MailTrials
    from edge.app.maintenance import MaintenanceKeeper
    from edge.app.support_bundle import SupportBundle
    from edge.app.walk_test import WalkTest
    from edge.app.zone_store import ZoneStore
    from edge.cameras.interface import Camera
    from edge.clock import Clock
    from edge.config.tables import ZonesFile
    from edge.health.live import LiveView
    from edge.pipeline import Line, Pipeline

log = logging.getLogger(__name__)

MIN_TEST_S, MAX_TEST_S = 0.5, 10.0
_SHOWN = 20
_ZONE_KINDS = ("restricted", "lobby", "machine", "door", "ignore")
_MASK_KINDS = ("never_stored", "never_seen")


class BoxActs:
    """Implements ``edge.health.acts.Acts``.

    :param kiosk, site: for the page's head.
    :param confirm_masks: tells that all masks lie where they should; returns what to say.
    :param proofs: what was tried and seen, in words; shared with the commissioning record.
    """

    def __init__(
        self,
        *,
        kiosk: str,
        site: str,
        recipients: Sequence[str],
        cameras: Mapping[str, Camera],
        lines: Mapping[str, Line],
        pipeline: Pipeline,
        indicator: GpioIndicator | NoIndicator,
        periods: MaintenanceStore,
        maintenance: MaintenanceKeeper,
        incident_log: IncidentLog,
        mails: MailTrials,
        walk: WalkTest,
        commissioning: CommissioningRecords,
        verdicts: VerdictStore,
        views: IncidentViews,
        zones: ZoneStore,
        live: LiveView,
        bundle: SupportBundle,
        confirm_masks: Callable[[], str],
        proofs: dict[str, str],
        clock: Clock,
    ) -> None:
        self._kiosk = kiosk
        self._site = site
        self._recipients = list(recipients)
        self._cameras = dict(cameras)
        self._lines = lines
        self._pipeline = pipeline
        self._indicator = indicator
        self._periods = periods
        self._maintenance = maintenance
        self._incident_log = incident_log
        self._mails = mails
        self._walk = walk
        self._commissioning = commissioning
        self._verdicts = verdicts
        self._views = views
        self._zones = zones
        self._live = live
        self._bundle = bundle
        self._confirm_masks = confirm_masks
        self._proofs = proofs
        self._clock = clock

    def possible(self) -> dict[str, Any]:
        """See :class:`edge.health.acts.Acts`, here and below."""
        return {
            "kiosk": self._kiosk,
            "site": self._site,
            "cameras": list(self._cameras),
            "outputs": self._indicator.levels(),
            "mail": bool(self._recipients),
            "recipients": self._recipients,
            "maintenance": self._maintenance_state(),
            "walk_test": self.walk_test_state(),
            "zones_file": str(self._zones.path),
        }

    def test_alarm(self, *, seconds: float, outputs: list[str] | None, who: str) -> dict[str, Any]:
        if not MIN_TEST_S <= seconds <= MAX_TEST_S:
            raise ActRefused(f"seconds = {seconds:g}", hint=f"allowed: {MIN_TEST_S:g} to {MAX_TEST_S:g}", status=400)
        try:
            driven = self._indicator.test(outputs, seconds=seconds)
        except KeyError as error:
            names = ", ".join(self._indicator.levels()) or "none configured"
            raise ActRefused(f"there is no output {error.args[0]!r}", hint=f"allowed: {names}", status=400) from None
        if not driven:
            raise ActRefused("this box has no outputs to try", hint="[outputs] in the configuration names them.")
        self._note("test_alarm", who, outputs=driven, seconds=seconds)
        self._proofs["Test alarm"] = f"{', '.join(driven)} for {seconds:g} s, {self._now()}, by {who}"
        return {"outputs": driven, "seconds": seconds}

    def test_mail(self, *, who: str) -> dict[str, Any]:
        sent = self._mails.send()
        self._note("test_mail", who, mail=sent["id"])
        return sent

    def test_mail_state(self, mail_id: str) -> dict[str, Any]:
        state = self._mails.state(mail_id)
        self._proofs["Test mail"] = self._mails.proof or "sent, no answer yet"
        return state

    def retry_mail(self, *, who: str) -> dict[str, Any]:
        tried = self._mails.retry_all()
        self._note("retry_mail", who, mails=tried)
        return {"mails": tried}

    def maintenance(self, *, on: bool, minutes: float, reason: str, who: str) -> dict[str, Any]:
        if not on:
            self._periods.end(reason=f"switched off by {who}")
        elif not 0 < minutes <= MAX_MINUTES:
            raise ActRefused(f"minutes = {minutes:g}", hint=f"allowed: more than 0, up to {MAX_MINUTES}", status=400)
        elif not reason:
            raise ActRefused("the reason is missing", hint="What for: the desk reads it in the mail.", status=400)
        elif self._walk.state()["on"]:
            raise ActRefused("a walk test is running", hint="End it first: in maintenance no rule fires.")
        else:
            self._periods.begin(minutes=minutes, reason=reason)
        self._maintenance.look()
        self._note("maintenance", who, on=on, minutes=minutes if on else 0, reason=reason)
        return self._maintenance_state()

    def acknowledge(self, *, who: str) -> dict[str, Any]:
        open_now = [i.incident_id for i in self._pipeline.incidents.open_incidents]
        self._indicator.acknowledge()
        self._note("acknowledge", who, incidents=open_now)
        return {"incidents": open_now}

    def confirm_masks(self, *, who: str) -> dict[str, Any]:
        self._note("confirm_masks", who)  # before: from then on pictures leave the box
        moved = [name for name in self._cameras if looks_moved(self._pipeline.wrong_view(name))]
        for name in moved:
            self._pipeline.relearn(name)
        withheld = any(line.masks.withheld for line in self._lines.values())
        words = [f"{', '.join(moved)}: from now on this view is the right one"] if moved else []
        words += [self._confirm_masks()] if withheld or not moved else []
        return {"words": "; ".join(words)}

    def walk_test(self, *, on: bool, minutes: float, siren: bool, technician: str, who: str) -> dict[str, Any]:
        if on:
            if self._maintenance_state()["on"]:
                raise ActRefused("the box is in maintenance mode", hint="End that first: in it no rule fires.")
            self._walk.begin(minutes=minutes, siren=siren, technician=technician, who=who)
        else:
            self._walk.end()
        self._note("walk_test", who, on=on, technician=technician)
        return self.walk_test_state()

    def walk_test_state(self) -> dict[str, Any]:
        state = self._walk.state()
        kept = self._commissioning.kept()
        rules = [{**r, "title": title(r["rule"])} for r in state["rules"]]
        return {**state, "rules": rules, "record": kept[0]["id"] if kept else ""}

    def records(self) -> list[dict[str, Any]]:
        return self._commissioning.kept()

    def record(self, name: str, *, who: str) -> tuple[bytes, str]:
        found = self._commissioning.read(name)
        self._note("record_downloaded", who, record=name)  # it has pictures in it
        return found

    def verdict(self, *, incident_id: str, verdict: str, who: str) -> dict[str, Any]:
        given = self._views.verdict(incident_id, verdict, who=who)
        self._note("verdict", who, incident_id=incident_id, verdict=verdict)
        return given

    def verdict_counts(self) -> dict[tuple[str, str], int]:
        return self._verdicts.counts()

    def support_bundle(self, *, who: str) -> tuple[str, bytes]:
        self._note("support_bundle", who)
        return self._bundle.make()

    def zones(self) -> dict[str, Any]:
        drawn, version = self._zones.read()
        return {
            "editable": not self._zones.why_not,
            "why": self._zones.why_not,
            "cameras": list(self._cameras),
            "version": version,
            **_tables(drawn),
            "fixed": _tables(self._zones.fixed),
            "kinds": {"zones": list(_ZONE_KINDS), "masks": list(_MASK_KINDS)},
            "versions": [
                {
                    "version": v.name,
                    "saved": v.saved_utc.isoformat(timespec="seconds") if v.saved_utc else None,
                    "by": v.by,
                    "zones": v.zones,
                    "masks": v.masks,
                }
                for v in self._zones.versions()
            ],
        }

    def save_zones(self, body: dict[str, Any], *, who: str) -> dict[str, Any]:
        drawn = self._zones.save(body, based_on=str(body.get("version", "")), by=who)
        self._note("zones", who, zones=len(drawn.zones), masks=len(drawn.masks), version=self._zones.read()[1])
        return self.zones()

    def restore_zones(self, version: str, *, who: str) -> dict[str, Any]:
        drawn = self._zones.restore(version, by=who)
        self._note("zones", who, zones=len(drawn.zones), masks=len(drawn.masks), restored=version)
        return self.zones()

    def live(self, camera: str, *, plain: bool) -> bytes:
        if camera not in self._cameras:
            raise ActRefused(
                f"there is no camera {camera[:40]!r}", hint=f"allowed: {', '.join(self._cameras)}", status=404
            )
        return self._live.jpeg(camera, plain=plain)

    def glance(self) -> dict[str, Any]:
        return {
            "cameras": {name: self._camera(name, camera) for name, camera in self._cameras.items()},
            "inference_ms": round(1000 * self._pipeline.vitals.inference_s, 1),
            "incidents": self._views.latest(_SHOWN),
            "suppressed": suppressed(lambda: self._pipeline.incidents.suppressions, _SHOWN),
            "possible": self.possible(),
        }

    def incidents(self, *, limit: int) -> list[dict[str, Any]]:
        return self._views.latest(limit)

    def incident(self, incident_id: str) -> dict[str, Any]:
        return self._views.one(incident_id)

    def picture(self, incident_id: str, *, role: str, small: bool, who: str) -> bytes:
        return self._views.picture(incident_id, role=role, small=small, who=who)

    def _camera(self, name: str, camera: Camera) -> dict[str, Any]:
        captured = self._pipeline.vitals.captured_mono_s.get(name)
        fps = self._live.fps(name)
        return {
            "fps": None if fps is None else round(fps, 1),
            "frame_age_s": None if captured is None else round(max(0.0, self._clock.monotonic_s() - captured), 1),
            "state": camera.status().state,
            "withheld": self._lines[name].masks.withheld,
            "moved": looks_moved(self._pipeline.wrong_view(name)),
        }

    def _maintenance_state(self) -> dict[str, Any]:
        state = self._maintenance.details()
        return {"on": state["on"], "reason": state.get("reason", ""), "remaining_s": state.get("remaining_s", 0)}

    def _now(self) -> str:
        return f"{self._clock.utc_now():%Y-%m-%d %H:%M:%S} UTC"

    def _note(self, act: str, who: str, **what: object) -> None:
        """Into the incident log, and the service's. :raises StateError: the disk does not take it; what was done is done."""
        log.warning(f"{who}: {act.replace('_', ' ')}", extra={"kg": {"event": "act", "act": act, "who": who, **what}})
        self._incident_log.append("act", {"act": act, "who": who, **what})


def _tables(drawn: ZonesFile) -> dict[str, Any]:
    return {
        "zones": [z.model_dump(include={"camera", "name", "kind", "polygon"}) for z in drawn.zones],
        "masks": [m.model_dump(include={"camera", "name", "kind", "polygon"}) for m in drawn.masks],
    }
