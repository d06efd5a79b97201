"""A closer look: the part of a frame around one person, given to the detector as large as its input allows.

What a person holds or wears covers a dozen pixels of a lobby's picture once that is scaled down to the model's input, and less
than the model was trained on. Cut out of the frame as the camera gave it, the same person fills the input. (Detecting
small things in slices of a picture is old; here the slices are the people that the first look found.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge.detect.nms import iou_matrix, nms
from edge.types import Detections, Look

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from edge.types import F32, U8, Bool

EVERY_S = 0.4
"""Seconds between two looks, unless the configuration says otherwise (``[model] closer_every_s``)."""

_SHAPE = 13 / 8  # width to height of what is cut out: the shipped model's input; for another shape some grey is added
_AROUND = 1.15  # a hand may be outside a person's box
_LEAST_GAIN = 1.3  # who would not become so much larger is seen well enough as it is
_UPPER_PART = 0.5  # of a person's height is the least that is worth looking at
_SMALLEST_PX = 32
_EARLY_S = 0.05  # by half a frame too early is in time: the next frame would be late
_SAME_PERSON = 0.3  # overlap from one frame to the next
_LOST_S = 2.0  # who is lost is looked for so long: what hung there all along must not stand in for them
_LOST_MISSES = 3  # in a row: they have left
_NOT_ANOTHER = 0.4  # overlap with somebody in plain sight from which on it is them
_ALL_OF_THEM = 0.9  # share of a person's box in what is cut out ...
_AS_TALL = 0.6  # ... and their height, of that of the person for whom it is cut out
_EAGER_S = 4.0  # for so long who begins to show something comes first (by then a rule has decided) ...
_STILL_S = 1.0  # ... as long as it is found again within this
_PATIENCE = 2.0  # times as long the others wait for their turn meanwhile
_SAME_THING = 0.5  # overlap from which on the first look and the closer one mean one thing
_EDGE_PX = 2.0  # nearer to the cut than this is cut through

# A thing that the closer look sees on the furniture is only seen there while somebody stands before it. So the place is looked at
# again when they have gone: what is still there belongs to the room (``edge.rules.clutter``).
_AGAIN_EVERY_S = 0.4
_AGAIN_FOR_S = 9.0  # longer than the clutter takes to learn, and somebody just lost to be forgotten
_AGAIN_MISSES = 3
_PLACES = 8


@dataclass(slots=True)
class _Known:
    box: F32  # (4,) px, as last detected
    seen_s: float  # when the first look last saw them
    misses: int = 0  # looks in a row since then that have not
    looked_s: float = -np.inf
    found_s: float = -np.inf  # when a look last found something ...
    since_s: float = -np.inf  # ... and since when they do, but for short gaps


@dataclass(slots=True)
class _Place:
    """Where a look found something while somebody was there."""

    xyxy: tuple[int, int, int, int]
    looked_s: float = -np.inf
    alone_s: float | None = None  # since when nobody is there
    misses: int = 0


class CloserLooks:
    """Decides who is looked at closer in which frame of one camera: at most one look a frame.

    Every ``every_s`` one of those in the picture, who has waited longest; somebody new at once; and who begins to show something, for a
    while in every frame that is nobody else's turn. So is the place of somebody who has just been lost: who bends over a machine is no longer
    found in the whole picture, but often in the part of it where they stood. An empty picture costs nothing.

    :param every_s: seconds between two looks.
    :param person_classes: class ids of the people who are looked at.
    """

    def __init__(self, *, every_s: float, person_classes: Collection[int]) -> None:
        self._every_s = every_s
        self.person_classes = sorted(person_classes)
        self._turn_s = -np.inf
        self._people: list[_Known] = []
        self._places: list[_Place] = []
        self._at: _Known | _Place | None = None  # whom or what the look just chosen is for

    def waits(self, t_s: float) -> bool:
        """Whether an empty place is to be looked at again, so that the frame is needed however still it is."""
        return any(self._due(p, t_s) for p in self._places)

    def choose(self, found: Detections, size: tuple[int, int], t_s: float) -> Look | None:
        """Where to look closer in this frame, if anywhere.

        :param found: what the detector sees in the whole frame.
        :param size: the frame's width and height, pixels.
        :param t_s: when it was captured, monotonic seconds.
        """
        self._at = None
        people = found.xyxy[np.isin(found.class_id, self.person_classes)]
        if len(people) or self._people:
            self._recognise(people, t_s)
        at = [(k, region) for k in self._people if k.misses < _LOST_MISSES and (region := region_of(k.box, size))]
        eager = [(k, region) for k, region in at if k.seen_s == t_s and _eager(k, t_s)]
        due = [(k, region) for k, region in at if k.seen_s == t_s and not _eager(k, t_s)]
        lost = [(k, region) for k, region in at if k.seen_s < t_s]
        if t_s - self._turn_s < self._every_s * (_PATIENCE if eager else 1.0) - _EARLY_S:
            due = [(k, region) for k, region in due if k.looked_s == -np.inf]
        if not (due or eager or lost):
            return self._empty_place(people, t_s) if self._places else None
        chosen, region = min(due or eager or lost, key=lambda d: d[0].looked_s)  # eager looks starve nobody
        if due:
            self._turn_s = t_s
        since = t_s - chosen.looked_s
        self._at = chosen
        for k, share in zip(self._people, _inside(np.array([k.box for k in self._people]), region), strict=True):
            if k is chosen or (k.seen_s == t_s and share > _ALL_OF_THEM and _tall(k) > _AS_TALL * _tall(chosen)):
                k.looked_s = t_s  # who stands beside them, as large, was looked at, too
        return Look(region, stands_for_s=since if np.isfinite(since) else 0.0)

    def take(self, look: Look, part: Detections, whole: Detections, size: tuple[int, int], t_s: float) -> Detections:
        """Both looks' answers, after the one just chosen.

        :param part: detections in the pixels of what was cut out.
        :param whole: what the detector sees in the whole frame.
        :param size: the frame's width and height, pixels.
        :param t_s: when it was captured, monotonic seconds.
        """
        at, things = self._at, things_of(part, look, size, self.person_classes)
        if isinstance(at, _Place):
            at.misses = 0 if len(things) else at.misses + 1
        elif at is not None:
            if len(things):
                if t_s - at.found_s > _STILL_S:
                    at.since_s = t_s
                at.found_s = t_s
                self._remember(look)
            if at.seen_s < t_s:
                whole = self._found_again(at, look, part, whole)
        return joined(whole, things)

    def _found_again(self, lost: _Known, look: Look, part: Detections, whole: Detections) -> Detections:
        """The whole frame's detections, and who was lost, if the look shows somebody where they were."""
        shift = np.array([look.xyxy[0], look.xyxy[1]] * 2, np.float32)
        people = np.flatnonzero(np.isin(part.class_id, self.person_classes))
        box = part.xyxy[people] + shift
        there = iou_matrix(box, lost.box[None])[:, 0] >= _SAME_PERSON
        others = whole.xyxy[np.isin(whole.class_id, self.person_classes)]
        there &= iou_matrix(box, others).max(axis=1, initial=0.0) < _NOT_ANOTHER
        if not there.any():
            lost.misses += 1
            return whole
        best = int(np.argmax(np.where(there, part.score[people], -1.0)))
        lost.box, lost.misses = box[best], 0
        return _with(whole, Detections(box[[best]], part.score[people[[best]]], part.class_id[people[[best]]]))

    def _recognise(self, people: F32, t_s: float) -> None:
        """Who of those known is who of those seen, by overlap; who is new is added."""
        self._people = [k for k in self._people if t_s - k.seen_s <= _LOST_S]
        known = np.array([k.box for k in self._people], np.float32).reshape(-1, 4)
        overlap = iou_matrix(people, known)
        for i, box in enumerate(people):
            best = int(np.argmax(overlap[i])) if overlap.shape[1] else -1
            if best >= 0 and overlap[i, best] >= _SAME_PERSON:
                overlap[:, best] = 0
                known_now = self._people[best]
                known_now.box, known_now.seen_s, known_now.misses = box, t_s, 0
            else:
                self._people.append(_Known(box, t_s))

    @staticmethod
    def _due(place: _Place, t_s: float) -> bool:
        return place.alone_s is not None and t_s - place.looked_s >= _AGAIN_EVERY_S - _EARLY_S

    def _remember(self, look: Look) -> None:
        for place in self._places:
            if iou_matrix(_row(place.xyxy), _row(look.xyxy))[0, 0] >= _SAME_THING:
                place.alone_s = None
                return
        self._places = [*self._places, _Place(look.xyxy)][-_PLACES:]

    def _empty_place(self, people: F32, t_s: float) -> Look | None:
        """The place that is to be looked at again now, among those where nobody is."""
        for place in self._places:
            free = not (_inside(people, place.xyxy) > 0).any()
            place.alone_s = (t_s if place.alone_s is None else place.alone_s) if free else None
        self._places = [
            p
            for p in self._places
            if p.misses < _AGAIN_MISSES and (p.alone_s is None or t_s - p.alone_s <= _AGAIN_FOR_S)
        ]
        due = [p for p in self._places if self._due(p, t_s)]
        if not due:
            return None
        place = min(due, key=lambda p: p.looked_s)
        since = t_s - place.looked_s
        place.looked_s = t_s
        self._at = place
        return Look(place.xyxy, stands_for_s=since if np.isfinite(since) else 0.0)


