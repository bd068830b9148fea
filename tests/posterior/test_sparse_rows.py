"""Sparse rows under a map: the same as dense ones, and never made dense."""

import dataclasses

import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_e_step import dense_e_step
from scipy import sparse

from dask_igtm import IGTM
from dask_igtm.model.affine import Affine
from dask_igtm.model.basis import make_basis
from dask_igtm.model.functions import functions_of
from dask_igtm.model.gaps import Gaps
from dask_igtm.model.model import Model
from dask_igtm.noise.isotropic import ISOTROPIC
from dask_igtm.posterior.row_outputs import outputs_of, project
from dask_igtm.posterior.tiles import csr_of
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.likelihood import likelihood_of
from dask_igtm.statistics.node_sums import class_totals, value_totals

KERNELS = ["numpy", "numba"]
NAMES = ("means", "node", "responsibilities", "log_likelihood", "entropy")


def counts(n_rows, n_columns, seed=0, share=0.1):
    random = np.random.default_rng(seed)
    often = random.random((n_rows, n_columns)) < share * (1 + np.arange(n_rows)[:, None] % 2)
    return often * (1.0 + random.poisson(1.0, (n_rows, n_columns)))


def map_of(X, k=6, m=3, noise=0.5, scale=None, axes=None, seed=1):
    """A map that lies near the rows, as one in the middle of a fit does."""
    random, mean = np.random.default_rng(seed), X.mean(axis=0)
    scale = np.ones(X.shape[1]) if scale is None else scale
    affine = Affine(mean, scale, axes, standardised=True)
    spread = affine.forward(X).std(axis=0)
    weights = random.normal(size=(m * m + 1, len(spread))) * spread
    return Model(make_basis(k, m, 0.3), affine, weights, noise * float((spread**2).mean()), ISOTROPIC)


def assert_same_sums(found, expected, rtol):
    for name, value in vars(expected).items():
        if value is not None:
            atol = rtol * np.abs(value).max()
            assert_allclose(getattr(found, name), value, rtol=rtol, atol=atol, err_msg=name)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from([1, 2, 127, 128, 130, 300]),
    st.integers(1, 40),
    st.sampled_from([0.0, 0.02, 0.3, 1.0]),
    st.floats(1e-3, 1e3),
    st.booleans(),
    st.booleans(),
)
def test_sums_are_those_of_all_rows_against_all_centres(
    kernel, dtype, n_rows, n_columns, share, noise, scaled, weighted
):
    X = counts(n_rows, n_columns, share=share)
    X[:, 0] += np.arange(n_rows) % 3
    scale = np.geomspace(0.1, 10, n_columns) if scaled else None
    model = map_of(np.vstack([X, counts(20, n_columns)]), noise=noise, scale=scale)
    weight = np.random.default_rng(2).random(n_rows) if weighted else None
    found = e_step(sparse.csr_array(X.astype(dtype)), weight, model, kernel)
    expected, functions = dense_e_step(X, model, weight), functions_of(model.basis)
    rtol = 1e-10 if dtype == np.float64 else 1e-4
    size = float(expected.weight @ (expected.row.norm + np.abs(model.centers).max()))
    assert_allclose(found.g, expected.g.astype(float), rtol=0, atol=rtol * expected.weight.sum())
    rx = functions.values.T @ expected.rx.astype(float)
    assert_allclose(found.functions_rx, rx, rtol=0, atol=rtol * size)
    assert_allclose(found.distance_sum, float(expected.distance_sum), rtol=rtol)
    assert_allclose(found.log_likelihood, float(expected.log_likelihood), rtol=rtol, atol=rtol * n_rows)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("rotated", [False, True])
