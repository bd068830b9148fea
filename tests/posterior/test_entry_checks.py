"""Entries that are NaN or infinite are told by column, number and range of rows."""

import dask.array as da
import numpy as np
import pytest
from helpers.errors import assert_says, raised

from dask_igtm import IGTM

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
