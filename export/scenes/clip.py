"""A scenario on disk: the clip, its truth, a contact sheet, and the tracker metrics' own format."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from export.scenes import truth
from export.scenes.cast import cast
from export.scenes.errors import SceneError
from export.scenes.play import Player, conclusions
from export.scenes.rooms import ROOMS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from edge.types import U8
    from export.scenes.renderer import Renderer
    from export.scenes.scenario import Scenario

_SHEET_COLUMNS, _SHEET_ROWS = 5, 4
_THUMB = (256, 144)


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a scenario became. ``cpu_s_a_frame``: processor seconds of rendering, its share of lighting the room included."""

    name: str
    frames: int
    size_bytes: int
    cpu_s_a_frame: float
    incidents: int


def render(
    scenario: Scenario, folder: Path, renderer: Renderer, *, on_frame: Callable[[int], None] | None = None
) -> Rendered:
    """Write NAME.mp4, NAME.truth.json, NAME.mot.txt and NAME.sheet.jpg into a folder.

    :raises SceneError: ffmpeg is missing or fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    player = Player(scenario, renderer)
    keep = set(np.linspace(0, player.count - 1, _SHEET_COLUMNS * _SHEET_ROWS).round().astype(int).tolist())
    kept: list[tuple[int, U8]] = []
    start = time.process_time()
    path = folder / f"{scenario.name}.mp4"
    with Encoder(
        path, width=player.view.width, height=player.view.height, fps=scenario.fps, crf=scenario.sensor.crf
    ) as out:
        for i, picture in enumerate(player.play()):
            out.add(picture)
            if i in keep:
                kept.append((i, picture))
            if on_frame:
                on_frame(i)
    spent = time.process_time() - start
    tail = player.tail()
    truth.write(folder / f"{scenario.name}.truth.json", player.head(), player.frames, tail)
    (folder / f"{scenario.name}.mot.txt").write_text(mot(player.frames), "ascii")
    cv2.imwrite(
        str(folder / f"{scenario.name}.sheet.jpg"),
        sheet(kept, player.frames, scenario.fps),
        [cv2.IMWRITE_JPEG_QUALITY, 70],
    )
    return Rendered(
        scenario.name, player.count, path.stat().st_size, spent / max(1, player.count), len(tail["expected"])
    )


class Encoder:
    """Pictures to H.264, with a keyframe every two seconds.

    :raises SceneError: ffmpeg is missing or fails.
    """

    def __init__(self, path: Path, *, width: int, height: int, fps: float, crf: int) -> None:
        tool = shutil.which("ffmpeg")
        if tool is None:
            raise SceneError("ffmpeg is not installed", hint="apt-get install ffmpeg")
        keyframes = str(max(1, round(2 * fps)))
        self._path = path
        self._process = subprocess.Popen(
            [tool, "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "bgr24", "-s", f"{width}x{height}", "-r", f"{fps:g}", "-i", "-",
             "-c:v", "libx264", "-preset", "slow", "-crf", str(crf), "-g", keyframes, "-keyint_min", keyframes, "-sc_threshold", "0",
             "-threads", "1", "-pix_fmt", "yuv420p", "-movflags", "+faststart", "-fflags", "+bitexact", str(path)],
            stdin=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def __enter__(self) -> Encoder:  # noqa: PYI034 - Self is newer than Python 3.10
        return self

    def add(self, picture: U8) -> None:
        if self._process.stdin is None:
            raise SceneError(f"{self._path}: the encoder has no input")
        self._process.stdin.write(picture.tobytes())

    def __exit__(self, *exc: object) -> None:
        said = self._process.communicate()[1]
        if self._process.returncode:
            raise SceneError(f"{self._path}: ffmpeg failed: {said.decode(errors='replace').strip()}")


def mot(frames: Sequence[truth.FrameTruth]) -> str:
    """MOTChallenge ground truth: frame, id, left, top, width, height, 1, class 1, visibility; frames and ids from 1."""
    lines = []
    for frame in frames:
        for p in frame.persons:
            x1, y1, x2, y2 = p.box
            lines.append(f"{frame.i + 1},{p.id},{x1:g},{y1:g},{x2 - x1:.1f},{y2 - y1:.1f},1,1,{p.visibility:g}\n")
    return "".join(lines)


def sheet(kept: Sequence[tuple[int, U8]], frames: Sequence[truth.FrameTruth], fps: float) -> U8:
    """Twenty frames with their boxes, for people to look at."""
    thumbs = []
    for i, picture in kept:
        shown = picture.copy()
        for thing in frames[i].objects:
            _frame(shown, thing.box, (40, 40, 255))
        for person in frames[i].persons:
            _frame(shown, person.box, (90, 220, 90))
        small = cv2.resize(shown, _THUMB, interpolation=cv2.INTER_AREA)
        cv2.putText(small, f"{i / fps:.1f} s", (4, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (0, 255, 255), 1, cv2.LINE_AA)
        thumbs.append(small)
    while len(thumbs) < _SHEET_COLUMNS * _SHEET_ROWS:
        thumbs.append(np.zeros((_THUMB[1], _THUMB[0], 3), np.uint8))
    rows = [np.hstack(thumbs[r : r + _SHEET_COLUMNS]) for r in range(0, len(thumbs), _SHEET_COLUMNS)]
    out: U8 = np.vstack(rows).astype(np.uint8)
    return out


def overview(folder: Path, *, columns: int = 5) -> U8:
    """One telling frame of every clip in a folder: that with the most people, of those the middle one."""
    tiles = []
    for path in sorted(folder.glob("*.truth.json")):
        table = read_truth(path)
        most = max(len(f["persons"]) + len(f["objects"]) for f in table["frames"])
        full = [f["i"] for f in table["frames"] if len(f["persons"]) + len(f["objects"]) == most]
        video = cv2.VideoCapture(str(folder / table["clip"]))
        video.set(cv2.CAP_PROP_POS_FRAMES, full[len(full) // 2])
        ok, picture = video.read()
        video.release()
        tile = (
            cv2.resize(picture, _THUMB, interpolation=cv2.INTER_AREA)
            if ok
            else np.zeros((_THUMB[1], _THUMB[0], 3), np.uint8)
        )
        cv2.putText(
            tile,
            path.name.removesuffix(".truth.json"),
            (4, 12),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.38,
            (0, 255, 255),
            1,
            cv2.LINE_AA,
        )
        tiles.append(tile)
    tiles += [np.zeros((_THUMB[1], _THUMB[0], 3), np.uint8)] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[r : r + columns]) for r in range(0, len(tiles), columns)]
    return np.asarray(np.vstack(rows), np.uint8)


def conclude(path: Path, scenario: Scenario) -> bool:
    """Write a clip's truth again with what follows now from its frames; True if anything differs. No picture is touched.

    :raises SceneError: the truth is of another version, or of another scenario than this one is now.
    """
    before = read_truth(path)
    frames = truth.frames_of(before)
    if (before["clip"], len(frames)) != (f"{scenario.name}.mp4", round(scenario.seconds * scenario.fps)):
        raise SceneError(
            f"{path}: {before['clip']} with {len(frames)} frames is not {scenario.name} as the scenario has it now",
            hint=f"make-scenes clips {scenario.name} renders it again.",
        )
    room = ROOMS[scenario.room](None)
    tail = conclusions(scenario, room, cast(scenario, room), frames)
    if all(before.get(key) == value for key, value in tail.items()):
        return False
    truth.write(path, {k: v for k, v in before.items() if k not in tail and k != "frames"}, frames, tail)
    return True


def _frame(picture: U8, box: Sequence[float], colour: tuple[int, int, int]) -> None:
    x1, y1, x2, y2 = (round(v) for v in box)
    cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 1)


def read_truth(path: Path) -> dict[str, Any]:
    """The truth beside a clip.

    :raises SceneError: the file is no truth of a version that is known here.
    """
    table: dict[str, Any] = json.loads(path.read_text("utf-8"))
    if table.get("schema") != truth.SCHEMA or table.get("version") != truth.VERSION:
        raise SceneError(
            f"{path}: schema {table.get('schema')!r}, version {table.get('version')!r}",
            hint=f"Known here: {truth.SCHEMA!r}, version {truth.VERSION}.",
        )
    return table
