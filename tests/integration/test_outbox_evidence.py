from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from fakes.alarms import UTC, make_frame, make_ref
from fakes.clocks import FakeClock
from hypothesis import given
from hypothesis import strategies as st

from edge.alerts.evidence import EvidenceStore
from edge.alerts.evidence_files import safe_name
from edge.errors import StateError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge.types import EvidenceRef


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock) -> EvidenceStore:
    return EvidenceStore(tmp_path / "evidence", clock=clock, min_free_bytes=0)


def save(store: EvidenceStore, seed: int = 0, incident: str = "inc-1") -> EvidenceRef:
    return store.save(make_frame(seed=seed).image, incident_id=incident, role="clean", t_utc=UTC)


def test_a_picture_is_a_jpeg_whose_hash_is_recorded(store: EvidenceStore) -> None:
    ref = save(store)
    path = store.folder / ref.path
    data = path.read_bytes()
    assert (ref.sha256, ref.size_bytes) == (hashlib.sha256(data).hexdigest(), len(data))
    assert (ref.media_type, ref.role) == ("image/jpeg", "clean")
    assert ref.path == f"2026-03-01/inc-1/clean-{ref.sha256[:16]}.jpg"
    picture = cv2.imread(str(path))
    assert picture is not None
    assert picture.shape == (90, 160, 3)
    assert store.resolve(ref) == path
    assert not list(store.folder.rglob("*.tmp"))


def test_the_same_picture_twice_is_one_file(store: EvidenceStore) -> None:
    assert save(store) == save(store)
    assert store.stored().files == 1


def test_quality_costs_bytes(tmp_path: Path, clock: FakeClock) -> None:
    sizes = [
        save(EvidenceStore(tmp_path / str(q), clock=clock, jpeg_quality=q, min_free_bytes=0)).size_bytes
        for q in (30, 95)
    ]
    assert sizes[0] < sizes[1]


@given(st.text(max_size=100))
def test_no_incident_name_leaves_the_folder(name: str) -> None:
    safe = safe_name(name)
    assert safe not in {"", ".", ".."}
    assert "/" not in safe
    assert "\0" not in safe
    assert safe.isascii()
    assert len(safe) <= 69
    assert safe_name(safe) == safe or len(safe) > 60


def test_hostile_names_stay_apart_and_inside(store: EvidenceStore) -> None:
    names = ["../../etc/passwd", "..", "", "a/b", "a_b", "x" * 300, "-rf", "\0", "ä"]
    refs = [save(store, seed, name) for seed, name in enumerate(names)]
    assert len({Path(r.path).parent for r in refs}) == len(names)
    for ref in refs:
        assert store.resolve(ref) is not None


def test_a_record_that_points_outside_is_refused(store: EvidenceStore, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"x")
    ref = replace(make_ref(), sha256=hashlib.sha256(b"x").hexdigest())
    for path in ("../secret", str(secret), "a/../../secret"):
        assert store.resolve(replace(ref, path=path)) is None
    (store.folder / "link").symlink_to(secret)
    assert store.resolve(replace(ref, path="link")) is None
    assert secret.exists()


def test_a_picture_that_was_altered_is_set_aside(store: EvidenceStore, caplog: pytest.LogCaptureFixture) -> None:
    ref = save(store)
    path = store.folder / ref.path
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert store.resolve(ref) is None
    assert path.with_name(path.name + ".damaged").exists()
    assert "differs from what was stored" in caplog.text
    assert store.resolve(ref) is None
    assert "cannot be read" in caplog.text


def test_what_is_no_picture_is_an_error_in_words(store: EvidenceStore) -> None:
    with pytest.raises(StateError, match="cannot be encoded"):
        store.save(np.zeros((0, 0, 3), np.uint8), incident_id="i", role="clean", t_utc=UTC)


