"""A fit reads its data as often as it says."""

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from helpers.errors import raised
from helpers.lazy import Computes, CountingStore, counting

from dask_igtm import IGTM

N = 300


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 6, "tol": 0, **parameters})


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(N, 5)) * [4, 3, 1, 0.7, 0.5] + [1, -2, 0, 3, 5]


@pytest.fixture(scope="module")
def fitted(X):
    return igtm().fit(X)


@pytest.fixture
def counted(X):
    return counting(X)


@pytest.fixture
def counting_store():
    CountingStore.read.clear()
    return CountingStore()


def test_a_fit_computes_one_graph_for_the_moments_one_an_iteration_and_one_at_the_end(X):
    lazy = da.from_array(X, chunks=(100, -1))
    for parameters in ({"niter": 6}, {"niter": 0}, {"niter": 100, "tol": 1e-2}):
        with dask.config.set(scheduler="threads"), Computes() as computes:
            estimator = igtm(**parameters, persist=False).fit(lazy)
        assert computes.count == 1 + estimator.n_iter_ + 1
        assert estimator.n_passes_ == estimator.n_iter_ + 1
        assert len(estimator.history_) == estimator.n_iter_
    assert 4 < estimator.n_iter_ < 100
    assert estimator.converged_


def test_one_block_in_memory_needs_no_graph_and_gives_the_same_bits(X):
    weight = np.arange(N) % 3.0
    with Computes() as computes:
        here = igtm().fit(X, sample_weight=weight)
        density = here.score(X)
    assert computes.count == 0
    lazy = da.from_array(X, chunks=-1)
    assert np.array_equal(here.centers_, igtm().fit(lazy, sample_weight=weight).centers_)
    assert density == here.score(lazy)


@pytest.mark.parametrize("parameters", [{}, {"scale": "standard"}, {"k": 0}, {"n_blocks": 3}], ids=str)
def test_each_pass_computes_each_block_once(counted, parameters):
    lazy, computed = counted
    estimator = igtm(**parameters, persist=False).fit(lazy, sample_weight=da.ones(N, chunks=100))
    assert sorted(computed) == sorted([0, 1, 2] * (1 + estimator.n_iter_ + 1))


def test_each_pass_reads_each_chunk_once(counting_store, X):
    rows = zarr.create_array(counting_store, data=X, chunks=(100, 5))
    CountingStore.read.clear()
    estimator = igtm(persist=False).fit(rows)
    expected = [f"c/{chunk}/0" for chunk in range(3)] * (1 + estimator.n_iter_ + 1)
    assert sorted(counting_store.read) == sorted(expected)


def test_score_computes_one_graph(counted, fitted):
    lazy, computed = counted
    with dask.config.set(scheduler="threads"), Computes() as computes:
        fitted.score(lazy)
    assert computes.count == 1
    assert sorted(computed) == [0, 1, 2]


def test_an_error_names_the_block_where_sizes_are_unknown(X):
    bad = X.copy()
    bad[250] = np.inf
    lazy = da.from_array(bad, chunks=(100, -1))
    said = raised(ValueError, igtm().fit(X).score, lazy[lazy[:, 0] > -np.inf])
    assert "This happened in block 2 of X." in said
