"""Entries that are NaN, infinite, or too far from the map are told by column, number and range of rows."""

import dask.array as da
import numpy as np
import pytest
from helpers.errors import assert_says, raised
from helpers.maps import bent_map, rows_near
from scipy import sparse

from dask_igtm import IGTM, IGTMRegressor, landscape, quality
from dask_igtm.model.gaps import Gaps
from dask_igtm.posterior.row_outputs import impute, outputs_of, project

N = 300
ROWS_METHODS = ["transform", "score_samples", "score"]


def igtm(**parameters):
    return IGTM(**{"k": 6, "m": 3, "niter": 3, "tol": 0, **parameters})


def lazy(rows, chunk=100):
    return da.from_array(rows, chunks=(chunk, *rows.shape[1:]))


def compute(result):
    return result.compute() if isinstance(result, da.Array) else result


@pytest.fixture(scope="module")
def X():  # noqa: N802
    rng = np.random.default_rng(3)
    return rng.normal(size=(N, 5)) * [4, 3, 1, 0.7, 0.5] + [1, -2, 0, 3, 5]


@pytest.fixture(scope="module")
def fitted(X):
    return igtm().fit(X)


@pytest.fixture(params=[np.nan, np.inf, -np.inf], ids=str)
def gaps(request, X):
    """Give rows with three bad entries in column 2, all in rows 200:300."""
    rows = X.copy()
    rows[[250, 251, 299], 2] = request.param
    return rows


GAPS = (r"nan|inf", r"\b3\b", r"column 2\b", r"fill|drop|impute")


@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
def test_fit_names_column_and_count_of_gaps(gaps, convert):
    assert_says(raised(ValueError, igtm().fit, convert(gaps)), *GAPS)


@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
def test_fit_counts_gaps_over_all_blocks_and_columns(X, convert):
    rows = X.copy()
    rows[[5, 150], 1] = np.nan
    rows[[6, 151, 250, 251], 4] = np.inf
    message = raised(ValueError, igtm().fit, convert(rows))
    assert_says(message, r"2 in column 1\b|column 1\b.*\b2\b", r"4 in column 4\b|column 4\b.*\b4\b")


@pytest.mark.parametrize("method", ROWS_METHODS)
@pytest.mark.parametrize("convert", [np.asarray, lazy], ids=["eager", "lazy"])
def test_row_results_name_column_count_and_row_range_of_gaps(fitted, gaps, convert, method):
    message = raised(ValueError, lambda: compute(getattr(fitted, method)(convert(gaps))))
    assert_says(message, *GAPS, "rows 200:300" if convert is lazy else "rows 0:300")


