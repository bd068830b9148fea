"""What fills gaps is that of scikit-learn's SimpleImputer, lazily too."""

import dask.array as da
import numpy as np
import pytest
from helpers.data import holed
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.impute import SimpleImputer

from dask_igtm import IGTM, runIGTM
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.fitting.fill_values import gaps_of
from dask_igtm.passes.graph import prepare

FILLED = ["mean", "median", "most_frequent", "constant"]


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 8, "tol": 0, "scale": "center", **parameters})


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(300, 5)) @ rng.normal(size=(5, 5)) + [1, -2, 0, 3, 5]


@pytest.fixture(scope="module")
def Y(X):  # noqa: N802
    return holed(X)


@pytest.mark.parametrize("missing", FILLED)
def test_filling_is_that_of_scikit_learn(Y, missing):
    Y = np.round(Y, 1)  # with values that repeat
    filled = SimpleImputer(strategy=missing).fit_transform(Y)
    one, other = igtm(missing=missing).fit(Y), igtm().fit(filled)
    assert_allclose(one.centers_, other.centers_, rtol=1e-8, atol=1e-10)
    assert_allclose(one.transform(Y), other.transform(filled), atol=1e-8)
    assert_allclose(one.score(Y), other.score(filled))


def medians(X, sample_weight=None):
    return gaps_of(prepare(row_blocks(X, sample_weight)), "median").fill


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_medians_are_exact_in_memory_and_within_half_a_bin_else(data):
    n = data.draw(st.integers(2, 40))
    element = st.sampled_from([0.0, 5e-324, 1e-310, 1.0, 2.5, -3.0]) | st.floats(-1e6, 1e6)
    values = np.array(data.draw(st.lists(element, min_size=n, max_size=n)))
    weight = np.array(data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)), float)
    weight[:2] += 1
    column = np.c_[values, np.arange(n)]
    column[data.draw(st.integers(0, n - 1)), 0] = np.nan
    counted = column[(weight > 0)]
    if np.isnan(counted[:, 0]).all():
        return
    exact = np.nanmedian(np.repeat(column, weight.astype(int), axis=0), axis=0)
    assert_allclose(medians(column, weight), exact, rtol=1e-12, atol=1e-323)
    for chunks in (1, 7, n):
        lazy = medians(da.from_array(column, chunks=(chunks, 2)), weight)
        if chunks == 1:
            first = lazy
        assert_array_equal(lazy, first)  # whatever the chunks
        spread = np.nanmax(counted, axis=0) - np.nanmin(counted, axis=0)
        assert (np.abs(lazy - exact) <= spread / 4096 / 2 * (1 + 1e-9) + 1e-323).all()


@pytest.mark.parametrize("values", [[0, 5e-324, 1e-320], [-1.7e308, 1, 1.7e308], [1, 1 + 2e-16, 2, 3]])
def test_medians_of_values_at_the_ends_of_floating_point(values):
    column = np.array(values, float)[:, None]
    assert_allclose(medians(column), np.median(column, axis=0), rtol=1e-15, atol=0)


@pytest.mark.parametrize("missing", ["mean", "median", "most_frequent", "marginalize"])
def test_a_column_without_values_is_an_error(Y, missing):
    Y = Y.copy()
    Y[:, 2] = np.nan
    for given_ in (Y, da.from_array(Y, chunks=(50, 5))):
        with pytest.raises(ValueError, match="no value in column 2; drop"):
            igtm(missing=missing).fit(given_)


def test_too_many_distinct_values_are_an_error(monkeypatch):
    monkeypatch.setattr("dask_igtm.statistics.column_stats.MOST_DISTINCT", 20)
    X = np.random.default_rng(0).normal(size=(100, 2))
    with pytest.raises(ValueError, match="more than 20 different values in column 0, column 1"):
        igtm(missing="most_frequent").fit(X)


@pytest.mark.parametrize("strategy", FILLED)
def test_run_igtm_fills_lazy_data(Y, strategy):
    one = runIGTM(Y, k=6, m=3, niter=8, missing_strategy=strategy)
    other = runIGTM(da.from_array(Y, chunks=(70, 5)), k=6, m=3, niter=8, missing_strategy=strategy)
    assert isinstance(other.matMeans, da.Array)
    assert_allclose(other.matMeans.compute(), one.matMeans, atol=1e-3)


@pytest.mark.parametrize("missing", ["mean", "median", "most_frequent", "marginalize"])
def test_columns_too_large_to_average_are_named(missing):
    X = np.random.default_rng(0).normal(size=(40, 3))
    X[::2, 1], X[1::2, 1], X[5, 2] = np.finfo(np.float64).max, 1.7e308, np.nan
    with pytest.raises(ValueError, match=r"too large to (average|multiply).*column 1\b"):
        IGTM(k=3, m=2, niter=1, missing=missing).fit(X)
