"""Who is who: the cheapest one-to-one assignment between rows and columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge.types import F64, I64


def assign(cost: F64) -> tuple[I64, I64]:
    """Match rows to columns so that first as many pairs as possible are allowed, then their total cost is least.

    Shortest augmenting paths with potentials (Jonker and Volgenant 1987), O(n^2 m); the inner step is vectorised.

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
    if rows > cols:
        c, r = assign(cost.T)
        order = np.argsort(r, kind="stable")
        return r[order], c[order]
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
