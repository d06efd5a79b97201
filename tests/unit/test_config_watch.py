"""The configuration's file against what the service works with."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from edge.app.config_watch import ConfigWatch
from edge.config import load
from edge.health.interface import Status

if TYPE_CHECKING:
    from pathlib import Path

GOOD = '[[cameras]]\nname = "lobby"\nsource = "file:clip.mp4"\n'


class File:
    """A configuration file and its watch; ``write`` is seen whatever the clock's grain."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.read = 0
        self.wrote = 0
        path.write_text(GOOD)
        self.watch = ConfigWatch(path, try_load=self.load)

    def load(self) -> None:
        self.read += 1
        load(self.path)

    def write(self, text: str) -> None:
        self.path.write_text(text)
        self.wrote += 1
        os.utime(self.path, ns=(self.wrote, self.wrote))

    def verdict(self) -> tuple[Status, str]:
        self.watch.look()
        check = self.watch.check()
        assert check.name == "config"
        return check.status, check.output


@pytest.fixture(name="file")
def _file(tmp_path: Path) -> File:
    return File(tmp_path / "kiosk-guard.toml")


def test_the_file_in_use_is_fine_and_is_not_read_again(file: File) -> None:
    assert [file.verdict() for _ in range(3)] == [(Status.PASS, "")] * 3
    assert file.read == 0


def test_a_change_waits_for_a_restart(file: File) -> None:
    file.write(GOOD + "[kiosk]\nid = 'k-2'\n")
    status, words = file.verdict()
    assert status is Status.WARN
    assert "systemctl restart" in words


def test_a_fault_is_told_before_the_next_start_fails_on_it(file: File) -> None:
    file.write(GOOD + "[rulez]\nx = 1\n")
    status, words = file.verdict()
    assert status is Status.WARN
    assert "rulez" in words
    assert f"check-config {file.path}" in words
    assert "\n" not in words
    file.verdict()
    assert file.read == 1


def test_the_old_text_again_is_fine_again(file: File) -> None:
    file.write("no toml [")
    assert file.verdict()[0] is Status.WARN
    file.write(GOOD)
    assert file.verdict() == (Status.PASS, "")


def test_a_file_that_went_away_is_told(file: File) -> None:
    file.path.unlink()
    status, words = file.verdict()
    assert status is Status.WARN
    assert str(file.path) in words
