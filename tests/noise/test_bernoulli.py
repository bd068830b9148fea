"""Bits: chances at the nodes, entries that are none, and log odds of any size."""

import dataclasses

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from helpers.errors import assert_says, raised
from helpers.noises import KERNELS, assert_e_step, map_of, rows_of
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse, stats

from dask_igtm import IGTM
from dask_igtm.noise.bernoulli import Bernoulli
from dask_igtm.posterior.row_outputs import outputs_of, project

NOISE = Bernoulli()
WRONG = [0.5, 2.0, -1.0, np.inf, 1e300]


def bits(n_rows=60, n_columns=6, seed=0):
    return (np.random.default_rng(seed).random((n_rows, n_columns)) < 0.4).astype(float)


def fitted(X, **given_):
    return IGTM(k=4, m=2, niter=3, tol=0, noise="bernoulli", **given_).fit(X)


def test_ln_p_is_that_of_independent_bits():
    model = map_of("bernoulli")
    X = rows_of(model, 50)
    (found,) = project(X, model, "numpy", outputs_of(("log_likelihood",), len(model.basis.nodes)))
    chances = stats.bernoulli.pmf(X[:, None], model.means).prod(axis=2)
    assert_allclose(found, np.log(chances.mean(axis=1)), rtol=1e-12)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", [40.0, 800.0, 1e5])
def test_log_odds_of_any_size_overflow_nowhere(kernel, size):
    model = map_of("bernoulli")
    model = dataclasses.replace(model, weights=size * model.weights)
    X = bits(100, 5)
    for dtype in (float, np.float32, bool):
        assert_e_step(X.astype(dtype), X, None, model, kernel)


def test_means_variances_and_steepness():
    model = map_of("bernoulli", reach=3.0)
    chances = 1 / (1 + np.exp(-model.centers))
    assert_allclose(model.means, chances, rtol=1e-12)
    assert_allclose(NOISE.variances(model), chances * (1 - chances), rtol=1e-9)
    slope = (NOISE.means(model.centers + 1e-6) - NOISE.means(model.centers - 1e-6)) / 2e-6
    assert_allclose(NOISE.steepness(model.centers), slope, atol=1e-9)
    assert (NOISE.variances(dataclasses.replace(model, weights=100 * model.weights)) >= 0).all()


def test_rows_are_drawn_with_their_chances():
    model, random = map_of("bernoulli", reach=2.0), np.random.RandomState(0)
    drawn = NOISE.draw(model, np.full(200_000, 7), random)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    chances = model.means[7]
    assert_allclose(drawn.mean(axis=0), chances, atol=5 * np.sqrt(0.25 / 200_000))
    correlation = np.corrcoef(drawn.T) - np.eye(5)
    assert np.abs(correlation).max() < 5 / np.sqrt(200_000)


def one_wrong(value, kind):
    """Return bits of which one in the third column is none."""
    X = bits()
    X[40, 2] = value
    return {
        "dense": X,
        "sparse": sparse.csr_array(X),
        "dask": da.from_array(X, chunks=(25, -1)),
        "sparse chunks": da.from_array(X, chunks=(25, -1)).map_blocks(sparse.csr_matrix),
        "frame": pd.DataFrame(X, columns=list("abcdef")),
    }[kind]


@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("kind", ["dense", "sparse", "dask", "sparse chunks", "frame"])
def test_entries_that_are_no_bits_are_named_by_column(value, kind):
    X = one_wrong(value, kind)
    column = "column 'c'" if kind == "frame" else "column 2"
    igtm = fitted(pd.DataFrame(bits(), columns=list("abcdef")) if kind == "frame" else bits())
    calls = [IGTM(k=4, m=2, niter=3, noise="bernoulli").fit, igtm.score]
    if kind not in {"dask", "sparse chunks"}:
        calls += [igtm.transform]
    for call in calls:
        message = raised(ValueError, call, X)
        assert_says(message, "neither 0 nor 1, which noise='bernoulli' does not have", "another noise")
        assert_says(message, f"1 in {column}(?![0-9])")


def test_wrong_entries_are_counted_and_only_a_few_columns_named():
    X = bits(60, 9)
    X[:4] = 3.0
    message = raised(ValueError, fitted, X)
    assert_says(message, "4 in column 0, 4 in column 1", "4 in column 4 and 4 more columns")


def test_a_column_of_one_value_is_fitted_under_a_ridge():
    X = bits()
    X[:, 1], X[:, 4] = 0, 1
    igtm = fitted(X)
    assert (igtm.centers_[:, 1] < 0.05).all()
    assert (igtm.centers_[:, 4] > 0.95).all()
    assert_says(
        raised(ValueError, fitted, X, regul=0),
        "no optimum where .* are 1: column 1, column 4",
    )
    assert_says(
        raised(ValueError, fitted, pd.DataFrame(X, columns=list("abcdef")), regul=0), "column 'b', column 'e'"
    )


def test_bits_of_every_type_make_the_same_map():
    X = bits(200)
    reference = fitted(X)
    for other in (X.astype(bool), X.astype(np.uint8), X.astype(np.float32), sparse.csr_array(X)):
        found = fitted(other)
        assert_allclose(found.centers_, reference.centers_, atol=1e-5)
        assert_allclose(found.log_likelihood_, reference.log_likelihood_, rtol=1e-7)


def test_gaps_are_no_wrong_entries():
    X = bits()
    X[::7, 3] = np.nan
    assert_says(raised(ValueError, fitted, X), "NaN", "9 in column 3", "missing='marginalize'")
    for missing in ("marginalize", "most_frequent"):
        assert np.isfinite(fitted(X, missing=missing).log_likelihood_)
    X[5, 1] = 7
    assert_says(raised(ValueError, fitted, X, missing="marginalize"), "neither 0 nor 1.*: 1 in column 1\\.")


def test_what_fills_gaps_is_a_bit_too():
    X = bits()
    X[0, 0] = np.nan
    often = (np.nanmean(X, axis=0) > 0.5).astype(float)
    full = np.where(np.isnan(X), often, X)
    assert_array_equal(fitted(X, missing="most_frequent").centers_, fitted(full).centers_)
