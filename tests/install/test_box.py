"""install.sh for a box, on machines that are not like this one: what it checks, says and refuses; nothing is installed."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from install.stand_in import StandInMachine

REPO = Path(__file__).resolve().parents[2]
TOOLS = [
    "awk",
    "basename",
    "bash",
    "cat",
    "chmod",
    "cmp",
    "comm",
    "cp",
    "cut",
    "df",
    "dirname",
    "du",
    "env",
    "find",
    "flock",
    "grep",
    "head",
    "ln",
    "ls",
    "od",
    "mkdir",
    "mktemp",
    "mv",
    "pwd",
    "readlink",
    "rm",
    "rmdir",
    "sed",
    "seq",
    "sh",
    "sha256sum",
    "sort",
    "sync",
    "tail",
    "touch",
    "tr",
]
EX_USAGE, EX_DATAERR, EX_NOINPUT, EX_UNAVAILABLE, EX_CANTCREAT, EX_TEMPFAIL, EX_NOPERM = 64, 65, 66, 69, 73, 75, 77
EX_CONFIG = 78
PYTHON = """#!/bin/sh
case "$*" in
  *version_info*) echo "$FAKE_VERSION cpython" ;;
  *calcsize*) echo "64 glibc" ;;
  *ensurepip*) [ -z "$FAKE_NO_VENV" ] ;;
  *"import lgpio"*) exit 1 ;;
  *) exit 1 ;;
