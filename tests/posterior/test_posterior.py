"""The posterior of rows, tile by tile, against every centre in extended precision."""

import dataclasses
import functools

import numpy as np
import pytest
from helpers.data import holed
from helpers.maps import bent_map, maps, powers_of_ten, rows_near
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_e_step import dense_e_step, logit_error
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

from dask_igtm import IGTM
from dask_igtm.model.gaps import Gaps
from dask_igtm.model.model import RowTerms
from dask_igtm.posterior import posterior
from dask_igtm.posterior.geometry import geometry_of
from dask_igtm.posterior.kernels import load_kernel
from dask_igtm.posterior.numpy_kernel import Found
from dask_igtm.posterior.posterior import Observed, Posterior, posteriors
from dask_igtm.posterior.row_outputs import impute, outputs_of, project

KERNELS = ["numpy", "numba"]
ROW = ("log_mass", "log_likelihood", "entropy", "distance")
MARGINAL = Gaps("marginalize")


def each(test):
    """Run a test with both kernels in both precisions."""
    for name, values in {"kernel": KERNELS, "dtype": [np.float64, np.float32]}.items():
        test = pytest.mark.parametrize(name, values)(test)
    return test


def of_all_rows(X, model, kernel, columns):
    """Return what is said of each row, in the order of the rows, and totals of columns."""
    n, n_nodes = len(X), len(model.basis.nodes)
    found = {name: np.full(n, np.nan) for name in (*ROW, "node", "deviance")}
    found |= {name: np.full((n, n_nodes), np.nan) for name in ("R", "logarithms")}
    found["means"] = np.full((n, 2), np.nan)
    totals, seen = np.zeros((n_nodes, columns.shape[1])), np.zeros(n, int)
    for tile in posteriors(X, model, kernel):
        for name in (*ROW, "node", "deviance"):
            found[name][tile.rows] = getattr(tile, name)
        found["R"][tile.rows] = tile.responsibilities
        found["means"][tile.rows] = tile.expectations(model.basis.nodes)
        found["logarithms"][tile.rows] = tile.logarithms
        totals += tile.totals(columns[tile.rows])
        seen[tile.rows] += 1
        rows, by_node = tile.by_node()
        assert_array_equal(
            by_node[:, np.argsort(rows)][:, : len(tile.node)], found["R"][tile.rows].T.astype("f")
        )
        assert not by_node[:, rows >= len(tile.node)].any()
    assert (seen == 1).all()
    return found, totals


def assert_is_dense(X, model, kernel):
    columns = np.random.default_rng(7).normal(size=(len(X), 3))
    found, totals = of_all_rows(X, model, kernel, columns)
    dense, (error, narrow) = dense_e_step(X, model), logit_error(X, model, X.dtype == np.float32)
    precision, eps = (1e-5 if narrow else 2e-12) + 4 * error, np.finfo(np.float32 if narrow else float).eps
    assert_allclose(found["R"].sum(axis=1), 1, rtol=1e-5 if narrow else 1e-13)
    assert_array_equal(found["node"], found["R"].argmax(axis=1))
    if precision > 0.1:  # no digit of a logit is left
        assert all(np.isfinite(values).all() for values in found.values())
        return found
    n_nodes, R = len(model.basis.nodes), dense.row.R.astype(float)
    assert_allclose(found["R"], R, rtol=precision, atol=1.01 * eps / n_nodes)
    edge, kept = np.log(eps / n_nodes), found["R"] > 0
    assert_allclose(np.exp(found["logarithms"])[kept], found["R"][kept], rtol=precision + 100 * eps)
    assert np.isfinite(found["logarithms"]).all()
    assert (found["logarithms"][~kept] < edge + 2 * error + 1e-4).all()
    assert not found["R"][dense.row.below <= edge - 2 * error - 1e-4].any()
    assert found["R"][dense.row.below >= edge + 2 * error + 1e-4].all()
    assert_allclose(found["means"], R @ model.basis.nodes, atol=precision)
    assert_allclose(totals, R.T @ columns, atol=precision * max(np.abs(columns).sum(), 1))
    for name in ROW:
        value, atol = getattr(dense.row, name).astype(float), precision + 50 * eps
        atol *= 2 * model.beta_inv if name == "distance" else 1
        assert_allclose(found[name], value, rtol=precision, atol=atol, err_msg=name)
    assert (found["deviance"] >= 0).all()
    return found


@each
def test_rows_are_held_against_all_centres(kernel, dtype):
    @settings(deadline=None, max_examples=60)
    @given(maps(powers_of_ten(-6, 3)), st.sampled_from([1, 2, 127, 128, 129, 300]), powers_of_ten(-3, 1))
    def check(model, n_rows, noise):
        assert_is_dense(rows_near(model, n_rows, noise).astype(dtype), model, kernel)

    check()


