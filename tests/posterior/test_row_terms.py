"""What rows say whatever the node, compiled: the same as by NumPy, whatever the entries."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import gammaln

from dask_igtm.posterior.kernels import load_kernel
from dask_igtm.posterior.numba_kernel import NumbaKernel
from dask_igtm.posterior.numpy_kernel import NumpyKernel

TABLE = gammaln(np.arange(1.0, 101))
DTYPES = [np.float64, np.float32]
KERNELS = ["numpy", "numba"]
ENTRIES = st.one_of(
    st.integers(0, 120),
    st.floats(width=32),
    st.sampled_from([-1, 0.5, 99, 100, 2**31, 2**63, -(2**40), 1e38, np.nan, np.inf, -np.inf]),
)
SHAPES = st.tuples(st.integers(0, 9), st.integers(1, 12))


@pytest.mark.parametrize("dtype", DTYPES)
def test_both_kernels_look_up_the_same(dtype):
    @settings(deadline=None, max_examples=200)
    @given(SHAPES.flatmap(lambda shape: arrays(float, shape, elements=ENTRIES)))
    def check(X):
        by = np.random.default_rng(0).normal(size=(X.shape[1], 3))
        with np.errstate(over="ignore", invalid="ignore"):
            Z = X.astype(dtype)
            products, looked, known = NumpyKernel.look_up(Z, by, TABLE)
            found = NumbaKernel.look_up(Z, by, TABLE)
        assert found[2] == known == np.isin(Z, np.arange(len(TABLE))).all()
        finite = np.isfinite(Z).all(axis=1)
        size = np.abs(Z[finite].astype(float)) @ np.abs(by)
        assert (np.abs(found[0][finite] - products[finite]) <= 1e-14 * size).all()
        assert not np.isfinite(found[0][~finite]).any()
        if known:
            assert_allclose(found[1], looked, rtol=1e-13)
            assert_allclose(looked, gammaln(Z.astype(float) + 1).sum(axis=1), rtol=1e-13)

    check()


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_table_of_bits(kernel):
    look_up = load_kernel(kernel).look_up
    for wrong, known in ((1.0, True), (2.0, False), (0.5, False), (-1.0, False), (np.nan, False)):
        Z = np.zeros((5, 4))
        Z[3, 2] = wrong
        with np.errstate(invalid="ignore"):
            _, looked, found = look_up(Z, np.ones((4, 3)), np.zeros(2))
        assert found == known
        assert_array_equal(looked, 0)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("order", ["F", "cut"])
def test_rows_may_lie_in_any_order(kernel, order):
    Z = np.random.default_rng(0).poisson(3.0, (50, 12)).astype(float)
    by = np.random.default_rng(1).normal(size=(12, 3))
    other = np.asfortranarray(Z) if order == "F" else np.repeat(Z, 2, axis=1)[:, ::2]
    products, looked, known = load_kernel(kernel).look_up(other, by, TABLE)
    assert known
    assert_allclose(products, Z @ by, rtol=1e-12, atol=1e-12)
    assert_allclose(looked, gammaln(Z + 1).sum(axis=1), rtol=1e-13)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_rows", [1, 3, 4, 255, 256, 257, 1001])
@pytest.mark.parametrize("n_columns", [1, 127, 129, 300])
@pytest.mark.parametrize("n_functions", [1, 4, 10, 17])
def test_squares_of_what_rows_lie_beside(kernel, dtype, n_rows, n_columns, n_functions):
    rng = np.random.default_rng(n_rows)
    Z = rng.normal(size=(n_rows, n_columns)).astype(dtype)
    each = rng.normal(size=(n_functions, n_rows)).astype(dtype)
    by_functions = rng.normal(size=(n_functions, n_columns)).astype(dtype)
    weight = (rng.random(n_rows) * (rng.random(n_rows) < 0.8)).astype(dtype)
    beyond = -n_rows % load_kernel(kernel).side_by_side(dtype)
    padded = np.pad(each, ((0, 0), (0, beyond))), by_functions, np.pad(weight, (0, beyond))
    squares, within = load_kernel(kernel).squares_beside(Z, *padded)
    wide = each.astype(float)
    beside = Z.astype(float) - wide.T @ by_functions
    assert squares.dtype == within.dtype == np.float64
    rtol = 1e-12 if dtype is np.float64 else 3e-5
    assert_allclose(squares, weight.astype(float) @ beside**2, rtol=rtol, atol=rtol)
    products = (wide * weight) @ wide.T
    assert_allclose(within, products, rtol=rtol, atol=rtol * np.abs(products).max())
    assert_array_equal(within, within.T)