esac
"""


class Box(StandInMachine):
    """A machine that could be a box: its own root, its own programs."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, TOOLS)
        self.root = folder / "root"
        for name in ("edge/cli.py", "export/__init__.py", "weights/kiosk/manifest.json", "README.md", "LICENSE"):
            (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
            (self.clone / name).write_text("something")
        (self.clone / "pyproject.toml").write_text('version = "1.2.3"\n"weights/kiosk" = "edge/models/shipped"\n')
        shutil.copy(REPO / "install.sh", self.clone)
        shutil.copytree(REPO / "firmware_config", self.clone / "firmware_config", ignore=shutil.ignore_patterns("demo"))
        for name in ("run/systemd/system", "proc/device-tree", "sys/fs/cgroup", "dev", "opt", "var/lib", "etc"):
            (self.root / name).mkdir(parents=True)
        (self.root / "dev/video0").touch()
        (self.root / "dev/gpiochip0").touch()
        (self.root / "sys/fs/cgroup/cgroup.controllers").write_text("cpu memory pids\n")
        (self.root / "proc/meminfo").write_text("MemTotal:        1900000 kB\n")
        self.env |= {
            "KIOSK_GUARD_INSTALL_ROOT": str(self.root),
            "FAKE_VERSION": "3 11 2",
            "FAKE_NO_VENV": "",
        }
        self.has("python3", PYTHON)
        self.says("uname", "case $1 in -s) echo Linux ;; *) echo aarch64 ;; esac")
        self.says("id", "echo 0")
        self.says("systemctl", 'case "$*" in --version) echo "systemd 252 (252.1)" ;; *) exit 1 ;; esac')
        self.says("apt-get", "exit 0")

    def files(self) -> set[str]:
        return {str(p.relative_to(self.root)) for p in self.root.rglob("*")}


@pytest.fixture
def box(tmp_path: Path) -> Box:
    return Box(tmp_path)


def test_a_dry_run_says_everything_and_changes_nothing(box: Box) -> None:
    before = box.files()
    done = box.install("--dry-run")
    assert done.returncode == 0, done.stderr
    for said in (
        "install release 1.2.3 into",
        "/etc/systemd/system/kiosk-guard.service",
        "/etc/sysusers.d/kiosk-guard.conf",
        "/etc/tmpfiles.d/kiosk-guard.conf",
        "/etc/udev/rules.d/70-kiosk-guard.rules",
        "/etc/systemd/journald.conf.d/60-kiosk-guard.conf",
        "/etc/kiosk-guard/kiosk-guard.toml",
        "switch from nothing to 1.2.3",
        "enable kiosk-guard.service",
        "start the service",
    ):
        assert any(said in line and line.startswith("[install] Would ") for line in done.stdout.splitlines()), said
    assert "nothing was changed" in done.stdout
    assert done.stderr == ""
    assert box.files() == before
    assert box.called("apt-get") == []
    assert {c.split()[1] for c in box.called("systemctl")} <= {"--version", "is-enabled", "is-active", "show"}


def test_a_dry_run_needs_no_root(box: Box) -> None:
    box.says("id", "echo 1000")
    assert box.install("--dry-run").returncode == 0


def test_without_root(box: Box) -> None:
    box.says("id", "echo 1000")
    before = box.files()
    done = box.install()
    assert done.returncode == EX_NOPERM
    assert "sudo ./install.sh" in done.stderr
    assert box.files() == before


def test_all_that_is_missing_is_told_at_once_and_before_anything_changes(box: Box) -> None:
    before = box.files()
    box.says("uname", "case $1 in -s) echo Linux ;; *) echo armv7l ;; esac")
    box.env["FAKE_VERSION"] = "3 9 2"
    (box.root / "proc/meminfo").write_text("MemTotal:         400000 kB\n")
    box.says("df", "echo; echo x x x 102400")
    shutil.rmtree(box.root / "run")
    before = box.files()
    done = box.install()
    assert done.returncode == EX_UNAVAILABLE
    for words in (
        "armv7l",
        "python3 is cpython 3.9.2",
        "390 MiB of memory",
        "100 MiB are free",
        "systemd does not run this machine",
        "nothing was changed",
    ):
        assert words in done.stderr
    assert box.files() == before


def test_a_system_with_an_old_systemd(box: Box) -> None:
    box.says("systemctl", 'echo "systemd 241 (241)"')
    done = box.install()
    assert done.returncode == EX_UNAVAILABLE
    assert "systemd 241 is too old" in done.stderr


def test_what_can_be_plugged_in_later_is_only_a_note(box: Box) -> None:
    (box.root / "dev/video0").unlink()
    (box.root / "dev/gpiochip0").unlink()
    (box.root / "sys/fs/cgroup/cgroup.controllers").write_text("cpu pids\n")
    done = box.install("--dry-run")
    assert done.returncode == 0
    assert "no camera at /dev/video*" in done.stderr
    assert "no GPIO chip" in done.stderr
    assert "cgroup_enable=memory" in done.stderr


def test_packages_that_are_needed(box: Box) -> None:
    box.env["FAKE_NO_VENV"] = "yes"
    assert "Would install python3.11-venv with apt-get." in box.install("--dry-run").stdout


@pytest.mark.parametrize(("python", "needed"), [("3 11 2", False), ("3 13 5", True)])
def test_the_pin_driver_of_a_raspberry_pi(box: Box, python: str, needed: bool) -> None:
    (box.root / "proc/device-tree/model").write_text("Raspberry Pi 5 Model B Rev 1.0\0")
    box.env["FAKE_VERSION"] = python
    done = box.install("--dry-run")
    assert ("python3-lgpio" in done.stdout) == needed
    assert "/etc/systemd/system.conf.d/60-kiosk-guard-watchdog.conf" in done.stdout  # its hardware watchdog


@pytest.mark.parametrize(("systemd", "backoff"), [(252, False), (257, True)])
def test_what_only_a_newer_systemd_knows(box: Box, systemd: int, backoff: bool) -> None:
    box.says("systemctl", f'case "$*" in --version) echo "systemd {systemd} ({systemd})" ;; *) exit 1 ;; esac')
    done = box.install("--dry-run")
    assert ("kiosk-guard.service.d/10-backoff.conf" in done.stdout) == backoff
    assert "system.conf.d" not in done.stdout  # no Raspberry Pi


@pytest.mark.parametrize(
    "options",
    [
        ("--purge",),
        ("--uninstall", "--demo"),
        ("--uninstall", "--offline", "x"),
        ("--offline",),
        ("--offline", "--dry-run"),
        ("--site=",),
        ("--demo", "--dry-run"),
        ("--target", "aarch64-cp311"),
        ("--make-wheelhouse", "x", "--target", "aarch64-cp39"),
        ("--make-wheelhouse", "x", "--target", "mips-cp311"),
        ("--keep",),
        ("--root", "x"),
        ("--root", "x", "--offline", "y", "--uninstall"),
        ("--sites", "x"),
    ],
    ids=" ".join,
)
def test_options_that_make_no_sense(box: Box, options: tuple[str, ...]) -> None:
    before = box.files()
    done = box.install(*options)
    assert done.returncode == EX_USAGE, done.stdout
    assert "[install] error: " in done.stderr
    assert "usage: " in done.stderr
    assert box.files() == before


def test_uninstall_where_nothing_is(box: Box) -> None:
    done = box.install("--uninstall", "--purge")
    assert done.returncode == 0, done.stderr
    assert "not installed here" in done.stdout


def wheelhouse(box: Box, folder: Path, *, target: str = "aarch64-cp311") -> Path:
    """As --make-wheelhouse leaves one, with one wheel that is none."""
    folder.mkdir()
    (folder / "x.whl").write_text("a wheel")
    (folder / "TARGET").write_text(f"{target}\n")
    sources = subprocess.run(  # noqa: S602 - a pipe of our own words
        "find pyproject.toml README.md LICENSE edge export weights/kiosk -type f -exec sha256sum {} + "
        "| LC_ALL=C sort | sha256sum | cut -d ' ' -f 1",
        shell=True,
        cwd=box.clone,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    (folder / "SOURCES").write_text(sources)
    with (folder / "SHA256SUMS").open("w") as sums:
        subprocess.run(["sha256sum", "x.whl", "TARGET", "SOURCES"], cwd=folder, check=True, stdout=sums)
    return folder


def test_offline_needs_no_packages(box: Box, tmp_path: Path) -> None:
    box.env["FAKE_NO_VENV"] = "yes"
    done = box.install("--dry-run", "--offline", str(wheelhouse(box, tmp_path / "wheels")))
    assert done.returncode == 0, done.stderr
    assert "apt-get" not in done.stdout


def test_a_damaged_wheelhouse(box: Box, tmp_path: Path) -> None:
    folder = wheelhouse(box, tmp_path / "wheels")
    (folder / "x.whl").write_text("a wheeL")
    done = box.install("--offline", str(folder))
    assert done.returncode == EX_DATAERR
    assert "x.whl" in done.stderr


def test_a_wheelhouse_for_another_machine(box: Box, tmp_path: Path) -> None:
    done = box.install("--offline", str(wheelhouse(box, tmp_path / "wheels", target="aarch64-cp313")))
    assert done.returncode == EX_DATAERR
    assert "is for aarch64-cp313, this machine is aarch64-cp311" in done.stderr


def test_a_wheelhouse_of_another_version(box: Box, tmp_path: Path) -> None:
    folder = wheelhouse(box, tmp_path / "wheels")
    (box.clone / "edge/cli.py").write_text("newer")
    done = box.install("--offline", str(folder))
    assert done.returncode == EX_DATAERR
    assert "another version" in done.stderr


def test_no_wheelhouse_at_all(box: Box, tmp_path: Path) -> None:
    done = box.install("--offline", str(tmp_path))
    assert done.returncode == EX_NOINPUT
    assert "--make-wheelhouse" in done.stderr


def test_a_clone_without_a_part_of_the_script(box: Box) -> None:
    (box.clone / "firmware_config/install/box.sh").unlink()
    done = box.install("--dry-run")
    assert done.returncode == EX_NOINPUT
    assert "firmware_config/install/box.sh is missing" in done.stderr


def test_a_folder_of_somebody_else_s_is_not_touched(box: Box) -> None:
    precious = box.root / "opt/kiosk-guard/precious"
    precious.parent.mkdir()
    precious.write_text("mine")
    done = box.install()
    assert done.returncode == EX_CANTCREAT
    assert "was not made by install.sh" in done.stderr
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("options", [(), ("--uninstall",)])
def test_the_updater_is_waited_for(box: Box, options: tuple[str, ...]) -> None:
    lock = box.root / "var/lib/kiosk-guard-update/.lock"
    lock.parent.mkdir()
    lock.touch()
    (box.root / "opt/kiosk-guard").mkdir()
    (box.root / "opt/kiosk-guard/.made-by-kiosk-guard").touch()
    with lock.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = box.install(*options)
    assert done.returncode == EX_TEMPFAIL, done.stderr
    assert "kiosk-guard-update is at work" in done.stderr
    assert not list((box.root / "opt/kiosk-guard").glob("releases/*"))
    done = box.install(*options)  # nobody holds it now
    assert "is at work" not in done.stderr


def a_card(folder: Path, *, machine: bytes = b"\xb7\0", python: str = "python3.11") -> Path:
    """A mounted Raspberry Pi OS, as far as the script looks."""
    for name in ("etc/systemd/system", "etc/ssh", "usr/bin", "boot/firmware", "var/lib/systemd"):
        (folder / name).mkdir(parents=True)
    (folder / "usr/bin/dash").write_bytes(b"\x7fELF" + bytes(14) + machine + bytes(40))
    (folder / "usr/bin/python3").symlink_to(python)
    (folder / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (folder / "etc/ssh/ssh_host_ed25519_key").write_text("a key")
    (folder / "boot/firmware/config.txt").touch()
    (folder / "boot/firmware/cmdline.txt").write_text("root=/dev/mmcblk0p2 rootwait\n")
    return folder


def test_a_card_that_sets_itself_up(box: Box, tmp_path: Path) -> None:
    box.says("chown", "exit 0")
    card, wheels = a_card(tmp_path / "a card"), wheelhouse(box, tmp_path / "wheels")
    site = tmp_path / "kiosk-site.toml"
    site.write_text('kiosk_id = "box-1"\n')
    for _ in range(2):  # a second time: the same
        done = box.install("--root", str(card), "--offline", str(wheels), "--site", str(site))
        assert done.returncode == 0, done.stderr
        flash = card / "opt/kiosk-guard/flash"
        assert (flash / "install.sh").is_file()
        assert (flash / "wheels/x.whl").read_text() == "a wheel"
        assert not (flash / "firmware_config/demo").exists()
        for unit in ("kiosk-guard-identity.service", "kiosk-guard-firstboot.service"):
            wanted = card / "etc/systemd/system/multi-user.target.wants" / unit
            assert wanted.readlink() == Path("/etc/systemd/system") / unit
            assert (card / "etc/systemd/system" / unit).is_file()
        assert (card / "etc/machine-id").read_text() == ""
        assert not list((card / "etc/ssh").iterdir())
        assert (card / "boot/firmware/kiosk-site.toml").read_text() == site.read_text()
        assert (card / "boot/firmware/cmdline.txt").read_text() == "root=/dev/mmcblk0p2 rootwait cgroup_enable=memory\n"
    assert box.called("systemctl") == []


@pytest.mark.parametrize(
    ("card", "code", "words"),
    [
        ({"machine": b"\x28\0"}, EX_UNAVAILABLE, "no 64-bit"),
        ({"machine": b"\x3e\0"}, EX_DATAERR, "is for aarch64-cp311"),
        ({"python": "python3.9"}, EX_UNAVAILABLE, "python3.9"),
        ({"python": "python3.13"}, EX_DATAERR, "--target aarch64-cp313"),
    ],
)
def test_a_card_that_cannot_be_one(box: Box, tmp_path: Path, card: dict[str, Any], code: int, words: str) -> None:
    folder = a_card(tmp_path / "card", **card)
    done = box.install("--root", str(folder), "--offline", str(wheelhouse(box, tmp_path / "wheels")))
    assert done.returncode == code
    assert words in done.stderr
    assert not (folder / "opt").exists()


def test_a_dry_run_leaves_a_card_alone(box: Box, tmp_path: Path) -> None:
    card, wheels = a_card(tmp_path / "card"), wheelhouse(box, tmp_path / "wheels")
    box.says("id", "echo 1000")
    before = sorted(p for p in card.rglob("*"))
    done = box.install("--root", str(card), "--offline", str(wheels), "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "Would lay Kiosk Guard down" in done.stdout
    assert sorted(p for p in card.rglob("*")) == before
    assert (card / "etc/machine-id").read_text() != ""


@pytest.mark.parametrize(
    "line",
    [
        "root=PARTUUID=1 rootwait resize",
        "rootwait quiet init=/usr/lib/raspberrypi-sys-mods/firstboot",
        "rootwait quiet init=/usr/lib/raspi-config/init_resize.sh splash",
    ],
)
def test_a_card_that_grows_when_it_boots_needs_room_for_the_wheels_only(box: Box, tmp_path: Path, line: str) -> None:
    box.says("chown", "exit 0")
    box.says("df", "echo; echo x x x 307200")  # 300 MiB, as a freshly written Raspberry Pi OS Lite has
    card, wheels = a_card(tmp_path / "card"), wheelhouse(box, tmp_path / "wheels")
    done = box.install("--root", str(card), "--offline", str(wheels))
    assert done.returncode == EX_CANTCREAT
    assert "300 MiB are free" in done.stderr
    (card / "boot/firmware/cmdline.txt").write_text(f"{line}\n")
    done = box.install("--root", str(card), "--offline", str(wheels))
    assert done.returncode == 0, done.stderr
    assert (card / "boot/firmware/cmdline.txt").read_text() == f"{line} cgroup_enable=memory\n"


def test_a_card_whose_boot_partition_is_not_mounted(box: Box, tmp_path: Path) -> None:
    card = a_card(tmp_path / "card")
    (card / "boot/firmware/config.txt").unlink()
    done = box.install("--root", str(card), "--offline", str(wheelhouse(box, tmp_path / "wheels")))
    assert done.returncode == EX_NOINPUT
    assert "Mount the card's first partition" in done.stderr
    assert not (card / "opt").exists()


def test_this_machine_is_no_card(box: Box, tmp_path: Path) -> None:
    done = box.install("--root", "/", "--offline", str(wheelhouse(box, tmp_path / "wheels")))
    assert done.returncode == EX_USAGE
    assert "leave --root out" in done.stderr


def test_site_files_from_a_spreadsheet(box: Box, tmp_path: Path) -> None:
    (box.bin / "python3").unlink()
    (box.bin / "python3").symlink_to(sys.executable)
    shutil.copytree(REPO / "edge", box.clone / "edge", dirs_exist_ok=True)
    sheet = tmp_path / "boxes.csv"
    sheet.write_text("kiosk_id,kiosk_site\nbox-1,Main Street\nbox-2,Old Market\n")
    done = box.install("--sites", str(sheet), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "Old Market" in (tmp_path / "out/box-2/kiosk-site.toml").read_text()
    sheet.write_text("kiosk\nbox-1\n")
    done = box.install("--sites", str(sheet), "--out", str(tmp_path / "out"))
    assert done.returncode == EX_CONFIG
    assert "unknown columns: kiosk" in done.stderr


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="no shellcheck here; tests/run checks the scripts, too")
def test_shellcheck() -> None:
    scripts = [
        "install.sh",
        "firmware_config/firstboot/firstboot.sh",
        *(str(p.relative_to(REPO)) for p in sorted((REPO / "tests/vm").glob("*.sh"))),
    ]
    done = subprocess.run(
        ["shellcheck", *scripts], cwd=REPO, capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stdout
