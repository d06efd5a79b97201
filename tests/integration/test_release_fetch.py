"""``kiosk-guard-update fetch`` against a real https server; and one at a time: the updater, and install.sh beside it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from fakes.releases import Box, Maker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fakes.file_server import FileServer


@pytest.fixture
def box(tmp_path: Path, maker: Maker, server: FileServer) -> Box:
    made = Box(tmp_path, maker)
    made.adopt("0.9.0")
    (made.etc / "update.conf").write_text(server.update_conf)
    return made


def kept(box: Box) -> list[str]:
    return sorted(path.name for path in (box.root / "var/lib/kiosk-guard-update").glob("kiosk-guard-*"))


def test_what_is_fetched_is_tried_and_what_failed_is_not_fetched_again(box: Box, server: FileServer) -> None:
    done = box.update("fetch")  # nobody listens at its health address
    assert done.returncode == 70, done.stdout + done.stderr
    assert "switching from 0.9.0 to 0.9.1" in done.stdout
    assert box.current == "0.9.0"
    assert kept(box) == []
    asked = len(server.asked)
    done = box.update("fetch")
    assert done.returncode == 0
    assert "nothing new" in done.stdout
    assert len(server.asked) == asked + 1  # for its name only


def test_a_cut_connection_goes_on_where_it_broke(box: Box, server: FileServer, release: Path) -> None:
    server.cut_after = 100_000
    done = box.update("fetch")
    assert done.returncode == 69, done.stdout + done.stderr
    assert "goes on from there" in done.stdout
    assert kept(box) == [release.with_suffix(".part").name]
    done = box.update("fetch")
    assert done.returncode == 70, done.stdout + done.stderr
    assert server.asked[-1]["range"] == "bytes=100000-"
    assert "0.9.1" in box.read("failed.json")


def test_a_server_whose_certificate_is_nobodys_and_one_that_sends_us_astray(box: Box, server: FileServer) -> None:
    server.redirect = "http://localhost/elsewhere"
    done = box.update("fetch")
    assert done.returncode == 69
    assert "not https://" in done.stdout
    conf = box.etc / "update.conf"
    conf.write_text("".join(line for line in conf.read_text().splitlines(keepends=True) if "ca_file" not in line))
    done = box.update("fetch")
    assert done.returncode == 69
    assert "CERTIFICATE_VERIFY_FAILED" in done.stdout
    assert (box.current, kept(box)) == ("0.9.0", [])


@pytest.mark.parametrize("name", ["../../etc/shadow", "kiosk-guard-0.9.1.tar", "", "<html>"])
def test_a_name_that_is_no_release_s_is_refused(box: Box, server: FileServer, name: str) -> None:
    server.more["/fleet/latest"] = name.encode()
    done = box.update("fetch")
    assert done.returncode == 65
    assert "is no name of a release" in done.stdout


def test_one_at_a_time(box: Box, release: Path) -> None:
    with locked(box.root / "var/lib/kiosk-guard-update/.lock"):
        for act in (["fetch"], ["install", release], ["rollback"], ["judge"]):
            done = box.update(*act)
            assert done.returncode == 75, done.stdout + done.stderr
            assert "another kiosk-guard-update, or install.sh, is at work" in done.stdout
        assert box.update("status").returncode == 0
    assert box.current == "0.9.0"


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """As a run of install.sh holds it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    holder = subprocess.Popen(["flock", path, "sleep", "60"], start_new_session=True)
    try:
        while not subprocess.run(["flock", "-n", path, "true"], check=False).returncode:
            os.sched_yield()
        yield
    finally:
        os.killpg(holder.pid, 15)
        holder.wait()