@each
def test_noise_of_any_size(kernel, dtype):
    @settings(deadline=None, max_examples=60)
    @given(maps(powers_of_ten(-12, 12)), powers_of_ten(-12, 12))
    def check(model, noise):
        assert_is_dense(rows_near(model, 50, noise).astype(dtype), model, kernel)

    check()


# Rows in the order of the map


def sharp_map(k=12, noise=1e-3, **parameters):
    """Return a map of which each row needs a few nodes."""
    return bent_map(k, 5, 1.0, noise, 4, **parameters)


@each
@pytest.mark.parametrize("n_rows", [1, 127, 128, 129, 1000, 5000])
def test_rows_in_the_order_of_the_map_come_back_in_their_own(kernel, dtype, n_rows):
    model = sharp_map()
    assert len(geometry_of(model, dtype).cells) == 16
    found = assert_is_dense(rows_near(model, n_rows, 0.05).astype(dtype), model, kernel)
    if n_rows > 100:
        assert len(set(found["node"])) > 50
        assert (found["R"] == 0).mean() > 0.5


@pytest.mark.parametrize("n_rows", [100, 1000, 5000])
def test_rows_of_a_sharp_map_are_described_alike_by_both_kernels(n_rows):
    model = sharp_map()
    X = rows_near(model, n_rows, 0.05)
    names = ("means", "modes", "node", "top_nodes", "top_responsibilities", "relative", "deviance", "entropy")
    outputs = outputs_of(names, 144, top=3)
    for name, one, other in zip(
        names, *(project(X, model, kernel, outputs) for kernel in KERNELS), strict=True
    ):
        assert_allclose(other, one, rtol=1e-9, atol=1e-10, err_msg=name)


@each
def test_rows_in_the_order_of_the_map_have_their_gaps_filled_in_place(kernel, dtype):
    model = sharp_map(gaps=MARGINAL)
    assert len(geometry_of(model, dtype).cells)
    X = rows_near(model, 700, 0.05).astype(dtype)
    X[::5, 2] = np.nan
    assert_is_dense(X, model, kernel)
    (filled,) = impute(X, model, kernel)
    assert_array_equal(filled[~np.isnan(X)], X[~np.isnan(X)])
    R = dense_e_step(X, model).row.R.astype(float)
    expected = (R @ model.affine.inverse(model.centers))[::5, 2]
    assert_allclose(filled[::5, 2], expected, rtol=1e-8, atol=1e-8)


# Gaps


@each
@pytest.mark.parametrize("share", [0.001, 0.3, 0.9])
def test_gaps_are_left_out(kernel, dtype, share):
    model = bent_map(7, 3, 1.0, 0.05, 4, gaps=MARGINAL)
    X = holed(rows_near(model, 1500), share).astype(dtype)
    X[7] = np.nan
    found = assert_is_dense(X, model, kernel)
    assert_allclose(found["R"][7], 1 / 49, rtol=1e-4 if dtype is np.float32 else 1e-12)


@each
def test_complete_rows_are_what_they_are_without_rows_with_gaps(kernel, dtype):
    model = bent_map(7, 3, 1.0, 0.05, 4, gaps=MARGINAL)
    X = rows_near(model, 600).astype(dtype)
    X[::3, 1] = np.nan
    complete = ~np.isnan(X).any(axis=1)
    columns = np.ones((600, 1))
    together, _ = of_all_rows(X, model, kernel, columns)
    for rows in (complete, ~complete):
        alone, _ = of_all_rows(X[rows], model, kernel, columns[rows])
        for name, values in alone.items():
            precision = 1e-12 if dtype is np.float64 else 1e-5
            assert_allclose(together[name][rows], values, rtol=precision, atol=precision, err_msg=name)


@each
@pytest.mark.parametrize("fill", ["column", "one"])
def test_filled_gaps_are_rows_without_gaps(kernel, dtype, fill):
    values = np.array([0.5, -1.0, 2.0, 0.25]) if fill == "column" else np.array([0.5])
    model = bent_map(7, 3, 1.0, 0.05, 4, gaps=Gaps("constant", values))
    X = holed(rows_near(model, 300)).astype(dtype)
    filled = np.where(np.isnan(X), values, X).astype(dtype)
    one, _ = of_all_rows(X, model, kernel, np.ones((300, 1)))
    other, _ = of_all_rows(filled, model, kernel, np.ones((300, 1)))
    for name, value in one.items():
        assert_allclose(value, other[name], rtol=1e-6, atol=1e-6, err_msg=name)


