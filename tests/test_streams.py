"""Fits that go on: block by block, and from another map."""

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


def dense_stepwise(blocks, start, regul, exponent=0.6):
    """Stepwise EM with the averages of R, R x and R |x|^2 kept apart, and beta from the last."""
    phi, W, b = start.model_.basis.phi, start.model_.weights, start.beta_inv_
    g = gx = sq = seen = 0.0
    for block in blocks:
        Z, n = block - start.model_.affine.mean, len(block)
        C = phi @ W
        d = ((Z[:, None] - C) ** 2).sum(axis=2)
        R = np.exp(-(d - d.min(axis=1, keepdims=True)) / (2 * b))
        R /= R.sum(axis=1, keepdims=True)
        share = (1 + seen / n) ** -exponent
        seen += n
        g = (1 - share) * g + share * R.mean(axis=0)
        gx = (1 - share) * gx + share * R.T @ Z / n
        sq = (1 - share) * sq + share * (Z**2).sum() / n
        A = phi.T @ np.diag(g * seen) @ phi + regul * b * np.eye(phi.shape[1])
        W = np.linalg.solve(A, phi.T @ gx * seen)
        C = phi @ W
        b = (sq - 2 * (gx * C).sum() + g @ (C**2).sum(axis=1)) / Z.shape[1]
    return C + start.model_.affine.mean, b


def test_a_stream_is_stepwise_em():
    blocks = np.array_split(X, [1000, 1400, 2400])
    fitted = igtm()
    for block in blocks:
        fitted.partial_fit(block)
    centers, beta_inv = dense_stepwise(blocks, igtm(niter=0).fit(blocks[0]), 0.1)
    assert_allclose(fitted.centers_, centers, rtol=1e-8, atol=1e-9)
    assert_allclose(fitted.beta_inv_, beta_inv, rtol=1e-9)
    assert fitted.n_iter_ == 4
    assert fitted.n_samples_seen_ == pytest.approx(3000)
    assert not fitted.converged_
    assert fitted.history_[-1] == fitted.log_likelihood_


def test_one_block_is_one_iteration():
    assert_allclose(igtm().partial_fit(X).centers_, igtm(niter=1).fit(X).centers_, rtol=1e-9, atol=1e-9)
    assert_allclose(igtm().partial_fit(X).beta_inv_, igtm(niter=1).fit(X).beta_inv_)


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


# Warm starts


@pytest.mark.parametrize(
    "parameters", [{}, {"scale": "standard"}, {"n_components": 3}, {"scale": None}], ids=str
)
def test_a_fit_goes_on_from_another(parameters, tmp_path):
    whole, first = igtm(niter=20, **parameters).fit(X), igtm(niter=12, **parameters).fit(X)
    first.save(tmp_path / "model.npz")
    for init in (first, load(tmp_path / "model.npz")):
        second = igtm(niter=8, **parameters).fit(X, init=init)
        assert_allclose(second.centers_, whole.centers_, rtol=1e-8, atol=1e-8)
        assert_allclose(second.history_, whole.history_[12:], rtol=1e-10)
        assert second.n_iter_ == 8


def test_a_warm_start_takes_other_rows_and_automatic_sizes():
    first = igtm(k=0, m=0).fit(X)
    second = igtm(k=0, m=0, niter=2).fit(X[:500] + 0.1, init=first)
    assert second.nodes_.shape == first.nodes_.shape
    assert second.history_[0] == pytest.approx(first.score(X[:500] + 0.1))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"k": 5}, "k: 6, not 5"),
        ({"m": 2}, "m: 3, not 2"),
        ({"s": 0.5}, "width of an RBF"),
        ({"scale": "standard"}, "standardised: False, not True"),
        ({"n_components": 2}, "rotated to principal axes: False, not True"),
    ],
    ids=str,
)
def test_another_kind_of_map_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        igtm(**changed).fit(X, init=igtm().fit(X))


def test_an_init_that_is_no_map_is_refused():
    with pytest.raises(ValueError, match="number of columns: 6, not 5"):
        igtm().fit(X[:, :5], init=igtm().fit(X))
    for init in (igtm(), "model.npz"):
        with pytest.raises(TypeError, match="give a fitted IGTM"):
            igtm().fit(X, init=init)


def test_a_checkpoint_of_another_start_is_refused(tmp_path):
    init = igtm().fit(X)
    igtm().fit(X, init=init, checkpoint=tmp_path / "fit.npz")
    with pytest.raises(ValueError, match="init was"):
        igtm().fit(X, checkpoint=tmp_path / "fit.npz")
