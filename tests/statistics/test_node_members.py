"""The few rows of each node add up in any grouping, and stay few."""

import numpy as np
import pytest
from helpers.data import correlated
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dask_igtm import IGTM
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.statistics.node_members import of_rows, of_rows_with_ids

X = correlated(300, 4)
IDS = np.array([f"row {i}" for i in range(300)], object)


@pytest.fixture(scope="module")
def model():
    return IGTM(k=5, m=3, niter=3, scale=None, solver="em").fit(X).model_


@given(st.lists(st.integers(1, 299), min_size=2, max_size=2), st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_parts_add_in_any_grouping(model, cuts, top):
    cuts = sorted(cuts)
    a, b, c = (
        of_rows_with_ids(rows, None, ids, model, best_kernel(), None, top)
        for rows, ids in zip(np.split(X, cuts), np.split(IDS, cuts), strict=True)
    )
    one, other = (a + b) + c, a + (b + c)
    for name, value in vars(one).items():
        assert_array_equal(getattr(other, name), value)
    assert one.ids.tolist() == IDS[one.row].tolist()


def test_no_more_than_a_few_rows_a_node_are_kept(model):
    parts = [of_rows(rows, None, model, best_kernel(), None, 3) for rows in np.split(X, 6)]
    whole = sum(parts[1:], parts[0])
    assert all(np.bincount(part.place).max() == 3 for part in (*parts, whole))
    assert whole.rank.max() == 2
    assert whole.n_rows == 300
