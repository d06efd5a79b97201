from __future__ import annotations

import itertools
import time

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


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_groups_that_nothing_joins_are_matched_as_each_would_be_alone(seed: int, wide: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [np.where(rng.random((3, wide)) < 0.6, rng.random((3, wide)), np.inf) for _ in range(4)]
    whole = np.full((12, 4 * wide), np.inf)
    for k, part in enumerate(parts):
        whole[3 * k : 3 * k + 3, wide * k : wide * (k + 1)] = part
    order, across = rng.permutation(12), rng.permutation(4 * wide)
    rows, cols = assign(whole[np.ix_(order, across)])
    each = [best(part) for part in parts]
    assert len(rows) == len(set(rows.tolist())) == len(set(cols.tolist())) == sum(pairs for pairs, _ in each)
    assert rows.tolist() == sorted(rows.tolist())
    assert np.isclose(whole[order[rows], across[cols]].sum(), sum(total for _, total in each))


def test_a_picture_full_of_boxes_costs_no_more_than_its_crowds() -> None:
    """Three hundred, of whom every three could only be one and the same."""
    rng = np.random.default_rng(1)
    cost, row = np.full((300, 300), np.inf), np.arange(300)
    cost[row, row // 3] = rng.random(300)
    began_s = time.process_time()
    rows, cols = assign(cost)
    took_s = time.process_time() - began_s
    assert cols.tolist() == list(range(100))
    assert rows.tolist() == [3 * k + int(np.argmin(cost[3 * k : 3 * k + 3, k])) for k in range(100)]
    assert took_s < 0.15, "a way through all of them for each that is left over takes more than a second"


def test_nobody_to_match() -> None:
    for shape in ((0, 3), (3, 0), (0, 0)):
        rows, cols = assign(np.zeros(shape))
        assert len(rows) == len(cols) == 0
