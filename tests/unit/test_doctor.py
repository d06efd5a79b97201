from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from fakes.cameras import make_frames
from fakes.detectors import FakeDetector, Seen
from fakes.users import become_nobody, become_root, nobody_beside_a_folder

from edge.app import doctor_box as box
from edge.app import doctor_picture as picture
from edge.app.doctor import Doctor
from edge.app.doctor_cli import figure, line
from edge.health.interface import Status

if TYPE_CHECKING:
    from pathlib import Path

    from edge.types import U8


def ticking(*each_s: float) -> object:
    """A clock that moves so far between a write's begin and end."""
    times = itertools.accumulate(itertools.chain.from_iterable((0.0, s) for s in itertools.cycle(each_s)))
    return lambda: next(times)


@pytest.mark.parametrize(("each_s", "status"), [(0.004, Status.PASS), (0.4, Status.WARN), (4.0, Status.FAIL)])
def test_a_slow_card_warns_and_a_failing_one_fails(tmp_path: Path, each_s: float, status: Status) -> None:
    check = box.check_disk_speed(tmp_path, now_s=ticking(each_s))  # type: ignore[arg-type]
    assert check.status is status
    assert check.observed == pytest.approx(1000 * each_s)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_what_a_stranger_may_not_write_is_no_failing_disk(tmp_path: Path) -> None:
    config = tmp_path / "kiosk-guard.toml"
    with nobody_beside_a_folder() as folder:
        become_root()
        config.write_text(f'[state]\ndir = "{folder}"\n')
        doctor = Doctor(config)
        become_nobody()
        found = {check.name: check for check in doctor._disk(folder)}
    assert found["disk"].status is Status.PASS
    assert (found["disk speed"].status, "sudo" in found["disk speed"].output) == (Status.WARN, True)


def test_one_stall_of_seconds_is_a_failing_card(tmp_path: Path) -> None:
    assert box.check_disk_speed(tmp_path, now_s=ticking(*[0.004] * 14, 5.0)).status is Status.FAIL  # type: ignore[arg-type]


def test_a_disk_that_cannot_be_written_fails(tmp_path: Path) -> None:
    check = box.check_disk_speed(tmp_path / "gone")
    assert check.status is Status.FAIL
    assert "cannot be written" in check.output


@pytest.mark.parametrize(
    ("told", "status"),
    [("0x01 0x01", Status.PASS), ("0x03 0x09", Status.WARN), ("0x0b 0x01", Status.FAIL), ("?", Status.PASS)],
)
def test_flash_wear(tmp_path: Path, told: str, status: Status) -> None:
    file = tmp_path / "sys/block/mmcblk0/device/life_time"
    file.parent.mkdir(parents=True)
    file.write_text(told)
    assert box.check_wear(tmp_path).status is status


@pytest.mark.parametrize(
    ("answer", "status"),
    [("throttled=0x0", Status.PASS), ("throttled=0x50000", Status.WARN), ("throttled=0x50005", Status.FAIL)],
)
def test_throttling_now_fails_and_since_the_start_warns(answer: str, status: Status) -> None:
    check = box.check_throttled(lambda: answer)
    assert check is not None
    assert check.status is status
    assert ("under-voltage" in check.output) is (status is not Status.PASS)


def test_no_raspberry_pi_no_throttling() -> None:
    def missing() -> str:
        raise FileNotFoundError("vcgencmd")

    assert box.check_throttled(missing) is None
    assert box.check_throttled(lambda: "nonsense") is None


@pytest.mark.parametrize(("mode", "status"), [(0o600, Status.PASS), (0o640, Status.PASS), (0o644, Status.FAIL)])
def test_a_secret_is_for_its_reader_alone(tmp_path: Path, mode: int, status: Status) -> None:
    file = tmp_path / "password"
    file.write_text("x")
    file.chmod(mode)
    assert box.check_secret(file, "mail").status is status
    assert box.check_secret(tmp_path / "gone", "mail").status is Status.FAIL