def _eager(known: _Known, t_s: float) -> bool:
    return t_s - known.found_s <= _STILL_S and t_s - known.since_s <= _EAGER_S


def region_of(box: F32, size: tuple[int, int]) -> tuple[int, int, int, int] | None:
    """The part of a frame to cut out for a person: x1, y1, x2, y2 in whole pixels; None: it would gain too little.

    All of them with something around; of who is too tall for that the upper part, where hands and head are.

    :param box: (4,) corners in frame pixels.
    :param size: the frame's width and height, pixels.
    """
    wide, tall = size
    x1, y1, x2, y2 = (float(v) for v in box)
    around = (_AROUND - 1) / 2 * (y2 - y1)
    height = max(y2 - y1 + 2 * around, (x2 - x1) * _AROUND / _SHAPE, _SMALLEST_PX)
    most = min(wide / _SHAPE, tall) / _LEAST_GAIN
    if height > most:
        if (x2 - x1) * _AROUND > most * _SHAPE or most < _UPPER_PART * (y2 - y1):
            return None
        height, y2 = most, y1 - around + most - around
    width = height * _SHAPE
    left = min(max((x1 + x2 - width) / 2, 0.0), wide - width)
    top = min(max((y1 + y2 - height) / 2, 0.0), tall - height)
    return int(left), int(top), int(left + width), int(top + height)


