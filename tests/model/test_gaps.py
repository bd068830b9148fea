"""Gaps: exact EM over what is observed, and what every treatment of them has in common."""

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from helpers.data import holed
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_em import dense_em_with_gaps
from scipy.special import logsumexp
from sklearn.datasets import load_digits

from dask_igtm import IGTM, load

FILLED = ["mean", "median", "most_frequent", "constant"]
ALLOWED = [*FILLED, "marginalize"]


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 8, "tol": 0, "solver": "em", "scale": "center", **parameters})


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5)) + [1, -2, 0, 3, 5]


@pytest.fixture(scope="module")
def Y(X):  # noqa: N802
    return holed(X)


@pytest.mark.parametrize("scale", ["center", "standard"])
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_marginalizing_is_em_over_the_observed_entries(X, scale, share):
    Y = holed(X[:60], share)
    Y[7] = np.nan
    settings_ = {"k": 4, "m": 2, "missing": "marginalize", "scale": scale}
    start, fitted = igtm(niter=0, **settings_).fit(Y), igtm(niter=12, **settings_).fit(Y)
    centers, beta_inv, likelihoods = dense_em_with_gaps(Y, start, 0.1, 12)
    assert_allclose(fitted.centers_, centers, rtol=1e-9, atol=1e-9)
    assert_allclose(fitted.beta_inv_, beta_inv, rtol=1e-10)
    assert_allclose(fitted.history_, likelihoods, rtol=1e-10)


@pytest.mark.parametrize("solver", ["em", "accelerated"])
@pytest.mark.parametrize("share", [0.3, 0.6])
def test_the_penalised_likelihood_never_falls(X, share, solver):
    seen = []
    igtm(missing="marginalize", niter=150, solver=solver).fit(holed(X, share), callbacks=[seen.append])
    values = np.array([event.penalised for event in seen])
    if solver == "em":
        assert (np.diff(values) >= -1e-11 * np.abs(values[:-1])).all()
    assert values[-1] > values[0]


def test_marginalizing_without_gaps_is_the_fit_without(X):
    for scale in (None, "center", "standard"):
        one, other = igtm(missing="marginalize", scale=scale).fit(X), igtm(scale=scale).fit(X)
        assert_allclose(one.centers_, other.centers_, rtol=1e-9, atol=1e-9)
        assert_allclose(one.log_likelihood_, other.log_likelihood_, rtol=1e-10)


def test_the_start_of_marginalizing_is_pairwise(Y):
    start = igtm(niter=0, missing="marginalize").fit(Y)
    assert_allclose(start.model_.affine.mean, np.nanmean(Y, axis=0))
    variances, axes = np.linalg.eigh(pd.DataFrame(Y).cov(ddof=0).to_numpy())
    scale = len(Y) / (len(Y) - 1)
    spread = (start.centers_ - start.centers_.mean(axis=0)) @ axes[:, :-3:-1]
    assert_allclose(np.abs(np.cov(spread.T, ddof=0)[0, 0]), variances[-1] * scale, rtol=0.05)
    assert start.beta_inv_ > 0


@pytest.mark.parametrize("missing", ALLOWED)
def test_blocks_and_laziness_change_rounding_only(Y, missing):
    one = igtm(missing=missing).fit(Y)
    other = igtm(missing=missing).fit(da.from_array(Y, chunks=((1, 99, 0, 200), 5)))
    rtol = 1e-3 if missing == "median" else 1e-8
    assert_allclose(other.centers_, one.centers_, rtol=rtol, atol=rtol)
    assert_allclose(other.score(Y), one.score(Y), rtol=rtol)


@pytest.mark.parametrize("missing", ALLOWED)
def test_a_weight_of_two_is_the_row_twice_with_gaps_too(Y, missing):
    weight = np.random.default_rng(1).integers(0, 3, len(Y)).astype(float)
    twice = np.repeat(Y, weight.astype(int), axis=0)
    one, other = igtm(missing=missing).fit(Y, sample_weight=weight), igtm(missing=missing).fit(twice)
    assert_allclose(one.centers_, other.centers_, rtol=1e-8, atol=1e-8)
    assert_allclose(one.log_likelihood_, other.log_likelihood_)


