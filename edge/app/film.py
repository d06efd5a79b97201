"""What ``replay --video`` writes: the clip with boxes, ids, zones and dwell drawn, and what is open below."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING

import cv2

from edge.annotate import annotate
from edge.errors import StateError
from edge.rules.dwell import Stays
from edge.types import Scene, ZoneKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from edge.pipeline import Judged
    from edge.types import Incident
    from edge.zones import ZoneMap

# What OpenCV's own encoders can write everywhere: VP8 plays in any browser, MPEG-4 part 2 in any player.
_CODECS = {".webm": "VP80", ".mp4": "mp4v", ".avi": "MJPG"}
_STAYED = {ZoneKind.LOBBY, ZoneKind.MACHINE, ZoneKind.RESTRICTED}
_GRACE_S = 2.0


class Film:
    """An annotated video, opened with the first picture.

    :param fps: as which it plays. ``classes``: the model's; ``person``: which of them people are.
    :raises StateError: no such video can be written.
    """

    def __init__(self, path: Path, fps: float, classes: Sequence[str], *, zones: ZoneMap, person: str) -> None:
        if path.suffix.lower() not in _CODECS:
            raise StateError(
                f"{path}: cannot write {path.suffix or 'a file without ending'}", hint="allowed: " + ", ".join(_CODECS)
            )
        if not path.parent.is_dir():
            raise StateError(f"{path}: the folder {path.parent} does not exist", hint="make it first")
        self._path, self._fps, self._classes = path, fps, classes
        self._dwells = Dwells({classes.index(person)})
        self._zones = zones
        self._writer: cv2.VideoWriter | None = None

    def add(self, judged: Judged, open_incidents: Sequence[Incident]) -> None:
        hot = {t for o in judged.observations for t in o.track_ids}
        inside = self._zones.occupancy(judged.tracks, judged.frame.size)
        scene = Scene(judged.frame, judged.tracks, judged.zones, inside, clock_synced=True)
        notes = {track: f"{stay_s:.0f} s" for track, stay_s in self._dwells.update(scene).items()}
        state = "; ".join(f"{i.rule} ({i.severity.label})" for i in open_incidents) or "nothing unusual"
        picture = annotate(
            judged.frame.image,
            judged.tracks,
            classes=self._classes,
            zones=judged.zones,
            alarmed=hot,
            notes=notes,
            caption=[f"{judged.frame.t_mono_s:6.1f} s   {state}"],
        )
        picture = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]  # encoders want even sizes
        if self._writer is None:
            code = cv2.VideoWriter.fourcc(*_CODECS[self._path.suffix.lower()])
            with _quiet():
                self._writer = cv2.VideoWriter(str(self._path), code, self._fps, (picture.shape[1], picture.shape[0]))
            if not self._writer.isOpened():
                raise StateError(f"{self._path}: cannot be written", hint="is the folder writable, and is there room?")
        self._writer.write(picture)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()


class Dwells:
    """How long people have been where they are, as the rules measure it; of several zones, the longest stay."""

    def __init__(self, person_classes: Collection[int]) -> None:
        self._person_classes = person_classes
        self._stays: dict[str, Stays] = {}

    def update(self, scene: Scene) -> dict[int, float]:
        """Track id -> seconds, for everybody seen in a zone that people stay in."""
        found: dict[int, float] = {}
        for zone, inside in zip(scene.zones, scene.occupancy, strict=True):
            if zone.kind not in _STAYED:
                continue
            if zone.name not in self._stays:
                self._stays[zone.name] = Stays(
                    person_classes=self._person_classes, grace_s=_GRACE_S, walks_in=zone.kind is ZoneKind.LOBBY
                )
            for track, stay_s in self._stays[zone.name].update(scene, zone, inside).items():
                found[track] = max(stay_s, found.get(track, 0.0))
        return found


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """OpenCV's encoder prints a harmless remark about the codec's tag, past every logging switch."""
    sys.stderr.flush()
    kept, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)
