"""Clips as what the kiosk makes of them: small pictures, persons and looks, taken once and kept."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import cv2
import numpy as np

from edge.behaviour.looks import Looks
from edge.behaviour.motion import Motion, shrink
from edge.behaviour.rows import Rows
from edge.behaviour.watch import LINGER_S, MAX_LOST_S, MAX_UNSEEN_S
from edge.cameras.file import VideoFile
from edge.detect.closer import EVERY_S, CloserLooks, look_closer
from edge.errors import CameraEnded, CameraError
from edge.track.tracker import Tracker
from edge.types import Detections
from export.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge.detect.onnx import OnnxDetector
    from edge.types import F32, F64, U8, Bool

    Change = Callable[[U8], U8]

FPS = 5.0  # as the kiosk judges
_TAKEN_AS = 1  # another number where another version takes something else from the same clip


@dataclass(frozen=True, slots=True)
class Footage:
    """One clip. ``t_s``: (F,) seconds; ``small``: uint8 (F, h, w); ``found``: boxes (N, 4) and scores (N,) of persons.

    ``sure_from``: the scores below are of faint boxes; ``size``: (width, height) of its frames, pixels; ``looks``: (F, 2 C),
    what :class:`edge.behaviour.looks.Looks` makes of each frame, C the channels of the detector's map, 0 where it has none; ``there``: (F,), whether it is known.
    """

    t_s: F64
    small: U8
    size: tuple[int, int]
    found: tuple[tuple[F32, F32], ...]
    looks: F32
    there: Bool
    sure_from: float = 0.0

    def seen(self) -> Iterator[Detections]:
        """Frame by frame, what the detector said."""
        for boxes, scores in self.found:
            sure = scores >= self.sure_from
            every = Detections(boxes.copy(), scores.copy(), np.zeros(len(scores), np.int64))
            yield replace(every.where(sure), faint=every.where(~sure))


@dataclass(frozen=True, slots=True)
class Moment:
    """One frame of a clip: people, and what :class:`edge.behaviour.rows.Rows` says of them."""

    t_s: float
    names: list[int]
    rows: F32
    xyxy: F32


def footage(clip: Path, detector: OnnxDetector, cache: Path | None, *, change: Change | None = None) -> Footage:
    """A clip's footage, from the cache if it was taken with the same detector.

    :param cache: folder; None: nothing is kept.
    :param change: what becomes of every picture before anything looks at it.
    :raises DatasetError: the clip cannot be read.
    """
    kept = cache / f"{clip.stem}-{_key(clip, detector)}.npz" if cache else None
    found = _kept(kept) if kept else None
    if found is None:
        found = _taken(clip, detector, change)
        if kept:
            _keep(kept, found)
    return found


def _key(clip: Path, detector: OnnxDetector) -> str:
    """What footage depends on besides the change: the clip's bytes and the model's, for names of both occur twice."""
    text = f"{hashlib.sha256(clip.read_bytes()).hexdigest()} {detector.manifest.model.sha256} {EVERY_S} {_TAKEN_AS}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _kept(path: Path) -> Footage | None:
    """Footage from its file; None: there is none, or none that is whole."""
    try:
        with np.load(path) as z:
            ends = np.cumsum(z["count"])[:-1]
            found = zip(np.split(z["xyxy"], ends), np.split(z["score"], ends), strict=True)
            size = (int(z["size"][0]), int(z["size"][1]))
            return Footage(z["t_s"], z["small"], size, tuple(found), z["looks"], z["there"], float(z["sure_from"]))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None


def _keep(path: Path, taken: Footage) -> None:
    """Whole or not at all: taking it may be stopped at any time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}")
    with fresh.open("wb") as file:
        np.savez_compressed(
            file,
            t_s=taken.t_s,
            small=taken.small,
            size=np.array(taken.size),
            count=np.array([len(s) for _, s in taken.found]),
            xyxy=np.concatenate([b for b, _ in taken.found]),
            score=np.concatenate([s for _, s in taken.found]),
            looks=taken.looks,
            there=taken.there,
            sure_from=np.array(taken.sure_from),
        )
    fresh.replace(path)


