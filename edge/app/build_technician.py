"""From configuration to the technician's side: walk test, zones, live picture, the acts and their routes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge import __version__
from edge.alerts.look import OutboxLook
from edge.alerts.verdict_store import VerdictStore
from edge.alerts.viewing import PictureDesk
from edge.app.acts import BoxActs
from edge.app.build import mask_list, resting_rules, zone_map
from edge.app.commissioning import CommissioningRecords
from edge.app.incident_views import IncidentViews
from edge.app.log_memory import LogMemory
from edge.app.mail_channel import read_secret
from edge.app.mail_trials import MailTrials
from edge.app.mask_confirmation import confirm_masks
from edge.app.support_bundle import SupportBundle
from edge.app.walk_test import WalkTest
from edge.app.zone_store import ZoneStore
from edge.cameras.source import parse_source
from edge.config.load import zones_path
from edge.config.tables import ZonesFile
from edge.errors import KioskError
from edge.health.endpoints import health_json
from edge.health.live import LiveView
from edge.loop import CAMERA_LOST

if TYPE_CHECKING:
    import contextlib
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from edge.app.build_box import Box
    from edge.app.build_storage import Storage
    from edge.clock import Clock
    from edge.config import Config
    from edge.detect.interface import Detector
    from edge.health.interface import Check, Report
    from edge.pipeline import Judged, Line, Pipeline
    from edge.types import Alert

_BY_INPUT = {"panic": "panic", "tamper": "enclosure_tamper"}


@dataclass(frozen=True, slots=True)
class Technician:
    """What the alarm's own way has to know of the technician: who walks, and who looks.

    ``report``: how the box is; set once there is one to ask.
    """

    walk: WalkTest
    verdicts: VerdictStore
    commissioning: CommissioningRecords
    zones: ZoneStore
    live: LiveView
    desk: PictureDesk
    log_memory: LogMemory
    proofs: dict[str, str]
    report: list[Callable[[], Report]]
    stays: Callable[[str], Mapping[int, tuple[float, float]]]

    def watch(self, judged: Judged) -> None:
        """For the loop: every judged frame."""
        alarmed = {track for seen in judged.observations for track in seen.track_ids}
        self.live.see(
            judged.frame,
            judged.tracks,
            judged.zones,
            alarmed=alarmed,
            withheld=judged.withheld,
            stays=lambda: self.stays(judged.frame.camera),
        )

    def checks(self) -> list[Check]:
        """For the board."""
        return [self.walk.check()]


def build_technician(
    config: Config,
    config_path: Path,
    stack: contextlib.ExitStack,
    *,
    storage: Storage,
    detector: Detector,
    lines: Mapping[str, Line],
    pipeline: Pipeline,
    send: Callable[[Alert], None],
    clock: Clock,
    boot_id: str,
) -> Technician:
    """What must be there before the first alert is made. :raises KioskError: a store cannot be read."""
    log_memory = LogMemory()
    stack.callback(log_memory.listen())
    live = LiveView(classes=detector.classes, clock=clock)
    verdicts = VerdictStore(storage.database, clock=clock)
    desk = PictureDesk(storage.evidence.folder, record=storage.incident_log.append, clock=clock)
    zones = _zone_store(config, config_path, pipeline, state_dir=storage.state_dir, clock=clock)
    rules = list(dict.fromkeys(rule.name for line in lines.values() for rule in line.rules))
    rules += [CAMERA_LOST, *sorted({_BY_INPUT[i.role] for i in config.inputs.lines.values() if i.role in _BY_INPUT})]
    resting = {
        rule: f"the model knows no {', '.join(lacks)}"
        for rule, lacks in resting_rules(config, detector.classes, detector.map_name).items()
    }
    rules += [rule for rule in resting if rule not in rules]
    proofs: dict[str, str] = {}
    report: list[Callable[[], Report]] = []

    def facts() -> dict[str, Any]:
        drawn, _ = zones.read()
        checks = report[0]().checks if report else ()
        return {
            "kiosk": config.kiosk.id,
            "site": ", ".join(part for part in (config.kiosk.site, config.kiosk.address) if part),
            "software": f"kiosk-guard {__version__}",
            "model": detector.model,
            "zones": [z.model_dump() for z in [*zones.fixed.zones, *drawn.zones]],
            "masks": [m.model_dump() for m in [*zones.fixed.masks, *drawn.masks]],
            "checks": [{"name": c.name, "status": c.status.label, "output": c.output} for c in checks],
            "proofs": dict(proofs),
        }

    commissioning = CommissioningRecords(
        storage.state_dir / "commissioning",
        cameras=list(lines),
        rules=rules,
        resting=resting,
        facts=facts,
        live=live.jpeg,
        stored=lambda incident, path: desk.read(incident, path, who="the commissioning record"),
        log=storage.incident_log.append,
    )
    walk = WalkTest(
        incidents=pipeline.incidents,
        verdicts=verdicts,
        rules=rules,
        resting=resting,
        enqueue=send,
        write_record=commissioning.write,
        clock=clock,
        boot_id=boot_id,
        model=detector.model,
    )
    return Technician(walk, verdicts, commissioning, zones, live, desk, log_memory, proofs, report, pipeline.stays)


def build_acts(config: Config, config_path: Path, box: Box, *, clock: Clock) -> BoxActs:
    """What the page and the commands may do with this box."""
    side, storage = box.technician, box.storage
    side.report.append(box.board.report)
    delivery = box.delivery
    mails = MailTrials(
        outbox=storage.outbox,
        look=OutboxLook(storage.state_dir),
        recipients=config.email.everyone if config.email.enabled else [],
        wake=delivery.wake if delivery else None,
        channel_error=lambda: delivery.channel_error if delivery else "",
        clock=clock,
    )
    return BoxActs(
        kiosk=config.kiosk.id,
        site=config.kiosk.site,
        recipients=config.email.everyone if config.email.enabled else [],
        cameras={camera.name: camera for camera in box.cameras},
        lines=box.lines,
        pipeline=box.pipeline,
        indicator=box.indicator,
        periods=storage.periods,
        maintenance=box.maintenance,
        incident_log=storage.incident_log,
        mails=mails,
        walk=side.walk,
        commissioning=side.commissioning,
        verdicts=side.verdicts,
        views=IncidentViews(
            store=storage.incidents,
            outbox=storage.outbox,
            verdicts=side.verdicts,
            desk=side.desk,
            evidence=storage.evidence.folder,
            clock=clock,
        ),
        zones=side.zones,
        live=side.live,
        confirm_masks=lambda: confirm_masks(storage.state_dir),
        bundle=_bundle(config, config_path, box, clock=clock),
        proofs=side.proofs,
        clock=clock,
    )


def _zone_store(config: Config, config_path: Path, pipeline: Pipeline, *, state_dir: Path, clock: Clock) -> ZoneStore:
    path = zones_path(config, config_path)
    elsewhere = path.parent.resolve() != state_dir.resolve()
    why_not = f"the zones are in {path}, which is not in the state directory: they are written by hand"
    cameras = [camera.name for camera in config.cameras]
    store = ZoneStore(
        path,
        cameras=cameras,
        fixed=ZonesFile(),
        apply=lambda drawn: _use(pipeline, cameras, store, drawn),
        clock=clock,
        writable=why_not if elsewhere else "",
    )
    drawn, _ = store.read()  # read once already, with the configuration: those of both are the file's
    store.fixed = ZonesFile(
        zones=[z for z in config.zones if z not in drawn.zones], masks=[m for m in config.masks if m not in drawn.masks]
    )
    return store


def _use(pipeline: Pipeline, cameras: list[str], store: ZoneStore, drawn: ZonesFile) -> None:
    zones, masks = [*store.fixed.zones, *drawn.zones], mask_list([*store.fixed.masks, *drawn.masks])
    for camera in cameras:
        pipeline.redraw(camera, zones=zone_map(camera, zones), masks=masks)


def _bundle(config: Config, config_path: Path, box: Box, *, clock: Clock) -> SupportBundle:
    storage, side = box.storage, box.technician

    def secrets() -> list[str]:
        files = [config.email.password_file, *(c.password_file for c in config.cameras)]
        return [secret for file in files if (secret := _secret(config_path, file))]

    def configuration() -> dict[str, Any]:
        found = config.model_dump(mode="json")
        for table, camera in zip(found["cameras"], config.cameras, strict=True):
            table["source"] = parse_source(camera.source).label
        return found

    return SupportBundle(
        kiosk=config.kiosk.id,
        facts={
            "health.json": lambda: health_json(box.board.report(), version=__version__, now=clock.utc_now()),
            "configuration.json": configuration,
            "zones.toml": lambda: side.zones.path.read_text() if side.zones.path.exists() else "",
            "log.txt": side.log_memory.text,
            "incidents.json": lambda: [_plain(i) for i in storage.incidents.recent(200)],
            "suppressed.json": lambda: [_plain(s) for s in box.pipeline.incidents.suppressions],
            "outbox.json": lambda: [
                {
                    "id": e.alert_id,
                    "state": e.state,
                    "attempts": e.attempts,
                    "error": e.last_error,
                    "stored": e.stored_utc,
                }
                for e in storage.outbox.entries(limit=200)
            ],
            "incidents.log": lambda: _tail(storage.incident_log.path),
        },
        secrets=secrets,
        state_dir=storage.state_dir,
        clock=clock,
    )


def _secret(config_path: Path, file: str) -> str:
    try:
        return read_secret(config_path, file, "password_file")
    except KioskError:
        return ""  # what cannot be read is in no text of ours either


def _plain(record: Any) -> dict[str, str]:
    return {name: str(getattr(record, name)) for name in type(record).__slots__}


def _tail(path: Path, size: int = 300_000) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read().decode("utf-8", "replace")
