"""What is seen: frames, what a detector finds in them, who is followed, where they stand. All that a rule may look at."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from edge.types.arrays import F32, F64, I64, IS_BOOL, IS_F32, IS_F64, IS_I64, IS_U8, U8, Bool, check_column

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture. ``image``: uint8 (H, W, 3) BGR, not writeable.

    ``t_mono_s`` and ``t_utc`` are the time of capture; ``seq`` counts the source's frames, dropped ones included.
    """

    image: U8
    seq: int
    t_mono_s: float
    t_utc: datetime
    camera: str

    def __post_init__(self) -> None:
        check_column("Frame", "image", self.image, IS_U8, (None, None, 3))

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.image.shape[1], self.image.shape[0]


@dataclass(frozen=True, slots=True)
class Features:
    """A map from the middle of the detector's network: what it makes of each part of the picture.

    ``values``: float32 (C, h, w); ``inside``: x1, y1, x2, y2 in whole cells, the part of the map that is picture throughout;
    ``across``: cells per frame pixel, x and y; ``origin``: where the frame's corner lies, in cells, x and y;
    ``map_name``: whose map it is; of one network's map another's says nothing.
    """

    values: F32
    inside: tuple[int, int, int, int]
    across: tuple[float, float]
    origin: tuple[float, float]
    map_name: str

    def __post_init__(self) -> None:
        check_column("Features", "values", self.values, IS_F32, (None, None, None))


@dataclass(frozen=True, slots=True)
class Detections:
    """What the detector sees in one frame, N boxes.

    ``xyxy``: float32 (N, 4), x1 y1 x2 y2 in frame pixels; ``score``: float32 (N,), 0..1; ``class_id``: int64 (N,);
    ``features``: of the whole picture; None: nobody asked, or the model gives none. ``faint``: boxes below their class's
    threshold, only for the tracker to follow further what it follows; None: none. Nothing else may count them: they are no
    detections.
    """

    xyxy: F32
    score: F32
    class_id: I64
    features: Features | None = None
    faint: Detections | None = None

    def __post_init__(self) -> None:
        n = len(self.xyxy)
        check_column("Detections", "xyxy", self.xyxy, IS_F32, (n, 4))
        check_column("Detections", "score", self.score, IS_F32, (n,))
        check_column("Detections", "class_id", self.class_id, IS_I64, (n,))

    def __len__(self) -> int:
        return len(self.xyxy)

    @classmethod
    def empty(cls) -> Detections:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    def where(self, keep: Bool | I64) -> Detections:
        """The rows that a mask (N,) or an index array selects; what is faint stays."""
        return Detections(self.xyxy[keep], self.score[keep], self.class_id[keep], self.features, self.faint)


@dataclass(frozen=True, slots=True)
class Tracks:
    """What is followed, M things, sorted by ``track_id`` (never reused).

    ``xyxy`` float32 (M, 4) frame pixels; ``score`` float32 (M,); ``class_id`` int64 (M,); ``age_s`` float64 (M,),
    seconds since first seen; ``unseen_s`` float64 (M,), seconds since last seen (0: seen in this frame);
    ``holder_id`` int64 (M,), the track of the person who holds the object, -1: none; ``first_xyxy`` float32 (M, 4),
    where each was when first seen, None: not known.
    """

    track_id: I64
    xyxy: F32
    score: F32
    class_id: I64
    age_s: F64
    unseen_s: F64
    holder_id: I64
    first_xyxy: F32 | None = None

    def __post_init__(self) -> None:
        m = len(self.track_id)
        if self.first_xyxy is not None:
            check_column("Tracks", "first_xyxy", self.first_xyxy, IS_F32, (m, 4))
        check_column("Tracks", "track_id", self.track_id, IS_I64, (m,))
        check_column("Tracks", "xyxy", self.xyxy, IS_F32, (m, 4))
        check_column("Tracks", "score", self.score, IS_F32, (m,))
        check_column("Tracks", "class_id", self.class_id, IS_I64, (m,))
        check_column("Tracks", "age_s", self.age_s, IS_F64, (m,))
        check_column("Tracks", "unseen_s", self.unseen_s, IS_F64, (m,))
        check_column("Tracks", "holder_id", self.holder_id, IS_I64, (m,))

    def __len__(self) -> int:
        return len(self.track_id)

    @classmethod
    def empty(cls) -> Tracks:
        i, f = np.zeros(0, np.int64), np.zeros(0, np.float64)
        return cls(i, np.zeros((0, 4), np.float32), np.zeros(0, np.float32), i.copy(), f, f.copy(), i.copy())

    def where(self, keep: Bool | I64) -> Tracks:
        """The rows that a mask (M,) or an ascending index array selects."""
        return Tracks(
            track_id=self.track_id[keep],
            xyxy=self.xyxy[keep],
            score=self.score[keep],
            class_id=self.class_id[keep],
            age_s=self.age_s[keep],
            unseen_s=self.unseen_s[keep],
            holder_id=self.holder_id[keep],
            first_xyxy=None if self.first_xyxy is None else self.first_xyxy[keep],
        )


class ZoneKind(str, Enum):
    """What a zone means to the rules."""

    LOBBY = "lobby"
    MACHINE = "machine"
    RESTRICTED = "restricted"
    DOOR = "door"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Zone:
    """A part of one camera's picture. ``polygon``: float32 (K, 2), x y normalised 0..1, K >= 3."""

    camera: str
    name: str
    kind: ZoneKind
    polygon: F32

    def __post_init__(self) -> None:
        check_column("Zone", "polygon", self.polygon, IS_F32, (len(self.polygon), 2))


BEHAVIOURS = ("assault", "machine_tampering")  # columns of ``Scene.behaviour``


@dataclass(frozen=True, slots=True)
class Look:
    """A part of a frame that the detector was given once more, larger: ``xyxy`` in whole frame pixels.

    ``stands_for_s``: seconds since the same person was last looked at so; 0: never before. What it shows was seen for so long, in
    the sense in which a frame stands for the time since the frame before.
    """

    xyxy: tuple[int, int, int, int]
    stands_for_s: float


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a rule may see of one moment of one camera. ``occupancy``: bool (Z, M), zone z holds track m.

    ``motion``: float32 (M,), how fast each person's limbs move, own box heights a second; ``behaviour``: float32
    (M, len(BEHAVIOURS)), how likely each person does what, 0..1. None: nothing watches for it. ``look``: which part of the frame
    was looked at closer, None: none.
    """

    frame: Frame
    tracks: Tracks
    zones: tuple[Zone, ...]
    occupancy: Bool
    clock_synced: bool
    motion: F32 | None = None
    behaviour: F32 | None = None
    look: Look | None = None

    def __post_init__(self) -> None:
        check_column("Scene", "occupancy", self.occupancy, IS_BOOL, (len(self.zones), len(self.tracks)))
        if self.motion is not None:
            check_column("Scene", "motion", self.motion, IS_F32, (len(self.tracks),))
        if self.behaviour is not None:
            check_column("Scene", "behaviour", self.behaviour, IS_F32, (len(self.tracks), len(BEHAVIOURS)))
