"""install.sh of a box that is broken off: a connection that goes, Ctrl-C, a kill, a disk that cannot be written."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from install.test_box import Box

EX_SOFTWARE, EX_CANTCREAT = 70, 73
PYTHON = r"""#!/bin/sh
case "$*" in
  *version_info*) echo "3 11 2 cpython" ;;
  *calcsize*) echo "64 glibc" ;;
  *ensurepip*) ;;
  "-m venv "*)
    for folder; do :; done
    mkdir -p "$folder/bin"
    cp "$FAKES/venv-python" "$folder/bin/python" ;;
  "-I "*) ;;
  *) exit 1 ;;
esac
"""
VENV_PYTHON = r"""#!/bin/sh
here=${0%/*}
case "$*" in
  *"pip install"*) [ -z "$NO_NETWORK" ] && cp "$FAKES/kiosk-guard" "$here/kiosk-guard" ;;
  *"import cv2"*) [ ! -e "$here/broken" ] ;;
  *) exit 1 ;;
esac
"""
KIOSK_GUARD = r"""#!/bin/sh
case $1 in
  version | check-config) ;;
  --help) echo "  doctor  tries every part" ;;
  doctor) eval "$IN_DOCTOR" ;;
  *) exit 1 ;;
esac
"""
SYSTEMCTL = r"""
case "$*" in
  --version) echo "systemd 252 (252.1)" ;;
  *is-active*) [ -e "$FAKES/active" ] && echo active ;;
  restart*kiosk-guard.service) eval "$IN_RESTART"; touch "$FAKES/active" ;;
  *"show -p ActiveState"*) echo active ;;
  *"show -p NRestarts"*) echo 0 ;;
  *"show -p StatusText"*) cat "$(readlink -f "$FAKES/../root/opt/kiosk-guard/current")/status" 2>/dev/null ;;
  *is-enabled*) echo enabled ;;
esac
"""


class WholeBox(Box):
    """One on which an installation comes to its end, with programs that only pretend."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        fakes = folder / "fakes"
        fakes.mkdir()
        for name, script in {"venv-python": VENV_PYTHON, "kiosk-guard": KIOSK_GUARD}.items():
            (fakes / name).write_text(script)
            (fakes / name).chmod(0o755)
        self.has("python3", PYTHON)
        self.says("systemctl", SYSTEMCTL)
        for name in ("getent", "systemd-sysusers", "udevadm", "journalctl", "chgrp", "chown", "sleep"):
            self.says(name, "exit 0")
        self.says("systemd-tmpfiles", f"mkdir -p '{self.root}/etc/kiosk-guard'")
        self.has("timeout", '#!/bin/sh\nshift\nexec "$@"\n')
        for tool in ("wc", "date", "tee"):
            (self.bin / tool).symlink_to(str(shutil.which(tool)))
        self.opt, self.etc = self.root / "opt/kiosk-guard", self.root / "etc/kiosk-guard"
        self.config = self.etc / "kiosk-guard.toml"
        self.units = self.root / "etc/systemd/system"
        self.env |= {"FAKES": str(fakes), "IN_DOCTOR": "", "IN_RESTART": "", "NO_NETWORK": ""}

    @property
    def current(self) -> str:
        link = self.opt / "current"
        return link.readlink().name if link.is_symlink() and link.exists() else ""

    def becomes(self, version: str, *, status: str = "guarding") -> None:
        """The clone is another version, which says that of itself."""
        (self.clone / "pyproject.toml").write_text(f'version = "{version}"\n"weights/kiosk" = "edge/models/shipped"\n')
        script = VENV_PYTHON.replace(
            '"$here/kiosk-guard"', f'"$here/kiosk-guard" && echo "{status}" >"$here/../status"'
        )
        Path(self.env["FAKES"], "venv-python").write_text(script)


@pytest.fixture
def box(tmp_path: Path) -> WholeBox:
    made = WholeBox(tmp_path)
    done = made.install()
    assert done.returncode == 0, done.stderr
    assert made.current == "1.2.3"
    return made


def test_a_second_time_changes_nothing(box: WholeBox) -> None:
    before = box.files()
    assert box.install().returncode == 0
    assert box.files() == before


@pytest.mark.parametrize("name", ["INT", "HUP", "TERM"])
def test_broken_off_while_it_tries_the_parts_the_new_release_stays(box: WholeBox, name: str) -> None:
    box.becomes("1.2.4")
    box.env["IN_DOCTOR"] = f"kill -{name} $PPID; sleep 0.1"
    assert box.install().returncode > 128
    assert box.current == "1.2.4", "it ran already, and the doctor only looks"
    box.becomes("1.2.5")
    box.env["IN_DOCTOR"] = ""
    assert box.install().returncode == 0


@pytest.mark.parametrize("name", ["INT", "HUP", "TERM", "PIPE"])
def test_broken_off_in_the_middle_the_old_release_is_back(box: WholeBox, name: str) -> None:
    box.becomes("1.2.4")
    unit = box.clone / "firmware_config/systemd/kiosk-guard.service"
    old = unit.read_text()
    unit.write_text(old + "# newer\n")
    box.env["IN_RESTART"] = f"[ -e $FAKES/once ] || {{ touch $FAKES/once; kill -{name} $PPID; }}"
    done = box.install()
    assert done.returncode > 128
    assert box.current == "1.2.3"
    assert (box.units / "kiosk-guard.service").read_text() == old
    assert not (box.opt / ".undo").exists()
    assert not (box.opt / "releases/1.2.4").exists()


def test_a_terminal_that_is_gone_does_not_keep_it_from_undoing(box: WholeBox) -> None:
    box.becomes("1.2.4")
    box.env["IN_RESTART"] = "exec 1>&- 2>&-; [ -e $FAKES/once ] || { touch $FAKES/once; exit 1; }"
    with Path("/dev/full").open("w") as nowhere:
        code = subprocess.run(
            [str(shutil.which("sh")), box.clone / "install.sh"],
            env=box.env,
            stdout=subprocess.DEVNULL,
            stderr=nowhere,
            stdin=subprocess.DEVNULL,
            check=False,
            timeout=60,
        ).returncode
    assert code != 0
    assert box.current == "1.2.3"
    assert not (box.opt / ".undo").exists()


def kill_in_restart(box: WholeBox) -> None:
    """As a power cut or the kernel ends it: nothing is undone."""
    box.env["IN_RESTART"] = "kill -KILL $PPID"
    assert box.install().returncode == -9
    box.env["IN_RESTART"] = ""
    assert (box.opt / ".undo").exists()


def test_what_somebody_wrote_after_a_first_run_was_cut_off_stays(tmp_path: Path) -> None:
    box = WholeBox(tmp_path)
    kill_in_restart(box)
    box.config.write_text('[kiosk]\nid = "mine"\n')
    done = box.install()
    assert done.returncode == 0, done.stderr
    assert 'id = "mine"' in box.config.read_text()
    assert "was changed since, and stays" in done.stderr


def test_what_nobody_touched_is_put_back_after_a_run_was_cut_off(box: WholeBox) -> None:
    old = (box.units / "kiosk-guard.service").read_text()
    unit = box.clone / "firmware_config/systemd/kiosk-guard.service"
    unit.write_text(old + "# newer\n")
    box.becomes("1.2.4")
    kill_in_restart(box)
    assert "# newer" in (box.units / "kiosk-guard.service").read_text()
    unit.write_text(old)
    assert box.install().returncode == 0
    assert (box.units / "kiosk-guard.service").read_text() == old


def test_uninstalling_what_was_cut_off_leaves_no_trace(tmp_path: Path) -> None:
    box = WholeBox(tmp_path)
    before = box.files()
    box.env["IN_RESTART"] = ""
    box.says("systemd-sysusers", "kill -KILL $PPID")
    assert box.install().returncode == -9
    (box.opt / ".files").unlink()  # cut off before the list was written
    assert (box.units / "kiosk-guard.service").exists()
    (box.units / "kiosk-guard.service.new").touch()  # or while a file was
    done = box.install("--uninstall", "--purge")
    assert done.returncode == 0, done.stderr
    assert box.files() - before <= {
        "usr",
        "usr/local",
        "usr/local/lib",
        "usr/local/bin",
        "etc/systemd",
        "var/lib/systemd",
    }


def test_the_release_that_runs_is_never_built_over(box: WholeBox) -> None:
    (box.opt / "releases/1.2.3/bin/broken").touch()  # a card forgets
    box.env["NO_NETWORK"] = "yes"
    assert box.install().returncode == 75
    assert box.current == "1.2.3"
    box.env["NO_NETWORK"] = ""
    done = box.install()
    assert done.returncode == 0, done.stderr
    assert box.current.startswith("1.2.3+")


def test_a_release_that_is_up_but_does_not_guard_is_taken_back(box: WholeBox) -> None:
    box.becomes("1.2.4", status="FAULT, does not guard: the model cannot be loaded")
    done = box.install()
    assert done.returncode == EX_SOFTWARE
    assert "the model cannot be loaded" in done.stderr
    assert "does not guard here" in done.stderr
    assert box.current == "1.2.3"


def test_and_taken_where_the_one_before_did_not_guard_either(box: WholeBox) -> None:
    (box.opt / "releases/1.2.3/status").write_text("FAULT, does not guard: no such camera\n")
    box.becomes("1.2.4", status="FAULT, does not guard: no such camera")
    assert box.install().returncode == 0
    assert box.current == "1.2.4"


def test_a_disk_that_can_only_be_read_is_told_before_anything_changes(tmp_path: Path) -> None:
    box = WholeBox(tmp_path)
    read_only = ["mount", "-t", "tmpfs", "-o", "ro", "none", str(box.root / "opt")]
    if os.geteuid() != 0 or subprocess.run(read_only, check=False, capture_output=True).returncode != 0:
        pytest.skip("no disk that can only be read can be made here")
    try:
        done = box.install()
    finally:
        subprocess.run(["umount", str(box.root / "opt")], check=True)
    assert done.returncode == EX_CANTCREAT
    assert "is on a read-only disk" in done.stderr
    assert "nothing was changed" in done.stderr


FIRST_BOOT = "firmware_config/firstboot/firstboot.sh"


@pytest.fixture
def card(box: WholeBox) -> WholeBox:
    """Its first boot: what --root laid down, with an install.sh that only notes how it was called."""
    flash = box.opt / "flash"
    flash.mkdir()
    (flash / "install.sh").write_text('echo "install $*" >>"$CALLS"\n')
    (box.root / "boot/firmware").mkdir(parents=True)
    (box.root / "boot/firmware/config.txt").touch()
    (box.bin / "dd").symlink_to(str(shutil.which("dd")))
    return box


def first_boot(card: WholeBox) -> str:
    card.calls.write_text("")
    command = [str(shutil.which("sh")), card.clone / FIRST_BOOT, "install"]
    subprocess.run(command, env=card.env, check=True, capture_output=True, timeout=60)
    return card.calls.read_text()


def test_a_site_file_that_was_overwritten_and_not_yet_removed_is_no_site_file(card: WholeBox) -> None:
    site = card.root / "boot/firmware/kiosk-site.toml"
    site.write_bytes(bytes(500))
    assert "--site" not in first_boot(card)
    assert not site.exists()


@pytest.mark.parametrize("name", ["kiosk-site.toml", "kiosk-site.toml.txt"])
def test_a_site_file_with_the_ending_that_an_editor_adds(card: WholeBox, name: str) -> None:
    site = card.root / "boot/firmware" / name
    site.write_text('kiosk_id = "box-1"\n')
    assert f"--site {site}" in first_boot(card)
    assert not site.exists()
