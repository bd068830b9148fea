"""Rows that change between two passes end a fit; rounding does not."""

import re
import warnings

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pytest
from helpers.data import correlated, holed
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy import sparse

from dask_igtm import IGTM, IGTMSearch

X = correlated(600, 5)


def igtm(**parameters):
    return IGTM(**{"k": 5, "m": 3, "niter": 14, "tol": 0, "scale": "center", "persist": False} | parameters)


def changing(change, after, rows=X):
    """Return a dask array of three blocks, changed in the passes that follow so many."""
    n_reads = [0]

    def read(block, block_id):
        n_reads[0] += block_id[0] == 1
        return change(block, block_id[0]) if n_reads[0] > after else block

    lazy = da.from_array(rows, chunks=(200, -1))
    return lazy.map_blocks(read, dtype=rows.dtype, meta=np.empty((0, 0), rows.dtype))


def one_entry(value):
    def change(block, index):
        block = block.copy()
        if index == 1:
            block[7, 3] = value
        return block

    return change


SOLVERS = [{}, {"solver": "accelerated"}, {"regul": "auto"}]
KINDS = [
    *SOLVERS,
    {"scale": None},
    {"scale": "standard"},
    {"n_components": 2},
    {"n_components": 2, "scale": "standard"},
    {"missing": "mean"},
]


@pytest.mark.parametrize("after", [1, 2, 13])
@pytest.mark.parametrize("parameters", KINDS, ids=str)
def test_a_row_that_changes_is_named_by_its_column(parameters, after):
    rows = changing(one_entry(9.0), after + ("missing" in parameters))
    mean = "on the principal axes has moved" if "n_components" in parameters else "of column 3 was"
    with pytest.raises(ValueError, match=f"changed since the first pass: the mean {mean}.*store X"):
        igtm(**parameters).fit(rows)


def test_the_change_is_told_in_the_units_of_the_rows():
    with pytest.raises(ValueError, match="changed") as error:
        igtm(scale="standard").fit(changing(one_entry(9.0), 3))
    after = np.array(X)
    after[207, 3] = 9.0
    told = re.search(r"column 3 was (.*) and is (.*)\. A fit", str(error.value)).groups()
    assert_allclose([*map(float, told)], [X[:, 3].mean(), after[:, 3].mean()], rtol=1e-9)


def test_a_map_to_go_on_from_has_its_own_coordinates():
    first = igtm(scale="standard").fit(X + 1.0)
    second = igtm(scale="standard")
    assert second.fit(X, init=first).n_iter_ == 14
    with pytest.raises(ValueError, match="the mean of column 3 was"):
        second.fit(changing(one_entry(9.0), 3), init=first)


@pytest.mark.parametrize("parameters", SOLVERS, ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("dtype", [float, np.float32])
def test_what_is_no_number_later_is_named_by_its_column(value, dtype, parameters):
    rows = changing(one_entry(value), 12, X.astype(dtype))
    with pytest.raises(ValueError, match="1 in column 3") as error:
        igtm(**parameters).fit(rows)
    assert "rows 0:600" in error.value.__notes__[0] or "rows 200:400" in error.value.__notes__[0]


def test_a_weight_that_changes():
    weight = changing(lambda block, _: block * 1.01, 3, np.ones((600, 1)))[:, 0]
    with pytest.raises(ValueError, match="the weight of all rows was 600 and is 60"):
        igtm().fit(da.from_array(X, chunks=(200, -1)), sample_weight=weight)
    weight = changing(lambda block, _: block * 1.01, 15, np.ones((600, 1)))[:, 0]
    with pytest.raises(ValueError, match="the weight of all rows was 600 and is 60"):  # the likelihood's
        igtm().fit(da.from_array(X, chunks=(200, -1)), sample_weight=weight)


def test_marginal_gaps_move_means_and_no_weight():
    rows = da.from_array(holed(X), chunks=(200, -1))
    assert igtm(missing="marginalize").fit(rows).n_iter_ == 14
    weight = changing(lambda block, _: block * 1.01, 3, np.ones((600, 1)))[:, 0]
    with pytest.raises(ValueError, match="the weight of all rows was"):
        igtm(missing="marginalize").fit(rows, sample_weight=weight)


def test_rows_in_memory_are_not_to_be_stored():
    rows = X.copy()
    with pytest.raises(ValueError, match=r"column 3 was.*each time: change nothing of X before fit returns"):
        igtm().fit(rows, callbacks=[lambda _: rows.__setitem__((7, 3), 9.0)])


def test_a_search_looks_too():
    rows = changing(one_entry(9.0), 3)
    with pytest.raises(ValueError, match="the mean of column 3 was"):
        IGTMSearch(igtm(), {"k": [4, 5]}).fit(rows)


def test_columns_are_named():
    frame = dd.from_dask_array(changing(one_entry(9.0), 3), columns=[*"abcde"])
    with pytest.raises(ValueError, match="the mean of column 'd' was"):
        igtm().fit(frame)


@settings(deadline=None, max_examples=40)
@given(
    st.integers(2, 9000),
    st.integers(1, 40),
    st.sampled_from([0.0, 1e-3, 1.0, 1e4, 1e7]),
    st.sampled_from(["normal", "equal", "sorted", "rare"]),
    st.sampled_from([np.float64, np.float32, np.uint8]),
    st.sampled_from([{}, {"scale": "standard"}, {"n_components": 1}, {"solver": "accelerated"}]),
    st.sampled_from(["none", "weights", "sparse", "gaps"]),
    st.integers(0, 2**32 - 1),
)
def test_rounding_is_no_change(n_rows, n_columns, offset, kind, dtype, parameters, how, seed):
    rng = np.random.default_rng(seed)
    rows = {
        "normal": lambda: rng.normal(size=(n_rows, n_columns)),
        "equal": lambda: np.repeat([[0.1], [0.7]], [1, n_rows - 1], axis=0) + np.zeros(n_columns),
        "sorted": lambda: np.sort(rng.exponential(size=(n_rows, n_columns)), axis=0),
        "rare": lambda: np.where(rng.random((n_rows, n_columns)) < 2 / n_rows, 1e3, 0.1),
    }[kind]()
    rows = ((rows * 20) % 256 if dtype is np.uint8 else rows + offset).astype(dtype)
    rows[0] += dtype(1) if dtype is np.uint8 else dtype(1 + 1e-3 * offset)
    assume(np.ptp(rows, axis=0).any())  # what was added may make two rows equal
    weight = 10.0 ** rng.uniform(-3, 3, n_rows) if how == "weights" else None
    if how == "gaps" and dtype is not np.uint8:
        rows[2:][rng.random((n_rows - 2, n_columns)) < 0.1] = np.nan
        parameters = parameters | {"missing": "mean"}
    if how == "sparse":
        rows = sparse.csr_array(rows)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*collapse", UserWarning)
        igtm(**{"niter": 3, "regul": 1e-3} | parameters).fit(rows, sample_weight=weight)
