"""Facts become verdicts, and every verdict but "pass" says what to do."""

from __future__ import annotations

import pytest

from edge.health.checks import (
    CameraFacts,
    ConfigFacts,
    DiskFacts,
    GpioFacts,
    InferenceFacts,
    MachineFacts,
    OutboxFacts,
    check_camera,
    check_clock,
    check_config,
    check_disk,
    check_frame_age,
    check_gpio,
    check_inference,
    check_mail,
    check_memory,
    check_model,
    check_outbox,
    check_temperature,
)
from edge.health.interface import Check, Report, Status

PASS, WARN, FAIL = Status.PASS, Status.WARN, Status.FAIL
MB = 1_000_000


@pytest.mark.parametrize(
    ("check", "status", "words"),
    [
        (check_camera(CameraFacts("lobby", "live")), PASS, ""),
        (check_camera(CameraFacts("lobby", "live", "no picture for 5.0 s; next try in 1 s")), WARN, "try in 1 s. If"),
        (check_camera(CameraFacts("lobby", "starting")), WARN, "first picture"),
        (check_camera(CameraFacts("lobby", "lost", "nothing listens there")), FAIL, "nothing listens there"),
        (check_camera(CameraFacts("lobby", "lost")), FAIL, "power and cable"),
        (check_camera(CameraFacts("lobby", "ended")), FAIL, "over"),
        (check_frame_age(CameraFacts("lobby", "live", "", 0.3)), PASS, ""),
        (check_frame_age(CameraFacts("lobby", "live", "", 5.0)), PASS, ""),
        (check_frame_age(CameraFacts("lobby", "live", "", 6.0)), WARN, "6 s old"),
        (check_frame_age(CameraFacts("lobby", "live", "", 21.0)), FAIL, "does not see"),
        (check_frame_age(CameraFacts("lobby", "starting")), WARN, "no picture"),
        (check_gpio(GpioFacts("gpiozero", ("siren",))), PASS, ""),
        (check_gpio(GpioFacts("none")), PASS, "switched off"),
        (check_gpio(GpioFacts("mock")), WARN, 'Set [outputs] driver = "gpiozero"'),
        (check_gpio(GpioFacts("gpiozero", (), "pin 17 is in use", ("input door",))), FAIL, "pin 17 is in use. Check"),
        (check_gpio(GpioFacts("gpiozero", (), "", ("input door", "input lid"))), WARN, "input door; input lid. Check"),
        (check_config(ConfigFacts("/etc/kg.toml")), PASS, ""),
        (check_config(ConfigFacts("/etc/kg.toml", changed=True)), WARN, "systemctl restart"),
        (check_config(ConfigFacts("/etc/kg.toml", changed=True, faults="rulez: unknown")), WARN, "rulez: unknown"),
        (
            check_config(ConfigFacts("/etc/kg.toml", changed=False, faults="zones: x")),
            WARN,
            "check-config /etc/kg.toml",
        ),
        (check_model(InferenceFacts("coco 1")), PASS, ""),
        (check_model(InferenceFacts("", "hash mismatch")), FAIL, "hash mismatch"),
        (check_model(InferenceFacts("")), FAIL, "Install a model"),
        (check_inference(InferenceFacts("coco 1", "", 40.0, 200.0)), PASS, ""),
        (check_inference(InferenceFacts("coco 1", "", 240.0, 200.0)), WARN, "240 ms"),
        # In a still, empty scene the detector hardly ever looks: then its time says nothing about the rate.
        (check_inference(InferenceFacts("coco 1", "", 16.0, 8.0, whole_ms=1.0)), PASS, ""),
        (check_inference(InferenceFacts("coco 1", "", 16.0, 20.0, whole_ms=28.0)), WARN, "28 ms, 20 ms would keep"),
        (check_inference(InferenceFacts("coco 1")), WARN, "no picture"),
        (check_inference(InferenceFacts("")), FAIL, "no model"),
        (check_outbox(OutboxFacts(0)), PASS, ""),
        (check_outbox(OutboxFacts(51)), WARN, "51 alerts"),
        (check_outbox(OutboxFacts(3, dropped=2)), WARN, "2 alerts were given up"),
        (check_outbox(OutboxFacts(3, dropped=1)), WARN, "1 alert was given up"),
        (check_outbox(OutboxFacts(0, error="database disk image is malformed")), FAIL, "malformed"),
        (check_mail(OutboxFacts(0)), PASS, "nothing was sent"),
        (check_mail(OutboxFacts(0, last_success_age_s=30.0)), PASS, ""),
        (
            check_mail(OutboxFacts(0, last_success_age_s=30.0, last_error="451 no")),
            WARN,
            "The server says: 451 no. Nothing waits",
        ),
        (check_mail(OutboxFacts(1, 5.0)), PASS, "nothing was sent"),
        (check_mail(OutboxFacts(2, 5.0, last_error="454 try later")), WARN, "454 try later"),
        (check_mail(OutboxFacts(2, 1000.0)), WARN, "the oldest for 17 min"),
        (check_mail(OutboxFacts(0, refused=1, last_error="550 no such user")), WARN, "550 no such user"),
        (check_mail(OutboxFacts(1, 400.0)), WARN, "1 alert waits for 7 min"),
        (
            check_mail(OutboxFacts(0, refused_recipients={"a@b.example": "550 gone"})),
            WARN,
            "a@b.example: 550 gone. Correct",
        ),
        (check_disk(DiskFacts("/state", 2000 * MB, 8000 * MB)), PASS, ""),
        (check_disk(DiskFacts("/state", 400 * MB, 8000 * MB)), WARN, "400 MB"),
        (check_disk(DiskFacts("/state", 10 * MB, 8000 * MB)), FAIL, "/state"),
        (check_disk(DiskFacts("/state", 2000 * MB, 8000 * MB, writable=False)), FAIL, "read-only"),
        (check_disk(DiskFacts("/state", None, None)), WARN, "does not tell"),
        (check_memory(MachineFacts(500 * MB, 1000 * MB)), PASS, ""),
        (check_memory(MachineFacts(50 * MB, 1000 * MB)), WARN, "50 MB"),
        (check_memory(MachineFacts()), PASS, "not measured"),
        (check_temperature(MachineFacts(temperature_c=61.5)), PASS, ""),
        (check_temperature(MachineFacts(temperature_c=84.0)), WARN, "fan"),
        (check_temperature(MachineFacts(temperature_c=50.0, throttled=("under-voltage",))), WARN, "power supply"),
        (check_temperature(MachineFacts()), PASS, "not measured"),
        (check_clock(synchronised=True), PASS, ""),
        (check_clock(synchronised=False), WARN, "NTP"),
    ],
)
def test_verdicts(check: Check, status: Status, words: str) -> None:
    assert check.status is status
    assert words in check.output
    if status is not PASS:
        assert check.output
    elif not words:
        assert check.output == ""


def test_each_camera_has_checks_of_its_own() -> None:
    assert check_camera(CameraFacts("door", "live")).name == "camera:door"
    assert check_frame_age(CameraFacts("door", "live", "", 1.0)).name == "frame_age:door"


def test_the_worst_check_decides_and_no_check_is_no_good_sign() -> None:
    good, late, dead = Check("a", PASS), Check("b", WARN), Check("c", FAIL)
    assert Report((good, late)).status is WARN
    assert Report((dead, good, late)).status is FAIL
    assert Report((good,)).status is PASS
    assert Report(()).status is FAIL
