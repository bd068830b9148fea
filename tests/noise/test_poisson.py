"""Counts: rates at the nodes, exposures, entries that are none, and counts of any size."""

import dataclasses

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from helpers.data import holed
from helpers.errors import assert_says, raised
from helpers.noises import KERNELS, assert_e_step, map_of, rows_of
from numpy.testing import assert_allclose
from oracles.dense_noise import dense_e_step
from scipy import sparse, stats

from dask_igtm import IGTM
from dask_igtm.model.gaps import Gaps
from dask_igtm.noise.poisson import Poisson
from dask_igtm.posterior.row_outputs import outputs_of, project
from dask_igtm.statistics.e_step import e_step

with_kernels = pytest.mark.parametrize("kernel", KERNELS)
WRONG = [0.5, -1.0, np.inf, 1e300, 2.0**53 + 2]


def counts(n_rows=60, n_columns=6, seed=0):
    return np.random.default_rng(seed).poisson(2.0, (n_rows, n_columns)).astype(float)


def fitted(X, **given_):
    return IGTM(k=4, m=2, niter=3, tol=0, noise="poisson", **given_).fit(X)


def log_likelihood(X, model, kernel="numpy"):
    return project(X, model, kernel, outputs_of(("log_likelihood",), len(model.basis.nodes)))[0]


def test_ln_p_is_that_of_independent_counts():
    model = map_of("poisson")
    X = rows_of(model, 50)
    chances = stats.poisson.pmf(X[:, None], model.means).prod(axis=2)
    assert_allclose(log_likelihood(X, model), np.log(chances.mean(axis=1)), rtol=1e-11)


def test_with_exposures_rates_are_those_of_a_unit_of_the_rows_sum():
    model = map_of("total")
    X = rows_of(model, 50)
    X[3] = 0
    rates = X.sum(axis=1)[:, None, None] * model.means
    chances = stats.poisson.pmf(X[:, None], rates).prod(axis=2)
    assert_allclose(log_likelihood(X, model), np.log(chances.mean(axis=1)), rtol=1e-11, atol=1e-13)
    assert log_likelihood(X, model)[3] == 0.0  # nothing is sure to be nothing


def test_of_shares_a_row_has_the_chance_of_a_multinomial_draw_and_of_its_sum():
    shares = np.array([0.5, 0.3, 0.1, 0.07, 0.03])
    model = map_of("total", 1, 1)
    weights = np.zeros(model.weights.shape)
    weights[-1] = np.log(shares)
    model = dataclasses.replace(model, weights=weights)
    X = np.random.default_rng(0).multinomial(40, shares, 20).astype(float)
    expected = stats.multinomial.logpmf(X, 40, shares) + stats.poisson.logpmf(40, 40)
    assert_allclose(log_likelihood(X, model), expected, rtol=1e-11)


# What rates are, how far the sheet bends, and exposures.
LARGE = {
    "1e4 a row": ("poisson", np.log(2e3), 1.0, None),
    "1e7 a row": ("poisson", np.log(2e6), 1.0, None),
    "1e7 a row, as flat as they vary": ("poisson", np.log(2e6), 1e-3, None),
    "5e5 a row, flat enough for float32": ("poisson", np.log(1e5), 0.01, None),
    "shares of 1e4": ("total", 0.0, 1.0, 1e4),
    "shares of 1e7": ("total", 0.0, 1.0, 1e7),
    "flat shares of 1e7": ("total", 0.0, 1e-3, 1e7),
}


@with_kernels
@pytest.mark.parametrize("case", LARGE)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
def test_large_counts(case, kernel, dtype):
    name, level, reach, exposure = LARGE[case]
    model = map_of(name, level=level, reach=reach)
    X = rows_of(model, 150, exposure=exposure or 0)
    X = X.astype(dtype).astype(float)
    X[5] = 0
    expected = dense_e_step(X, model).row
    for rows in (X.astype(dtype), sparse.csr_array(X.astype(dtype))):
        assert_e_step(rows, X, None, model, kernel)
        names = ("log_likelihood", "deviance")
        ll, deviance = project(rows, model, kernel, outputs_of(names, len(model.basis.nodes)))
        assert_allclose(ll, expected.log_likelihood.astype(float), rtol=1e-6, atol=1e-3)
        assert_allclose(deviance, expected.deviance.astype(float), rtol=1e-6, atol=1e-3)


