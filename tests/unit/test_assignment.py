from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.track.assignment import assign

COSTS = st.integers(0, 5).flatmap(
    lambda r: st.integers(0, 5).flatmap(
        lambda c: st.lists(
            st.lists(st.one_of(st.floats(0, 1), st.just(float("inf"))), min_size=c, max_size=c), min_size=r, max_size=r
        ).map(lambda rows: np.array(rows, np.float64).reshape(r, c))
    )
)


def best(cost: np.ndarray) -> tuple[int, float]:
    """Most allowed pairs, then least cost, by trying everything."""
    if cost.shape[0] > cost.shape[1]:
        return best(cost.T)
    rows, cols = cost.shape
    options = []
    for columns in itertools.permutations(range(cols), rows):
        picked = [cost[r, c] for r, c in enumerate(columns) if np.isfinite(cost[r, c])]
        options.append((-len(picked), sum(picked)))
    pairs, total = min(options, default=(0, 0.0))
    return -pairs, total


@given(COSTS)
def test_it_is_as_good_as_trying_everything(cost: np.ndarray) -> None:
    rows, cols = assign(cost)
    pairs, total = best(cost)
    assert len(rows) == pairs
    assert len(set(rows.tolist())) == len(set(cols.tolist())) == pairs
    assert rows.tolist() == sorted(rows.tolist())
    assert np.isfinite(cost[rows, cols]).all()
    assert np.isclose(cost[rows, cols].sum(), total)


def test_nobody_to_match() -> None:
    for shape in ((0, 3), (3, 0), (0, 0)):
        rows, cols = assign(np.zeros(shape))
        assert len(rows) == len(cols) == 0
