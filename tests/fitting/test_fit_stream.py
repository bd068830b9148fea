"""Fits that go on block by block."""

import pickle

import dask.array as da
import numpy as np
import pytest
import zarr
from helpers.data import correlated
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits

from dask_igtm import IGTM, load

X = correlated(3000, 6)


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "scale": "center", "tol": 0, "niter": 5, **parameters})


def stream(estimator, X, n_blocks):
    for block in np.array_split(X, n_blocks):
        estimator.partial_fit(block)
    return estimator


def test_a_stream_comes_near_the_fit_of_all():
    digits = np.random.default_rng(0).permutation(load_digits().data)
    batch = igtm(k=10, m=4, niter=200, tol=1e-4).fit(digits)
    streamed = igtm(k=10, m=4)
    for _ in range(20):
        stream(streamed, digits, 6)
    start = igtm(k=10, m=4, niter=0).fit(digits).score(digits)
    assert streamed.score(digits) > batch.score(digits) - 0.03 * (batch.score(digits) - start)


def test_a_stream_goes_on_from_a_fitted_and_from_a_loaded_map(tmp_path):
    fitted = igtm(niter=100).fit(X)
    before = fitted.score(X)
    fitted.partial_fit(X[:200])
    assert fitted.n_samples_seen_ == pytest.approx(3200)
    assert fitted.score(X) > before - 0.05  # 200 rows do not undo 3,000
    fitted.save(tmp_path / "model.npz")
    again = load(tmp_path / "model.npz").partial_fit(X[200:400])
    fitted.partial_fit(X[200:400])
    assert_array_equal(again.centers_, fitted.centers_)
    assert again.n_samples_seen_ == fitted.n_samples_seen_ == pytest.approx(3400)
    assert not hasattr(fitted.fit(X), "stream_")


def test_lazy_blocks_are_read_once(tmp_path):
    array = zarr.create_array(tmp_path / "x.zarr", data=X, chunks=(500, 6))
    reads = []

    def read(block):
        reads.append(len(block))
        return block

    lazy = da.from_zarr(array).map_blocks(read, meta=np.empty((0, 0)))
    estimator = igtm().partial_fit(lazy[:1500]).partial_fit(lazy[1500:])
    assert sum(reads) == 3000
    assert_allclose(estimator.centers_, stream(igtm(), X, 2).centers_, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("missing", ["error", "marginalize", "median"])
def test_a_bad_block_changes_nothing(missing):
    estimator = igtm(missing=missing).partial_fit(X)
    before = estimator.centers_
    bad = X[:10].copy()
    bad[3, 1] = np.inf
    with pytest.raises(ValueError, match="1 in column 1"):
        estimator.partial_fit(bad)
    with pytest.raises(ValueError, match="5 features"):
        estimator.partial_fit(X[:, :5])
    with pytest.raises(ValueError, match="negative"):
        estimator.partial_fit(X, sample_weight=-np.ones(3000))
    assert_array_equal(estimator.centers_, before)
    assert estimator.n_samples_seen_ == pytest.approx(3000)
    if missing != "error":
        bad[3, 1] = np.nan
        assert np.isfinite(estimator.partial_fit(bad).centers_).all()


def test_a_stream_keeps_its_kind_of_map():
    estimator = igtm().partial_fit(X).set_params(k=4)
    with pytest.raises(ValueError, match="k: 6, not 4"):
        estimator.partial_fit(X)


def test_blocks_without_weight_change_nothing():
    estimator = igtm().partial_fit(X)
    before = pickle.dumps(estimator)
    estimator.partial_fit(X[:10], sample_weight=np.zeros(10))
    assert pickle.dumps(estimator) == before
    with pytest.raises(ValueError, match="every sample_weight is zero"):
        igtm().partial_fit(X[:10], sample_weight=np.zeros(10))


@pytest.mark.parametrize("value", [1e102, 1e154, -1e300])
def test_a_stream_outlives_rows_that_fit_would_refuse(value):
    estimator = stream(igtm(), X[:1000], 2)
    before = estimator.centers_
    block = X[:500].copy()
    block[17, 4] = value
    for _ in range(2):
        with pytest.raises(ValueError, match=r"beyond 1e\+101: 1 in column 4\b.*clip"):
            estimator.partial_fit(block)
    assert_array_equal(estimator.centers_, before)
    assert np.isfinite(estimator.partial_fit(X[:500]).score(X))
