"""The values that flow through the appliance. Plain, frozen, struct-of-arrays; "nothing there" is N = 0, never None."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from datetime import datetime

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
C64 = npt.NDArray[np.complex64]
I64 = npt.NDArray[np.int64]
U8 = npt.NDArray[np.uint8]
Bool = npt.NDArray[np.bool_]


_F32, _F64, _I64, _U8, _BOOL = (np.dtype(t) for t in (np.float32, np.float64, np.int64, np.uint8, np.bool_))


def _column(
    owner: str, name: str, array: npt.NDArray[Any], dtype: np.dtype[Any], shape: tuple[int | None, ...]
) -> None:
    # Asked some twenty times a frame: what fits exactly is let through at once.
    fits = array.shape == shape or (
        array.ndim == len(shape) and all(w is None or w == g for w, g in zip(shape, array.shape, strict=True))
    )
    if not fits or array.dtype != dtype:
        wanted = ", ".join("any" if s is None else str(s) for s in shape)
        raise ValueError(f"{owner}.{name}: wanted {dtype} of shape ({wanted}), got {array.dtype} of {array.shape}")
    array.setflags(write=False)


class Severity(IntEnum):
    """How bad, and therefore how loud; the order is the meaning."""

    INFO = 0
    LOW = 1
    HIGH = 2
    CRITICAL = 3

    @property
    def label(self) -> str:
        return self.name.lower()

    @classmethod
    def of(cls, label: str) -> Severity:
        """The severity with that lower-case name; raises KeyError."""
        return cls[label.upper()]


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
        _column("Frame", "image", self.image, _U8, (None, None, 3))

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
        _column("Features", "values", self.values, _F32, (None, None, None))


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
        _column("Detections", "xyxy", self.xyxy, _F32, (n, 4))
        _column("Detections", "score", self.score, _F32, (n,))
        _column("Detections", "class_id", self.class_id, _I64, (n,))

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
            _column("Tracks", "first_xyxy", self.first_xyxy, _F32, (m, 4))
        _column("Tracks", "track_id", self.track_id, _I64, (m,))
        _column("Tracks", "xyxy", self.xyxy, _F32, (m, 4))
        _column("Tracks", "score", self.score, _F32, (m,))
        _column("Tracks", "class_id", self.class_id, _I64, (m,))
        _column("Tracks", "age_s", self.age_s, _F64, (m,))
        _column("Tracks", "unseen_s", self.unseen_s, _F64, (m,))
        _column("Tracks", "holder_id", self.holder_id, _I64, (m,))

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
        _column("Zone", "polygon", self.polygon, _F32, (len(self.polygon), 2))


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
        _column("Scene", "occupancy", self.occupancy, _BOOL, (len(self.zones), len(self.tracks)))
        if self.motion is not None:
            _column("Scene", "motion", self.motion, _F32, (len(self.tracks),))
        if self.behaviour is not None:
            _column("Scene", "behaviour", self.behaviour, _F32, (len(self.tracks), len(BEHAVIOURS)))


@dataclass(frozen=True, slots=True)
class Observation:
    """A rule holds now, with this evidence: ``value`` against ``threshold`` in ``unit``.

    ``what`` says in plain words what is measured ("in the lobby"), so that "dwell 41.2 s of 30 s" explains itself.
    ``zone`` is empty where the whole picture counts.
    """

    camera: str
    rule: str
    zone: str
    severity: Severity
    track_ids: tuple[int, ...]
    t_mono_s: float
    what: str
    value: float
    threshold: float
    unit: str


@dataclass(frozen=True, slots=True)
class Withheld:
    """What a rule sees but cannot vouch for, and why (``reason``): recorded as suppressed, never an incident."""

    observation: Observation
    reason: str


@dataclass(frozen=True, slots=True)
class Incident:
    """One thing that happened, from its opening to its end.

    ``opened_mono_s``/``closed_mono_s`` are the capture times that the UTC records belong to (one boot only);
    ``peak`` is the observation with the highest severity, then value. ``close_reason`` is empty while open.
    """

    incident_id: str
    camera: str
    rule: str
    zone: str
    severity: Severity
    opened_utc: datetime
    opened_mono_s: float
    closed_utc: datetime | None
    closed_mono_s: float | None
    peak: Observation
    close_reason: str = ""


class ChangeKind(str, Enum):
    """What became of an incident."""

    OPENED = "opened"
    ESCALATED = "escalated"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class IncidentChange:
    """One step in an incident's life, as it stands after the step."""

    kind: ChangeKind
    incident: Incident
    t_mono_s: float
    t_utc: datetime


@dataclass(frozen=True, slots=True)
class EvidenceRef:
    """A stored picture. ``path`` is relative to the evidence folder; ``sha256`` in hex; ``role``: annotated, closeup, clean ..."""

    role: str
    path: str
    media_type: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Alert:
    """What the desk is to be told, as facts; the channel renders it when it is sent.

    ``alert_id`` is the idempotency key: a second delivery carries the same Message-ID. ``boot_id`` with
    ``created_mono_s`` allows to correct ``created_utc`` once the clock is known. ``extra``: further lines for the mail,
    label and text. ``log_seq``/``log_head``: the incident log's last record when the alert was made; 0 and "": none.
    """

    alert_id: str
    kind: str  # opened, escalated, closed, sheet, digest, heartbeat, test
    incident_id: str
    severity: Severity
    camera: str
    rule: str
    zone: str
    opened_utc: datetime
    closed_utc: datetime | None
    created_utc: datetime
    created_mono_s: float
    boot_id: str
    clock_synced: bool
    what: str
    value: float
    threshold: float
    unit: str
    model: str
    software: str
    evidence: tuple[EvidenceRef, ...] = field(default=())
    extra: tuple[tuple[str, str], ...] = field(default=())
    log_seq: int = 0
    log_head: str = ""
