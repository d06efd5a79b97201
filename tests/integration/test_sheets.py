"""Pictures from before to after an incident, bounded in memory, in a mail of their own in its thread."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from fakes.alarms import UTC, make_alert, make_frame
from fakes.clocks import FakeClock

from edge.alerts.evidence import EvidenceStore
from edge.alerts.ring import Kept, PictureRing
from edge.alerts.sheet import contact_sheet, pick
from edge.app.sheets import Sheets
from edge.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.types import Alert, EvidenceRef, Frame


def frame(t_s: float, camera: str = "lobby", *, width: int = 960, height: int = 540) -> Frame:
    return replace(
        make_frame(width=width, height=height, seed=int(t_s)),
        t_mono_s=t_s,
        t_utc=UTC + timedelta(seconds=t_s - 1000),
        camera=camera,
    )


def test_the_ring_keeps_small_pictures_at_its_rate_within_its_time() -> None:
    ring = PictureRing(max_bytes=50_000_000, keep_s=10, every_s=1.0, width=480)
    for i in range(200):
        ring.look(frame(1000 + i * 0.2))
    kept = ring.between("lobby", 0, 9999)
    assert [round(k.t_mono_s) for k in kept] == list(range(1029, 1040))
    image = cv2.imdecode(np.frombuffer(kept[0].jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert image.shape == (270, 480, 3)
    assert ring.bytes == sum(len(k.jpeg) for k in kept)
    assert ring.between("other", 0, 9999) == []


def test_the_ring_never_holds_more_bytes_than_it_may() -> None:
    ring = PictureRing(max_bytes=300_000, keep_s=1e9, every_s=0.0)
    for i in range(60):
        ring.look(frame(1000 + i, "lobby" if i % 3 else "door"))
        assert ring.bytes <= 300_000
    lobby, door = ring.between("lobby", 0, 9999), ring.between("door", 0, 9999)
    assert lobby[-1].t_mono_s == 1059
    assert min(lobby[0].t_mono_s, door[0].t_mono_s) > 1040
    assert ring.bytes == sum(len(k.jpeg) for k in [*lobby, *door])


def test_the_pick_is_even_and_has_the_moment_itself() -> None:
    kept = [Kept(float(t), UTC, b"") for t in range(40)]
    chosen = [k.t_mono_s for k in pick(kept, 17.0)]
    assert len(chosen) == 12
    assert 17.0 in chosen
    assert chosen == sorted(chosen)
    assert (chosen[0], chosen[-1]) == (0.0, 39.0)
    assert pick(kept[:3], 1.0) == kept[:3]


def test_a_sheet_has_three_columns_and_leaves_out_what_cannot_be_read() -> None:
    ring = PictureRing(max_bytes=50_000_000, keep_s=100, width=160)
    for i in range(7):
        ring.look(frame(1000 + i, width=160, height=90))
    kept = [*ring.between("lobby", 0, 9999), Kept(1010, UTC, b"no picture")]
    sheet = contact_sheet(kept, 1003.0)
    assert sheet is not None
    assert sheet.shape == (3 * (90 + 22), 3 * 160, 3)
    red = [i for i in range(7) if sheet[(i // 3) * 112 + 91, (i % 3) * 160 + 155, 2] > 150]
    assert red == [3]
    assert contact_sheet([Kept(1010, UTC, b"no picture")], 1003.0) is None


class Bench:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.ring = PictureRing(max_bytes=10_000_000, keep_s=40)
        self.evidence = EvidenceStore(folder / "evidence", clock=self.clock)
        self.mails: list[Alert] = []
        self.recorded: list[EvidenceRef] = []
        self.sheets = Sheets(
            ring=self.ring,
            evidence=self.evidence,
            record=lambda _, ref: self.recorded.append(ref),
            enqueue=self.mails.append,
            before_s=8,
            after_s=8,
            clock=self.clock,
        )

    def film(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            self.ring.look(frame(self.clock.monotonic_s()))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_sheet_follows_when_the_time_after_is_over(bench: Bench) -> None:
    bench.film(12)
    opening = make_alert(created_mono_s=bench.clock.monotonic_s())
    bench.sheets.expect(opening)
    bench.film(8)
    bench.sheets.make_due()
    assert bench.mails == []
    bench.film(2)
    bench.sheets.make_due()
    bench.sheets.make_due()
    (mail,) = bench.mails
    assert (mail.alert_id, mail.kind, mail.incident_id) == ("inc-1.sheet", "sheet", "inc-1")
    assert mail.evidence == tuple(bench.recorded)
    path = bench.evidence.resolve(mail.evidence[0])
    assert path is not None
    image = cv2.imread(str(path))
    assert image is not None
    assert image.shape == (4 * (270 + 22), 3 * 480, 3)  # 12 of the 17 pictures


def test_the_sheet_of_what_began_before_the_clock_was_set_has_the_right_time(bench: Bench) -> None:
    bench.clock.synced = False
    bench.film(12)
    began = bench.clock.utc_now()
    bench.sheets.expect(
        make_alert(opened_utc=began, created_utc=began, created_mono_s=bench.clock.monotonic_s(), clock_synced=False)
    )
    bench.clock.synced = True
    bench.clock.step_wall(-50_000)
    bench.sheets.make_due(everything=True)
    (mail,) = bench.mails
    assert (mail.opened_utc, mail.clock_synced) == (began - timedelta(seconds=50_000), True)
    assert [label for label, _ in mail.extra] == ["Corrected"]


def test_no_sheet_without_pictures_from_before_or_for_other_mails(bench: Bench) -> None:
    bench.sheets.expect(make_alert())
    bench.film(9)
    bench.sheets.expect(make_alert(kind="closed", created_mono_s=bench.clock.monotonic_s()))
    bench.sheets.expect(make_alert(camera="", created_mono_s=bench.clock.monotonic_s()))
    bench.film(20)
    bench.sheets.make_due()
    assert bench.mails == []


def test_a_panic_button_gets_what_the_camera_saw(bench: Bench) -> None:
    bench.film(9)
    bench.sheets.expect(make_alert(camera="panic-button", created_mono_s=bench.clock.monotonic_s()))
    bench.sheets.make_due(everything=True)
    assert [(m.kind, m.camera) for m in bench.mails] == [("sheet", "panic-button")]


def test_the_end_of_a_source_does_not_wait(bench: Bench) -> None:
    bench.film(9)
    bench.sheets.expect(make_alert(created_mono_s=bench.clock.monotonic_s()))
    bench.sheets.make_due(everything=True)
    assert [m.kind for m in bench.mails] == ["sheet"]


def test_a_full_disk_costs_the_sheet_only(bench: Bench) -> None:
    def full(*_: object, **__: object) -> EvidenceRef:
        raise StateError("no space")

    bench.evidence.save = full  # type: ignore[method-assign]
    bench.film(9)
    bench.sheets.expect(make_alert(created_mono_s=bench.clock.monotonic_s()))
    bench.sheets.make_due(everything=True)
    assert bench.mails == []