@pytest.mark.parametrize(("convert", "good"), [(np.asarray, 250), (lazy, 200)], ids=["eager", "lazy"])
def test_transform_blocks_yields_good_blocks_and_names_the_range_of_the_bad_one(fitted, gaps, convert, good):
    """The chunks of a dask array stay whole, so that none is computed twice."""
    generator = fitted.transform_blocks(convert(gaps), block_size=50)
    assert sum(len(next(generator)) for _ in range(good // 50)) == good
    assert_says(raised(ValueError, next, generator), *GAPS, f"rows {good}:300")


def test_gaps_in_chunks_of_unknown_size_are_named(fitted, gaps):
    rows = lazy(gaps)
    rows = rows[da.abs(rows[:, 0]) >= 0]
    assert_says(raised(ValueError, igtm().fit, rows), *GAPS)
    assert_says(raised(ValueError, fitted.transform(rows).compute), *GAPS)


# Rows that are finite, and so far away that their distance is none

READINGS = {
    "transform": lambda igtm, X: igtm.transform(X),
    "describe": lambda igtm, X: igtm.describe(X, ("node", "entropy", "deviance")),
    "applicability": lambda igtm, X: igtm.applicability(X),
    "impute": lambda igtm, X: igtm.impute(X),
    "score": lambda igtm, X: igtm.score(X),
    "density": landscape.density,
    "property": lambda igtm, X: landscape.property(igtm, X, np.arange(len(X))),
    "classes": lambda igtm, X: landscape.classes(igtm, X, np.arange(len(X)) % 2),
    "quality": lambda igtm, X: quality(igtm, X, n_sample=100),
    "partial_fit": lambda igtm, X: igtm.partial_fit(X),
    "predict": lambda igtm, X: IGTMRegressor(k=4, m=2, niter=1).fit(ROWS, ROWS[:, 0]).predict(X),
}
ROWS = np.random.default_rng(3).normal(size=(N, 5)) * [4, 3, 1, 0.7, 0.5]
LARGEST = np.finfo(np.float64).max


@pytest.mark.parametrize("far", [1e155, -1e200, LARGEST])
@pytest.mark.parametrize("reading", READINGS)
def test_rows_too_far_away_are_refused_by_column(reading, far):
    model, rows = igtm().fit(ROWS), ROWS.copy()
    before = model.centers_
    rows[[7, 250], 3] = far
    assert_says(raised(ValueError, READINGS[reading], model, rows), r"\b2 in column 3\b", "clip")
    np.testing.assert_array_equal(model.centers_, before)


@pytest.mark.parametrize(
    "parameters", [{"n_components": 2}, {"scale": "standard"}, {"missing": "mean"}], ids=str
)
@pytest.mark.parametrize("convert", [np.asarray, lazy, sparse.csr_array])
def test_rows_too_far_away_are_refused_in_any_coordinates_and_container(parameters, convert):
    model, rows = igtm(**parameters).fit(ROWS), ROWS.copy()
    rows[250, 1] = -LARGEST
    rows[251, 4] = 1e160
    message = raised(ValueError, lambda: compute(model.transform(convert(rows))))
    assert_says(message, r"\b1 in column 1\b", r"\b1 in column 4\b")


EVERYTHING = ("means", "modes", "responsibilities", "relative", "entropy", "log_likelihood", "deviance")
KERNELS = ["numpy", "numba"]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("gappy", [False, True])
@pytest.mark.parametrize(
    ("far", "dtype"),
    [
        (1e30, "f4"),
        (3e38, "f4"),
        (1e100, "f8"),
        (1e150, "f8"),
        (2**63 - 1, "i8"),
        (-(2**63), "i8"),
        (2**64 - 1, "u8"),
    ],
)
def test_far_rows_are_read_as_by_their_largest_column(kernel, gappy, far, dtype):
    """The nodes nearest to a row at the end of an axis are those furthest along it."""
    model = bent_map(6, 3, 1.0, 0.1, 3, gaps=Gaps("marginalize"))
    rows = np.abs(np.round(rows_near(model, 40))).astype(dtype)
    rows[[3, 17], 1] = far
    if gappy and dtype[0] == "f":
        rows[17, 0] = np.nan
    outputs = outputs_of(EVERYTHING, 36)
    with np.errstate(all="raise", under="ignore"):
        found = dict(zip(EVERYTHING, project(rows, model, kernel, outputs), strict=True))
        filled = impute(rows, model, kernel)[0]
    assert all(np.isfinite(value).all() for value in (*found.values(), filled))
    ends = model.centers[:, 1] * np.sign(float(far))
    nearest = model.basis.nodes[ends.argmax()]
    np.testing.assert_array_equal(found["modes"][[3, 17]], [nearest, nearest])
    expected = -0.5 * ((float(far) / model.affine.scale[1]) ** 2 / model.beta_inv)
    np.testing.assert_allclose(found["log_likelihood"][3], expected, rtol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", [1e-35, 1e-25, 1e19, 1e25, 1e35])
def test_float32_of_any_size_says_what_float64_does(kernel, size, monkeypatch):
    for module in ("fitting.fit", "projection.fitted_map"):
        monkeypatch.setattr(f"dask_igtm.{module}.best_kernel", lambda: kernel, raising=False)
    rows = (ROWS * size).astype(np.float32)
    model = igtm(scale="center", regul=0.0).fit(rows)
    assert model.kernel_ == kernel
    within = rows[np.argsort(np.abs(rows).max(axis=1))[:20]]  # nearer to the origin than some centres
    with np.errstate(all="raise", under="ignore"):
        for some in (rows, within):
            double = model.transform(some.astype(np.float64))
            np.testing.assert_allclose(model.transform(some), double, atol=1e-5)


WEIGHTED = {
    "fit": lambda igtm, weight: igtm.fit(ROWS, sample_weight=weight),
    "median": lambda igtm, weight: igtm.set_params(missing="median").fit(ROWS, sample_weight=weight),
    "partial_fit": lambda igtm, weight: igtm.partial_fit(ROWS, sample_weight=weight),
    "score": lambda igtm, weight: igtm.fit(ROWS).score(ROWS, sample_weight=weight),
    "density": lambda igtm, weight: landscape.density(igtm.fit(ROWS), ROWS, weight),
    "regressor": lambda igtm, weight: (
        IGTMRegressor(k=4, m=2, niter=1).fit(ROWS, ROWS[:, 0]).score(ROWS, ROWS[:, 0], sample_weight=weight)
    ),
}


@pytest.mark.parametrize("use", WEIGHTED)
@pytest.mark.parametrize(
    ("size", "message"), [(1e300, "divide all"), (1e308, "divide all"), (5e-324, "next to it")]
)
def test_weights_that_do_not_add_up_are_refused(use, size, message):
    assert_says(raised(ValueError, WEIGHTED[use], igtm(niter=1), np.full(N, size)), message)
