"""No masked pixel in anything that is stored, kept in memory for later, mailed or filmed: every picture is decoded."""

from __future__ import annotations

import errno
import io
import itertools
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from fakes.alarms import BOOT
from fakes.clocks import FakeClock
from fakes.detectors import FakeDetector, Seen
from fakes.indicators import FakeIndicator
from fakes.scenes import utc

from edge.alerts.database import open_database
from edge.alerts.evidence import EvidenceStore
from edge.alerts.incident_store import IncidentStore
from edge.alerts.outbox import Outbox
from edge.alerts.ring import PictureRing
from edge.alerts.writer import WriterWorker
from edge.app.film import Film
from edge.app.hand_over import AlertMaker, Annotator, close_up, hand_over, keep
from edge.app.mask_confirmation import MaskKeeper, confirm_masks
from edge.closeup import closeup_box
from edge.errors import CameraLost
from edge.incidents import Incidents
from edge.loop import Loop
from edge.masks import Mask, Masks
from edge.pipeline import Judged, Line, Pipeline
from edge.rules.camera_tamper import CameraTamper
from edge.rules.loitering import Loitering
from edge.track.tracker import Tracker
from edge.types import Frame, Severity
from edge.zones import ZoneMap

if TYPE_CHECKING:
    from edge.types import U8, Alert

MAN = Seen("person", (100.0, 60.0, 160.0, 170.0))
STORED = ((0.05, 0.4), (0.25, 0.4), (0.25, 0.8), (0.05, 0.8))  # on the left
UNSEEN = ((0.75, 0.3), (0.95, 0.3), (0.95, 0.7), (0.75, 0.7))  # on the right
MASKS = (Mask("hall", np.array(STORED, np.float32), seen=True), Mask("hall", np.array(UNSEEN, np.float32), seen=False))


