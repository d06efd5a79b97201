"""install.sh against machines that are not like this one: every tool it calls is chosen here, nothing is downloaded."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from install.stand_in import StandInMachine

REPO = Path(__file__).resolve().parents[2]
# Everything the script may call besides what a case provides itself: what every Debian has.
TOOLS = [
    "awk",
    "bash",
    "cat",
    "cut",
    "df",
    "dirname",
    "du",
    "env",
    "find",
    "flock",
    "head",
    "ls",
    "mkdir",
    "mktemp",
    "pwd",
    "rm",
    "sed",
    "sh",
    "sha256sum",
    "sort",
    "tail",
]
STAND_IN_TOOLS = ["chmod", "cp", "mv", "true"]  # for the stand-ins below only
CLONE = [
    "pyproject.toml",
    "README.md",
    "LICENSE",
    "edge/cli.py",
    "export/__init__.py",
    "weights/kiosk/model.onnx",
    "firmware_config/demo/demo.py",
    "firmware_config/demo/demo.toml",
    "firmware_config/demo/lobby.mp4",
    "firmware_config/demo/lobby.truth.json",
]
EX_USAGE, EX_NOINPUT, EX_UNAVAILABLE, EX_CANTCREAT, EX_TEMPFAIL, EX_NOPERM = 64, 66, 69, 73, 75, 77

# Stands in for python3: answers what the script asks, makes "venvs" and "installs" without a network.
PYTHON = """#!/bin/sh
echo "python $*" >>"$CALLS"
case "$*" in
  *version_info*) echo "$FAKE_VERSION cpython" ;;
  *calcsize*) echo "$FAKE_FACTS" ;;
  *ensurepip*) [ -e "$FAKE_ENSUREPIP" ] ;;
  "-m venv "*) mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip config"*) exit 1 ;;
  "-m pip "*)
    if [ -n "$FAKE_PIP_FAILS" ]; then echo "no route to the package index"; exit 1; fi
    dir=$(dirname "$0"); : >"$dir/installed"
    printf '#!/bin/sh\\necho kiosk-guard 0.0.0-fake\\n' >"$dir/kiosk-guard"; chmod +x "$dir/kiosk-guard" ;;
  *"import cv2"*) [ -e "$(dirname "$0")/installed" ] ;;
  *demo.py*) echo "DEMO $*"; exit "$FAKE_DEMO_EXIT" ;;
esac
"""


class Machine(StandInMachine):
    """A machine with a clone of the repository on it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, TOOLS + STAND_IN_TOOLS)
        for name in CLONE:
            (self.clone / name).parent.mkdir(parents=True, exist_ok=True)
            (self.clone / name).write_text("something")
        shutil.copy(REPO / "install.sh", self.clone)
        shutil.copytree(REPO / "firmware_config" / "install", self.clone / "firmware_config" / "install")
        self.ensurepip = folder / "ensurepip"
        self.ensurepip.touch()
        self.env |= {
            "FAKE_ENSUREPIP": str(self.ensurepip),
            "FAKE_VERSION": "3 12 1",
            "FAKE_FACTS": "64 glibc",
            "FAKE_PIP_FAILS": "",
            "FAKE_DEMO_EXIT": "0",
        }
        self.has("python3", PYTHON)
        self.says("uname", "case $1 in -s) echo Linux ;; *) echo x86_64 ;; esac")
        self.says("id", "echo 1000")


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_installs_and_starts_the_demo(machine: Machine, shell: str) -> None:
    done = machine.install("--demo", shell=shell)
    assert done.returncode == 0, done.stderr
    assert f"DEMO {machine.clone}/firmware_config/demo/demo.py --out {machine.clone}/demo-output" in done.stdout
    assert done.stderr == ""
    [pip] = machine.called("python -m pip install")
    assert pip.endswith(f"{machine.clone}[demo]")


def test_the_exit_code_is_the_demo_s(machine: Machine) -> None:
    machine.env["FAKE_DEMO_EXIT"] = "1"
    assert machine.install("--demo").returncode == 1


