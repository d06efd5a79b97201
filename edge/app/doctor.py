"""``kiosk-guard doctor``: every part that guarding needs, tried one by one, each with a verdict and what to do."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import cv2
import numpy as np

from edge.alerts.ledger import MemoryLedger
from edge.alerts.pins import open_pin_factory
from edge.app import doctor_box as box
from edge.app import doctor_picture as picture
from edge.app.build import build_detector, bundle_path, measured_way
from edge.app.build_cameras import build_camera, camera_source
from edge.app.control_client import ControlClient, NotAllowed, ServiceDown
from edge.app.fault_board import fault_checks
from edge.app.mail_channel import build_channel, secret_path
from edge.app.state import as_owner, state_path
from edge.cameras.source import Kind
from edge.clock import SystemClock, boot_id
from edge.config import load
from edge.config.salvage import salvage
from edge.detect.onnx import OnnxDetector
from edge.errors import CameraEnded, CameraLost, ConfigError, KioskError
from edge.health.checks import check_clock, check_disk, check_memory, check_temperature
from edge.health.interface import Check, Status
from edge.health.machine import read_disk, read_machine
from edge.models.golden import GOLDEN_NAME, verify_golden
from edge.models.signature import verify_files
from edge.types import Frame

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge.cameras.source import Source
    from edge.clock import Clock
    from edge.config import Config
    from edge.config.tables import CameraTable

_OPEN_S = 20.0  # a camera that gives no picture for so long is lost
_LOOKS, _LOOK_EVERY_S = 3, 0.7
_VERDICTS = {"pass": Status.PASS, "warn": Status.WARN, "fail": Status.FAIL}


class Doctor:
    """Looks at one box. Nothing is changed, sent or sounded; a running service is asked rather than disturbed."""

    def __init__(self, config_path: Path, *, clock: Clock | None = None) -> None:
        self._path = config_path
        self._clock = clock or SystemClock()
        self._config: Config = salvage(config_path)
        self._service: dict[str, Any] | None = None
        self._detector: OnnxDetector | None = None

    def checks(self) -> Iterator[Check]:
        """One finding after the other, as they are made."""
        good = False
        try:
            self._config = load(self._path)
            good = True
            yield Check("config", Status.PASS, str(self._path))
        except ConfigError as error:
            yield from fault_checks(error)
        state_dir = state_path(self._config, self._path)
        client = ControlClient(state_dir)
        yield self._ask_service(client)
        if good:
            yield from self._model()
            for table in self._config.cameras:
                yield from self._camera(table, client)
            yield from self._outputs()
        yield self._mail()
        yield from self._disk(state_dir)
        yield from self._permissions(state_dir, good=good)
        machine = read_machine()
        yield check_memory(machine)
        yield check_temperature(machine)
        throttled = box.check_throttled()
        if throttled:
            yield throttled
        yield check_clock(synchronised=self._clock.synchronised())
        yield box.check_network([self._config.email.host] if self._config.email.enabled else [])

    def _ask_service(self, client: ControlClient) -> Check:
        try:
            self._service = client.health()
        except ServiceDown:
            return Check("service", Status.WARN, "the service does not run: sudo systemctl start kiosk-guard", "down")
        except NotAllowed as error:
            return Check("service", Status.WARN, f"{error.message}: {error.hint}", "not asked")
        except KioskError as error:
            return Check("service", Status.FAIL, f"{error.message}. Read its log: journalctl -u kiosk-guard", "up")
        details = self._service.get("details", {})
        if details.get("mode") == "fault":
            words = "it runs, but does not guard: " + "; ".join(map(str, details.get("faults", [])))
            return Check("service", Status.FAIL, words, "fault mode")
        return Check("service", Status.PASS, f"runs, {details.get('frames_judged', 0)} frames judged", "up")

    def _of_service(self, name: str) -> Check | None:
        """What the running service says about one of its parts."""
        entries = (self._service or {}).get("checks", {}).get(name, [])
        for entry in entries:
            status = _VERDICTS.get(str(entry.get("status")), Status.WARN)
            return Check(name, status, str(entry.get("output", "")), entry.get("observedValue"))
        return None

    def _model(self) -> Iterator[Check]:
        try:
            bundle = bundle_path(self._config, self._path)
            manifest = verify_files(bundle)
            yield Check("model", Status.PASS, f"{manifest.label}, files as its manifest says")
            self._detector = build_detector(self._config, self._path)
            if not (bundle / GOLDEN_NAME).is_dir():
                yield Check(
                    "model proof", Status.WARN, "the bundle has no golden pictures: its answers are not proved here"
                )
                return
            variant, threads = measured_way(self._config, self._path, manifest)
            whole = OnnxDetector(bundle, threads=threads, variant=variant)  # with all classes
            result = verify_golden(bundle, whole, thresholds=manifest.thresholds)
            yield Check("model proof", Status.PASS, f"{result.pictures} golden pictures are answered as they should be")
        except KioskError as error:
            words = _words(error)
            yield Check("model", Status.FAIL, f"{words}. Install it again, or go back: kiosk-guard model rollback")

    def _camera(self, table: CameraTable, client: ControlClient) -> Iterator[Check]:
        masks = sum(mask.camera == table.name for mask in self._config.masks)
        yield picture.check_pin_mask(
            table.name,
            masks=masks,
            pad_in_view=table.pin_pad_in_view,
            guarded=self._config.rules.camera_tamper.enabled,
        )
        asked = self._of_service(f"camera:{table.name}")
        if asked:
            yield asked
            view = self._of_service(f"view:{table.name}")
            if view:
                yield view
            frames = self._shown(table, client)
        else:
            try:
                source = camera_source(self._path, table)
                frames = self._captured(table, source)
            except KioskError as error:
                yield Check(f"camera:{table.name}", Status.FAIL, _words(error))
                return
            if frames:
                height, width = frames[0].image.shape[:2]
                yield Check(f"camera:{table.name}", Status.PASS, f"{width}x{height} from {source.label}")
        if not frames:
            return
        yield picture.check_light(table.name, frames[-1].image)
        yield picture.check_sharpness(table.name, frames[-1].image)
        if self._detector:
            yield picture.check_people(table.name, frames, self._detector)

    def _captured(self, table: CameraTable, source: Source) -> list[Frame]:
        """Some pictures from the camera itself. :raises CameraLost: it gives none."""
        camera = build_camera(table, source, clock=self._clock)
        until_s = self._clock.monotonic_s() + _OPEN_S
        frames: list[Frame] = []
        try:
            while len(frames) < _LOOKS:
                try:
                    frames.append(camera.read(1.0))
                    time.sleep(_LOOK_EVERY_S)
                except CameraEnded:  # noqa: PERF203 - cameras are slower
                    break
                except CameraLost:
                    if self._clock.monotonic_s() > until_s:
                        words = camera.status().detail or "it opens, but gives no picture"
                        raise CameraLost(words, hint="Check power, cable and address") from None
        finally:
            camera.close()
        return frames

    def _shown(self, table: CameraTable, client: ControlClient) -> list[Frame]:
        """Some pictures from the running service, without drawings; privacy masks are black in them."""
        frames: list[Frame] = []
        for seq in range(_LOOKS):
            try:
                _, content = client.fetch("GET", f"/live/{quote(table.name)}.jpg?plain")
            except KioskError:
                break
            image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
            if image is not None:
                now_s, now = self._clock.monotonic_s(), self._clock.utc_now()
                frames.append(Frame(np.asarray(image, np.uint8), seq, now_s, now, table.name))
            time.sleep(_LOOK_EVERY_S)
        return frames

    def _outputs(self) -> Iterator[Check]:
        driver = self._config.outputs.driver
        asked = self._of_service("gpio")
        if driver == "none":
            yield Check("outputs", Status.PASS, 'none: [outputs] driver = "none"')
        elif driver == "mock":
            yield Check("outputs", Status.WARN, '[outputs] driver = "mock": nothing is switched in earnest')
        elif asked:
            yield asked
        else:
            try:
                open_pin_factory(driver).close()
                yield Check("outputs", Status.PASS, f"the {driver} chip can be opened; try it: kiosk-guard test-alarm")
            except KioskError as error:
                yield Check("outputs", Status.FAIL, _words(error))

    def _mail(self) -> Check:
        """Connect, encrypt and log in; nothing is sent."""
        email = self._config.email
        if not email.enabled:
            words = "mail is off, or a table that it needs is wrong: nobody is told. Set [email] enabled = true"
            return Check("mail", Status.WARN, words)
        try:
            channel = build_channel(
                self._config, self._path, clock=self._clock, boot_id=boot_id(), ledger=MemoryLedger()
            )
            channel.try_login()
        except KioskError as error:
            return Check("mail", Status.FAIL, _words(error))
        how = f"{email.host} port {email.port}, {email.security}{', logged in' if email.user else ''}"
        return Check("mail", Status.PASS, f"{how}; to see one arrive: kiosk-guard test-mail")

    def _disk(self, state_dir: Path) -> Iterator[Check]:
        facts, stranger = read_disk(state_dir), box.is_stranger(state_dir)
        if stranger:  # what this user may not do proves nothing about the service, whose directory it is
            facts = replace(facts, writable=not box.is_read_only(state_dir))
        yield check_disk(facts)
        if stranger:
            yield Check("disk speed", Status.WARN, f"not tried: {state_dir} is not this user's. Run this with sudo")
        elif state_dir.is_dir() and os.access(state_dir, os.W_OK):
            with as_owner(state_dir):
                yield box.check_disk_speed(state_dir)
        yield box.check_wear()

    def _permissions(self, state_dir: Path, *, good: bool) -> Iterator[Check]:
        yield box.check_state_owner(state_dir)
        if not good:
            return
        uid = state_dir.stat().st_uid if state_dir.exists() else os.geteuid()
        if self._config.email.password_file:
            yield box.check_secret(secret_path(self._path, self._config.email.password_file), "mail password")
        for table in self._config.cameras:
            if table.password_file:
                yield box.check_secret(secret_path(self._path, table.password_file), f"password of {table.name}")
            try:
                source = camera_source(self._path, table)
            except KioskError:  # told with the camera
                continue
            if source.kind is Kind.V4L2 and source.target.startswith("/dev/"):
                yield box.check_device(Path(source.target), uid)


def _words(error: KioskError) -> str:
    """What is wrong and what to do, in one line."""
    said = " ".join(error.message.split()).rstrip(".")
    return f"{said}. {' '.join(error.hint.split())}" if error.hint else said
