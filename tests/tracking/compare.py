"""Our tracker beside ByteTrack, on the same detections: IDF1, identity switches, fragmentations.

Needs an environment of its own, for the other tracker brings matplotlib and a second OpenCV along:

    python -m venv compare && compare/bin/pip install . trackers motmetrics
    PYTHONPATH=tests compare/bin/python tests/tracking/compare.py [--lives N]

Prints the table of COMPARISON.md. Three sources: the demo clip and the rendered clips of tests/clips with the shipped
detector against their exact truth, and random lives from tests/fakes/lives.py with a made-up detector. They are judged at
2, 5 and up to 15 frames a second, 30 % of the frames dropped at random; the rendered clips also with none dropped. A track's box counts in the frames in which it is seen (ours) or returned
(theirs), so that both are judged by what was detected; a box fits a person at an IoU of 0.5 or more.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import motmetrics
import numpy as np
import supervision
from fakes.lives import DOOR, LOBBY, story
from fakes.scenes import SIZE
from trackers import ByteTrackTracker

from edge.cameras.file import VideoFile
from edge.detect.onnx import OnnxDetector
from edge.errors import CameraEnded
from edge.models.shipped import shipped_bundle
from edge.track.exits import Exits
from edge.track.tracker import Tracker

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.types import Detections

DEMO = Path(__file__).parents[2] / "firmware_config" / "demo" / "lobby.truth.json"
CLIPS = Path(__file__).parents[1] / "clips"
ZONES = ("door", "lobby")
RATES = (2.0, 5.0, 15.0)
DROPPED = 0.3

Boxes = dict[int, tuple[float, float, float, float]]  # id -> x1 y1 x2 y2, px


@dataclass
class Clip:
    """Frames with their time, detections and true boxes."""

    name: str
    size: tuple[int, int]
    frames: list[tuple[float, Detections, Boxes]] = field(default_factory=list)
    exits: Exits = field(default_factory=Exits)


def ours(clip: Clip, _fps: float) -> Callable[[Detections, float], Boxes]:
    """As a box runs it, zones known."""
    tracker = Tracker(exits=clip.exits)

    def follow(detections: Detections, t: float) -> Boxes:
        tracks = tracker.update(detections, t, size=clip.size)
        seen = tracks.unseen_s == 0
        return dict(zip(tracks.track_id[seen].tolist(), map(tuple, tracks.xyxy[seen].tolist()), strict=True))

    return follow


def ours_without_zones(clip: Clip, fps: float) -> Callable[[Detections, float], Boxes]:
    """The same where nobody drew a door."""
    return ours(Clip(clip.name, clip.size), fps)


def bytetrack(_clip: Clip, fps: float) -> Callable[[Detections, float], Boxes]:
    """With the same thresholds and the same 3 s of memory (90 of its nominal frames), told every frame's time."""
    return _theirs(
        ByteTrackTracker(
            lost_track_buffer=90,
            frame_rate=fps,
            track_activation_threshold=0.45,
            high_conf_det_threshold=0.45,
            minimum_consecutive_frames=2,
        )
    )


def bytetrack_defaults(_clip: Clip, fps: float) -> Callable[[Detections, float], Boxes]:
    """As it comes."""
    return _theirs(ByteTrackTracker(frame_rate=fps))


def _theirs(tracker: ByteTrackTracker) -> Callable[[Detections, float], Boxes]:
    def follow(detections: Detections, t: float) -> Boxes:
        parts = [detections] if detections.faint is None else [detections, detections.faint]  # it takes all in one
        found = tracker.update(
            supervision.Detections(
                xyxy=np.concatenate([part.xyxy for part in parts]),
                confidence=np.concatenate([part.score for part in parts]),
                class_id=np.concatenate([part.class_id for part in parts]),
            ),
            timestamp=t,
        )
        ids = found.tracker_id if found.tracker_id is not None else np.zeros(0, int)
        return {int(i): tuple(map(float, b)) for i, b in zip(ids, found.xyxy, strict=True) if i >= 0}

    return follow


def rendered_clip(truth_file: Path, detector: OnnxDetector) -> Clip:
    """Without the frames in which the camera has a fault: what is to be seen in those is nobody's to say."""
    truth = json.loads(truth_file.read_text())
    size = (truth["width"], truth["height"])
    drawn = {kind: [np.array(z["polygon"], np.float32) for z in truth["zones"] if z["kind"] == kind] for kind in ZONES}
    clip = Clip(truth["clip"], size, exits=Exits(doors=drawn["door"], rooms=drawn["lobby"]))
    camera = VideoFile(truth_file.with_name(truth_file.name.replace(".truth.json", ".mp4")), name="lobby")
    for number in range(truth["frame_count"]):
        try:
            frame = camera.read(1.0)
        except CameraEnded:
            break
        if truth["frames"][number].get("camera", "ok") != "ok":
            continue
        people = {p["id"]: tuple(p["box"]) for p in truth["frames"][number]["persons"] if p["visibility"] > 0.3}
        clip.frames.append((truth["frames"][number]["t_s"], detector.detect(frame), people))
    camera.close()
    return clip


