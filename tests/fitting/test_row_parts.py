"""Rows in parts, and those of some parts by themselves: chosen in memory, lazy where they were."""

import dask
import dask.array as da
import numpy as np
import pytest
from helpers.lazy import computing, counting
from numpy.testing import assert_array_equal
from scipy import sparse

from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.fitting.row_parts import Chosen, in_given_parts, in_parts

N = 300
X = np.random.default_rng(0).normal(size=(N, 3))
PART = np.arange(N) % 4


@pytest.mark.parametrize("parts", [(0,), (1, 3), (0, 1, 2, 3), ()])
def test_rows_of_parts(parts):
    expected = np.isin(PART, parts)
    rows = in_given_parts(row_blocks(X, sample_weight=np.arange(N)), PART, "this")
    chosen = Chosen(rows, 4)
    assert_array_equal(chosen.rows(rows.X, parts), X[expected])
    assert_array_equal(chosen.places(parts), np.flatnonzero(expected))
    assert_array_equal(chosen.rows(rows.sample_weight, parts), np.flatnonzero(expected))
    assert chosen.rows(None, parts) is None


@pytest.mark.parametrize("parts", [(0,), (1, 3), (0, 1, 2, 3)])
def test_lazy_rows_of_parts_stay_lazy_and_know_their_chunk_sizes(parts):
    lazy, computed = counting(X)
    rows = in_given_parts(row_blocks(lazy), PART, "this")
    found = Chosen(rows, 4).rows(rows.X, parts)
    assert not computed  # the parts alone were counted
    assert found.shape == (np.isin(PART, parts).sum(), 3)
    assert_array_equal(found.compute(), X[np.isin(PART, parts)])
    assert len(computed) == 3


def test_sparse_chunks():
    lazy = da.from_array(X, chunks=(100, -1)).map_blocks(sparse.coo_matrix)
    rows = in_given_parts(row_blocks(lazy), PART, "this")
    assert_array_equal(Chosen(rows, 4).rows(rows.X, (2,)).compute().toarray(), X[PART == 2])


def test_parts_are_drawn_lazily_and_by_numbers_alone():
    with dask.config.set(scheduler=computing):
        parted = [
            in_parts(row_blocks(da.from_array(X, chunks=(size, -1))), [0.2, 0.7], 3, "this")
            for size in (40, 111)
        ]
    one, other = (rows.y.compute() for rows in parted)
    assert_array_equal(one, other)
    shares = np.bincount(one) / N
    assert np.abs(shares - [0.2, 0.5, 0.3]).max() < 0.1


def test_what_cannot_be_drawn_is_refused():
    lazy = da.from_array(X, chunks=(100, -1))
    with pytest.raises(ValueError, match="this needs to know how many rows"):
        in_parts(row_blocks(lazy[lazy[:, 0] > 0]), [0.5], 0, "this")
    with pytest.raises(ValueError, match="n_samples=2, too few to be drawn into 3 parts"):
        in_parts(row_blocks(X[:2]), [0.3, 0.6], 0, "this")
