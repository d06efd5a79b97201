"""How unlike what is followed a detection is: people by their feet and height, what they hold by where the hand may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.track.motion import to_corners

if TYPE_CHECKING:
    from edge.types import F32, F64, I64, Bool

_MIN_IOU = 0.25
_REACH = 0.35  # heights that a detection may be off its prediction at once ...
_REACH_PER_S = 0.8  # ... and for every second that the track was not seen ...
MAX_REACH = 2.0  # ... up to here: beyond, it is as likely someone else
_DEPTH_STRETCH = 2.0  # a step towards the camera looks about half as long as one to the side
_MAX_LOG_RATIO = 0.6  # heights of the same person differ by less than a factor e^0.6 = 1.8 after a gap
_HAND = 0.15  # of its holder's height a hand may move at once, however small the thing in it, ...
_WALK_PER_S = 0.8  # ... and a body with it in a second ...
_MAX_HAND = 0.6  # ... up to here
_AT_HAND = 0.2  # heights outside a person's box within which they may hold a thing
_HIDDEN_SHARE = 0.4  # of a box, from which on somebody nearer hides it
_INSIDE, _AS_TALL, _SAME_FEET = 0.9, 0.85, 0.1  # of its area, of the other's height, of the heights
_TWO, _APART = 2, 0.3  # people in one box, who share less than this of both their boxes
_MAX_LOG_RATIO_THING = 0.9  # a thing turns in the hand


def unlike_people(predicted: F64, measured: F64, unseen_s: F64) -> F64:
    """Cost (T, D), 0..1, ``inf`` where out of reach: tracks (T, 4) and detections (D, 4) as centre and size, px.

    :param unseen_s: (T,) seconds since each track was seen.
    """
    x, y, _, tall = predicted.T[:, :, None]
    its_x, its_y, _, its_tall = measured.T
    away = np.hypot(
        x - its_x,
        # From the feet: a box cut off by the picture's edge or a counter moves its centre, not its place.
        _DEPTH_STRETCH * ((y + tall / 2) - (its_y + its_tall / 2)),
    )
    reach = _reach(unseen_s)[:, None] * np.maximum(np.maximum(tall, its_tall), 1.0)
    alike = np.abs(np.log(np.maximum(tall, 1.0) / np.maximum(its_tall, 1.0)))
    return _cost(predicted, measured, away=away / reach, alike=alike / _MAX_LOG_RATIO)


def unlike_things(predicted: F64, measured: F64, unseen_s: F64, *, holder_tall: F64) -> F64:
    """The same for what people hold; ``holder_tall``: (T,) height of who may hold each, px, 0: nobody.

    By its own size alone a thing of a dozen pixels would be lost at every step of who carries it.
    """
    x, y, wide, tall = predicted.T[:, :, None]
    its_x, its_y, its_wide, its_tall = measured.T
    size, its_size = np.maximum(np.maximum(wide, tall), 1.0), np.maximum(np.maximum(its_wide, its_tall), 1.0)
    carried = holder_tall * np.minimum(_HAND + _WALK_PER_S * unseen_s, _MAX_HAND)
    reach = np.maximum(_reach(unseen_s)[:, None] * np.maximum(size, its_size), carried[:, None])
    alike = np.abs(np.log(size / its_size))
    return _cost(predicted, measured, away=np.hypot(x - its_x, y - its_y) / reach, alike=alike / _MAX_LOG_RATIO_THING)


def _reach(unseen_s: F64) -> F64:
    """How far off a detection may be, in heights: (T,)."""
    return np.minimum(_REACH + _REACH_PER_S * unseen_s, MAX_REACH)


def _cost(predicted: F64, measured: F64, *, away: F64, alike: F64) -> F64:
    """From overlap, and from distance and difference in size as shares of what is allowed."""
    overlap = iou(to_corners(predicted), to_corners(measured))
    near: Bool = (away < 1) & (alike < 1)
    cost: F64 = 1 - (overlap + np.where(near, 1 - away, 0.0) + np.maximum(1 - alike, 0)) / 3
    cost[(overlap < _MIN_IOU) & ~near] = np.inf
    return cost


def doubles(xyxy: F32, score: F32) -> Bool:
    """Which boxes (N, 4) of people show nobody of their own: (N,).

    One is another, surer one's over again, without the arm that it has stretched out. Such a box lies inside the other, as tall, on the
    same feet, but overlaps it too little for the detector's own suppression. Who stands behind somebody is less tall in the picture, and
    their feet are higher up. The other kind is drawn round two people beside each other, who have boxes of their own inside it: it may be
    surer than they are, and takes away neither.
    """
    tall = np.maximum(xyxy[:, 3] - xyxy[:, 1], 1.0)
    sides = np.minimum(xyxy[:, None, 2:], xyxy[None, :, 2:]) - np.maximum(xyxy[:, None, :2], xyxy[None, :, :2])
    area = np.maximum(np.prod(xyxy[:, 2:] - xyxy[:, :2], axis=1), 1.0)
    inside = np.prod(np.maximum(sides, 0), axis=2) >= _INSIDE * area[:, None]
    alike = (tall[:, None] > _AS_TALL * tall[None, :]) & (
        np.abs(xyxy[:, None, 3] - xyxy[None, :, 3]) < _SAME_FEET * tall
    )
    within = inside & alike
    within &= ~np.eye(len(within), dtype=np.bool_)
    held = within.sum(axis=0) >= _TWO
    if held.any():
        apart, part = (iou(xyxy, xyxy) < _APART).astype(np.float32), within.astype(np.float32)
        held = (part * (apart @ part)).sum(axis=0) > 0
    found: Bool = held | (within & ~held[None, :] & (score[None, :] > score[:, None])).any(axis=1)
    return found


def at_hand(things: F64, people: F64) -> tuple[I64, Bool]:
    """Of each thing (T, 4) the nearest of people (P, 4), both as centre and size, and whether they may hold it: (T,), (T,)."""
    # Arm's length is about 0.4 of a person's height; the hand may be outside the box that a detector draws.
    off = np.maximum(np.abs(things[:, None, :2] - people[None, :, :2]) - people[None, :, 2:] / 2, 0)
    away = np.hypot(off[..., 0], off[..., 1]) / np.maximum(people[None, :, 3], 1.0)
    nearest = np.argmin(away, axis=1)
    within: Bool = away[np.arange(len(things)), nearest] < _AT_HAND
    return nearest, within


def behind(expected: F32, front: F32) -> Bool:
    """Which boxes (N, 4) are expected behind one of (F, 4) that is nearer, and hides most of them: (N,)."""
    back, nearer = expected.astype(np.float64), front.astype(np.float64)
    sides = np.minimum(back[:, None, 2:], nearer[None, :, 2:]) - np.maximum(back[:, None, :2], nearer[None, :, :2])
    shared = np.prod(np.maximum(sides, 0), axis=2)
    area = np.maximum(np.prod(back[:, 2:] - back[:, :2], axis=1), 1.0)
    found: Bool = ((shared > _HIDDEN_SHARE * area[:, None]) & (nearer[None, :, 3] > back[:, None, 3])).any(axis=1)
    return found


def iou(a: F32, b: F32) -> F64:
    """Intersection over union of boxes (A, 4) and (B, 4) as corners: (A, B), 0..1."""
    ax1, ay1, ax2, ay2 = a.T[:, :, None]
    bx1, by1, bx2, by2 = b.T
    width = np.minimum(ax2, bx2) - np.maximum(ax1, bx1)
    height = np.minimum(ay2, by2) - np.maximum(ay1, by1)
    inside = np.maximum(width, 0) * np.maximum(height, 0)
    area_a = np.maximum(ax2 - ax1, 0) * np.maximum(ay2 - ay1, 0)
    area_b = np.maximum(bx2 - bx1, 0) * np.maximum(by2 - by1, 0)
    union = area_a + area_b - inside
    return np.asarray(inside / np.maximum(union, 1e-9), np.float64)
