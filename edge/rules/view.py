"""What a camera looks at, boiled down to some thousand numbers: for telling whether it still looks at the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge.types import F32, U8, Bool

_FINE = 240  # px: width of the picture that detail is measured in
_SIZE = (64, 36)  # (width, height) of the picture that edges are measured in
_BLOCKS = (16, 9)  # (columns, rows) of the blocks that are judged
_WEAK = 6.0  # an edge of so many grey levels counts half
STRUCTURED = 0.25  # a block with so much edge shows something
FLAT = 0.45  # a picture with less than this share of the reference's structured blocks shows nothing
_OVEREXPOSED = 235.0
_DIM = 10.0  # grey levels below which contrast is mostly noise
_BARE = 0.35  # a block with less of its fine detail shows nothing
_LOST = 0.35  # a block that agrees less with its reference is another one
_SLOW_S = 60.0  # how long the reference takes to follow the hours of the day
_REACH = (4, 5)  # (columns, rows) of the edges' picture by which a view is looked for beside where it was
_FOUND, _BETTER = 0.6, 0.15  # a quarter that agrees so much elsewhere, and so much more than where it was, has moved
_QUARTERS = 3  # so many of the four


@dataclass(frozen=True, slots=True)
class Look:
    """One look.

    ``fine``: uint8 (h, w), green; ``coarse``: float32 (36, 64), the same made small;
    ``edges``: float32 (36, 64, 2), direction and distinctness (0..1) of edges;
    ``contrast``, ``detail``, ``level``: float32 (9, 16), spread, fine detail and mean of each block, grey levels;
    ``brightness``: mean grey level; ``grey``: the picture has no colour (infrared light).
    """

    fine: U8
    coarse: F32
    edges: F32
    contrast: F32
    detail: F32
    level: F32
    brightness: float
    grey: bool

    def change_from(self, before: Look) -> float:
        """Mean difference of two looks, grey levels."""
        if self.fine.shape != before.fine.shape:
            return 255.0
        return float(cv2.mean(cv2.absdiff(self.fine, before.fine))[0])

    def move_from(self, before: Look) -> float:
        """Mean difference of two looks at a size in which a sensor's noise is a quarter and a hand's shake is left, grey levels."""
        return float(cv2.mean(cv2.absdiff(self.coarse, before.coarse))[0])

    def stir_from(self, before: Look) -> float:
        """Mean difference of two looks block by block, grey levels: movement and light, without noise."""
        return float(np.abs(self.level - before.level).mean())


def look_at(image: U8) -> Look:
    """Boil down one picture, uint8 (H, W, 3) BGR."""
    height = max(9, round(image.shape[0] * _FINE / image.shape[1]))
    # Not averaged: fine detail must be left in, and this costs least.
    small = cv2.resize(image, (_FINE, height), interpolation=cv2.INTER_NEAREST)
    blue, green, red = cv2.split(small)
    fine: U8 = green.astype(np.uint8, copy=False)
    colour = cv2.mean(cv2.absdiff(red, blue))[0]
    soft = cv2.GaussianBlur(fine, (3, 3), 0)
    detail = _per_block(cv2.absdiff(fine, soft).astype(np.float32))
    coarse = cv2.resize(fine, _SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
    spread = cv2.absdiff(coarse, cv2.blur(coarse, (5, 5)))
    contrast = _per_block(spread.astype(np.float32))
    edges: F32 = np.dstack(
        [cv2.Scharr(coarse, -1, 1, 0, scale=1 / 16), cv2.Scharr(coarse, -1, 0, 1, scale=1 / 16)]
    ).astype(np.float32)
    # Light scales an edge but does not turn it: what counts is its direction, as far as it is more than noise.
    edges /= np.sqrt(_length2(edges) + _WEAK**2)[..., None]
    level = _per_block(coarse)
    return Look(fine, coarse, edges, contrast, detail, level, float(cv2.mean(coarse)[0]), bool(colour < 3.0))


def free_of(boxes: F32, size: tuple[int, int]) -> Bool:
    """Blocks that no box touches, bool (9, 16). ``boxes``: float32 (N, 4) px in a picture of ``size`` (width, height)."""
    free = np.ones((_BLOCKS[1], _BLOCKS[0]), np.bool_)
    scale = np.array([_BLOCKS[0] / size[0], _BLOCKS[1] / size[1]] * 2)
    for x1, y1, x2, y2 in boxes * scale:
        free[max(0, int(y1)) : max(0, int(np.ceil(y2))), max(0, int(x1)) : max(0, int(np.ceil(x2)))] = False
    return free


@dataclass(frozen=True, slots=True)
class Compared:
    """A look beside the reference, over the blocks that had structure and are free of people.

    ``agreement``: of the edges all together, 1: the same, 0: another view; ``lost``: share of the blocks that look
    different now; ``lost_bare``: that show no detail any more; ``structure``: structured blocks now, as a share of then;
    ``contrast``: contrast in relation to brightness, as a share of then; ``detail``: fine detail in relation to contrast, as a share of then.
    """

    agreement: float
    lost: float
    lost_bare: float
    structure: float
    contrast: float
    detail: float


NOTHING = Compared(1.0, 0.0, 0.0, 1.0, 1.0, 1.0)  # where there is nothing to compare by


class Reference:
    """What the camera is to see: an average that follows slowly."""

    def __init__(self, t_s: float) -> None:
        self._began_s = self._last_s = t_s
        self._edges = np.zeros((_SIZE[1], _SIZE[0], 2), np.float32)
        self._contrast = np.zeros((_BLOCKS[1], _BLOCKS[0]), np.float32)
        self._detail = self._contrast.copy()
        self._level = self._contrast.copy()
        self._weight = self._contrast.copy()  # seconds that each block has been learnt for

    def age_s(self, t_s: float) -> float:
        return t_s - self._began_s

    def learn(self, look: Look, free: Bool, t_s: float, *, weight: float = 1.0) -> None:
        """Move towards ``look`` where ``free``; ``weight`` 0..1: how much."""
        step_s = min(max(t_s - self._last_s, 0.1), 2.0)
        self._last_s = t_s
        self._weight = np.where(free, np.minimum(self._weight + step_s, _SLOW_S), self._weight).astype(np.float32)
        share = np.where(free, weight * step_s / np.maximum(self._weight, step_s), 0.0).astype(np.float32)
        self._contrast += share * (look.contrast - self._contrast)
        self._detail += share * (look.detail - self._detail)
        self._level += share * (look.level - self._level)
        self._edges += cv2.resize(share, _SIZE, interpolation=cv2.INTER_NEAREST)[..., None] * (look.edges - self._edges)

    def compare(self, look: Look, free: Bool) -> Compared:
        """How much of the reference is still to be seen."""
        ours, theirs = _per_block(_length2(self._edges)), _per_block(_length2(look.edges))
        product = self._edges * look.edges
        together = _per_block(product[..., 0] + product[..., 1])
        then = (ours > STRUCTURED**2) & free & (self._weight > 0)
        count = int(then.sum())
        if count < 8:  # a bare wall, or a picture full of people: nothing to go by
            return NOTHING
        agreement = together / np.sqrt(np.maximum(ours, 1e-9) * np.maximum(theirs, STRUCTURED**2 / 4))
        lost = then & (agreement < _LOST)
        bare = (look.detail < _BARE * self._detail) & (look.level < _OVEREXPOSED)
        sharp_then = float(self._detail[then].sum()) / (float(self._contrast[then].sum()) + count)
        sharp_now = float(look.detail[then].sum()) / (float(look.contrast[then].sum()) + count)
        faint_then = float(self._contrast[then].sum()) / (float(self._level[then].sum()) + _DIM * count)
        faint_now = float(look.contrast[then].sum()) / (float(look.level[then].sum()) + _DIM * count)
        whole = float(together[then].sum()) / np.sqrt(float(ours[then].sum()) * max(float(theirs[then].sum()), 1e-9))
        return Compared(
            agreement=float(whole),
            lost=float(lost.sum()) / count,
            lost_bare=float((lost & bare).sum()) / count,
            structure=float((theirs[free] > STRUCTURED**2).sum()) / count,
            contrast=faint_now / max(faint_then, 1e-6),
            detail=sharp_now / max(sharp_then, 1e-6),
        )

    def arrays(self, free: Bool) -> dict[str, F32]:
        """All that it knows of the blocks that are ``free``, bool (9, 16), and nothing of what was seen in the others."""
        cells = cv2.resize(free.astype(np.uint8), _SIZE, interpolation=cv2.INTER_NEAREST)[..., None] > 0
        edges = np.where(cells, self._edges, np.float32(0.0))  # a product would keep the sign of what is left out
        blocks = {"contrast": self._contrast, "detail": self._detail, "level": self._level, "weight": self._weight}
        return {"edges": edges} | {name: np.where(free, values, np.float32(0.0)) for name, values in blocks.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, F32]) -> Reference:
        """What ``arrays`` gave. :raises KeyError, ValueError: these are no such arrays."""
        made = cls(float("-inf"))
        for name in ("edges", "contrast", "detail", "level", "weight"):
            mine, theirs = getattr(made, f"_{name}"), arrays[name]
            if theirs.shape != mine.shape or theirs.dtype != np.float32 or not np.isfinite(theirs).all():
                raise ValueError(f"{name}: {theirs.dtype} {theirs.shape}, not finite float32 {mine.shape}")
            mine[...] = theirs
        return made

    def moved(self, look: Look, free: Bool) -> bool:
        """Whether the same is seen as before, but elsewhere in the picture: the camera was pushed a little.

        Each quarter of the view is looked for around where it was, which finds a turn about the lens, too. A push by
        2 % of the picture's width or 3 % of its height is found. What moves in front of the camera, and shadows, take few quarters along.
        """
        width, height = _SIZE
        across, down = _REACH
        seen = cv2.resize(free.astype(np.float32), _SIZE, interpolation=cv2.INTER_NEAREST)[..., None]
        now, then = look.edges * seen, self._edges * seen
        count = 0
        for x1, x2 in ((across, width // 2), (width // 2, width - across)):
            for y1, y2 in ((down, height // 2), (height // 2, height - down)):
                around = then[y1 - down : y2 + down, x1 - across : x2 + across]
                count += _quarter_moved(now[y1:y2, x1:x2], around)
        return count >= _QUARTERS


def _quarter_moved(now: F32, then: F32) -> bool:
    """Whether ``now`` is found in ``then``, which is larger by the reach on each side, but not in its middle."""
    if min(float(_length2(now).sum()), float(_length2(then).sum())) < STRUCTURED**2 * now[..., 0].size / 4:
        return False  # too little to go by
    likeness = cv2.matchTemplate(np.ascontiguousarray(then), np.ascontiguousarray(now), cv2.TM_CCORR_NORMED)
    best = float(likeness.max())
    return best > _FOUND and best > float(likeness[_REACH[1], _REACH[0]]) + _BETTER


def _length2(pairs: F32) -> F32:
    """(h, w, 2) to (h, w): NumPy sums over so short an axis several times slower than this."""
    squares = pairs**2
    total: F32 = squares[..., 0] + squares[..., 1]
    return total


def _per_block(values: F32) -> F32:
    mean: F32 = cv2.resize(values, _BLOCKS, interpolation=cv2.INTER_AREA).astype(np.float32)
    return mean
