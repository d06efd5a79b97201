"""A film of an event beside its contact sheet: from the ring, bounded, playable, on record."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from fakes.alarms import UTC, make_alert, make_frame
from fakes.clocks import FakeClock

from edge.alerts.clip import make_clip
from edge.alerts.device_key import open_device_key
from edge.alerts.evidence import EvidenceStore
from edge.alerts.incident_log import LOG_NAME, IncidentLog
from edge.alerts.log_check import check_log
from edge.alerts.mail import compose, read_pictures
from edge.alerts.mail_words import Moment, Site
from edge.alerts.ring import Kept, PictureRing
from edge.app.build_alerts import build_ring, build_sheets
from edge.app.sheets import Sheets
from edge.config import Config
from edge.errors import StateError

if TYPE_CHECKING:
    from pathlib import Path

    from edge.types import Alert, EvidenceRef, Frame


def frame(t_s: float, *, grey: int | None = None) -> Frame:
    picture = make_frame(width=640, height=360, seed=int(t_s))
    if grey is not None:
        picture = replace(picture, image=np.full((360, 640, 3), grey, np.uint8))
    return replace(picture, t_mono_s=t_s, t_utc=UTC + timedelta(seconds=t_s - 1000))


def ring_of(seconds: float, *, every_s: float = 0.25) -> list[Kept]:
    ring = PictureRing(max_bytes=50_000_000, keep_s=1e9, every_s=every_s)
    for i in range(int(seconds * 10)):
        ring.look(frame(1000 + i / 10))
    return ring.between("lobby", 0, 9999)


def played(path: Path) -> tuple[list[np.ndarray], float]:
    """The pictures of a film, and its seconds."""
    reader = cv2.VideoCapture(str(path))
    pictures = []
    while (read := reader.read())[0]:
        pictures.append(read[1])
    fps = reader.get(cv2.CAP_PROP_FPS)
    reader.release()
    return pictures, len(pictures) / fps


def test_a_film_lasts_as_long_as_the_event_and_marks_the_moment(tmp_path: Path) -> None:
    data = make_clip(ring_of(12), 1006.0, fps=4.0, max_bytes=3_000_000, folder=tmp_path)
    assert data is not None
    film = tmp_path / "film.mp4"
    film.write_bytes(data)
    pictures, seconds = played(film)
    assert seconds == pytest.approx(12, abs=0.5)
    assert pictures[0].shape == (270, 480, 3)
    red = [i / 4 for i, p in enumerate(pictures) if p[:, 0, 2].mean() > 140 and p[:, 0, 1].mean() < 80]
    assert red
    assert red[0] == pytest.approx(6.0, abs=0.3)
    assert red[-1] < 7.0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["film.mp4"]  # nothing is left behind


def test_a_gap_stands_still_and_the_film_keeps_its_time(tmp_path: Path) -> None:
    kept = [k for k in ring_of(12) if not 1003 < k.t_mono_s < 1008]
    data = make_clip(kept, 1006.0, fps=4.0, max_bytes=3_000_000, folder=tmp_path)
    assert data is not None
    (tmp_path / "film.mp4").write_bytes(data)
    assert played(tmp_path / "film.mp4")[1] == pytest.approx(12, abs=0.5)


def test_the_limit_of_size_is_kept(tmp_path: Path) -> None:
    kept = ring_of(12)
    whole = make_clip(kept, 1006.0, fps=4.0, max_bytes=10_000_000, folder=tmp_path)
    assert whole is not None
    limit = len(whole) * 2 // 3
    thinned = make_clip(kept, 1006.0, fps=4.0, max_bytes=limit, folder=tmp_path)
    assert thinned is not None
    assert len(thinned) <= limit
    (tmp_path / "film.mp4").write_bytes(thinned)
    assert played(tmp_path / "film.mp4")[1] == pytest.approx(12, abs=1.0)
    assert make_clip(kept, 1006.0, fps=4.0, max_bytes=1_000, folder=tmp_path) is None


@pytest.mark.parametrize("kept", [[], [Kept(1000.0, UTC, b"no picture")]])
def test_nothing_to_show_is_no_film(kept: list[Kept], tmp_path: Path) -> None:
    assert make_clip(kept, 1000.0, fps=4.0, max_bytes=1_000_000, folder=tmp_path) is None


def test_a_folder_that_is_gone_is_said(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="no clip can be written"):
        make_clip(ring_of(2), 1001.0, fps=4.0, max_bytes=1_000_000, folder=tmp_path / "gone")


class Box:
    """Ring, sheets, evidence and log as the configuration builds them."""

    def __init__(self, folder: Path, **evidence: object) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.config = Config.model_validate(
            {
                "email": {"enabled": True, "host": "h", "sender": "a@b.example", "recipients": ["c@d.example"]},
                "cameras": [{"name": "lobby", "source": "clip.avi"}],
                "evidence": evidence,
            }
        )
        self.key = open_device_key(folder)
        self.log = IncidentLog(folder, key=self.key, clock=self.clock)
        self.evidence = EvidenceStore(
            folder / "evidence",
            clock=self.clock,
            min_free_bytes=0,
            on_remove=lambda paths, why: self.log.append("removed", {"removed": list(paths), "why": why}),
        )
        self.mails: list[Alert] = []
        self.ring = build_ring(self.config)
        assert self.ring is not None
        self.sheets = build_sheets(self.config, self.ring, self.evidence, self.log, self.mails.append, clock=self.clock)

    def event(self) -> tuple[EvidenceRef, ...]:
        """An incident opens in the middle of twenty seconds; what its second mail carries."""
        assert self.ring is not None
        assert self.sheets is not None
        start_s = self.clock.monotonic_s()
        for i in range(200):
            self.clock.advance(0.1)
            self.ring.look(frame(self.clock.monotonic_s(), grey=(i * 3) % 256))
            if i == 100:
                self.sheets.expect(make_alert("inc-1", created_mono_s=self.clock.monotonic_s()))
            self.sheets.make_due()
        assert self.clock.monotonic_s() > start_s
        (mail,) = self.mails
        return mail.evidence


def test_without_the_key_there_is_none(tmp_path: Path) -> None:
    assert [ref.role for ref in Box(tmp_path).event()] == ["sheet"]


def test_it_goes_with_the_sheet_is_on_record_and_can_be_erased(tmp_path: Path) -> None:
    box = Box(tmp_path, clip=True)
    sheet, clip = box.event()
    assert (clip.role, clip.media_type) == ("clip", "video/mp4")
    path = box.evidence.resolve(clip)
    assert path is not None
    assert played(path)[1] == pytest.approx(16, abs=1.0)
    verdict = check_log(tmp_path / LOG_NAME, tmp_path / "evidence", public_key=box.key.public)
    assert (verdict.faults, verdict.notes, verdict.pictures) == ([], [], 2)

    pictures = read_pictures(box.mails[0], [box.folder / "evidence" / r.path for r in (sheet, clip)], max_bytes=10**7)
    mail = compose(
        box.mails[0],
        pictures,
        site=Site("", "kiosk", "", UTC.tzinfo),  # type: ignore[arg-type]
        moment=Moment(),
        sender="a@b.example",
        recipients=["c@d.example"],
        domain="b.example",
        date=UTC,
    )
    (attached,) = mail.iter_attachments()
    assert (attached.get_content_type(), attached.get_filename()) == ("video/mp4", "inc-1-clip.mp4")
    assert attached.get_content() == path.read_bytes()
    # Where only one of them fits, the sheet goes.
    assert [p.ref.role for p in read_pictures(box.mails[0], [path, path.with_name("x")], max_bytes=10)] == []
    fits = sheet.size_bytes * 3 // 2
    both = [box.folder / "evidence" / r.path for r in (clip, sheet)]
    assert [p.ref.role for p in read_pictures(box.mails[0], both, max_bytes=fits)] == ["sheet"]

    assert sorted(box.evidence.erase("inc-1", why="by request")) == sorted([clip.path, sheet.path])
    assert not path.exists()
    assert check_log(tmp_path / LOG_NAME, tmp_path / "evidence", public_key=box.key.public).faults == []


def test_a_film_that_fails_leaves_the_sheet(tmp_path: Path) -> None:
    box = Box(tmp_path, clip=True)
    assert box.ring is not None

    def record(_: Alert, ref: EvidenceRef) -> None:
        if ref.role == "clip":
            raise StateError("no space", hint="")

    box.sheets = Sheets(
        ring=box.ring,
        evidence=box.evidence,
        record=record,
        enqueue=box.mails.append,
        before_s=8,
        after_s=8,
        clock=box.clock,
        clip_fps=4.0,
    )
    assert [ref.role for ref in box.event()] == ["sheet"]
