"""Sparse rows through the public face: what dense rows say, in the memory of their entries."""

import tracemalloc

import dask.array as da
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import sparse

from dask_igtm import IGTM, IGTMClassifier, IGTMRegressor, IGTMSearch, landscape, quality

SCALES = [None, "center", "standard"]


def cells(n_rows, n_columns, seed=0, kinds=4):
    """Counts of genes in cells of some kinds, as logarithms; the first column is 0 everywhere."""
    random = np.random.default_rng(seed)
    rates = random.gamma(0.3, 0.4, (kinds, n_columns))
    rates[:, 0] = 0
    counts = random.poisson(rates[np.arange(n_rows) % kinds])
    return np.log1p(counts)


def forms(X):
    return {
        "csr": sparse.csr_array(X),
        "dask": da.from_array(X, chunks=(300, -1)).map_blocks(sparse.csr_matrix),
    }


X = cells(800, 60)


@pytest.mark.parametrize("form", ["csr", "dask"])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("solver", ["em", "accelerated"])
def test_a_fit_is_that_of_dense_rows(form, scale, solver):
    given = {"k": 8, "m": 3, "scale": scale, "solver": solver, "niter": 12}
    dense = IGTM(**given).fit(da.from_array(X, chunks=(300, -1)) if form == "dask" else X)
    fit = IGTM(**given).fit(forms(X)[form])
    assert_allclose(fit.history_, dense.history_, rtol=1e-9)
    assert_allclose(fit.beta_inv_, dense.beta_inv_, rtol=1e-8)
    assert_allclose(fit.centers_, dense.centers_, atol=1e-6)
    assert_allclose(fit.transform(forms(X)["csr"]), dense.transform(X), atol=1e-6)
    assert_allclose(fit.score_samples(forms(X)["csr"]), dense.score_samples(X), rtol=1e-8)


@pytest.mark.parametrize("scale", SCALES)
def test_a_fit_of_wide_rows_from_the_same_map(scale):
    X = cells(2000, 3000)
    given = {"k": 8, "m": 3, "scale": scale, "niter": 5, "tol": 0}
    init = IGTM(**given | {"niter": 1}).fit(X)
    dense, fit = (IGTM(**given).fit(rows, init=init) for rows in (X, sparse.csr_array(X)))
    assert_allclose(fit.history_, dense.history_, rtol=1e-8)
    assert_allclose(fit.beta_inv_, dense.beta_inv_, rtol=1e-8)
    assert_allclose(fit.centers_, dense.centers_, rtol=0, atol=1e-8 * np.abs(dense.centers_).max())


@pytest.mark.parametrize("settings", [{"solver": "sampled"}, {"n_components": 5}, {"missing": "median"}])
def test_other_ways_to_fit(settings):
    X = cells(6000, 30)
    if "missing" in settings:
        X[::50, 5] = np.nan
    given = {"k": 5, "m": 2, "scale": "center", "niter": 30} | settings
    dense, fit = (IGTM(**given).fit(rows) for rows in (X, sparse.csr_array(X)))
    assert_allclose(fit.log_likelihood_, dense.log_likelihood_, rtol=1e-6)


def test_a_stream():
    one, other = IGTM(k=6, scale="center"), IGTM(k=6, scale="center")
    for start in range(0, 800, 200):
        one.partial_fit(X[start : start + 200])
        other.partial_fit(sparse.csr_array(X[start : start + 200]))
    assert_allclose(other.centers_, one.centers_, atol=1e-8)


def test_a_search():
    grid = {"m": [2, 3], "regul": [0.1, 1.0]}
    found = [IGTMSearch(IGTM(k=6, scale="center"), grid, cv=2).fit(rows) for rows in (X, forms(X)["csr"])]
    scores = [search.cv_results_["mean_test_score"] for search in found]
    assert_allclose(*scores, rtol=1e-8)


def test_landscapes_quality_and_predictions():
    csr, y, labels = forms(X)["csr"], X[:, 1], np.arange(len(X)) % 4
    igtm = IGTM(k=8, m=3, scale="standard").fit(X)
    for make in (
        lambda rows: landscape.density(igtm, rows).values,
        lambda rows: landscape.property(igtm, rows, y).values,
        lambda rows: landscape.classes(igtm, rows, labels).values,
        lambda rows: IGTMRegressor(k=8, scale="standard").fit(rows, y).predict(rows),
        lambda rows: IGTMClassifier(k=8, scale="standard").fit(rows, labels).predict_proba(rows),
    ):
        assert_allclose(make(csr), make(X), atol=1e-5)
    one, other = (vars(quality(igtm, rows, n_sample=300)) for rows in (X, csr))
    assert one == pytest.approx(other, rel=1e-8)


@pytest.mark.parametrize(
    "settings", [{}, {"scale": "standard"}, {"solver": "accelerated"}, {"solver": "sampled"}]
)
def test_a_fit_holds_no_dense_rows(settings):
    n_rows, n_columns = 4000, 5000
    random = np.random.default_rng(0)
    X = sparse.random_array((n_rows, n_columns), density=1e-3, format="csr", random_state=random)
    given = {"k": 6, "m": 2, "niter": 3} | settings
    IGTM(**given).fit(X[:, :50])  # compiles
    tracemalloc.start()
    igtm = IGTM(**given).fit(X)
    igtm.transform(X)
    landscape.density(igtm, X)
    quality(igtm, X, n_sample=500)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * n_rows * n_columns / 4
