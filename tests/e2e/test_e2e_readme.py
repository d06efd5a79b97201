"""What the README tells people to type exists, and its configuration is a good one."""

from __future__ import annotations

import re
import shlex
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from e2e.appliance_process import REPO

if TYPE_CHECKING:
    from pathlib import Path

README = (REPO / "README.md").read_text(encoding="utf-8")
CI = (REPO / ".ci" / "run").read_text(encoding="utf-8")


def _fenced(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


COMMANDS = [line[2:] for block in _fenced("console") for line in block.splitlines() if line.startswith("$ ")]


def test_the_two_commands_are_there() -> None:
    assert "./install.sh --demo" in COMMANDS
    assert "./tests/run" in COMMANDS
    # And they are what CI runs: the first through the tier that installs for real.
    assert "tests/run\n" in CI
    assert "tests/run --install" in CI


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_exists_with_its_options(run: Any, line: str) -> None:
    program, *words = shlex.split(line.removeprefix("sudo "))
    if program == "kiosk-guard":
        command, *words = words
        asked = run(command, "--help")
    else:
        assert program in {"./install.sh", "./tests/run"}
        asked = subprocess.run([REPO / program, "--help"], capture_output=True, text=True, check=False, timeout=30)
    assert asked.returncode == 0, asked.stderr
    for option in [w for w in words if w.startswith("-")]:
        assert re.search(rf"(?<![\w-]){option}(?![\w-])", asked.stdout), f"{option} is not in: {asked.stdout}"


def test_the_configuration_shown_is_good(run: Any, tmp_path: Path) -> None:
    [shown] = _fenced("toml")
    path = tmp_path / "kiosk-guard.toml"
    path.write_text(shown, encoding="utf-8")
    done = run("check-config", path)
    assert done.returncode == 0, done.stderr


def test_what_it_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) >= 5
    for link in links:
        assert (REPO / link).is_file(), link


def test_options_it_speaks_of_exist() -> None:
    """Options in running text, each of which belongs to install.sh."""
    usage = subprocess.run([REPO / "install.sh", "--help"], capture_output=True, text=True, check=True).stdout
    for option in set(re.findall(r"`(--[a-z-]+)`", README)):
        assert option in usage
