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
from dask_igtm.statistics.log_histogram import SHARES

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


# What a stream knows of its rows


def deviances(estimator, X):
    return estimator.describe(X, ("deviance",))["deviance"]


def test_the_domain_of_a_stream_is_an_average_of_its_blocks_under_the_maps_before_them():
    blocks, weights = np.array_split(X, [1000, 1400, 2400]), []
    seen = [deviances(igtm(niter=0).fit(blocks[0]), blocks[0])]
    streamed, n = igtm().partial_fit(blocks[0]), 1000
    weights = [np.full(1000, 1 / 1000)]
    for block in blocks[1:]:
        seen.append(deviances(streamed, block))
        streamed.partial_fit(block)
        share = (1 + n / len(block)) ** -0.6
        weights = [(1 - share) * weight for weight in weights] + [np.full(len(block), share / len(block))]
        n += len(block)
    values, weight = np.concatenate(seen), np.concatenate(weights)
    order = np.argsort(values)
    reached = weight[order].cumsum() / weight.sum()
    expected = values[order][np.searchsorted(reached, SHARES[1:-1] - 1e-9)]
    assert_allclose(streamed.deviance_[1:-1], expected, rtol=0.006)
    assert streamed.deviance_[-1] == pytest.approx(values.max())


def test_a_stream_after_a_fit_moves_its_domain_by_the_share_of_its_rows():
    fitted = igtm(niter=100).fit(X)
    before = fitted.deviance_
    fitted.partial_fit(X[:300])
    assert_allclose(fitted.deviance_[:150], before[:150], rtol=0.05)
    assert abs(fitted.applicability(X).mean() - 0.95) < 0.02
    far = igtm(niter=100).fit(X).partial_fit(X[:300] + 4.0)
    inside = far.deviance_[np.searchsorted(SHARES, 1 - 1.1 * 11**-0.6)]
    assert inside < 2 * before[-1] < far.deviance_[np.searchsorted(SHARES, 1 - 0.9 * 11**-0.6)]


def test_a_stream_forgets_how_its_first_map_saw_its_rows():
    streamed = igtm(k=10, m=4)
    for _ in range(20):
        stream(streamed, X, 6)
    assert abs(streamed.applicability(X, 0.9).mean() - 0.9) < 0.02


def test_gaps_and_weights_count_in_the_domain_of_a_stream():
    holes = X[:800].copy()
    holes[:50] = np.nan
    holes[60:90, 2] = np.nan
    weight = np.arange(800) % 3
    one = igtm(missing="marginalize").partial_fit(X[:800])
    other = pickle.loads(pickle.dumps(one))
    often = np.repeat(holes, weight, axis=0)
    assert_allclose(
        one.partial_fit(holes, sample_weight=weight).deviance_, other.partial_fit(often).deviance_, rtol=1e-6
    )


def test_a_saved_stream_goes_on_with_its_domain(tmp_path):
    streamed = stream(igtm(), X[:900], 3)
    streamed.save(tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    assert_array_equal(again.deviance_, streamed.deviance_)
    assert_array_equal(again.partial_fit(X[900:]).deviance_, streamed.partial_fit(X[900:]).deviance_)
    assert igtm().partial_fit(X).fit(X).applicability(X, 1.0).all()


def test_a_bad_block_leaves_the_domain_as_it_was():
    streamed = igtm().partial_fit(X)
    before = streamed.deviance_
    bad = X[:10].copy()
    bad[3, 1] = np.inf
    with pytest.raises(ValueError, match="1 in column 1"):
        streamed.partial_fit(bad)
    assert_array_equal(streamed.deviance_, before)
    assert_array_equal(streamed.stream_.deviance.quantiles(SHARES), before)


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
