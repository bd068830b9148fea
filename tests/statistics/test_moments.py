"""Moments add up to those of all rows at once, in any grouping."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose

from dask_igtm.statistics.moments import moments_of

FINITE = st.floats(-1e3, 1e3, width=32)
THREE_BLOCKS = st.tuples(*(st.integers(0, 20).flatmap(lambda n: arrays(float, (n, 3), elements=FINITE)),) * 3)


def assert_equal_moments(one, other):
    assert_allclose(one.weight, other.weight)
    assert_allclose(one.mean, other.mean, atol=1e-8)
    assert_allclose(one.scatter, other.scatter, atol=1e-4, rtol=1e-9)


@settings(deadline=None)
@given(THREE_BLOCKS)
def test_moments_merge_associatively(three):
    a, b, c = (moments_of(X, None) for X in three)
    assert_equal_moments((a + b) + c, a + (b + c))
    X = np.concatenate(three)
    if len(X):
        assert_allclose((a + b + c).mean, X.mean(axis=0), atol=1e-8)
        assert_allclose((a + b + c).scatter, np.cov(X.T, ddof=0) * len(X), atol=1e-4)


@settings(deadline=None)
@given(THREE_BLOCKS, st.data())
def test_weights_count_rows(three, data):
    X = np.concatenate(three)
    counts = data.draw(arrays(int, len(X), elements=st.integers(0, 3)))
    weighted = moments_of(X, counts.astype(float))
    assert_equal_moments(weighted, moments_of(np.repeat(X, counts, axis=0), None))


def test_rows_that_count_for_nothing_still_tell_what_is_not_finite():
    nothing, rows = np.full((2, 3), [np.nan, 1, 1]), np.random.default_rng(0).normal(size=(5, 3))
    for total in (
        moments_of(nothing, np.zeros(2)) + moments_of(rows, None),
        moments_of(rows, None) + moments_of(nothing, np.zeros(2)),
    ):
        assert_equal_moments(total, moments_of(rows, None))
        assert total.invalid.tolist() == [2, 0, 0]


def test_moments_far_from_the_origin():
    X = np.random.default_rng(0).normal(size=(9000, 3))
    near, far = moments_of(X, None), moments_of(X + 1e8, None)
    assert_allclose(far.scatter, near.scatter, rtol=1e-6, atol=1e-3)
