"""Values and labels that cannot be used are refused by shape and type, before anything is read."""

import dask
import dask.array as da
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from dask import dataframe as dd
from helpers.data import correlated
from helpers.lazy import computing
from numpy.testing import assert_array_equal
from scipy import sparse
from sklearn.exceptions import DataConversionWarning

from dask_igtm import IGTM, landscape

N = 60
X = correlated(N, 4)
CODES = (X[:, 0] > np.median(X[:, 0])).astype(int)
LABELS = np.array(["no", "yes"])[CODES]
ROWS = da.from_array(X, chunks=(20, -1))


def lazy(y):
    return da.from_array(y, chunks=(20, *(-1,) * (y.ndim - 1)))


@pytest.fixture(scope="module")
def igtm():
    return IGTM(k=4, m=2, niter=2, tol=0, scale="center").fit(X)


SPARSE = lazy(CODES[:, None]).map_blocks(sparse.csr_array)
UNKNOWN_WIDTH = ROWS[:, da.from_array(np.array([True, False, False, True]), chunks=4)]
BOTH = {
    "none": (None, ValueError, "requires y to be passed, but the target y is None"),
    "3-D": (CODES[:, None, None], ValueError, r"y has shape \(60, 1, 1\)"),
    "0-D": (np.array(1), ValueError, r"y has shape \(\)"),
    "no columns": (X[:, :0], ValueError, r"y has shape \(60, 0\)"),
    "unknown columns": (
        UNKNOWN_WIDTH,
        ValueError,
        r"unknown number of columns, .* call y.compute_chunk_sizes",
    ),
    "sparse": (
        sparse.csr_array(CODES[:, None]),
        TypeError,
        r"y is of type scipy.csr_array, .* give y.toarray\(\)",
    ),
    "sparse chunks": (SPARSE, TypeError, r"chunks of csr_array, .* block.toarray\(\)"),
    "short": (CODES[:-1], ValueError, "X has 60 rows, but y has shape"),
    "complex": (CODES + 1j, ValueError, "dtype complex128"),
    "dates": (CODES.astype("M8[D]"), ValueError, "dtype datetime64"),
}


@pytest.mark.parametrize("function", [landscape.property, landscape.classes])
@pytest.mark.parametrize("case", BOTH)
def test_what_is_neither_values_nor_labels(igtm, case, function):
    y, kind, match = BOTH[case]
    forms = [y, lazy(y)] if isinstance(y, np.ndarray) and y.ndim and y.size else [y]
    with dask.config.set(scheduler=computing):
        for given in forms:
            with pytest.raises(kind, match=match):
                function(igtm, ROWS, given)


WORDS = {
    "strings": LABELS,
    "series": pd.Series(LABELS, name="w"),
    "category": pd.Series(LABELS, dtype="category", name="w"),
    "dates": pd.Series(pd.Timestamp(0), index=range(N), name="w"),
    "frame": pd.DataFrame({"v": CODES, "w": LABELS}),
}


@pytest.mark.parametrize("case", WORDS)
def test_words_are_no_values(igtm, case):
    y, rows = WORDS[case], dd.from_pandas(pd.DataFrame(X), npartitions=3)
    match = "holds what is not a real number.*labels to classes"
    with dask.config.set(scheduler=computing):
        with pytest.raises(ValueError, match=match):
            landscape.property(igtm, rows, lazy(y) if case == "strings" else dd.from_pandas(y, npartitions=3))
        with pytest.raises(ValueError, match=match + "|, in 'w'"):
            landscape.property(igtm, X, y)


def test_labels_are_one_column(igtm):
    two = pd.DataFrame({"v": LABELS, "w": LABELS})
    with dask.config.set(scheduler=computing):
        for y in (np.c_[CODES, CODES], lazy(np.c_[CODES, CODES]), two, pa.table({"v": CODES, "w": CODES})):
            with pytest.raises(ValueError, match="one label a row"):
                landscape.classes(igtm, ROWS, y)


@pytest.mark.parametrize("convert", [np.asarray, lazy, lambda y: pd.DataFrame(y, columns=["y"])])
def test_a_column_of_labels_is_taken_as_by_scikit_learn(igtm, convert):
    expected = landscape.classes(igtm, X, LABELS)
    with pytest.warns(DataConversionWarning, match="column-vector y was passed when a 1d array"):
        found = landscape.classes(igtm, X, convert(LABELS[:, None]))
    assert found.columns == expected.columns
    assert_array_equal(found.values, expected.values)


def test_what_stands_in_a_list_beside_strings_is_not_made_one(igtm):
    found = landscape.classes(igtm, X, [np.nan, None, *LABELS[2:].tolist()])
    assert found.columns == ("no", "yes")
    assert found.summary["n_rows"] == pytest.approx(N - 2)
    with pytest.raises(ValueError, match="several types"):
        landscape.classes(igtm, X, [1, *LABELS[1:].tolist()])