def test_a_disk_without_room_gives_up_old_pictures_only_where_that_helps(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EvidenceStore(tmp_path / "e", clock=clock, min_free_bytes=0)
    refs = [save(store, i, f"i{i}") for i in range(3)]
    for i, ref in enumerate(refs):
        aged(store, ref, 3 - i)
    others = 10**6  # what else is on this disk of ours, which has room for one picture less than there are

    def usage(_: object) -> shutil._ntuple_diskusage:
        used = others + store.stored().bytes
        total = others + sum(r.size_bytes for r in refs)
        return shutil._ntuple_diskusage(total, used, total - used)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    tight = EvidenceStore(tmp_path / "e", clock=clock, min_free_bytes=refs[0].size_bytes)
    new = save(tight, 9, "new")
    assert [tight.resolve(r) is not None for r in [*refs, new]] == [False, True, True, True]
    hopeless = EvidenceStore(tmp_path / "e", clock=clock, min_free_bytes=10**18)
    with pytest.raises(StateError, match="nearly full"):
        save(hopeless, 10)
    assert hopeless.stored().files == 3  # to throw them away would have made no room for the new one either
    assert not hopeless.make_room(10**18, even_in_vain=True)  # where an alert itself has no room
    assert hopeless.stored().files == 0


def test_a_removal_that_the_log_has_no_room_for_is_recorded_once_there_is(tmp_path: Path, clock: FakeClock) -> None:
    told: list[str] = []
    store = EvidenceStore(tmp_path / "e", clock=clock, min_free_bytes=0)
    refs = [save(store, i, f"i{i}") for i in range(2)]

    def record(paths: Sequence[str], why: str) -> None:
        if store.stored().files == 2:
            raise StateError("no space left for a whole record")
        told.extend(f"{path} {why}" for path in paths)

    tight = EvidenceStore(tmp_path / "e", clock=clock, min_free_bytes=0, on_remove=record)
    tight.make_room(10**18, even_in_vain=True)
    assert told == [f"{path} the disk was full" for path in sorted(r.path for r in refs)]


def test_a_folder_that_vanished_is_an_error_not_a_crash(store: EvidenceStore) -> None:
    ref = save(store)
    day = store.folder / Path(ref.path).parts[0]
    for path in sorted(day.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    day.rmdir()
    day.write_bytes(b"in the way")
    with pytest.raises(StateError, match="cannot be stored"):
        save(store, 2)


def aged(store: EvidenceStore, ref: EvidenceRef, days: float) -> None:
    at = (UTC - timedelta(days=days)).timestamp()
    os.utime(store.folder / ref.path, (at, at))


def test_old_pictures_go_and_their_folders_with_them(store: EvidenceStore) -> None:
    old, new = save(store, 1, "old"), save(store, 2, "new")
    aged(store, old, 31)
    aged(store, new, 29)
    assert store.prune() == 1
    assert store.resolve(new) is not None
    assert not (store.folder / old.path).parent.exists()


def test_a_clock_that_was_never_set_makes_nothing_old(store: EvidenceStore, clock: FakeClock) -> None:
    aged(store, save(store), 400)
    clock.synced = False
    assert store.prune() == 0


def test_what_was_stored_before_the_clock_was_set_is_not_old_when_it_is(store: EvidenceStore, clock: FakeClock) -> None:
    clock.synced = False
    clock.step_wall(-90 * 86400)  # a Pi begins where it ended, months ago
    before = save(store, 1, "before")
    clock.synced = True
    clock.step_wall(90 * 86400)
    after = save(store, 2, "after")
    assert store.prune() == 0
    aged(store, after, 31)
    clock.advance(29 * 86400)
    assert store.prune() == 1
    assert store.resolve(before) is not None
    clock.advance(2 * 86400)
    assert store.prune() == 1
    assert store.stored().files == 0


def test_beyond_the_bytes_the_oldest_go_and_needed_ones_last(tmp_path: Path, clock: FakeClock) -> None:
    store = EvidenceStore(tmp_path / "e", clock=clock, max_bytes=10**9, min_free_bytes=0)
    refs = [save(store, i, f"i{i}") for i in range(4)]
    for i, ref in enumerate(refs):
        aged(store, ref, 4 - i)
    room = refs[0].size_bytes + refs[3].size_bytes
    tight = EvidenceStore(tmp_path / "e", clock=clock, max_bytes=room, min_free_bytes=0)
    assert tight.over_limit()
    assert tight.prune(keep=[refs[0].path]) == 2
    assert [tight.resolve(r) is not None for r in refs] == [True, False, False, True]
    assert not tight.over_limit()
    smallest = EvidenceStore(tmp_path / "e", clock=clock, max_bytes=0, min_free_bytes=0)
    assert smallest.prune(keep=[refs[0].path]) == 2  # the bound holds even then
