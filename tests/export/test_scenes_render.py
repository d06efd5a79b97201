"""Rendering for real: needs the ``scenes`` extra, Mesa's EGL and ffmpeg."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

pytest.importorskip("moderngl", reason="pip install 'kiosk-guard[scenes]'")

from rich.console import Console

from export.errors import MissingInputError
from export.scenes.clip import render
from export.scenes.errors import RendererUnavailable
from export.scenes.looks import make_looks
from export.scenes.pictures import CLASSES, PER_ROOM, make, random_person
from export.scenes.play import Player, drawn, lamps_at
from export.scenes.renderer import TAG_SCALE, Renderer
from export.scenes.rooms import ROOMS
from export.scenes.scenario import Scenario

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def renderer() -> Iterator[Renderer]:
    try:
        made = Renderer()
    except RendererUnavailable as error:
        pytest.skip(str(error))
    yield made
    made.close()


def _scenario(**more: object) -> Scenario:
    table = {
        "name": "a", "title": "t", "seconds": 1.0, "fps": 4,
        "actor": [{"name": "x", "body": "man", "holds": "hammer", "wears": ["helmet"], "path": [
            {"t": 0, "spot": "middle", "do": "hold"}, {"t": 1, "spot": "middle", "do": "hold"}]}],
    }  # fmt: skip
    return Scenario.model_validate(table | more)


def test_the_same_scenario_gives_the_same_pictures(renderer: Renderer) -> None:
    first, second = (list(Player(_scenario(), renderer).play()) for _ in range(2))
    assert len(first) == 4
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_person_s_box_is_where_the_body_is_projected(renderer: Renderer) -> None:
    player = Player(_scenario(), renderer)
    next(player.play())
    person = player.frames[0].persons[0]
    one = drawn(player.actors[0], 0.0)
    points = np.concatenate(
        [t.vertices[:, :3] if t.faces is None else t.vertices[np.unique(t.faces), :3] for t in (one.body, *one.covers)]
    )
    pixels = player.view.project(points.astype(float))
    low, high = pixels.min(0), pixels.max(0)
    assert person.visibility > 0.95  # the hammer hides a little of the arm
    assert person.box == pytest.approx([*low, *high], abs=1.0)
    assert {(o.label, o.person) for o in player.frames[0].objects} == {("tool", 1), ("helmet", 1)}


def test_who_stands_behind_another_is_less_visible(renderer: Renderer) -> None:
    path = [{"t": 0, "x": 2.2, "y": 3.2}, {"t": 1, "x": 2.2, "y": 3.2}]
    behind = [{"t": 0, "x": 2.5, "y": 3.7}, {"t": 1, "x": 2.5, "y": 3.7}]
    player = Player(
        _scenario(actor=[{"name": "a", "body": "man", "path": path}, {"name": "b", "body": "man", "path": behind}]),
        renderer,
    )
    next(player.play())
    front, back = player.frames[0].persons
    assert front.visibility == 1.0
    assert back.visibility < 0.75
    assert back.full_box[3] > back.box[3]


def test_lamps_off_is_dark_and_what_moves_throws_a_shadow(renderer: Renderer) -> None:
    player = Player(_scenario(), renderer)
    next(player.play())
    lamps = lamps_at(player.scenario, player.room, 0.0)
    empty = renderer.frame([], lamps, [])
    dark = renderer.frame([], lamps_at(_scenario(light="night"), player.room, 0.0), [])
    assert dark.mean() < 0.2 * empty.mean()
    one = drawn(player.actors[0], 0.0)
    lit = renderer.frame(one.all, lamps, [])
    outside = np.repeat(np.repeat(renderer.tags(one.all)[::TAG_SCALE, ::TAG_SCALE] == 0, 1, 0), 1, 1)
    darker = (empty.mean(2) - lit.mean(2) > 0.03) & outside
    assert darker.sum() > 300
    assert ((lit.mean(2) - empty.mean(2) > 0.05) & outside).mean() < 0.002


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
def test_a_clip_has_its_truth_its_sheet_and_its_mot(renderer: Renderer, tmp_path: Path) -> None:
    done = render(_scenario(), tmp_path, renderer)
    table = json.loads((tmp_path / "a.truth.json").read_text("utf-8"))
    assert done.frames == table["frame_count"] == len(table["frames"]) == 4
    video = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    count = 0
    while video.read()[0]:
        count += 1
    assert count == 4
    assert len((tmp_path / "a.mot.txt").read_text("ascii").splitlines()) == 4
    assert cv2.imread(str(tmp_path / "a.sheet.jpg")) is not None


def test_training_pictures_are_a_yolo_data_set(tmp_path: Path, renderer: Renderer) -> None:
    assert renderer.width == 640
    make(count=PER_ROOM, seed=4, out=tmp_path, jobs=1, console=Console(quiet=True))
    pictures = sorted((tmp_path / "images" / "train").glob("*.jpg"))
    assert len(pictures) == PER_ROOM
    lines = [
        line
        for p in pictures
        for line in (tmp_path / "labels" / "train" / f"{p.stem}.txt").read_text("ascii").splitlines()
    ]
    assert lines
    for line in lines:
        class_id, *box = line.split()
        x, y, wide, tall = map(float, box)
        assert int(class_id) < len(CLASSES)
        assert x - wide / 2 > -1e-6
        assert x + wide / 2 < 1 + 1e-6
        assert y - tall / 2 > -1e-6
        assert y + tall / 2 < 1 + 1e-6


def test_people_are_cut_out_as_the_closer_look_sees_them(tmp_path: Path) -> None:
    """Red persons, one with a green gun in the hand: in every cut the labels lie on what has their colour."""
    source = tmp_path / "rendered"
    for kind in ("images", "labels"):
        for split in ("train", "val"):
            (source / kind / split).mkdir(parents=True)
    lines, image = [], np.full((360, 640, 3), 90, np.uint8)
    for class_id, (x1, y1, x2, y2), colour in (
        (0, (100, 100, 160, 260), (0, 0, 220)),
        (0, (420, 80, 480, 280), (0, 0, 220)),
        (1, (150, 160, 170, 172), (0, 220, 0)),
    ):
        image[y1:y2, x1:x2] = colour
        lines.append(f"{class_id} {(x1 + x2) / 1280} {(y1 + y2) / 720} {(x2 - x1) / 640} {(y2 - y1) / 360}\n")
    for split, count in (("train", 30), ("val", 1)):
        for i in range(count):
            cv2.imwrite(str(source / "images" / split / f"{i:03}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
            (source / "labels" / split / f"{i:03}.txt").write_text("".join(lines))
    made = make_looks([source], tmp_path / "looks", seed=3)
    assert made["val"] == 2  # everybody
    assert 33 <= made["train"] <= 45  # the armed one always, the other now and then
    armed = 0
    for path in sorted((tmp_path / "looks/images/train").glob("*.jpg")):
        cut = cv2.imread(str(path))
        assert cut is not None
        tall, wide = cut.shape[:2]
        assert wide / tall == pytest.approx(13 / 8, rel=0.03)
        rows = [[float(v) for v in row.split()] for row in (tmp_path / f"looks/labels/train/{path.stem}.txt").read_text().splitlines()]  # fmt: skip
        assert rows
        for class_id, x, y, w, h in rows:
            armed += class_id == 1
            inner = cut[round((y - h / 3) * tall) : round((y + h / 3) * tall), round((x - w / 3) * wide) : round((x + w / 3) * wide)]  # fmt: skip
            channel = 1 if class_id == 1 else 2
            assert np.median(inner[..., channel]) > 150
    assert armed == 30
    assert (tmp_path / "looks/data.yaml").is_file()
    again = make_looks([source], tmp_path / "again", seed=3)
    assert again == made


def test_more_of_a_prop_is_drawn_when_asked_for_and_nothing_changes_otherwise() -> None:
    room = ROOMS["lobby"](None)

    def drawn_with(more: frozenset[str]) -> tuple[Counter[str | None], Counter[str]]:
        rng = np.random.default_rng(4)
        people = [random_person(rng, room, 1, (2.0, 3.0), more).actor for _ in range(150)]
        return Counter(p.holds for p in people), Counter(n for p in people for n in p.wears)

    held, worn = drawn_with(frozenset())
    more_held, more_worn = drawn_with(frozenset({"crowbar", "balaclava"}))
    assert more_held["crowbar"] > 2 * held["crowbar"] > 0
    assert more_worn["balaclava"] > 1.5 * worn["balaclava"] > 0
    assert more_held[None] > 30
    assert drawn_with(frozenset()) == (held, worn)


def test_a_folder_without_pictures_is_said(tmp_path: Path) -> None:
    with pytest.raises(MissingInputError, match="no pictures"):
        make_looks([tmp_path], tmp_path / "out", seed=1)
