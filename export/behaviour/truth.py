"""What happens in which clip, and which clips show one scene and so belong together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

from export.errors import MissingInputError
from export.events.cli import read_truth

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from edge.types import F32, F64, U8
    from export.behaviour.footage import Footage

# Labels of events.json that each behaviour is to answer.
LABELS = {
    "assault": frozenset({"snatch/robbery", "assault/robbery"}),
    "machine_tampering": frozenset({"tampering", "vandalism", "vandalism/tool"}),
}
_ALIKE = 0.5  # correlation of two clips' still pictures and of their edges, on average, that makes them one scene;
_NEIGHBOURS = 0.4  # of two that stand side by side in the list, that of the pictures alone ...
_TONES = 0.8  # ... or of how much of the picture is how bright
_STILL = (48, 27)  # px


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a clip, seconds, in which something happens."""

    what: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip. ``events``: what happens in it; ``whole``: what all of it shows, "" for nothing in particular."""

    path: Path
    events: tuple[Stretch, ...] = ()
    whole: str = ""

    def label(self, behaviour: str, start_s: float, end_s: float) -> bool | None:
        """Whether these seconds show the behaviour; None: too near to something to say."""
        if self.whole:
            return self.whole == behaviour
        middle = (start_s + end_s) / 2
        if any(e.what in LABELS[behaviour] and e.start_s <= middle <= e.end_s for e in self.events):
            return True
        # Times were read by eye; and who tampers may also be seen in what comes before and after something else.
        near = any(e.start_s - 1.0 <= end_s and start_s <= e.end_s + 3.0 for e in self.events)
        return None if near else False

    def shows(self, behaviour: str) -> bool:
        """Whether any of it does."""
        return self.whole == behaviour or any(e.what in LABELS[behaviour] for e in self.events)


def read_clips(folder: Path) -> list[Clip]:
    """The clips of ``folder/events.json``. :raises ExportError: it, or a clip, is missing or malformed."""
    return [
        Clip(t.path, tuple(Stretch(e.what, e.start_s, e.end_s) for e in t.events))
        for t in read_truth(folder / "events.json")
    ]


def read_fights(folder: Path) -> list[Clip]:
    """The clips of ``folder/fight`` and ``folder/noFight``. :raises MissingInputError: there are none."""
    fights, others = (sorted((folder / name).glob("*.mp4")) for name in ("fight", "noFight"))
    if not fights or not others:
        raise MissingInputError(f"{folder}: no clips in fight/ or in noFight/")
    return [*(Clip(p, whole="assault") for p in fights), *(Clip(p, whole="nothing") for p in others)]


def scenes(clips: Sequence[Clip], footage: Mapping[Path, Footage]) -> dict[Path, int]:
    """A number for each clip, the same for clips of one scene: those whose still pictures and their edges are alike.

    Neighbours in the list need only be about as bright: such sets are cut from longer recordings, where the camera
    pans or the person with it walks. Two scenes taken for one make the test harder, one taken for two makes it a lie.
    """
    stills = [np.median(footage[clip.path].small, axis=0).astype(np.float32) for clip in clips]
    pictures = _correlation([cv2.resize(still, _STILL) for still in stills])
    alike = (pictures + _correlation([_edges(still) for still in stills])) / 2
    tones = _correlation([_tones(footage[clip.path].small) for clip in clips])
    root = list(range(len(clips)))

    def top(k: int) -> int:
        while root[k] != k:
            k = root[k]
        return k

    for i in range(len(clips)):
        for j in range(i):
            side_by_side = i - j == 1 and clips[i].path.parent == clips[j].path.parent
            near = side_by_side and max(tones[i, j] - _TONES, pictures[i, j] - _NEIGHBOURS) > 0
            if alike[i, j] > _ALIKE or near:
                root[top(i)] = top(j)
    by_name: dict[str, int] = {}
    for k, clip in enumerate(clips):  # one recording in several clips: "36a" and "36b"
        stem = clip.path.stem
        if clip.events and stem[-1].isalpha() and stem[-2:-1].isdigit():
            root[top(k)] = top(by_name.setdefault(stem[:-1], k))
    return {clip.path: top(k) for k, clip in enumerate(clips)}


def _correlation(rows: Sequence[F32]) -> F64:
    """(N, N) of N arrays of one shape."""
    flat = np.stack([row.ravel() for row in rows]).astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)
    flat /= flat.std(axis=1, keepdims=True) + 1e-6
    found: F64 = flat @ flat.T / flat.shape[1]
    return found


def _edges(still: F32) -> F32:
    size = np.log1p(np.hypot(cv2.Sobel(still, cv2.CV_32F, 1, 0), cv2.Sobel(still, cv2.CV_32F, 0, 1)))
    soft = cv2.resize(cv2.GaussianBlur(size, (0, 0), 1.5), _STILL, interpolation=cv2.INTER_AREA)
    return np.asarray(soft, np.float32)


def _tones(pictures: U8) -> F32:
    counts = np.histogram(pictures, bins=32, range=(0, 256))[0].astype(np.float32)
    return np.asarray(cv2.GaussianBlur(counts[:, None], (1, 11), 1.0), np.float32)
