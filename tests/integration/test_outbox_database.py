from __future__ import annotations

import os
import sqlite3
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from fakes.alarms import BOOT, make_alert
from fakes.clocks import FakeClock
from fakes.users import nobody_beside_a_folder

from edge.alerts.database import open_database
from edge.alerts.outbox import Outbox
from edge.alerts.schema import MIGRATIONS
from edge.errors import EX_CANTCREAT, OutboxError, StateError

if TYPE_CHECKING:
    from edge.alerts.database import Database


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def put(database: Database, clock: FakeClock, *ids: str) -> Outbox:
    outbox = Outbox(database, clock=clock, boot_id=BOOT)
    for name in ids:
        outbox.enqueue(make_alert(name))
    return outbox


def test_every_commit_is_synced(tmp_path: Path, clock: FakeClock) -> None:
    database = open_database(tmp_path, clock=clock)
    with database.reading() as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert db.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)


def test_what_was_committed_is_there_after_reopening(tmp_path: Path, clock: FakeClock) -> None:
    database = open_database(tmp_path, clock=clock)
    put(database, clock, "a")
    database.close()
    database.close()
    again = open_database(tmp_path, clock=clock)
    assert [e.alert_id for e in put(again, clock).due(limit=9)] == ["a.opened"]
    assert again.moved_aside == ()


def test_a_failed_transaction_leaves_nothing(tmp_path: Path, clock: FakeClock) -> None:
    database = open_database(tmp_path, clock=clock)

    def fail() -> None:
        with database.transaction() as db:
            db.execute("INSERT INTO counters (name) VALUES ('x')")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with database.reading() as db:
        assert db.execute("SELECT COUNT(*) FROM counters WHERE name = 'x'").fetchone() == (0,)


def test_a_missing_directory_is_named_with_user_and_remedy(tmp_path: Path, clock: FakeClock) -> None:
    with pytest.raises(StateError) as error:
        open_database(tmp_path / "none", clock=clock)
    assert str(tmp_path / "none") in error.value.message
    assert "install -d -o " in error.value.hint
    assert error.value.exit_code == EX_CANTCREAT


def test_a_directory_that_takes_no_files_is_named(clock: FakeClock) -> None:
    # Not even root can make a file there.
    with pytest.raises(StateError, match="/proc cannot be written by user") as error:
        open_database(Path("/proc"), clock=clock)
    assert "chown" in error.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_who_is_not_the_service_is_sent_to_sudo_before_the_directory_is_taken_from_it(clock: FakeClock) -> None:
    with nobody_beside_a_folder() as folder, pytest.raises(StateError, match="cannot be written") as error:
        open_database(folder, clock=clock)
    assert error.value.hint.startswith("A command: run it with sudo. If the service says this")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_directory_is_named(tmp_path: Path, clock: FakeClock) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StateError, match="cannot be written by user"):
        open_database(tmp_path, clock=clock)
    tmp_path.chmod(0o700)


def test_a_file_that_is_no_database_is_set_aside_with_its_log(tmp_path: Path, clock: FakeClock) -> None:
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"kiosk.db{suffix}").write_bytes(b"no database " * 1000)
    database = open_database(tmp_path, clock=clock)
    (aside,) = database.moved_aside
    assert aside.name == "kiosk.db.corrupt-20260301T020000Z"
    assert aside.read_bytes().startswith(b"no database")
    assert aside.with_name(aside.name + "-wal").read_bytes().startswith(b"no database")
    assert put(database, clock, "a").stats().waiting == 1


def test_a_second_damaged_database_does_not_overwrite_the_first(tmp_path: Path, clock: FakeClock) -> None:
    for content in (b"first" * 400, b"second" * 400):
        (tmp_path / "kiosk.db").write_bytes(content)
        open_database(tmp_path, clock=clock).close()
    assert sorted(p.read_bytes()[:5] for p in tmp_path.glob("*corrupt*")) == [b"first", b"secon"]