def test_directories_are_taken_from_where_the_caller_stands(machine: Machine, tmp_path: Path) -> None:
    done = machine.install("--demo", "--keep", "--out", "my out", "--venv=my venv", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith(f"--out {tmp_path}/my out --keep")
    assert (tmp_path / "my venv" / "bin" / "python").exists()
    assert not (machine.clone / ".venv").exists()


def test_a_second_run_installs_nothing(machine: Machine) -> None:
    machine.install("--demo")
    done = machine.install("--demo")
    assert done.returncode == 0
    assert "already installed" in done.stdout
    assert machine.called("python -m pip") == machine.called("python -m venv") == []


def test_changed_sources_are_installed_anew(machine: Machine) -> None:
    machine.install("--demo")
    (machine.clone / "edge" / "cli.py").write_text("something new")
    done = machine.install("--demo")
    assert "have changed" in done.stdout
    assert len(machine.called("python -m pip install")) == 1


def test_an_interrupted_run_is_started_over(machine: Machine) -> None:
    machine.env["FAKE_PIP_FAILS"] = "yes"
    failed = machine.install("--demo")
    assert failed.returncode == EX_TEMPFAIL
    assert "no route to the package index" in failed.stderr  # pip's own words
    assert "DEMO" not in failed.stdout
    machine.env["FAKE_PIP_FAILS"] = ""
    done = machine.install("--demo")
    assert done.returncode == 0
    assert "interrupted" in done.stdout


def test_a_complete_venv_that_broke_is_made_anew(machine: Machine) -> None:
    machine.install("--demo")
    (machine.clone / ".venv" / "bin" / "python").unlink()  # as after an upgrade of the system's Python
    done = machine.install("--demo")
    assert done.returncode == 0
    assert len(machine.called("python -m venv")) == 1


def test_a_folder_of_somebody_else_s_is_not_touched(machine: Machine) -> None:
    precious = machine.clone / ".venv" / "precious"
    precious.parent.mkdir()
    precious.write_text("mine")
    done = machine.install("--demo")
    assert done.returncode == EX_CANTCREAT
    assert "was not made by install.sh" in done.stderr
    assert precious.read_text() == "mine"


def test_a_place_that_cannot_be_made(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = machine.install("--demo", "--venv", str(tmp_path / "file" / "venv"))
    assert done.returncode == EX_CANTCREAT
    assert "--venv DIR" in done.stderr


def test_a_full_disk(machine: Machine) -> None:
    machine.says("df", "echo heading; echo /dev/sda1 1000000 900000 100000 90% /")
    done = machine.install("--demo")
    assert done.returncode == EX_CANTCREAT
    assert "97 MiB are free" in done.stderr
    assert not (machine.clone / ".venv").exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--frobnicate",),
        ("--demo", "extra"),
        ("--keep",),
        ("--out", "x"),
        ("--demo", "--out"),
        ("--demo", "--out", "--keep"),
        ("--demo", "--venv="),
    ],
    ids=" ".join,
)
def test_wrong_options(machine: Machine, options: tuple[str, ...]) -> None:
    done = machine.install(*options)
    assert done.returncode == EX_USAGE
    assert "usage: ./install.sh" in done.stderr
    assert machine.called("") == []


def test_help(machine: Machine) -> None:
    done = machine.install("--help")
    assert (done.returncode, done.stderr) == (0, "")
    for option in ("--demo", "--keep", "--out DIR", "--venv DIR", "--help"):
        assert option in done.stdout


@pytest.mark.parametrize("name", CLONE)
def test_an_incomplete_clone(machine: Machine, name: str) -> None:
    (machine.clone / name).unlink()
    if name.startswith("weights/"):
        (machine.clone / "weights" / "kiosk").rmdir()
    done = machine.install("--demo")
    assert done.returncode == EX_NOINPUT
    assert str(Path(name).parent if name.startswith("weights/") else name) in done.stderr


@pytest.mark.parametrize("kind", ["armv7l", "armv6l", "i686", "riscv64"])
def test_a_processor_without_wheels(machine: Machine, kind: str) -> None:
    machine.says("uname", f"case $1 in -s) echo Linux ;; *) echo {kind} ;; esac")
    done = machine.install("--demo")
    assert done.returncode == EX_UNAVAILABLE
    assert kind in done.stderr
    assert "64-bit" in done.stderr
    assert not (machine.clone / ".venv").exists()


