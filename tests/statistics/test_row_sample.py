"""Samples of rows: the same however rows are divided, without rows of no weight, and even."""

import functools
import itertools
import operator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from scipy import sparse

from dask_igtm.posterior.tiles import dense
from dask_igtm.statistics.row_sample import Draw, sums_with_samples, with_sample

X = np.random.default_rng(0).normal(size=(400, 3))
WEIGHT = np.random.default_rng(1).integers(0, 3, 400).astype(float)


def drawn(draw, edges, X=X, weight=WEIGHT):
    parts = [
        draw.of(X[a:b], None if weight is None else weight[a:b], np.arange(a, b))
        for a, b in itertools.pairwise([0, *sorted(edges), len(X)])
    ]
    return functools.reduce(operator.add, parts)


@given(st.lists(st.integers(0, 400), max_size=6), st.sampled_from([1, 40, 1000]), st.booleans())
def test_how_rows_are_divided_changes_no_sample(edges, size, known):
    whole = drawn(Draw(size, 7), [])
    divided = drawn(Draw(size, 7, 400 if known else np.nan), edges)
    for name in ("X", "weight", "keys"):
        assert_array_equal(getattr(divided, name), getattr(whole, name))
    assert len(whole.weight) == min(size, np.count_nonzero(WEIGHT))


def test_the_first_rows_of_a_sample_are_a_smaller_one():
    assert_array_equal(drawn(Draw(10, 7), []).X, drawn(Draw(100, 7), []).X[:10])


def test_rows_without_weight_are_left_out():
    sample = drawn(Draw(1000, 3), [100])
    assert (sample.weight > 0).all()
    assert sample.weight.sum() == WEIGHT.sum()


def test_every_row_is_drawn_as_often():
    seeds, rows = 3000, np.arange(20.0)[:, None]
    often = np.bincount(
        np.concatenate([drawn(Draw(5, seed), [9], rows, None).X[:, 0] for seed in range(seeds)]).astype(int)
    )
    expected = seeds * 5 / 20
    assert np.abs(often - expected).max() < 5 * np.sqrt(expected * 0.75)


@pytest.mark.parametrize("make", [sparse.csr_array, sparse.coo_array])
def test_sparse_rows_come_out_as_csr(make):
    sample = Draw(30, 5).of(make(X[:200]), None, np.arange(200))
    sample += Draw(30, 5).of(make(X[200:]), None, np.arange(200, 400))
    assert isinstance(sample.X, sparse.csr_array)
    assert_array_equal(sample.X.toarray(), Draw(30, 5).of(X, None, np.arange(400)).X)


def test_rows_keep_their_type():
    assert drawn(Draw(30, 5), [200], X.astype(np.float32)).X.dtype == np.float32


def test_a_sample_comes_beside_another_statistic():
    total, sample = with_sample(
        X, None, np.arange(400), Draw(9, 1), lambda X, w, more: X.sum() + more, 1.0
    ).each
    assert total == X.sum() + 1.0
    assert_array_equal(sample.X, Draw(9, 1).of(X, None, np.arange(400)).X)


@pytest.mark.parametrize("weight", [None, WEIGHT])
@pytest.mark.parametrize("rows", [X, sparse.csr_matrix(X)])
def test_parts_are_sampled_by_themselves(rows, weight):
    part, numbers, some = np.arange(400) % 3, np.arange(400), (0, 2)
    found = sums_with_samples(
        rows, weight, part, numbers, [(some, Draw(30, 7)), ((1,), Draw(5, 7))], count, [((1,), (2,))]
    )
    total, sample, other = found.each
    assert total.each == (2 * 133,)
    chosen = np.isin(part, some)
    alone = Draw(30, 7).of(X[chosen], None if weight is None else weight[chosen], numbers[chosen])
    assert_array_equal(dense(sample.X), alone.X)
    for name in ("weight", "keys"):
        assert_array_equal(getattr(sample, name), getattr(alone, name))
    assert set(map(bytes, dense(other.X))) <= set(map(bytes, X[part == 1]))


def count(X, sample_weight, times):
    return times * X.shape[0]
