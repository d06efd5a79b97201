"""Video files as the replay reads them."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest

from edge.cameras.file import VideoFile
from edge.errors import CameraEnded, SourceInvalid, SourceNotFound
from tests.fakes.cameras import write_video

if TYPE_CHECKING:
    from pathlib import Path


def test_times_are_the_clips_own(tmp_path: Path) -> None:
    start_utc = datetime(2026, 5, 4, 3, 2, 1, tzinfo=timezone.utc)
    path = write_video(tmp_path / "clip.mp4", 5, fps=8.0)
    video = VideoFile(path, name="hall", start_mono_s=100.0, start_utc=start_utc)
    frames = [video.read(0.0) for _ in range(5)]
    assert [f.seq for f in frames] == [0, 1, 2, 3, 4]
    assert [f.t_mono_s for f in frames] == pytest.approx([100.0 + i / 8 for i in range(5)])
    assert [f.t_utc for f in frames] == [start_utc + timedelta(seconds=i / 8) for i in range(5)]
    assert frames[0].size == (64, 48)
    assert video.fps == pytest.approx(8.0)
    with pytest.raises(CameraEnded, match="over after 5 frames"):
        video.read(0.0)
    assert video.status().state == "ended"
    assert video.fps == pytest.approx(8.0)


def test_two_readings_are_the_same(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", 6)
    one, two = VideoFile(path), VideoFile(path)
    for _ in range(6):
        a, b = one.read(0.0), two.read(0.0)
        assert (a.seq, a.t_mono_s, a.t_utc) == (b.seq, b.t_mono_s, b.t_utc)
        assert bytes(a.image.data) == bytes(b.image.data)
    one.close()
    two.close()


def test_frames_that_nobody_wants_are_passed_over(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", 30, fps=30.0)
    every, thin = VideoFile(path), VideoFile(path, max_fps=5.0)
    pictures = [every.read(0.0) for _ in range(30)]
    frames = [thin.read(0.0) for _ in range(5)]
    assert [f.seq for f in frames] == [0, 6, 12, 18, 24]
    assert [f.t_mono_s for f in frames] == pytest.approx([i / 5 for i in range(5)])
    assert [bytes(f.image.data) for f in frames] == [bytes(pictures[f.seq].image.data) for f in frames]
    with pytest.raises(CameraEnded, match="over after 30 frames"):
        thin.read(0.0)
    assert thin.status().frames == 30


def test_a_clip_that_was_cut_short_gives_what_it_has(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.avi", 40, size=(320, 240))
    cut = tmp_path / "cut.avi"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    video = VideoFile(cut)
    count = 0
    with pytest.raises(CameraEnded):  # noqa: PT012 - the loop is the statement
        while True:
            video.read(0.0)
            count += 1
    assert 0 < count < 40


@pytest.mark.parametrize("content", [b"", b"hello\n" * 100, bytes(5000), b"\x00\x00\x00\x18ftypmp42" + bytes(300)])
def test_what_is_no_video_is_refused_by_name(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "lobby.mp4"
    path.write_bytes(content)
    for _ in range(2):
        with pytest.raises(SourceInvalid, match=r"lobby\.mp4") as caught:
            VideoFile(path).read(0.0)
        assert caught.value.hint


def test_a_folder_and_a_missing_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(SourceInvalid, match="no regular file"):
        VideoFile(tmp_path).read(0.0)
    with pytest.raises(SourceNotFound, match="does not exist"):
        VideoFile(tmp_path / "nothing.mp4").read(0.0)
    video = VideoFile(tmp_path / "nothing.mp4")
    with pytest.raises(SourceNotFound):
        video.read(0.0)
    with pytest.raises(SourceNotFound):  # and says so again
        video.read(0.0)


def test_the_libraries_keep_silent(tmp_path: Path) -> None:
    path = tmp_path / "lobby.mp4"
    path.write_text("no video\n")
    program = (
        "import sys; from edge.cameras.file import VideoFile; from edge.errors import SourceInvalid\n"
        "try: VideoFile(sys.argv[1]).read(0.0)\n"
        "except SourceInvalid: print('refused')\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("refused\n", "")
