"""Totals at the nodes add up in any grouping."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from dask_igtm.statistics import node_sums


@settings(deadline=None)
@given(st.lists(st.integers(0, 6), min_size=3, max_size=3), st.integers(0, 2**32 - 1))
def test_totals_add_in_any_grouping(sizes, seed):
    rng = np.random.default_rng(seed)
    parts = []
    for size in sizes:
        R, y = rng.random((size, 4)), 1e6 + rng.normal(size=(size, 2))
        parts.append(node_sums.totals_of(lambda columns, R=R: R.T @ columns, rng.random(size), y))
    a, b, c = parts
    for name, value in vars((a + b) + c).items():
        assert_allclose(getattr(a + (b + c), name), value, rtol=1e-9, atol=1e-7)