@pytest.mark.parametrize(("page", "least"), [(0, 0), (1, 0), (3, 200), (20, 185), (-1, 185)])
def test_damage_inside_is_found_when_opening(tmp_path: Path, clock: FakeClock, page: int, least: int) -> None:
    database = open_database(tmp_path, clock=clock)
    put(database, clock, *(f"a{i}" for i in range(200)))
    database.close()
    path = tmp_path / "kiosk.db"
    content = bytearray(path.read_bytes())
    start = page * 4096 % len(content)
    content[start : start + 4096] = b"\xa5" * 4096
    path.write_bytes(content)
    again = open_database(tmp_path, clock=clock)
    assert len(again.moved_aside) == 1
    outbox = put(again, clock, "new")
    found = {e.alert_id for e in outbox.due(limit=1000)}
    assert "new.opened" in found
    # What the damage did not hit is carried over.
    assert again.rescued == len(found) - 1
    assert again.rescued >= least


def test_damage_while_running_is_one_failed_step(tmp_path: Path, clock: FakeClock) -> None:
    database = open_database(tmp_path, clock=clock)
    outbox = put(database, clock, *(f"a{i}" for i in range(300)))
    with database.reading() as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    path = tmp_path / "kiosk.db"
    with path.open("r+b") as file:
        file.write(b"\xa5" * path.stat().st_size)
    with database.reading() as db:
        db.execute("PRAGMA shrink_memory")  # else SQLite answers from memory for a while
    with pytest.raises(OutboxError, match="set aside") as error:
        outbox.enqueue(make_alert("b"))
    assert "new database" in error.value.hint
    assert len(database.moved_aside) == 1
    assert outbox.enqueue(make_alert("after"))
    assert "after.opened" in [e.alert_id for e in outbox.due(limit=1000)]


def test_a_newer_schema_stays_usable_after_a_rollback(tmp_path: Path, clock: FakeClock) -> None:
    database = open_database(tmp_path, clock=clock)
    put(database, clock, "a")
    with database.transaction() as db:
        db.execute("ALTER TABLE outbox ADD COLUMN later TEXT DEFAULT 'x'")
        db.execute("CREATE TABLE later (x)")
        db.execute("PRAGMA user_version = 99")
    database.close()
    outbox = put(open_database(tmp_path, clock=clock), clock, "b")
    assert [e.alert_id for e in outbox.due(limit=9)] == ["a.opened", "b.opened"]


def test_a_full_disk_is_an_error_that_passes(tmp_path: Path, clock: FakeClock) -> None:
    database = open_database(tmp_path, clock=clock)
    put(database, clock)
    with database.reading() as db:
        pages = db.execute("PRAGMA page_count").fetchone()[0]
        db.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutboxError, match="full") as error:
        put(database, clock, *(f"a{i}" for i in range(100)))
    outbox = put(database, clock)
    assert "free space" in error.value.hint
    stored = outbox.stats().waiting
    with database.reading() as db:
        db.execute("PRAGMA max_page_count = 100000")
    outbox.enqueue(make_alert("later"))
    assert len(outbox.due(limit=1000)) == stored + 1


def test_another_process_that_holds_the_file_is_waited_for_and_then_named(tmp_path: Path, clock: FakeClock) -> None:
    database = open_database(tmp_path, clock=clock, busy_timeout_s=0.05)
    outbox = put(database, clock)
    other = sqlite3.connect(tmp_path / "kiosk.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OutboxError, match="locked") as error:
        outbox.enqueue(make_alert("a"))
    assert "Another process" in error.value.hint
    assert outbox.stats().waiting == 0  # from memory: health never waits
    other.execute("ROLLBACK")
    assert outbox.enqueue(make_alert("a"))


def test_many_threads_share_it(tmp_path: Path, clock: FakeClock) -> None:
    database = open_database(tmp_path, clock=clock)
    outbox = put(database, clock)
    threads = [
        threading.Thread(target=lambda t=t: [outbox.enqueue(make_alert(f"{t}-{i}")) for i in range(10)])
        for t in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outbox.stats().waiting == len(outbox.due(limit=100)) == 40