# What is read of responsibilities, whatever they are


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["numpy", "numba"]),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(1, 9),
    st.booleans(),
    st.integers(0, 2**32 - 1),
)
def test_responsibilities_of_any_layout_are_read_by_row(dtype, kernel, k, n_parts, n_columns, ordered, seed):
    rng = np.random.default_rng(seed)
    width, n_nodes = 4, k * k
    n = n_parts * width - rng.integers(width)
    R = rng.integers(0, 3, size=(n_parts, n_nodes, width)).astype(dtype)  # with many ties
    order = rng.permutation(n_parts * width) if ordered else None  # the padding lies among the rows
    by_row = np.empty((n_parts * width, n_nodes), dtype)
    by_row[order if ordered else slice(None)] = R.swapaxes(1, 2).reshape(-1, n_nodes)
    by_row = by_row[:n]
    terms = RowTerms(np.zeros(n), np.zeros(n), None, lambda: 0.0)
    observed = Observed(slice(0, n), np.zeros((n, 2)), np.zeros(n), terms, None)
    found = Found(np.zeros(n), np.zeros(n), np.zeros(n))
    logits = functools.partial(np.zeros, (n, n_nodes))
    tile = Posterior(observed, found, bent_map(k, 2, 1.0, 1.0, 2), load_kernel(kernel), R, order, logits)
    columns, values = rng.normal(size=(n, n_columns)), rng.normal(size=(n_nodes, n_columns))
    assert_array_equal(tile.responsibilities, by_row)
    assert_array_equal(tile.node, by_row.argmax(axis=1))  # the first on ties
    assert_allclose(tile.expectations(values), by_row @ values, atol=1e-12)
    assert_allclose(tile.totals(columns), by_row.T @ columns, atol=1e-12)


# Rows of float32, which are multiplied in float64 where that is needed


@pytest.mark.parametrize("offset", [0, 1000])
def test_float32_agrees_with_float64_on_the_same_values(offset):
    X = (StandardScaler().fit_transform(load_digits().data) + offset).astype(np.float32)
    single = IGTM(niter=30, tol=0, scale="center").fit(X)
    double = IGTM(niter=30, tol=0, scale="center").fit(X.astype(float))
    assert_allclose(single.beta_inv_, double.beta_inv_, rtol=1e-5)
    assert_allclose(single.centers_, double.centers_, atol=1e-3)
    assert_allclose(single.transform(X), double.transform(X.astype(float)), atol=1e-3)
    assert single.transform(X).dtype == np.float64


@pytest.fixture
def used(monkeypatch):
    """List the precisions in which tiles are observed."""
    used = []
    observe = posterior.Workspace.observe

    def watched(self, rows, tile):
        used.append(self.real.name)
        return observe(self, rows, tile)

    monkeypatch.setattr(posterior.Workspace, "observe", watched)
    return used


def test_float32_rows_that_need_it_are_multiplied_in_float64(used):
    X = np.random.default_rng(0).normal(size=(2100, 3)).astype(np.float32)
    X[0] = 3e4  # far enough from the narrow rest to lose all digits of its logits
    model = IGTM(niter=0).fit(X[1:]).model_
    used.clear()
    outputs = outputs_of(("log_likelihood",), 256)
    (result,) = project(X, model, "numpy", outputs)
    assert used == ["float32", "float64", "float32"]
    assert_allclose(result, project(X.astype(float), model, "numpy", outputs)[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("dtype", "largest", "expected"),
    [
        ("float64", 1, ["float64"]),
        ("float32", 1, ["float32"]),
        ("float16", 1, ["float32"]),
        ("bool", 1, ["float32"]),
        ("uint8", 255, ["float32"]),
        ("int16", -(2**15), ["float32"]),
        ("uint16", 2**16 - 1, ["float32"]),
        ("int32", 2**24 - 1, ["float32"]),
        ("int64", 1 - 2**24, ["float32"]),
        ("int64", 2**24, ["float64"]),
        ("int64", -(2**24), ["float64"]),
        ("uint32", 2**24, ["float64"]),
        ("uint64", 2**63, ["float64"]),
        (">f8", 1, ["float64"]),
        ("longdouble", 1, ["float64"]),
    ],
)
def test_rows_are_taken_in_a_precision_that_holds_them(used, dtype, largest, expected):
    model = bent_map(4, 2, 1.0, 1.0, 2)
    wide = dataclasses.replace(model, beta_inv=1e40)  # no row is too far away for float32
    X = np.zeros((5, 2), dtype)
    X[3, 1] = largest
    list(posteriors(X, wide, "numpy"))
    assert used == expected


def test_no_rows_have_no_posterior():
    for kernel in KERNELS:
        assert list(posteriors(np.empty((0, 2)), bent_map(4, 2, 1.0, 1.0, 2), kernel)) == []
