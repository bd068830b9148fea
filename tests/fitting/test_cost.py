"""What a fit would cost, without reading a row."""

import dask
import dask.array as da
import numpy as np
import pytest
from scipy import sparse

from dask_igtm import IGTM, convert
from dask_igtm.fitting import cost


def refuse(*args, **kwargs):
    raise AssertionError("something was computed")


def test_an_estimate_reads_nothing():
    X = da.random.random((1_000_000, 20), chunks=(50_000, 20)).astype("float32")
    with dask.config.set(scheduler=refuse):
        estimate = IGTM(k=8, niter=10).estimate(X)
    assert estimate.n_passes == 12
    assert IGTM(k=8, niter=10, missing="median").estimate(X).n_passes == 14
    assert estimate.seconds > 0
    assert "at most 12 passes, 0.96 GB read" in str(estimate)  # who computes is unknown, so nothing is kept


@pytest.mark.parametrize(("persist", "passes"), [(True, 1), (False, 12)])
def test_what_is_kept_is_read_once(persist, passes):
    X = da.zeros((100_000, 20), chunks=(50_000, 20))
    estimate = IGTM(k=8, niter=10, persist=persist).estimate(X)
    assert estimate.bytes_read == passes * X.nbytes
    assert estimate.bytes_kept == persist * X.nbytes
    assert estimate.bytes_per_thread > X.nbytes / 2


def test_data_in_memory_are_not_read():
    assert IGTM(k=8, niter=10).estimate(np.zeros((100, 3))).bytes_read == 0


def test_unknown_sizes_are_refused():
    X = da.zeros((100, 3), chunks=(50, 3))
    with pytest.raises(ValueError, match="compute_chunk_sizes"):
        IGTM().estimate(X[X[:, 0] >= 0])


@pytest.mark.parametrize(
    ("parameters", "n_axes", "gaps"),
    [
        ({}, 20, False),
        ({"n_components": 3}, 3, False),
        ({"n_components": 0.5}, 20, False),
        ({"missing": "median"}, 20, False),
        ({"missing": "marginalize"}, 20, True),
    ],
)
def test_the_tile_that_is_timed_has_the_axes_and_gaps_of_the_fit(monkeypatch, parameters, n_axes, gaps):
    timed = set()
    statistics = cost.e_step

    def watched(X, sample_weight, model, kernel):
        timed.add((X.shape[1], model.weights.shape[1], np.isnan(X).any(), model.gaps.marginal))
        return statistics(X, sample_weight, model, kernel)

    monkeypatch.setattr(cost, "e_step", watched)
    IGTM(k=8, **parameters).estimate(np.zeros((100, 20)))
    assert timed == {(20, n_axes, gaps, gaps)}


def test_sparse_rows_are_planned_by_their_entries(monkeypatch):
    X = sparse.random_array(
        (4000, 30_000), density=0.002, format="csr", random_state=np.random.default_rng(0)
    )
    timed, statistics = set(), cost.e_step

    def watched(X, sample_weight, model, kernel):
        timed.add((sparse.issparse(X), X.shape[1], X.nnz // X.shape[0], X.shape[0] <= 2**22 // 30_000))
        return statistics(X, sample_weight, model, kernel)

    monkeypatch.setattr(cost, "e_step", watched)
    planned = IGTM(k=8, niter=10).estimate(X)
    assert timed == {(True, 30_000, 60, True)}
    assert planned.n_passes == 12 + 24
    assert planned.n_passes_typical == 12 + 7
    assert planned.bytes_per_thread < 2**28  # a covariance would be 7 GB


def test_sparse_rows_that_are_kept_take_the_bytes_of_their_entries(tmp_path):
    X = sparse.random_array((4000, 500), density=0.02, format="csr", random_state=np.random.default_rng(0))
    sparse.save_npz(tmp_path / "x.npz", X)
    convert(str(tmp_path / "x.npz"), str(tmp_path / "x.zarr"))
    kept = IGTM(k=8, persist=True).estimate(str(tmp_path / "x.zarr")).bytes_kept
    assert kept == 4000 * 10 * (8 + 4)