def bright(seed: int = 1) -> U8:
    """Nothing in it is nearly black."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(120, 255, (12, 20, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(coarse, (320, 180), interpolation=cv2.INTER_NEAREST), np.uint8)


NOISE = np.random.default_rng(3).integers(-3, 4, (5, 180, 320, 3))  # of a sensor: what does not live is frozen


def pushed(picture: U8, across: float, down: float) -> U8:
    """The same view from a camera that was pushed by these shares of the picture's width and height."""
    height, width = picture.shape[:2]
    by = np.array([[1.0, 0.0, across * width], [0.0, 1.0, down * height]])
    return np.asarray(cv2.warpAffine(picture, by, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8)


def hidden(picture: U8, polygon: tuple[tuple[float, float], ...], margin: int = 6) -> U8:
    """The pixels under a mask; the codec blends some across its edge."""
    height, width = (180, 320) if picture.shape[1] == 320 else picture.shape[:2]  # a caption may follow below
    xs, ys = [p[0] * width for p in polygon], [p[1] * height for p in polygon]
    return picture[
        int(min(ys)) + margin : int(max(ys)) - margin,
        int(min(xs)) + margin : int(max(xs)) - margin,
    ]


class Box:
    """Pipeline, writer and evidence on a real disk, and a camera that shows ``picture``."""

    name = "hall"

    def __init__(self, folder: Path, masks: tuple[Mask, ...] = MASKS, man: Seen = MAN) -> None:
        self.man = man
        self.folder = folder
        self.clock = FakeClock()
        self.picture = bright()
        self.seen: list[U8] = []
        self.alerts: list[Alert] = []
        detector = FakeDetector(self._detect)
        self.rule = CameraTamper(
            person_classes=set(), dwell_s=3.0, light_s=60.0, frozen_s=600.0, severity=Severity.HIGH
        )
        rules = [Loitering(person_classes={0}, dwell_s=1.0, escalate_s=3.0), self.rule]
        self.line = Line(Tracker(), ZoneMap("hall", []), rules, Masks("hall", masks))
        self.keeper = MaskKeeper({"hall": self.line}, folder, clock=self.clock)
        numbers = itertools.count(1)
        self.pipeline = Pipeline(
            detector=detector,
            lines={"hall": self.line},
            incidents=Incidents(new_id=lambda: f"i{next(numbers)}", close_after_s=1.0, cooldown_s=0.0),
            now_s=self.clock.monotonic_s,
            clock_synced=lambda: True,
        )
        self.database = open_database(folder, clock=self.clock)
        self.outbox = Outbox(self.database, clock=self.clock, boot_id=BOOT)
        self.writer = WriterWorker(
            evidence=EvidenceStore(folder / "evidence", clock=self.clock, min_free_bytes=0),
            incidents=IncidentStore(self.database, clock=self.clock, boot_id=BOOT),
            outbox=self.outbox,
            clock=self.clock,
            annotate=Annotator(detector),
            closeup=close_up,
            make_alert=AlertMaker("model", BOOT, self.clock),
            on_stored=self.alerts.append,
        )
        self.ring = PictureRing(max_bytes=10_000_000, keep_s=60.0, every_s=0.2)
        self.t_s = 0.0
        self.judged: list[Judged] = []

    def _detect(self, frame: Frame) -> list[Seen]:
        self.seen.append(frame.image.copy())
        return [self.man]

    def run(self, seconds: float) -> None:
        for _ in range(round(5 * seconds)):
            self.t_s += 0.2
            picture = np.clip(self.picture.astype(np.int16) + NOISE[round(self.t_s * 5) % len(NOISE)], 0, 255)
            frame = Frame(picture.astype(np.uint8), 0, self.t_s, utc(self.t_s), "hall")
            judged = self.pipeline.step(frame)
            self.judged.append(judged)
            keep(judged, self.ring)
            for change in judged.changes:
                hand_over(change, judged, self.writer)
            self.writer.step()

    def stored(self) -> list[U8]:
        return [np.asarray(cv2.imread(str(p)), np.uint8) for p in sorted(self.folder.rglob("*.jpg"))]


def test_a_close_up_beside_a_mask_shows_no_masked_pixel(tmp_path: Path) -> None:
    box = Box(tmp_path, man=Seen("person", (86.0, 85.0, 106.0, 125.0)))
    box.run(6.0)
    (judged, *_) = [j for j in box.judged if j.changes]
    at = closeup_box(judged.tracks, judged.changes[0].incident.peak.track_ids, 320, 180)
    assert at is not None
    assert at[0] < 70  # it reaches into the mask, which ends at 80
    near = [np.asarray(cv2.imread(str(p)), np.uint8) for p in box.folder.rglob("closeup-*.jpg")]
    assert near
    for picture in near:
        times = picture.shape[1] / (at[2] - at[0])
        x, y1, y2 = (80 - at[0]) * times, (max(72, at[1]) - at[1]) * times, (min(144, at[3]) - at[1]) * times
        assert picture[int(y1) + 14 : int(y2) - 14, : int(x) - 14].max() < 24
        assert picture[: int(y2), int(x) + 14 :].min() > 60  # the rest is there


def test_no_stored_picture_shows_a_masked_pixel_and_the_detector_sees_what_it_may(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.run(6.0)
    pictures = box.stored()
    assert len(pictures) >= 3  # opened and escalated, clean (the same twice) and annotated
    for picture in pictures:
        assert hidden(picture, UNSEEN).max() < 24
        assert hidden(picture, STORED).max() < 24
        assert picture[60:120, 170:220].min() > 60  # the rest is there
    for image in box.seen:
        assert hidden(image, UNSEEN).max() == 0
        assert hidden(image, STORED).min() > 100


def test_without_masks_the_pictures_are_whole(tmp_path: Path) -> None:
    box = Box(tmp_path, masks=())
    box.run(3.0)
    assert all(hidden(picture, STORED).mean() > 100 for picture in box.stored())


def test_the_loop_keeps_only_masked_pictures_for_later(tmp_path: Path) -> None:
    box, kept = Box(tmp_path), []

    class Camera:
        name = "hall"
        left = 5

        def read(self, timeout_s: float) -> Frame:
            self.left -= 1
            if self.left < 0:
                stop.set()
                raise CameraLost("over")
            return Frame(box.picture.copy(), 0, 1.0 - 0.1 * self.left, utc(0), "hall")

    stop = threading.Event()
    camera: Any = Camera()
    Loop(
        cameras=[camera],
        pipeline=box.pipeline,
        indicator=FakeIndicator(),
        hand_over=lambda *_: None,
        clock=box.clock,
        lost_after_s={"hall": 99.0},
        look_on=lambda judged: kept.append(judged.frame),
    ).run(stop)
    assert len(kept) == 5
    assert all(hidden(f.image, STORED).max() == hidden(f.image, UNSEEN).max() == 0 for f in kept)


def test_the_film_of_a_replay_shows_none(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.run(1.0)
    film = Film(tmp_path / "out.avi", 5.0, ("person",), zones=ZoneMap("hall", []), person="person")
    for judged in box.judged:
        film.add(judged, ())
    film.close()
    capture = cv2.VideoCapture(str(tmp_path / "out.avi"))
    ok, picture = capture.read()
    assert ok
    assert hidden(np.asarray(picture, np.uint8), UNSEEN).max() < 24
    assert hidden(np.asarray(picture, np.uint8), STORED).max() < 24


def turned_away(tmp_path: Path) -> Box:
    box = Box(tmp_path)
    box.run(4.0)
    box.picture = bright(seed=2)
    box.run(6.0)
    return box


def test_after_the_camera_was_turned_away_no_picture_is_kept_but_text_goes(tmp_path: Path) -> None:
    box = turned_away(tmp_path)
    assert box.judged[-1].withheld
    assert box.judged[-1].frame.image.max() == 0
    before = len(box.stored())
    told = [alert for alert in box.alerts if alert.rule == "camera_tamper"]
    assert [alert.kind for alert in told] == ["opened"]
    assert told[0].evidence == ()
    box.run(10.0)
    assert len(box.stored()) == before
    assert any(c.incident.rule == "camera_tamper" for j in box.judged for c in j.changes)


def test_from_the_first_frame_of_another_view_on_nothing_is_kept(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.run(4.0)
    box.picture = bright(seed=2)
    box.run(1.0)  # far too short to be told as turned
    assert not box.line.masks.withheld
    assert all(judged.withheld and judged.frame.image.max() == 0 for judged in box.judged[-5:])
    before = len(box.stored())
    box.run(5.0)
    assert box.line.masks.withheld
    assert len(box.stored()) == before
    kept = box.ring.between("hall", 0.0, 99.0)
    assert kept  # what came before is there, but for the moments in which it may have been moved already
    assert max(k.t_mono_s for k in kept) == pytest.approx(2.0, abs=0.3)


def test_what_the_camera_shows_again_after_a_moment_is_kept_again(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.run(4.0)
    box.picture = bright(seed=2)
    box.run(1.0)
    box.picture = bright()
    box.run(2.0)
    assert not box.judged[-1].withheld
    assert not box.line.masks.withheld
    assert box.ring.between("hall", 6.0, 99.0)


@pytest.mark.parametrize("push", [(0.02, 0.0), (0.04, 0.0), (-0.03, 0.04), (0.0, 0.04), (0.0, -0.1), (0.05, 0.1)])
def test_a_camera_that_was_pushed_a_little_withholds_too(tmp_path: Path, push: tuple[float, float]) -> None:
    box = Box(tmp_path)
    box.run(6.0)
    box.picture = pushed(bright(), *push)
    box.run(5.0)
    assert box.line.masks.withheld
    assert not [k for k in box.ring.between("hall", 0.0, 99.0) if k.t_mono_s > 6.0]
    box.run(60.0)
    told = [a for a in box.alerts if a.rule == "camera_tamper"]
    assert [a.kind for a in told] == ["opened"]
    assert told[0].evidence == ()


def again(before: Box) -> Box:
    """The box after a restart."""
    before.database.close()
    box = Box(before.folder)
    box.t_s = before.t_s + 60.0
    return box


@pytest.mark.parametrize(("view", "moved"), [("same", False), ("other", True), ("pushed", True)])
def test_a_camera_that_was_moved_while_the_box_was_off_is_known(tmp_path: Path, view: str, moved: bool) -> None:
    box = Box(tmp_path)
    box.run(50.0)
    box.keeper.look()
    assert not list(tmp_path.glob("view-*"))  # too early to be sure
    box.run(20.0)
    box.keeper.look()
    (file,) = tmp_path.glob("view-*")
    box = again(box)
    box.picture = {"same": bright(), "other": bright(seed=2), "pushed": pushed(bright(), 0.04, 0.0)}[view]
    before = len(box.stored())
    box.run(10.0)
    box.keeper.look()
    assert box.line.masks.withheld is moved
    assert (len(box.stored()) == before) is moved
    assert bool(box.ring.between("hall", 0.0, 999.0)) is not moved
    if moved:
        assert "hall" in confirm_masks(tmp_path)
        assert not file.exists()
        box.keeper.look()
        box.run(8.0)
        assert not box.judged[-1].withheld


def test_what_is_kept_of_a_view_knows_nothing_of_what_lies_under_masks(tmp_path: Path) -> None:
    files = []
    for name, seed in (("one", 7), ("two", 8)):
        (tmp_path / name).mkdir()
        box = Box(tmp_path / name)
        other = bright(seed)
        for x1, y1, x2, y2 in ((16, 72, 80, 144), (240, 54, 304, 126)):  # as STORED and UNSEEN
            box.picture[y1:y2, x1:x2] = other[y1:y2, x1:x2]
        box.run(70.0)
        box.keeper.look()
        files.append((tmp_path / name / "view-hall.npz").read_bytes())
    assert files[0] == files[1]


def test_a_view_that_cannot_be_read_or_does_not_hold_any_more_is_no_obstacle(tmp_path: Path) -> None:
    box = Box(tmp_path)
    box.run(70.0)
    box.keeper.look()
    (file,) = tmp_path.glob("view-*")
    whole = file.read_bytes()
    bare = io.BytesIO()
    np.save(bare, np.zeros(3))
    locked = bytearray(whole)
    locked[6] |= 1  # the first entry's flag: encrypted
    start = whole.rindex(b"PK\x01\x02", 0, whole.index(b"PK\x01\x02") + 4)
    locked[start + 8] |= 1
    for damaged in (
        b"",
        bare.getvalue(),
        bytes(locked),
        whole[:100],
        b"x" * 500,
        whole[: len(whole) // 2] + bytes(200) + whole[len(whole) // 2 + 200 :],
    ):
        file.write_bytes(damaged)
        box = again(box)
        box.run(8.0)
        assert not box.line.masks.withheld
    box.pipeline.redraw("hall", zones=ZoneMap("hall", []), masks=MASKS[:1])
    box.keeper.look()
    assert not file.exists()


def test_without_masks_a_read_only_disk_is_no_trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    box = Box(tmp_path, masks=())
    box.run(70.0)
    monkeypatch.setattr(Path, "unlink", refused)
    box.keeper.look()


def test_pictures_from_before_a_mask_was_drawn_are_let_go(tmp_path: Path) -> None:
    box = Box(tmp_path, masks=())
    box.run(6.0)
    assert box.ring.between("hall", 0.0, 6.0)
    box.pipeline.redraw("hall", zones=ZoneMap("hall", []), masks=MASKS)
    box.run(0.2)
    assert [k.t_mono_s for k in box.ring.between("hall", 0.0, 99.0)] == [pytest.approx(box.t_s)]


def test_withheld_stays_over_a_restart_until_confirmed(tmp_path: Path) -> None:
    box = turned_away(tmp_path)
    box.keeper.look()
    again = Line(Tracker(), ZoneMap("hall", []), [], Masks("hall", MASKS))
    MaskKeeper({"hall": again}, tmp_path)
    assert again.masks.withheld
    assert "hall" in confirm_masks(tmp_path)
    box.keeper.look()
    assert not box.line.masks.withheld
    box.run(8.0)  # the view of now is what is right
    assert not box.judged[-1].withheld
    assert box.judged[-1].observations
    assert all(o.rule != "camera_tamper" for o in box.judged[-1].observations)
    assert confirm_masks(tmp_path) == "no pictures are withheld"


def test_a_camera_without_masks_withholds_nothing(tmp_path: Path) -> None:
    box = Box(tmp_path, masks=())
    box.run(4.0)
    box.picture = bright(seed=2)
    box.run(6.0)
    assert any(o.rule == "camera_tamper" for o in box.judged[-1].observations)
    assert not box.judged[-1].withheld


@pytest.mark.parametrize("size", [(320, 180), (290, 284), (1280, 720)])
def test_the_whole_polygon_is_covered(size: tuple[int, int]) -> None:
    image = np.full((size[1], size[0], 3), 255, np.uint8)
    slanted = np.array([[0.2, 0.3], [0.7, 0.1], [0.9, 0.8]], np.float32)
    masks = Masks("hall", [Mask("hall", slanted, seen=False)])
    shown = masks.for_detector(Frame(image, 0, 0.0, utc(0), "hall")).image
    inside = np.zeros(image.shape[:2], np.uint8)
    cv2.fillPoly(inside, [(slanted * size * 16).astype(np.int32)], 1, shift=4)
    assert shown[inside > 0].max() == 0
    assert shown[inside == 0].mean() > 240