@with_kernels
@pytest.mark.parametrize("reach", [1e-5, 3e-4, 1e-2])
def test_gaps_among_large_counts(kernel, reach):
    """What a gap gives back is as large as the rate, and on a flat map nodes differ by little of it."""
    model = map_of("poisson", level=np.log(1e6), reach=reach, gaps=Gaps("marginalize"))
    X = holed(rows_of(model, 150)).astype(np.float32)
    assert_e_step(X, X.astype(float), None, model, kernel)


@with_kernels
def test_a_row_of_no_counts_under_exposures_lies_everywhere_and_moves_nothing(kernel):
    model = map_of("total")
    X = np.zeros((3, 5))
    (R,) = project(X, model, kernel, outputs_of(("responsibilities",), 36))
    assert_allclose(R, 1 / 36)
    statistics = e_step(X, None, model, kernel)
    assert_allclose(statistics.g, 3 / 36)
    assert not statistics.exposed.any()
    assert not statistics.functions_rx.any()
    assert statistics.log_likelihood == 0


def test_rates_that_a_step_would_send_beyond_all_numbers_have_a_likelihood():
    found = e_step(counts(20, 5), None, map_of("poisson", level=1e3), "numpy")
    assert found.log_likelihood < -1e100
    assert np.isfinite(found.functions_rx).all()


@pytest.mark.parametrize("name", ["poisson", "total"])
def test_means_variances_and_steepness(name):
    model = map_of(name)
    rates = np.exp(model.centers)
    assert_allclose(model.means, rates, rtol=1e-12)
    # With exposures both are of a row over its exposure, here 20.
    assert_allclose(model.noise.variances(model), rates / (20 if name == "total" else 1), rtol=1e-12)
    slope = (model.noise.means(model.centers + 1e-6) - model.noise.means(model.centers - 1e-6)) / 2e-6
    assert_allclose(model.noise.steepness(model.centers), slope, rtol=1e-7)


@pytest.mark.parametrize("name", ["poisson", "total"])
def test_rows_are_drawn_with_their_rates(name):
    model, random = map_of(name), np.random.RandomState(0)
    drawn = model.noise.draw(model, np.full(200_000, 7), random)
    exposure = 20 if name == "total" else 1
    mean, variance = exposure * model.means[7], exposure**2 * model.noise.variances(model)[7]
    assert_allclose(drawn.mean(axis=0), mean, atol=5 * np.sqrt(variance.max() / 200_000))
    assert_allclose(drawn.var(axis=0), variance, rtol=0.03)
    assert (drawn == np.floor(drawn)).all()
    assert np.abs(np.corrcoef(drawn.T) - np.eye(5)).max() < 5 / np.sqrt(200_000)


def test_a_map_of_shares_that_differ_by_little_has_not_collapsed():
    """What counts is how far centres lie apart in the noise of rows, which is small where sums are large."""
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.ones(100)) * np.exp(0.05 * random.normal(size=(3, 100)))
    kind = np.arange(300) % 3
    X = random.poisson(2e5 * shares[kind]).astype(float)
    igtm = IGTM(k=6, m=3, niter=20, noise="poisson", exposure="total").fit(X)  # a warning would be an error
    node = igtm.set_params(model="responsibilities").transform(X).argmax(axis=1)
    assert not any(set(node[kind == i]) & set(node[kind != i]) for i in range(3))


def one_wrong(value, kind):
    """Return counts of which one in the third column is none."""
    X = counts()
    X[40, 2] = value
    return {
        "dense": X,
        "sparse": sparse.csr_array(X),
        "dask": da.from_array(X, chunks=(25, -1)),
        "sparse chunks": da.from_array(X, chunks=(25, -1)).map_blocks(sparse.csr_matrix),
        "frame": pd.DataFrame(X, columns=list("abcdef")),
    }[kind]