def test_a_32_bit_system_on_a_64_bit_kernel(machine: Machine) -> None:
    machine.env["FAKE_FACTS"] = "32 glibc"
    done = machine.install("--demo")
    assert done.returncode == EX_UNAVAILABLE
    assert "32-bit program" in done.stderr


def test_another_c_library(machine: Machine) -> None:
    machine.env["FAKE_FACTS"] = "64 another-libc"
    done = machine.install("--demo")
    assert done.returncode == EX_UNAVAILABLE
    assert "glibc" in done.stderr


def test_an_old_python(machine: Machine) -> None:
    machine.env["FAKE_VERSION"] = "3 9 2"
    done = machine.install("--demo")
    assert done.returncode == EX_UNAVAILABLE
    assert "python3 is cpython 3.9.2" in done.stderr
    assert "3.10" in done.stderr


def test_a_newer_python_beside_an_old_one(machine: Machine) -> None:
    machine.has("python3.12", PYTHON)
    machine.has("python3", PYTHON.replace("$FAKE_VERSION", "3 9 2"))
    done = machine.install("--demo")
    assert done.returncode == 0
    assert "Python 3.12.1" in done.stdout


def test_without_venv_and_without_rights_the_command_is_named(machine: Machine) -> None:
    machine.ensurepip.unlink()
    machine.says("apt-get", "exit 0")
    machine.says("sudo", "exit 1")  # asks for a password
    done = machine.install("--demo")
    assert done.returncode == EX_NOPERM
    assert "sudo apt-get update && sudo apt-get install -y python3.12-venv" in done.stderr
    assert machine.called("apt-get") == []


@pytest.mark.parametrize("who", ["root", "sudo without a password"])
def test_without_venv_it_is_installed(machine: Machine, who: str) -> None:
    machine.ensurepip.unlink()
    machine.says("apt-get", f'case "$*" in *install*) : >"{machine.ensurepip}" ;; esac')
    if who == "root":
        machine.says("id", "echo 0")
    else:
        machine.says("sudo", 'shift; exec "$@"')
    done = machine.install("--demo")
    assert done.returncode == 0, done.stderr
    update, install = machine.called("apt-get")
    assert update.endswith("update")
    assert install.endswith("install -y --no-install-recommends python3.12-venv")
    assert bool(machine.called("sudo")) == (who != "root")


def test_apt_get_that_fails_is_told_in_its_own_words(machine: Machine) -> None:
    machine.ensurepip.unlink()
    machine.says("id", "echo 0")
    machine.says("apt-get", "echo 'E: Unable to locate package'; exit 100")
    done = machine.install("--demo")
    assert done.returncode == EX_TEMPFAIL
    assert "Unable to locate package" in done.stderr


def test_without_python_it_is_installed(machine: Machine, tmp_path: Path) -> None:
    (machine.bin / "python3").rename(tmp_path / "python3")
    machine.says("id", "echo 0")
    machine.says("apt-get", f'case "$*" in *install*) mv "{tmp_path}/python3" "{machine.bin}" ;; esac')
    done = machine.install("--demo")
    assert done.returncode == 0, done.stderr
    assert machine.called("apt-get")[1].endswith("python3 python3-venv")


def test_two_at_once(machine: Machine) -> None:
    if not (machine.bin / "flock").exists():
        pytest.skip("no flock on this machine")
    holder = subprocess.Popen(["flock", machine.clone / "pyproject.toml", "sleep", "60"], start_new_session=True)
    try:
        while not subprocess.run(["flock", "-n", machine.clone / "pyproject.toml", "true"], check=False).returncode:
            os.sched_yield()
        done = machine.install("--demo")
    finally:
        os.killpg(holder.pid, 15)
        holder.wait()
    assert done.returncode == EX_TEMPFAIL
    assert "another install.sh" in done.stderr


def test_settings_of_the_surroundings_do_not_leak_in(machine: Machine) -> None:
    machine.has("python3", PYTHON.replace('echo "python $*"', 'echo "python $* [$PYTHONPATH$PIP_TARGET$PIP_USER]"'))
    machine.env |= {"PYTHONPATH": "/elsewhere", "PIP_TARGET": "/elsewhere", "PIP_USER": "1"}
    done = machine.install("--demo")
    assert done.returncode == 0, done.stderr
    [pip] = machine.called("python -m pip install")
    assert pip.endswith("[0]")
