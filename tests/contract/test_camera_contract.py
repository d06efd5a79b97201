"""Every camera keeps the promises of edge.cameras.interface.Camera."""

from __future__ import annotations

from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edge.cameras.capture import CaptureProcess
from edge.cameras.file import VideoFile
from edge.cameras.source import parse_source
from edge.errors import CameraEnded, CameraLost, SourceInvalid, SourceNotFound
from tests.fakes.cameras import FakeCamera, make_frames, write_video

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.cameras.interface import Camera
    from edge.types import Frame

    Maker = Callable[[Path], Camera]

COUNT = 8


def _fake(path: Path) -> Camera:
    if not path.exists():
        return FakeCamera([SourceNotFound("no such file")])
    if path.stat().st_size < 100:
        return FakeCamera([SourceInvalid("no video")])
    return FakeCamera(make_frames(COUNT))


def _file(path: Path) -> Camera:
    return VideoFile(path, name="lobby")


def _process(path: Path) -> Camera:
    return CaptureProcess("lobby", parse_source(f"file:{path}"))


KINDS = [pytest.param(make, id=make.__name__.strip("_")) for make in (_fake, _file, _process)]


@contextmanager
def opened(make: Maker, path: Path) -> Iterator[Camera]:
    camera = make(path)
    try:
        yield camera
    finally:
        camera.close()


def read_all(camera: Camera) -> list[Frame]:
    frames = []
    with pytest.raises(CameraEnded):  # noqa: PT012 - the loop is the statement
        while True:
            frames.append(camera.read(10.0))
    return frames


@pytest.fixture(name="video", scope="module")
def _video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_video(tmp_path_factory.mktemp("video") / "clip.mp4", COUNT)


@pytest.mark.parametrize("make", KINDS)
def test_frames_are_in_order_and_belong_to_the_camera(make: Maker, video: Path) -> None:
    with opened(make, video) as camera:
        frames = read_all(camera)
        status = camera.status()
    assert len(frames) >= COUNT - 1
    assert camera.name == "lobby"
    assert {f.camera for f in frames} == {"lobby"}
    assert all(b.seq > a.seq for a, b in pairwise(frames))
    assert all(b.t_mono_s > a.t_mono_s for a, b in pairwise(frames))
    assert all(b.t_utc > a.t_utc for a, b in pairwise(frames))
    assert all(f.t_utc.tzinfo is not None for f in frames)
    took_s = frames[-1].t_mono_s - frames[0].t_mono_s
    assert took_s == pytest.approx((frames[-1].seq - frames[0].seq) / 10.0, abs=0.15)
    assert (status.state, status.frames) == ("ended", COUNT)


@pytest.mark.parametrize("make", KINDS)
def test_a_picture_keeps_its_pixels_and_is_not_writeable(make: Maker, video: Path) -> None:
    with opened(make, video) as camera:
        first = camera.read(10.0)
        before = first.image.copy()
        assert camera.status().state == "live"
        camera.status()
        np.testing.assert_array_equal(first.image, before)
        assert first.image.dtype == np.uint8
        assert first.image.shape[2] == 3
        with pytest.raises(ValueError, match="read-only"):
            first.image[0, 0, 0] = 1
        second = camera.read(10.0)
        assert second.image.mean() > first.image.mean()


@pytest.mark.parametrize("make", KINDS)
def test_the_end_is_said_again_and_again(make: Maker, video: Path) -> None:
    with opened(make, video) as camera:
        read_all(camera)
        for _ in range(2):
            with pytest.raises(CameraEnded):
                camera.read(0.1)


@pytest.mark.parametrize("make", KINDS)
def test_a_closed_camera_gives_nothing_and_may_be_closed_again(make: Maker, video: Path) -> None:
    with opened(make, video) as camera:
        camera.read(10.0)
        camera.close()
        with pytest.raises(CameraLost):
            camera.read(0.1)


@pytest.mark.parametrize("make", KINDS)
def test_a_missing_file_is_named(make: Maker, tmp_path: Path) -> None:
    with opened(make, tmp_path / "nothing.mp4") as camera, pytest.raises(SourceNotFound):
        camera.read(10.0)


@pytest.mark.parametrize("make", KINDS)
def test_a_text_file_is_no_video(make: Maker, tmp_path: Path) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("not a video\n")
    with opened(make, path) as camera, pytest.raises(SourceInvalid):
        camera.read(10.0)
