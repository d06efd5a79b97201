from __future__ import annotations

from typing import TYPE_CHECKING

from edge.alerts.reserve import RESERVE_NAME, Reserve

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024**2


def test_it_takes_its_room_once_and_gives_it_back(tmp_path: Path) -> None:
    reserve, file = Reserve(tmp_path, size_bytes=MIB, leave_bytes=0), tmp_path / RESERVE_NAME
    assert not reserve.release()
    reserve.keep()
    first = file.stat()
    assert (first.st_size, first.st_blocks * 512) == (MIB, MIB)  # blocks of its own: no hole
    reserve.keep()
    assert file.stat().st_ino == first.st_ino
    assert reserve.release()
    assert not file.exists()


def test_what_a_power_cut_left_of_it_is_made_whole(tmp_path: Path) -> None:
    (tmp_path / RESERVE_NAME).write_bytes(b"x")
    Reserve(tmp_path, size_bytes=MIB, leave_bytes=0).keep()
    assert (tmp_path / RESERVE_NAME).stat().st_size == MIB


def test_a_disk_that_is_nearly_full_is_not_filled_by_it(tmp_path: Path) -> None:
    Reserve(tmp_path, leave_bytes=2**62).keep()
    assert list(tmp_path.iterdir()) == []
    Reserve(tmp_path / "gone").keep()  # no trouble of its own
