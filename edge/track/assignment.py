"""Who is who: the cheapest one-to-one assignment between rows and columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge.types import F64, I64

_FEW = 64  # pairs; up to here looking for groups costs more than it saves


def assign(cost: F64) -> tuple[I64, I64]:
    """Match rows to columns so that first as many pairs as possible are allowed, then their total cost is least.

    Each group that no allowed pair joins to another is matched on its own: in a picture full of boxes few could be each other.

    :param cost: float64 (R, C), 0..1; ``inf`` forbids a pair.
    :returns: matched rows and columns, both int64 (K,), rows ascending; forbidden pairs never appear.
    """
    rows, cols = cost.shape
    if rows == 0 or cols == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    allowed = np.isfinite(cost)
    if rows == cols == 1 or (allowed.sum(axis=0).max() <= 1 and allowed.sum(axis=1).max() <= 1):
        matched, taken = allowed.nonzero()  # as in most frames: nobody could be two
        return matched.astype(np.int64, copy=False), taken.astype(np.int64, copy=False)
    if cost.size <= _FEW:
        return _cheapest(cost)
    # Two are in one group if they could be the same one, or if others lead from one to the other in such steps.
    group = np.where(allowed.any(axis=1), np.arange(rows), rows)
    while True:
        of_column = np.where(allowed, group[:, None], rows).min(axis=0)
        wider = np.where(allowed, of_column, rows).min(axis=1)
        if np.array_equal(wider, group):
            break
        group = wider
    pairs = []
    for one in np.unique(group[group < rows]):
        r, c = (group == one).nonzero()[0], (of_column == one).nonzero()[0]
        matched, taken = _cheapest(cost[np.ix_(r, c)])
        pairs.append((r[matched], c[taken]))
    matched, taken = (np.concatenate(part) for part in zip(*pairs, strict=True))
    order = np.argsort(matched, kind="stable")
    return matched[order].astype(np.int64), taken[order].astype(np.int64)


def _cheapest(cost: F64) -> tuple[I64, I64]:
    """The same without groups: shortest augmenting paths with potentials (Jonker and Volgenant 1987), O(n^2 m)."""
    rows, cols = cost.shape
    if 1 in cost.shape:  # one pair at the most, and there is one
        best = int(np.argmin(cost))
        return np.array([best // cols]), np.array([best % cols])
    if rows > cols:
        c, r = _cheapest(cost.T)
        order = np.argsort(r, kind="stable")
        return r[order], c[order]
    allowed = np.isfinite(cost)
    # A forbidden pair costs more than any number of allowed ones: it is taken only where nothing else is left.
    forbidden = ~allowed
    work = np.where(forbidden, 2.0 * (rows + 1), cost)
    u, v = np.zeros(rows + 1), np.zeros(cols + 1)
    row_of = np.zeros(cols + 1, np.int64)  # 1-based; 0: free
    for row in range(1, rows + 1):
        row_of[0], j = row, 0
        least, way = np.full(cols + 1, np.inf), np.zeros(cols + 1, np.int64)
        used = np.zeros(cols + 1, np.bool_)
        while row_of[j]:
            used[j] = True
            i = row_of[j]
            reduced = work[i - 1] - u[i] - v[1:]
            better = ~used[1:] & (reduced < least[1:])
            least[1:][better] = reduced[better]
            way[1:][better] = j
            nearest = int(np.argmin(np.where(used[1:], np.inf, least[1:]))) + 1
            delta = least[nearest]
            u[row_of[used]] += delta
            v[used] -= delta
            least[1:][~used[1:]] -= delta
            j = nearest
        while j:
            previous = int(way[j])
            row_of[j] = row_of[previous]
            j = previous
    taken = np.flatnonzero(row_of[1:])
    matched = row_of[1:][taken] - 1
    kept = allowed[matched, taken]
    matched, taken = matched[kept], taken[kept]
    order = np.argsort(matched, kind="stable")
    return matched[order].astype(np.int64), taken[order].astype(np.int64)