@pytest.mark.parametrize("missing", ALLOWED)
@pytest.mark.parametrize("lazy", [False, True])
def test_rows_with_gaps_are_projected(Y, missing, lazy, tmp_path):
    fitted = igtm(missing=missing, model="complete").fit(Y)
    rows = np.vstack([Y, np.full(5, np.nan)])
    given_ = da.from_array(rows, chunks=(100, 5)) if lazy else rows
    result = fitted.transform(given_)
    R = np.asarray(result.matR)
    assert_allclose(R.sum(axis=1), 1)
    assert np.isfinite(np.asarray(result.matMeans)).all()
    assert np.isfinite(np.asarray(fitted.score_samples(given_))).all()
    if missing == "marginalize":
        assert_allclose(R[-1], 1 / 36)  # the prior
        assert_allclose(np.asarray(fitted.score_samples(given_))[-1], 0, atol=1e-12)
        assert_allclose(fitted.score(given_), fitted.score(Y))  # it does not count
    fitted.save(tmp_path / "model.npz")
    again = load(tmp_path / "model.npz")
    assert again.missing == missing
    assert_array_equal(again.transform(rows).matR, fitted.transform(rows).matR)


def test_the_likelihood_of_a_row_is_that_of_its_observed_entries(X):
    fitted = igtm(scale="standard", missing="marginalize").fit(X)
    row = X[:1].copy()
    row[0, [1, 3]] = np.nan
    kept = [0, 2, 4]
    noise = fitted.noise_variance_[kept]
    squares = (row[0, kept] - fitted.centers_[:, kept]) ** 2 / noise
    densities = -0.5 * (squares + np.log(2 * np.pi * noise)).sum(axis=1)
    assert_allclose(fitted.score_samples(row), logsumexp(densities) - np.log(36))


@pytest.mark.parametrize("lazy", [False, True])
def test_impute_is_the_expectation_given_what_is_observed(X, Y, lazy):
    for missing in ("error", "marginalize", "mean"):
        fitted = igtm(missing=missing, scale="standard").fit(X)
        marginal = igtm(missing="marginalize", scale="standard", model="responsibilities").fit(X)
        filled = fitted.impute(da.from_array(Y, chunks=(70, 5)) if lazy else Y)
        assert isinstance(filled, da.Array) is lazy
        filled = np.asarray(filled)
        assert_array_equal(filled[~np.isnan(Y)], Y[~np.isnan(Y)])
        if missing != "mean":
            expected = marginal.transform(Y) @ marginal.centers_
            assert_allclose(filled[np.isnan(Y)], expected[np.isnan(Y)], rtol=1e-6, atol=1e-6)
    assert np.abs(filled - X)[np.isnan(Y)].mean() < np.abs(np.nanmean(Y, axis=0) - X)[np.isnan(Y)].mean()


def test_float32_gaps_agree_with_float64():
    Y = holed(load_digits().data).astype(np.float32)
    one = IGTM(missing="marginalize", scale="standard", niter=20, tol=0).fit(Y[:, 1:32])
    other = IGTM(missing="marginalize", scale="standard", niter=20, tol=0).fit(Y[:, 1:32].astype(float))
    assert_allclose(one.beta_inv_, other.beta_inv_, rtol=1e-5)
    assert_allclose(one.centers_, other.centers_, atol=1e-2)


def test_pairs_that_are_never_observed_together_do_not_stop_a_fit(X):
    Y = X.copy()
    Y[:150, 0], Y[150:, 1] = np.nan, np.nan
    fitted = igtm(missing="marginalize", scale="standard").fit(Y)
    assert np.isfinite(fitted.centers_).all()
    assert np.isfinite(fitted.impute(Y)).all()


@pytest.mark.parametrize("missing", ALLOWED)
def test_infinities_are_no_gaps(X, Y, missing):
    Y = Y.copy()
    Y[3, 1] = np.inf
    with pytest.raises(ValueError, match="1 in column 1"):
        igtm(missing=missing).fit(Y)
    with pytest.raises(ValueError, match="1 in column 1"):
        igtm(missing=missing).fit(X).transform(Y)


def test_gaps_are_refused_by_default_and_the_message_says_what_to_do(X, Y):
    with pytest.raises(ValueError, match="missing='marginalize' or 'median'"):
        igtm().fit(Y)
    with pytest.raises(ValueError, match="missing='marginalize' or 'median'"):
        igtm().fit(X).transform(Y)
    with pytest.raises(ValueError, match="missing='zero'; give one of"):
        igtm(missing="zero").fit(X)
    with pytest.raises(ValueError, match="n_components mixes"):
        igtm(missing="marginalize", n_components=2).fit(Y)
    with pytest.raises(ValueError, match="principal axes does not say"):
        igtm(n_components=2).fit(X).impute(Y)
