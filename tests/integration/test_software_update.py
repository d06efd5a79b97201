"""kiosk-guard-update as a process: signed releases built, switched, judged and taken back; the state survives both ways."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tarfile
import time
from typing import TYPE_CHECKING

import pytest
from e2e.appliance_process import Config, free_port
from fakes.mailserver import mail_server
from fakes.releases import Box, Maker

from edge.alerts.database import open_database
from edge.alerts.outbox import Outbox
from edge.clock import SystemClock, boot_id
from edge.types import Alert, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# What a next version may do to the state: only add. And what this one does badly: it is never ready.
NEWER = {
    "alerts/schema.py": """
MIGRATIONS += (
    "CREATE TABLE of_the_next_version (n INTEGER PRIMARY KEY);\\n"
    "ALTER TABLE outbox ADD COLUMN of_the_next_version TEXT NOT NULL DEFAULT '';\\n",
)
""",
    "app/board.py": '\nBoard.ready = lambda self: (False, "broken on purpose")\n',
}


@pytest.fixture(scope="module")
def good(release: Path) -> Path:
    return release


@pytest.fixture
def box(tmp_path: Path, maker: Maker) -> Box:
    return Box(tmp_path, maker)


def repacked(archive: Path, folder: Path, name: str, content: bytes | None) -> Path:
    """The release with one file changed, added, or (None) left out."""
    out = folder / "changed.tar"
    unpacked = folder / "unpacked"
    with tarfile.open(archive) as tar:
        safely = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # Debian 12's Python has none yet
        tar.extractall(unpacked, **safely)  # noqa: S202 - packed by the test a moment ago
    if content is None:
        (unpacked / name).unlink()
    else:
        (unpacked / name).write_bytes(content)
    with tarfile.open(out, "w") as tar:
        for path in sorted(unpacked.rglob("*")):
            if path.is_file():
                tar.add(path, arcname=path.relative_to(unpacked).as_posix())
    return out


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("requirements.txt", b"other\n", "requirements.txt: missing, changed or unknown"),
        ("more.txt", b"other\n", "more.txt: missing, changed or unknown"),
        ("requirements.txt", None, "requirements.txt: missing"),
        ("release.json", b"{}", "no trusted key signed this release"),
        ("release.json.sig", b"0" * 64, "no trusted key signed this release"),
        ("release.json.sig", None, "not signed"),
        ("release.json", None, "this is no release"),
    ],
)
def test_what_the_maker_did_not_sign_is_refused(  # noqa: PLR0917 - fixtures and parameters
    box: Box, good: Path, tmp_path: Path, name: str, content: bytes | None, words: str
) -> None:
    box.adopt("0.9.0")
    done = box.update("install", repacked(good, tmp_path, name, content))
    assert done.returncode == 65
    assert words in done.stdout
    assert (box.current, box.releases) == ("0.9.0", ["0.9.0"])
    assert not (box.root / "opt/kiosk-guard/.incoming").exists()


def test_another_makers_release_junk_and_a_box_without_keys_are_refused(box: Box, good: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    stranger = Maker(tmp_path / "other")
    (tmp_path / "junk.tar").write_bytes(b"junk" * 1000)
    assert box.update("install", stranger.release("9.9")).returncode == 65
    assert box.update("install", tmp_path / "junk.tar").returncode == 65
    (box.etc / "release-keys" / "operator.pub").unlink()
    done = box.update("install", good)
    assert done.returncode == 65
    assert "holds no key" in done.stdout
    assert box.current == ""


def test_an_older_release_needs_force(box: Box, good: Path) -> None:
    box.adopt("0.10.0")
    done = box.update("install", good)
    assert done.returncode == 65
    assert "0.9.1 is older than 0.10.0" in done.stdout
    assert box.current == "0.10.0"


def test_a_release_that_is_never_ready_is_taken_back_and_not_tried_again(box: Box, good: Path) -> None:
    box.adopt("0.9.0")
    done = box.update("install", good)  # nobody listens at its health address
    assert done.returncode == 70, done.stdout + done.stderr
    assert box.current == "0.9.0"
    assert "0.9.1" in box.read("failed.json")
    assert box.read("trial.json") == {}
    assert (box.root / "systemctl.log").read_text().split("\n")[:2] == ["restart kiosk-guard.service"] * 2
    again = box.update("install", good)
    assert again.returncode == 65
    assert "failed here" in again.stdout


def test_the_release_before_is_taken_by_rolling_back(box: Box, good: Path) -> None:
    box.adopt("0.9.1")
    box.adopt("0.9.2")
    (box.root / "opt/kiosk-guard/previous").symlink_to("releases/0.9.1")
    done = box.update("--force", "install", good)
    assert done.returncode == 65
    assert "kiosk-guard-update rollback" in done.stdout
    assert box.update("rollback").returncode == 0
    assert box.current == "0.9.1"
    done = box.update("rollback")  # previous names it, too
    assert done.returncode == 65
    assert "no whole release to go back to" in done.stdout


def start_trial(box: Box, *, boots: int = 0) -> None:
    """As a power cut in the middle of a trial leaves it."""
    box.adopt("0.9.0")
    box.adopt("0.9.1")
    state = box.root / "var/lib/kiosk-guard-update"
    state.mkdir(parents=True)
    told = {"version": "0.9.1", "previous": "0.9.0", "boots": boots, "was_ready": True}
    (state / "trial.json").write_text(json.dumps(told))


def test_a_release_with_which_the_box_boots_again_and_again_is_taken_back(box: Box) -> None:
    start_trial(box)
    for _ in range(2):
        assert box.update("boot").returncode == 0
        assert box.current == "0.9.1"
    assert box.update("boot").returncode == 70
    assert box.current == "0.9.0"
    assert not (box.root / "systemctl.log").exists(), "the service is about to start anyway"


def test_a_trial_whose_switch_never_came_is_forgotten(box: Box) -> None:
    start_trial(box)
    box.root.joinpath("opt/kiosk-guard/current").unlink()
    box.root.joinpath("opt/kiosk-guard/current").symlink_to("releases/0.9.0")
    assert box.update("boot").returncode == 0
    assert box.current == "0.9.0"
    assert box.read("trial.json") == {}


def test_a_switch_of_install_sh_that_the_power_cut_is_judged_at_the_next_boots(box: Box) -> None:
    box.adopt("0.9.0")
    box.adopt("0.9.1")  # current names it
    box.root.joinpath("opt/kiosk-guard/current").unlink()
    box.root.joinpath("opt/kiosk-guard/current").symlink_to("releases/0.9.0")
    assert box.update("trial", "0.9.1").returncode == 0
    assert box.update("boot").returncode == 0
    assert box.read("trial.json") == {}, "its switch never came"
    assert box.update("trial", "0.9.1").returncode == 0
    box.root.joinpath("opt/kiosk-guard/current").unlink()
    box.root.joinpath("opt/kiosk-guard/current").symlink_to("releases/0.9.1")
    done = box.update("judge")  # nobody listens at its health address, and nobody did before: it must only live
    assert done.returncode == 70
    assert "/livez was not good" in done.stdout
    assert box.current == "0.9.0"


def test_a_way_back_that_was_cut_off_is_finished_at_boot(box: Box) -> None:
    start_trial(box)
    (box.root / "var/lib/kiosk-guard-update/failed.json").write_text(json.dumps({"0.9.1": "it was bad"}))
    assert box.update("boot").returncode == 70
    assert box.current == "0.9.0"


def test_half_a_release_is_removed_and_never_run(box: Box) -> None:
    box.adopt("0.9.0")
    box.adopt("0.9.1")
    box.root.joinpath("opt/kiosk-guard/current").unlink()
    box.root.joinpath("opt/kiosk-guard/current").symlink_to("releases/0.9.0")
    box.root.joinpath("opt/kiosk-guard/releases/0.9.1/.kiosk-guard-complete").unlink()
    box.update("boot")
    assert box.releases == ["0.9.0"]


def test_without_an_address_nothing_is_fetched(box: Box) -> None:
    box.adopt("0.9.0")
    assert box.update("fetch").returncode == 0
    (box.etc / "update.conf").write_text("[update]\nurl = http://files.example/\n")
    assert box.update("fetch").returncode == 65


def alert(number: int) -> Alert:
    clock = SystemClock()
    now = clock.utc_now()
    return Alert(
        alert_id=f"before-{number}.opened",
        kind="opened",
        incident_id=f"before-{number}",
        severity=Severity.LOW,
        camera="lobby",
        rule="loitering",
        zone="lobby",
        opened_utc=now,
        closed_utc=None,
        created_utc=now,
        created_mono_s=clock.monotonic_s(),
        boot_id=boot_id(),
        clock_synced=True,
        what="has stayed for",
        value=40.0,
        threshold=30.0,
        unit="s",
        model="m 1",
        software="kiosk-guard",
    )


@pytest.fixture
def running(box: Box) -> Iterator[Box]:
    yield box
    pid = box.root / "pid"
    if pid.exists():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_full_queue_an_upgrade_a_failed_health_and_the_way_back_lose_no_mail(running: Box, maker: Maker) -> None:
    box = running
    mail_port, health_port = free_port(), free_port()
    box.health = f"http://127.0.0.1:{health_port}"
    made = Config(box.etc)
    made.cameras[0]["loop"] = True
    made.mail_to(mail_port)  # nobody answers there yet
    made.tables["email"] |= {"max_per_hour": 0, "heartbeat_h": 0.0}
    made.tables["health"] = {"port": health_port}
    made.tables["state"] = {"dir": str(box.root / "state")}
    made.write()
    (box.root / "state").mkdir()
    database = open_database(box.root / "state", clock=SystemClock())
    outbox = Outbox(database, clock=SystemClock(), boot_id=boot_id())
    queued = [alert(number) for number in range(60)]
    for one in queued:
        outbox.enqueue(one)
    database.close()

    first = box.update("install", maker.release("1.0.0"), trial_s=2, ready_s=90)
    assert first.returncode == 0, first.stdout + first.stderr
    assert box.current == "1.0.0"
    second = box.update("install", maker.release("1.1.0", patches=NEWER), trial_s=90, ready_s=45)
    assert second.returncode == 70, second.stdout + second.stderr
    assert "broken on purpose" in second.stdout
    assert box.current == "1.0.0"

    database = open_database(box.root / "state", clock=SystemClock())
    with database.reading() as connection:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    assert "of_the_next_version" in tables, "the newer release never touched the state"
    database.close()

    wanted = {f"<{one.alert_id}@" for one in queued}
    kiosk_guard = box.root / "opt/kiosk-guard/current/bin/kiosk-guard"
    with mail_server(port=mail_port) as (mailbox, _):
        # The pauses have grown meanwhile; a technician would not wait for them either.
        subprocess.run([kiosk_guard, "outbox", "retry", "--config", made.path], check=True, timeout=120)
        until = time.monotonic() + 120
        while wanted and time.monotonic() < until:
            arrived = b"".join(mail.content for mail in list(mailbox.mails)).decode()
            wanted = {w for w in wanted if w not in arrived}
            time.sleep(0.5)
    assert wanted == set()
