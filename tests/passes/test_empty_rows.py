"""Rows in which every entry is NaN are no rows, where the estimator keeps them empty."""

import dask
import dask.array as da
import numpy as np
import pytest
import zarr
from helpers.data import correlated
from helpers.errors import assert_says, raised
from helpers.lazy import computing
from numpy.testing import assert_allclose, assert_array_equal

from dask_igtm import IGTM, IGTMClassifier, IGTMRegressor, IGTMSearch, eIGTM, landscape, load, quality

N, D = 300, 4
FULL = correlated(N, D)
EMPTY = np.zeros(N, bool)
EMPTY[[0, 5, 299]] = EMPTY[100:200] = True  # a block of 100 rows is empty
X = np.where(EMPTY[:, None], np.nan, FULL)
ROWS = FULL[~EMPTY]
WEIGHTS = np.where(EMPTY, np.nan, np.arange(1.0, N + 1))
SETTINGS = {"k": 4, "m": 2, "niter": 3, "tol": 0, "scale": "center", "solver": "em", "keep_empty_rows": True}
REFERENCE = IGTM(**SETTINGS).fit(ROWS)


def spread(values, fill=np.nan):
    """Return the values of the other rows, with `fill` for the empty ones."""
    result = np.full((N, *values.shape[1:]), fill, np.result_type(values, type(fill)))
    result[~EMPTY] = values
    return result


@pytest.fixture(params=["memory", "dask", "zarr", "float32"])
def given_rows(request, tmp_path):
    if request.param == "zarr":
        stored = zarr.create_array(tmp_path / "x.zarr", shape=X.shape, chunks=(100, D), dtype=float)
        stored[...] = X
        return stored
    lazy = da.from_array(X, chunks=(100, D))
    return {"memory": X, "dask": lazy, "float32": lazy.astype("f4")}[request.param]


@pytest.mark.parametrize("missing", ["error", "median", "marginalize"])
@pytest.mark.parametrize("persist", [True, False])
def test_a_fit_is_that_of_the_other_rows(given_rows, missing, persist):
    parameters = {**SETTINGS, "missing": missing, "persist": persist}
    found, expected = IGTM(**parameters).fit(given_rows), IGTM(**parameters).fit(ROWS)
    rtol = 1e-4 if given_rows.dtype == np.float32 else 1e-9
    assert_allclose(found.centers_, expected.centers_, rtol=rtol)
    assert_allclose(found.log_likelihood_, expected.log_likelihood_, rtol=rtol)
    assert found.n_samples_seen_ == N - EMPTY.sum()


def test_weights_of_empty_rows_are_not_looked_at(given_rows):
    rtol = 1e-4 if given_rows.dtype == np.float32 else 1e-9
    found = IGTM(**SETTINGS).fit(given_rows, sample_weight=WEIGHTS)
    expected = IGTM(**SETTINGS).fit(ROWS, sample_weight=WEIGHTS[~EMPTY])
    assert_allclose(found.centers_, expected.centers_, rtol=rtol)
    streamed = IGTM(**SETTINGS).partial_fit(given_rows).partial_fit(given_rows)
    expected = IGTM(**SETTINGS).partial_fit(ROWS).partial_fit(ROWS)
    assert_allclose(streamed.centers_, expected.centers_, rtol=rtol)


@pytest.mark.parametrize("solver", ["accelerated", "sampled"])
def test_solvers_that_keep_a_sample(solver):
    parameters = {**SETTINGS, "solver": solver, "niter": 200, "tol": 1e-6}
    found, expected = IGTM(**parameters).fit(X), IGTM(**parameters).fit(ROWS)
    assert_allclose(found.log_likelihood_, expected.log_likelihood_, rtol=1e-3)


def test_results_of_empty_rows_are_what_no_row_has(given_rows):
    atol = 1e-4 if given_rows.dtype == np.float32 else 1e-9
    outputs = ("means", "modes", "node", "top_nodes", "responsibilities", "entropy", "log_likelihood")
    with dask.config.set(scheduler=computing) if given_rows is not X else dask.config.set():
        described = REFERENCE.describe(given_rows, outputs)
        inside, filled = REFERENCE.applicability(given_rows), REFERENCE.impute(given_rows)
    expected = REFERENCE.describe(ROWS, outputs)
    for name, values in described.items():
        fill = -1 if expected[name].dtype.kind == "i" else np.nan
        assert values.dtype == expected[name].dtype
        assert_allclose(values, spread(expected[name], fill), atol=atol)
    assert_array_equal(inside, spread(REFERENCE.applicability(ROWS), False))
    assert_allclose(filled, X, rtol=1e-6)