def test_what_is_said_of_rows_is_what_is_said_of_dense_ones(kernel, rotated):
    X = counts(500, 60)
    axes = np.linalg.qr(np.random.default_rng(3).normal(size=(60, 5)))[0] if rotated else None
    model, csr = map_of(X, axes=axes), sparse.csr_array(X)
    outputs = outputs_of(NAMES, len(model.basis.nodes))
    for found, expected in zip(
        project(csr, model, kernel, outputs), project(X, model, kernel, outputs), strict=True
    ):
        assert_allclose(found, expected, rtol=1e-9, atol=1e-11)
    assert_same_sums(e_step(csr, None, model, kernel), e_step(X, None, model, kernel), 1e-10)
    labels = np.arange(500) % 4
    assert_allclose(
        class_totals(csr, None, labels, model, kernel).sums,
        class_totals(X, None, labels, model, kernel).sums,
        rtol=1e-9,
        atol=1e-11,
    )


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("gaps", [Gaps("marginalize"), Gaps("mean", np.linspace(0, 1, 40))])
def test_rows_with_gaps_are_taken_as_dense_ones(kernel, gaps):
    X = counts(300, 40)
    model = dataclasses.replace(map_of(X), gaps=gaps)
    X[::7, 3] = X[5, 8:20] = np.nan
    assert_same_sums(e_step(sparse.csr_array(X), None, model, kernel), e_step(X, None, model, kernel), 1e-10)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e200])
@pytest.mark.parametrize("kernel", KERNELS)
def test_what_no_map_takes_is_refused_by_its_column(kernel, value):
    X = counts(300, 40)
    model = map_of(X)
    X[200, 7] = value
    for rows in (X, sparse.csr_array(X)):
        with pytest.raises(ValueError, match="1 in column 7"):
            e_step(rows, None, model, kernel)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("offset", [1e3, 1e8])
def test_zeros_far_from_the_rows(kernel, offset):
    """Where a row of zeros is far, corrections would cancel."""
    X = counts(300, 40)
    X[:, :5] += offset
    model = map_of(X, noise=1e-3)
    found, expected = (e_step(rows, None, model, kernel) for rows in (sparse.csr_array(X), X))
    assert_same_sums(found, expected, 1e-6)


def arranged(csr, how):
    """Return the same rows in another form that scipy takes."""
    if how == "explicit zeros":
        more = csr + sparse.csr_array((np.full(csr.nnz, 9.0), csr.indices, csr.indptr), csr.shape)
        empty = sparse.csr_array(np.where(csr.toarray() == 0, np.eye(*csr.shape) * 5, 0.0))
        other = more + empty
        other.data = np.where(np.isin(_places(other), _places(csr)), other.data - 9.0, 0.0)
        return other
    if how == "unsorted":
        parts = [slice(a, b) for a, b in zip(csr.indptr[:-1], csr.indptr[1:], strict=True)]
        turned = np.concatenate([np.arange(part.stop - 1, part.start - 1, -1) for part in parts])
        return sparse.csr_array((csr.data[turned], csr.indices[turned], csr.indptr), csr.shape)
    if how == "duplicates":
        twice = np.repeat(csr.indices, 2)
        return sparse.csr_array((np.repeat(csr.data / 2, 2), twice, 2 * csr.indptr), csr.shape)
    if how == "int64 indices":
        other = csr.copy()
        other.indices, other.indptr = csr.indices.astype(np.int64), csr.indptr.astype(np.int64)
        return other
    return getattr(csr, f"to{how}")()


def _places(csr):
    rows = np.repeat(np.arange(csr.shape[0]), np.diff(csr.indptr))
    return rows * csr.shape[1] + csr.indices


WAYS = ["explicit zeros", "unsorted", "duplicates", "int64 indices", "coo", "csc", "lil", "bsr", "dia", "dok"]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("how", WAYS)
def test_how_entries_are_arranged_does_not_matter(kernel, how):
    X = counts(60, 30)
    X[20:40] = 0  # rows without entries
    csr = sparse.csr_array(X)
    other = arranged(csr, how)
    assert_array_equal(other.toarray(), X)
    before = [part.copy() for part in (csr.data, csr.indices)]
    model = map_of(X)
    assert_same_sums(e_step(other, None, model, kernel), e_step(csr, None, model, kernel), 1e-13)
    assert_array_equal(other.toarray(), X)  # and is as it was
    assert all(map(np.array_equal, before, (csr.data, csr.indices)))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.int32, np.int64, np.float32, np.float64])