def test_state_that_everybody_may_read_fails(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    assert box.check_state_owner(tmp_path).status is Status.FAIL
    tmp_path.chmod(0o750)
    assert box.check_state_owner(tmp_path).status is Status.PASS
    assert box.check_state_owner(tmp_path / "not yet").status is Status.WARN


def test_a_device_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert box.check_device(tmp_path / "video0", os.geteuid()).status is Status.FAIL


def test_a_device_of_another_user_is_refused_with_the_group_to_join(tmp_path: Path) -> None:
    device = tmp_path / "video0"
    device.touch(mode=0o600)
    assert box.check_device(device, device.stat().st_uid).status is Status.PASS
    nobody = box.check_device(device, 65534)
    assert nobody.status is Status.FAIL
    assert "usermod -aG" in nobody.output


def routes(root: Path, *, default: bool) -> Path:
    (root / "proc/net").mkdir(parents=True)
    row = "eth0\t00000000\t0102A8C0\t0003\n" if default else "eth0\t0002A8C0\t00000000\t0001\n"
    (root / "proc/net/route").write_text(f"Iface\tDestination\tGateway\tFlags\n{row}")
    (root / "proc/net/ipv6_route").write_text(f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 1 0 200200 lo\n")
    return root


def test_a_box_without_a_way_out_is_warned_not_failed(tmp_path: Path) -> None:
    assert box.check_network([], root=routes(tmp_path, default=False)).status is Status.WARN


def test_an_unknown_mail_server_fails(tmp_path: Path) -> None:
    def unknown(host: str) -> object:
        raise OSError(host)

    check = box.check_network(["mail.bank.example"], root=routes(tmp_path, default=True), look_up=unknown)
    assert check.status is Status.FAIL
    assert "mail.bank.example" in check.output
    assert box.check_network(["x"], root=tmp_path, look_up=lambda _: None).status is Status.PASS


def scene(*, blur_px: float = 0.0, gain: float = 1.0) -> U8:
    """Boxes with hard edges on a grey floor, (360, 640, 3)."""
    image = np.full((360, 640, 3), 120, np.uint8)
    for x in range(40, 600, 80):
        cv2.rectangle(image, (x, 60), (x + 40, 300), (20, 40, 60), -1)
        cv2.rectangle(image, (x + 10, 90), (x + 30, 200), (230, 220, 210), -1)
    if blur_px:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), blur_px), np.uint8)
    return np.clip(image * gain, 0, 255).astype(np.uint8)


def test_focus() -> None:
    assert picture.check_sharpness("lobby", scene()).status is Status.PASS
    assert picture.check_sharpness("lobby", scene(blur_px=4)).status is Status.WARN


@pytest.mark.parametrize(
    ("image", "status"),
    [
        (scene(), Status.PASS),
        (scene(gain=0.15), Status.WARN),
        (np.clip(scene().astype(np.int16) + 150, 0, 255).astype(np.uint8), Status.WARN),
        (np.full((360, 640, 3), 90, np.uint8), Status.FAIL),
    ],
)
def test_light(image: U8, status: Status) -> None:
    assert picture.check_light("lobby", image).status is status


@pytest.mark.parametrize(("height_px", "status"), [(300, Status.PASS), (100, Status.WARN), (60, Status.FAIL)])
def test_the_smallest_whole_person_counts_as_the_model_sees_it(height_px: int, status: Status) -> None:
    frames = make_frames(2, size=(640, 480))
    near, far = Seen("person", (20, 10, 100, 400)), Seen("person", (300, 20, 320, 20 + height_px))
    cut = Seen("person", (500, 470, 505, 480))  # at the edge: nobody knows how tall
    check = picture.check_people("lobby", frames, FakeDetector(lambda _: [near, far, cut]))
    assert check.status is status
    assert check.observed == pytest.approx(height_px * 416 / 640, abs=1)


def test_an_empty_lobby_cannot_be_measured_and_says_so() -> None:
    check = picture.check_people("lobby", make_frames(1), FakeDetector(lambda _: []))
    assert check.observed is None
    assert "walk to the far end" in check.output


@pytest.mark.parametrize(
    ("masks", "in_view", "status"),
    [(0, True, Status.FAIL), (1, True, Status.PASS), (0, False, Status.PASS), (2, False, Status.PASS)],
)
def test_a_pin_pad_needs_a_mask_or_a_declaration(masks: int, in_view: bool, status: Status) -> None:
    assert picture.check_pin_mask("lobby", masks=masks, pad_in_view=in_view, guarded=True).status is status


@pytest.mark.parametrize(("masks", "status"), [(0, Status.PASS), (1, Status.FAIL)])
def test_a_mask_needs_somebody_who_notices_that_the_camera_was_moved(masks: int, status: Status) -> None:
    assert picture.check_pin_mask("lobby", masks=masks, pad_in_view=False, guarded=False).status is status


def test_a_line_is_plain_where_nobody_looks() -> None:
    assert (
        line("fail", "mail", "refused:\n wrong password", "3 s")
        == "x fail  mail                     refused: wrong password (3 s)"
    )
    assert figure(None, "px") == ""
    assert figure(0, "alerts") == "0 alerts"
