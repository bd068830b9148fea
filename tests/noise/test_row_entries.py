"""Functions of entries of rows, dense and sparse; and which of them are refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from scipy.special import gammaln

from dask_igtm.noise.row_entries import entries_of, look_up, refuse_entries, row_sums, with_entries

TABLE = gammaln(np.arange(1.0, 101))


def counts(n_rows=40, n_columns=7, share=0.4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.poisson(3.0, (n_rows, n_columns)) * (rng.random((n_rows, n_columns)) < share).astype(float)
    X[[0, 5, 6, -1]] = 0
    return X


def test_entries_of_sparse_rows_are_those_that_are_stored():
    X = counts()
    assert_array_equal(entries_of(X), X)
    assert_array_equal(entries_of(sparse.csr_array(X)), X[X != 0])


@pytest.mark.parametrize("dtype", ["f8", "f4", "u1", "i8"])
def test_sums_of_a_function_are_made_in_float64_row_by_row(dtype):
    X = counts()
    X[3, 1] = 200
    expected = np.array([sum(gammaln(float(x) + 1) for x in row) for row in X])
    for rows in (X.astype(dtype), sparse.csr_array(X.astype(dtype))):
        found = row_sums(rows, lambda x: gammaln(x + 1))
        assert found.dtype == np.float64
        assert_allclose(found, expected, rtol=1e-14)


def test_a_sum_does_not_see_the_rows_beside_it():
    X = counts()
    X[10] = 1e300
    for rows in (X, sparse.csr_array(X)):
        assert_array_equal(np.delete(row_sums(rows, lambda x: x), 10), np.delete(X.sum(axis=1), 10))


def test_rows_cut_out_of_sparse_ones():
    X = counts()
    found = row_sums(sparse.csr_array(X)[7:19], lambda x: x**2)
    assert_array_equal(found, (X[7:19] ** 2).sum(axis=1))
    assert len(row_sums(sparse.csr_array(X)[:0], lambda x: x)) == 0
    assert len(row_sums(X[:0], lambda x: x)) == 0


ENTRIES = st.one_of(
    st.integers(0, 120), st.integers(-3, 3), st.floats(width=32), st.sampled_from([0.5, 1e30, np.nan, np.inf])
)


@settings(deadline=None)
@given(st.tuples(st.integers(0, 9), st.integers(1, 5)).flatmap(lambda s: arrays(float, s, elements=ENTRIES)))
def test_a_table_is_looked_up_where_entries_are_its_places(X):
    by = np.arange(3.0 * X.shape[1]).reshape(-1, 3) - 4
    known = np.isin(X, np.arange(len(TABLE))).all()
    for dtype in (np.float64, np.float32):
        for rows in (X.astype(dtype), sparse.csr_array(X.astype(dtype))):
            with np.errstate(invalid="ignore"):
                products, looked, found = look_up(rows, by, TABLE)
            assert found == known
            if known:
                assert_allclose(products, X @ by, rtol=1e-13, atol=1e-9)
                assert_allclose(looked, gammaln(X + 1).sum(axis=1), rtol=1e-13)


@pytest.mark.parametrize("dtype", ["?", "u1", "i8", "f2"])
def test_products_are_made_in_float64(dtype):
    X = np.ones((2, 300), dtype)
    for rows in (X, sparse.csr_array(X)) if dtype != "f2" else (X,):
        products, _, known = look_up(rows, np.full((300, 3), 1 / 3), TABLE)
        assert products.dtype == np.float64
        assert_allclose(products, 100, rtol=1e-14)
        assert known


def test_rows_of_a_function_of_entries_and_of_the_number_of_the_row():
    X = counts()
    expected = X * (1 + np.arange(len(X)))[:, None]
    assert_array_equal(with_entries(X, lambda x, row: x * (1 + row)), expected)
    for kind in ("csr", "csc", "coo"):
        given_ = getattr(sparse, f"{kind}_array")(X)
        found = with_entries(given_, lambda x, row: x * (1 + row))
        assert sparse.issparse(found)
        assert_array_equal(found.toarray(), expected)
        assert_array_equal(given_.toarray(), X)


def refused(X, wrong, names=None):
    with pytest.raises(ValueError, match="does not have") as error:
        refuse_entries(X, wrong, "are odd", "bernoulli", "Drop them", names)
    return str(error.value)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_wrong_entries_are_counted_by_column(kind):
    X = kind(np.array([[1.0, 2, 1, 0], [3, 0, np.nan, 1], [2, 1, 5, 0]]))
    wrong = entries_of(X) != 1
    wrong &= entries_of(X) != 0
    assert refused(X, wrong) == (
        "X has entries that are odd, which noise='bernoulli' does not have: 2 in column 0, 1 in column 1, "
        "1 in column 2. Drop them, or give another noise."
    )
    assert "2 in column 'a', 1 in column 'b', 1 in column 'c'." in refused(X, wrong, list("abcd"))


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_array])
def test_gaps_alone_are_not_refused(kind):
    X = kind(np.array([[1.0, np.nan], [0, np.nan]]))
    refuse_entries(X, np.isnan(entries_of(X)), "are odd", "poisson", "Drop them", None)
    refuse_entries(X, np.zeros(entries_of(X).shape, bool), "are odd", "poisson", "Drop them", None)


def test_of_many_columns_five_are_named():
    X = np.full((2, 8), 3.0)
    assert "2 in column 4 and 3 more columns. Drop" in refused(X, X > 0)