def test_numbers_of_any_type(dtype):
    X = counts(300, 30).astype(dtype)
    csr, model = sparse.csr_array(X), map_of(X.astype(float))
    assert_same_sums(e_step(csr, None, model, "numba"), e_step(X.astype(float), None, model, "numba"), 1e-5)


def test_whole_numbers_beyond_float32():
    X = counts(300, 30).astype(np.int64)
    X[:, 3] += 2**24 + np.arange(300) % 2
    model = map_of(X.astype(float))
    assert_same_sums(
        e_step(sparse.csr_array(X), None, model, "numba"),
        e_step(X.astype(float), None, model, "numba"),
        1e-9,
    )


BROKEN = {
    "indices": ([0, 30], [1.0, 1.0], [0, 2], "an entry in column 30, and 30 columns"),
    "negative": ([0, -2], [1.0, 1.0], [0, 2], "an entry in column -2"),
    "end": ([0, 3], [1.0, 1.0], [0, 9], "indptr ends at 9, and there are 2 entries in data"),
    "fall": ([0, 3], [1.0, 1.0], [1, 2], "indptr does not rise from 0 over 1 rows"),
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("fault", BROKEN)
def test_arrays_that_do_not_fit_are_refused(kernel, fault):
    indices, data, indptr, message = BROKEN[fault]
    csr = sparse.csr_array((np.ones(2), np.array([0, 1]), np.array([0, 2])), (1, 30))
    csr.data, csr.indices, csr.indptr = np.array(data), np.array(indices), np.array(indptr)
    with pytest.raises(ValueError, match=message):
        e_step(csr, None, map_of(counts(50, 30)), kernel)


def broken(kind, place):
    """Return a matrix with an entry out of its range, which SciPy would follow."""
    X = getattr(sparse, f"{kind}_array")(counts(60, 40))
    if kind == "coo":
        X.row[5] = place
    else:
        X.indices[5] = place
    return X


@pytest.mark.parametrize("place", [70, 300_000_000, -3])
@pytest.mark.parametrize("kind", ["csr", "csc", "coo", "bsr"])
def test_broken_matrices_of_every_format_are_refused_wherever_they_are_read(kind, place):
    X, whole = broken(kind, place), counts(60, 40)
    fitted = IGTM(k=4, m=2, niter=2, missing="marginalize").fit(whole)
    lazy = da.from_array(np.zeros((1, 1)), chunks=1).map_blocks(
        lambda _: X,
        chunks=((60,), (40,)),
        dtype=float,
        meta=X[:0] if kind == "csr" else sparse.csr_array((0, 0)),
    )
    calls = [fitted.transform, fitted.impute, fitted.score]
    calls += [IGTM(k=4, m=2, niter=2, missing=missing).fit for missing in ("error", "median", "marginalize")]
    for call in calls:
        with pytest.raises(ValueError, match="make the matrix anew"):
            call(X)
    with pytest.raises(ValueError, match="make the matrix anew"):
        fitted.score(lazy)


def test_duplicates_add_up_as_their_own_type():
    bits = sparse.csr_array(counts(60, 40) > 0)
    twice = sparse.csr_array(
        (np.repeat(bits.data, 2), np.repeat(bits.indices, 2), 2 * bits.indptr), bits.shape
    )
    assert_array_equal(csr_of(twice).toarray(), bits.toarray())


@pytest.mark.parametrize("kernel", KERNELS)
def test_sparse_rows_are_never_made_dense(kernel, monkeypatch):
    X = counts(300, 40)
    csr, model = sparse.csr_array(X), map_of(X)

    def refuse(*_, **__):
        raise AssertionError("made dense")

    monkeypatch.setattr(sparse.csr_array, "toarray", refuse)
    monkeypatch.setattr(sparse.csr_array, "todense", refuse)
    e_step(csr, None, model, kernel)
    likelihood_of(csr, None, model, kernel)
    project(csr, model, kernel, outputs_of(NAMES, len(model.basis.nodes)))
    value_totals(csr, None, X[:, 0], model, kernel)