def cut(image: U8, look: Look) -> U8:
    """The part of a picture (H, W, 3) that is looked at closer; a view."""
    x1, y1, x2, y2 = look.xyxy
    return image[y1:y2, x1:x2]


def things_of(part: Detections, look: Look, size: tuple[int, int], person_classes: Collection[int]) -> Detections:
    """What a closer look has found, in the frame's pixels: no persons, and nothing that the cut goes through.

    :param part: detections in the pixels of what was cut out.
    :param size: the frame's width and height, pixels.
    """
    x1, y1, x2, y2 = look.xyxy
    box = part.xyxy
    # What the cut goes through continues behind it, except where the picture itself ends.
    low = np.array([_EDGE_PX if x1 > 0 else -1, _EDGE_PX if y1 > 0 else -1])
    high = np.array([x2 - x1, y2 - y1]) - np.array([_EDGE_PX if x2 < size[0] else -1, _EDGE_PX if y2 < size[1] else -1])
    inside: Bool = ~np.isin(part.class_id, list(person_classes))
    inside &= (box[:, :2] >= low).all(axis=1) & (box[:, 2:] <= high).all(axis=1)
    return Detections(box[inside] + np.array([x1, y1, x1, y1], np.float32), part.score[inside], part.class_id[inside])


def joined(whole: Detections, things: Detections) -> Detections:
    """Both looks' answers, best score first: of what both have found the surer one."""
    if not len(things):
        return whole
    both = _with(whole, things)
    # Persons are as the first look has them: a second suppression could only lose one of two close together.
    keep = ~np.isin(both.class_id, things.class_id)
    keep[nms(both.xyxy, both.score, both.class_id, iou=_SAME_THING, limit=len(both))] = True
    return both.where(keep)


def _with(whole: Detections, more: Detections) -> Detections:
    """All of both, best score first."""
    score = np.concatenate([whole.score, more.score])
    order = np.argsort(-score, kind="stable")
    return replace(
        whole,
        xyxy=np.concatenate([whole.xyxy, more.xyxy])[order],
        score=score[order],
        class_id=np.concatenate([whole.class_id, more.class_id])[order],
    )


def look_closer(
    closer: CloserLooks, detect: Callable[[U8], Detections], image: U8, whole: Detections, t_s: float
) -> tuple[Detections, Look | None]:
    """What the detector sees in a frame by both looks, and where the second was; None: nowhere.

    :param detect: gives the detections in a picture (h, w, 3), in its own pixels.
    :param image: uint8 (H, W, 3) BGR, the frame.
    :param whole: what the detector sees in all of it.
    :param t_s: when it was captured, monotonic seconds.
    """
    size = (image.shape[1], image.shape[0])
    look = closer.choose(whole, size, t_s)
    if look is None:
        return whole, None
    return closer.take(look, detect(cut(image, look)), whole, size, t_s), look


def _row(xyxy: tuple[int, int, int, int]) -> F32:
    return np.array([xyxy], np.float32)


def _inside(boxes: F32, region: tuple[int, int, int, int]) -> F32:
    """Which share of each box (N, 4) lies in a region: (N,), 0..1."""
    sides = np.minimum(np.array(region[2:]), boxes[:, 2:]) - np.maximum(np.array(region[:2]), boxes[:, :2])
    share: F32 = np.prod(np.maximum(sides, 0), axis=1) / np.maximum(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), 1.0)
    return share


def _tall(known: _Known) -> float:
    return float(known.box[3] - known.box[1])