@pytest.mark.parametrize("exposure", [None, "total"])
@pytest.mark.parametrize("value", WRONG)
@pytest.mark.parametrize("kind", ["dense", "sparse", "dask", "sparse chunks", "frame"])
def test_entries_that_are_no_counts_are_named_by_column(value, kind, exposure):
    X = one_wrong(value, kind)
    column = "column 'c'" if kind == "frame" else "column 2"
    igtm = fitted(pd.DataFrame(counts(), columns=list("abcdef")) if kind == "frame" else counts())
    for call in (IGTM(k=4, m=2, niter=3, noise="poisson", exposure=exposure).fit, igtm.score):
        message = raised(ValueError, call, X)
        assert_says(message, "are no counts, which noise='poisson' does not have", "another noise")
        assert_says(message, f"1 in {column}(?![0-9])")


@pytest.mark.parametrize("dtype", ["i1", "i8"])
def test_negative_whole_numbers_are_refused(dtype):
    X = counts().astype(dtype)
    X[3, 1] = -2
    assert_says(raised(ValueError, fitted, X), "are no counts.*1 in column 1")


def test_a_column_of_zeros_is_fitted_under_a_ridge():
    X = counts()
    X[:, 1] = 0
    for exposure in (None, "total"):
        assert (fitted(X, exposure=exposure).centers_[:, 1] < 0.02).all()
        message = raised(ValueError, fitted, X, exposure=exposure, regul=0)
        assert_says(message, "no optimum where all entries of a column are 0: column 1; give regul > 0")


@pytest.mark.parametrize("exposure", [None, "total"])
@pytest.mark.parametrize("dtype", ["f4", "f2", "u1", "i8", "sparse"])
def test_counts_of_every_type_make_the_same_map(dtype, exposure):
    X = counts(200, 40)
    X[:, 0] *= 20  # so that a logarithm of float16 would show
    reference = fitted(X, exposure=exposure)
    found = fitted(sparse.csr_array(X) if dtype == "sparse" else X.astype(dtype), exposure=exposure)
    assert_allclose(found.centers_, reference.centers_, rtol=1e-4)
    assert_allclose(found.log_likelihood_, reference.log_likelihood_, rtol=1e-7)


def test_sums_of_rows_beyond_their_own_type():
    """The sum of a row of float16 is no float16, and that of a row of bytes no byte."""
    X = np.random.default_rng(0).poisson(np.linspace(50, 230, 60)[:, None], (60, 300)).clip(0, 255)
    reference = fitted(X.astype(float), exposure="total", regul=10.0).model_.noise.mean_exposure
    assert_allclose(reference, X.sum() / 60, rtol=1e-12)
    for dtype in ("f2", "u1", "f4"):
        found = fitted(X.astype(dtype), exposure="total", regul=10.0).model_.noise.mean_exposure
        assert_allclose(found, reference, rtol=1e-7)


def test_exposures_have_no_gaps():
    X = holed(counts())
    message = raised(ValueError, fitted, X, exposure="total", missing="marginalize")
    assert_says(message, "the sum of a row, which is unknown", "give exposure=None, or missing='constant'")
    assert np.isfinite(fitted(X, exposure="total", missing="constant").log_likelihood_)


def test_mean_exposures_are_weighted():
    X, weight = counts(), np.random.default_rng(0).random(60)
    igtm = IGTM(k=4, m=2, niter=1, noise="poisson", exposure="total").fit(X, sample_weight=weight)
    assert_allclose(igtm.model_.noise.mean_exposure, np.average(X.sum(axis=1), weights=weight), rtol=1e-12)


def test_a_family_goes_by_its_exposure():
    assert Poisson() == Poisson(None, 1.0)
    assert Poisson("total", 3.0).with_exposure(4.0) == Poisson("total", 4.0)
    assert Poisson("total").exposed
    assert not Poisson().exposed