def lives_clip(seed: int, fps: float) -> Clip:
    made = story(seed, people=3, limit_s=8.0)
    rng = np.random.default_rng(seed)
    clip = Clip(f"lives {seed}", SIZE, exits=Exits(doors=[DOOR.polygon], rooms=[LOBBY.polygon]))
    for k in range(int((made.ends_s + 2) * fps)):
        detections, _ = made.detections(k / fps, rng)
        clip.frames.append((k / fps, detections, {p.name: p.box(k / fps) for p in made.visible(k / fps)}))
    return clip


def at_rate(clip: Clip, fps: float, seed: int, dropped: float = DROPPED) -> Clip:
    """Every so many frames, of which some are dropped."""
    rng, due, kept = np.random.default_rng(seed), -1.0, []
    for frame in clip.frames:
        if frame[0] >= due - 1e-9:
            due = max(due, frame[0]) + 1 / fps if due >= 0 else frame[0] + 1 / fps
            if rng.random() >= dropped:
                kept.append(frame)
    return Clip(clip.name, clip.size, kept, clip.exits)


def judge(clip: Clip, follow: Callable[[Detections, float], Boxes]) -> motmetrics.MOTAccumulator:
    account = motmetrics.MOTAccumulator(auto_id=True)
    for t, detections, people in clip.frames:
        found = follow(detections, t)
        account.update(list(people), list(found), _distance(list(people.values()), list(found.values())))
    return account


def _distance(a: list[tuple[float, ...]], b: list[tuple[float, ...]]) -> np.ndarray:
    if not a or not b:
        return np.zeros((len(a), len(b)))
    first, second = np.array(a)[:, None], np.array(b)[None]
    sides = np.maximum(np.minimum(first[..., 2:], second[..., 2:]) - np.maximum(first[..., :2], second[..., :2]), 0)
    inside = sides.prod(axis=2)
    area = [(box[..., 2:] - box[..., :2]).prod(axis=2) for box in (first, second)]
    overlap = inside / (area[0] + area[1] - inside)
    return np.where(overlap >= 0.5, 1 - overlap, np.nan)


TRACKERS = {
    "ours": ours,
    "ours, no zones drawn": ours_without_zones,
    "ByteTrack, same settings": bytetrack,
    "ByteTrack, its defaults": bytetrack_defaults,
}
METRICS = ["idf1", "num_switches", "num_fragmentations", "num_misses", "num_false_positives", "num_objects"]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lives", type=int, default=60, help="stories of three people for each rate")
    lives = parser.parse_args().lives
    detector = OnnxDetector(shipped_bundle(), threads=2, classes=["person"])
    demo = rendered_clip(DEMO, detector)
    rendered = [rendered_clip(file, detector) for file in sorted(CLIPS.glob("*.truth.json"))]
    sources: list[tuple[str, float, list[Clip]]] = [
        ("demo clip", fps, [at_rate(demo, fps, seed) for seed in range(20)]) for fps in (2.0, 5.0, 10.0)
    ]
    sources += [
        ("rendered clips", fps, [at_rate(clip, fps, seed) for clip in rendered for seed in range(6)])
        for fps in (2.0, 5.0)
    ]
    sources.append(("rendered clips, none dropped", 5.0, [at_rate(clip, 5.0, 0, 0.0) for clip in rendered]))
    sources += [
        ("random lives", fps, [at_rate(lives_clip(seed, fps), fps, seed) for seed in range(lives)]) for fps in RATES
    ]
    print("| source | frames/s | tracker | IDF1 | switches | fragmentations | missed | false | boxes |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    for source, fps, clips in sources:
        for name, make in TRACKERS.items():
            accounts = [judge(clip, make(clip, fps)) for clip in clips]
            host = motmetrics.metrics.create()
            total = host.compute_many(accounts, metrics=METRICS, generate_overall=True).loc["OVERALL"]
            print(
                f"| {source} | {fps:g} | {name} | {total.idf1:.3f} | {total.num_switches:.0f} | "
                f"{total.num_fragmentations:.0f} | {total.num_misses:.0f} | {total.num_false_positives:.0f} | "
                f"{total.num_objects:.0f} |",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
