"""The installed command, run on the committed clip."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e.appliance_process import Config, Process

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def command() -> Path:
    """The ``kiosk-guard`` beside this Python."""
    found = shutil.which("kiosk-guard", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    assert found, "kiosk-guard is not installed: use ./tests/run"
    return Path(found)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(tmp_path)


@pytest.fixture
def start(command: Path) -> Iterator[Any]:
    """Start ``kiosk-guard run`` on a configuration file; ended with the test."""
    started: list[Process] = []

    def run(config: Path, *options: str, env: dict[str, str] | None = None) -> Process:
        started.append(Process(command, config, *options, env=env))
        return started[-1]

    yield run
    for process in started:
        process.end()


@pytest.fixture
def run(command: Path) -> Any:
    """Run a ``kiosk-guard`` command to its end."""

    def call(*arguments: object, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [command, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )

    return call