def test_gaps_are_still_what_missing_makes_of_them():
    gappy = X.copy()
    gappy[1, 0] = np.nan
    assert_says(raised(ValueError, IGTM(**SETTINGS).fit, gappy), "NaN or inf: 1 in column 0. For gaps")
    marginal = IGTM(**SETTINGS, missing="marginalize").fit(gappy)
    assert_array_equal(np.isnan(marginal.transform(gappy)[:, 0]), EMPTY)
    assert_array_equal(np.isnan(REFERENCE.impute(gappy)), spread(np.zeros_like(ROWS), np.nan) != 0)
    infinite = X.copy()
    infinite[5] = np.inf
    assert_says(raised(ValueError, IGTM(**SETTINGS).fit, infinite), "1 in column 0")


def test_without_it_they_are_gaps_or_refused():
    plain = {**SETTINGS, "keep_empty_rows": False}
    assert_says(raised(ValueError, IGTM(**plain).fit, X), f"{EMPTY.sum()} in column 0")
    assert not np.isnan(IGTM(**plain, missing="marginalize").fit(X).transform(X)).any()


def test_rows_that_are_all_empty_are_refused_in_fit():
    nothing = np.full((20, D), np.nan)
    assert_says(raised(ValueError, IGTM(**SETTINGS).fit, nothing), "X has no rows")
    assert np.isnan(REFERENCE.transform(nothing)).all()


def test_a_projection_to_zarr_keeps_them(given_rows, tmp_path):
    group = REFERENCE.project_to_zarr(given_rows, tmp_path / "y.zarr", ("means", "node"))
    assert_allclose(group["means"][:], spread(REFERENCE.transform(ROWS)), atol=1e-4)
    assert_array_equal(group["node"][:] == -1, EMPTY)
    blocks = list(REFERENCE.transform_blocks(given_rows))
    assert_allclose(np.concatenate(blocks), spread(REFERENCE.transform(ROWS)), atol=1e-4)


def test_predictors_leave_them_without_label_or_value(given_rows):
    words = np.where(FULL[:, 0] > 1, "high", "low").astype(object)
    words[EMPTY] = None
    classifier = IGTMClassifier(**SETTINGS).fit(given_rows, words)
    expected = IGTMClassifier(**SETTINGS).fit(ROWS, words[~EMPTY])
    labels = np.asarray(classifier.predict(given_rows))
    assert all(label is None for label in labels[EMPTY])
    assert_array_equal(labels[~EMPTY], expected.predict(ROWS))
    assert_array_equal(np.isnan(classifier.predict_proba(given_rows)).all(axis=1), EMPTY)
    assert classifier.score(given_rows, words) == expected.score(ROWS, words[~EMPTY])
    y, of_rows = np.where(EMPTY, np.nan, FULL[:, 1]), FULL[~EMPTY, 1]
    regressor = IGTMRegressor(**SETTINGS).fit(given_rows, y)
    assert_array_equal(np.isnan(regressor.predict(given_rows)), EMPTY)
    expected = IGTMRegressor(**SETTINGS).fit(ROWS, of_rows)
    assert_allclose(regressor.score(given_rows, y), expected.score(ROWS, of_rows), rtol=1e-4)
    assert landscape.density(classifier, given_rows).summary["n_rows"] == pytest.approx(len(ROWS))


def test_searches_and_figures_leave_them_out(given_rows):
    assert_allclose(REFERENCE.score(given_rows), REFERENCE.score(ROWS), rtol=1e-5)
    assert quality(REFERENCE, given_rows, n_neighbors=3).n_samples == len(ROWS)
    search = IGTMSearch(IGTM(**SETTINGS), {"k": [3, 4]}, cv=2).fit(given_rows)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


@pytest.mark.parametrize("kept", [True, False])
def test_a_projection_belongs_to_what_was_made_of_them(tmp_path, kept):
    marginal = IGTM(**{**SETTINGS, "missing": "marginalize", "keep_empty_rows": kept}).fit(X)
    marginal.project_to_zarr(X, tmp_path / "y.zarr", ("node",))
    marginal.project_to_zarr(X, tmp_path / "y.zarr", ("node",))
    marginal.set_params(keep_empty_rows=not kept)
    message = raised(ValueError, marginal.project_to_zarr, X, tmp_path / "y.zarr", ("node",))
    assert_says(message, "is another one: skip_empty was")


def test_it_is_saved_and_checked(tmp_path):
    eIGTM(**SETTINGS).fit(X).save(tmp_path / "igtm.npz")
    assert load(tmp_path / "igtm.npz").keep_empty_rows is True
    message = raised(ValueError, IGTM(keep_empty_rows="sea").fit, ROWS)
    assert_says(message, "keep_empty_rows='sea'; give True or False")
