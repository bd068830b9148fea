"""Rows drawn or picked by their numbers, however they lie in blocks."""

import numpy as np
from helpers.data import correlated
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm.statistics import row_subsets
from dask_igtm.statistics.row_subsets import pick


@given(st.integers(0, 2**31 - 2), st.lists(st.integers(0, 40), max_size=8), st.integers(2, 6))
def test_the_draw_does_not_depend_on_blocks(seed, cuts, n_parts):
    edges = np.arange(1, n_parts) / n_parts
    whole = row_subsets.draw(np.arange(40), seed, edges)
    blocks = np.split(np.arange(40), sorted(cuts))
    assert_array_equal(np.concatenate([row_subsets.draw(block, seed, edges) for block in blocks]), whole)
    assert whole.max() < n_parts


def test_the_draw_is_splitmix64_and_even():
    # The published stream of seed 1234567.
    stream = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    for number, value in enumerate(stream):
        below = (value >> 11) * 2.0**-53
        assert row_subsets.draw(np.array([number]), 1234567, [below, np.nextafter(below, 1)]) == 1
    counts = np.bincount(row_subsets.draw(np.arange(100_000), 0, [0.2, 0.5]))
    assert_allclose(counts / 100_000, [0.2, 0.3, 0.5], atol=0.01)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 30), st.booleans(), st.integers(0, 99))
def test_sums_of_parts_are_those_of_their_rows(n_rows, weighted, seed):
    rng = np.random.default_rng(seed)
    X, part = rng.normal(size=(n_rows, 2)), rng.integers(0, 3, n_rows)
    weight = rng.random(n_rows) if weighted else None
    wanted = [((0,), (2.0,)), ((1, 2), (3.0,)), ((0,), (5.0,)), ((), (1.0,))]

    def total(X, weight, factor):
        return factor * (X if weight is None else weight[:, None] * X).sum(axis=0)

    found = row_subsets.sums(X, weight, part, total, wanted)
    weights = np.ones(n_rows) if weight is None else weight
    for (chosen, (factor,)), one in zip(wanted, (found + found).each, strict=True):
        rows = np.array([p in chosen for p in part], dtype=bool)
        assert_allclose(one, 2 * factor * weights[rows] @ X[rows], atol=1e-12)


X = correlated(1500, 5)


def test_picked_rows_come_in_order():
    numbers = np.arange(50, 50 + 1500)
    chosen = np.array([0, 3, 50, 51, 700, 1549, 1550, 9000])
    expected = X[[0, 1, 650, 1499]]
    assert_array_equal(pick(X, numbers, chosen).X, expected)
    parts = pick(X[:10], numbers[:10], chosen) + pick(X[10:], numbers[10:], chosen)
    assert_array_equal(parts.X, expected)
    assert pick(X[:0], numbers[:0], chosen).X.shape == (0, 5)