def busy(clip: Footage) -> Iterator[tuple[float, bool, bool]]:
    """For each frame: its time, whether somebody is there to say it of, and whether the kiosk looks at it.

    As if somebody had been seen just before: clips start in the middle of things, people in front of a machine do not.
    """
    tracker, last_s = Tracker(), float(clip.t_s[0]) if len(clip.t_s) else 0.0
    for at_s, seen in zip(clip.t_s, clip.seen(), strict=True):
        t_s = float(at_s)
        unseen_s = tracker.update(seen, t_s, size=clip.size).unseen_s
        last_s = t_s if (unseen_s <= MAX_UNSEEN_S).any() else last_s
        yield t_s, bool((unseen_s <= MAX_LOST_S).any()), t_s - last_s <= LINGER_S


def moments(clip: Footage) -> Iterator[Moment]:
    """What the kiosk's own tracker and features make of a clip, frame by frame."""
    tracker, motion, rows = Tracker(), Motion(), Rows()
    for at_s, small, seen in zip(clip.t_s, clip.small, clip.seen(), strict=True):
        t_s = float(at_s)
        tracks = tracker.update(seen, t_s, size=clip.size)
        tracks = tracks.where(tracks.unseen_s <= MAX_UNSEEN_S)
        names = tracks.track_id.tolist()
        if not names:
            motion.forget()
            yield Moment(t_s, [], np.zeros((0, 1), np.float32), tracks.xyxy)
            continue
        field = motion.update(small, t_s, width=clip.size[0])
        yield Moment(t_s, names, rows.update(names, tracks.xyxy, field, t_s, clip.size), tracks.xyxy)


def mirror(image: U8) -> U8:
    """Left for right: what people do stays the same."""
    return np.ascontiguousarray(image[:, ::-1])


def surveillance(seed: int) -> Change:
    """Makes pictures look like a cheap surveillance camera's: few pixels, soft, dark, noisy, hard compressed, half of the time grey."""
    rng = np.random.default_rng(seed)
    grey, gamma, gain, noise = rng.random() < 0.5, rng.uniform(0.8, 1.6), rng.uniform(0.5, 1.0), rng.uniform(4, 10)
    quality = int(rng.integers(20, 45))

    def spoil(image: U8) -> U8:
        height, width = image.shape[:2]
        scale = min(1.0, 320 / max(height, width))
        soft = cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA)
        soft = cv2.GaussianBlur(soft, (0, 0), 0.8)
        if grey:
            soft = cv2.cvtColor(cv2.cvtColor(soft, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
        light = (soft.astype(np.float32) / 255) ** gamma * gain * 255 + rng.normal(0, noise, (*soft.shape[:2], 1))
        _, packed = cv2.imencode(".jpg", np.clip(light, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, quality])
        spoilt: U8 = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
        return spoilt

    return spoil


def _taken(clip: Path, detector: OnnxDetector, change: Change | None) -> Footage:
    source = VideoFile(clip, name="clip", max_fps=FPS)
    times, pictures, found, glances = [], [], [], []
    looks, size = Looks(), (0, 0)
    closer = CloserLooks(every_s=EVERY_S, person_classes=[detector.classes.index("person")])
    try:
        while True:
            frame = source.read(0.0)
            image = change(frame.image) if change else frame.image
            size = (image.shape[1], image.shape[0])
            whole = detector.detect_image(image)
            seen, _ = look_closer(closer, detector.detect_image, image, whole, frame.t_mono_s)
            times.append(frame.t_mono_s)
            pictures.append(shrink(image))
            parts = [seen] if seen.faint is None else [seen, seen.faint]
            found.append((np.concatenate([p.xyxy for p in parts]), np.concatenate([p.score for p in parts])))
            glances.append(looks.update(seen.features, frame.t_mono_s) if seen.features else None)
    except CameraEnded:
        pass
    except CameraError as error:
        raise DatasetError(f"{clip}: {error.message}", hint=error.hint) from error
    finally:
        source.close()
    if not times:
        raise DatasetError(f"{clip}: no picture in it", hint="take the clip out of the set")
    there = np.array([glance is not None for glance in glances])
    width = next((len(g.looks) for g in glances if g is not None), 0)
    rows = np.stack([np.zeros(width, np.float32) if g is None else g.looks for g in glances])
    sure_from = detector.manifest.thresholds["person"]
    return Footage(np.array(times), np.stack(pictures), size, tuple(found), rows, there, sure_from)
