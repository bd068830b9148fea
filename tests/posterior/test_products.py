"""The compiled products with the functions of a map, against extended precision."""

import dataclasses

import numpy as np
import pytest
from helpers.geometries import random_geometry
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from dask_igtm.posterior.numba_kernel import NumbaKernel
from dask_igtm.posterior.numpy_kernel import NumpyKernel
from dask_igtm.posterior.products import add_up, meet, pays

DTYPES = [np.float64, np.float32]
SIZES = {
    "n": st.integers(1, 11) | st.integers(250, 270),
    "n_columns": st.integers(1, 9) | st.integers(120, 270),
    "n_functions": st.integers(1, 9) | st.just(17),
    "seed": st.integers(0, 10),
}


def assert_near(found, a, b, eps):
    """Assert that found is a @ b to the rounding of its terms."""
    a, b = a.astype(np.longdouble), b.astype(np.longdouble)
    assert (np.abs(found - a @ b) <= 4 * eps * (len(b) ** 0.5 + 4) * (np.abs(a) @ np.abs(b))).all()


@pytest.mark.parametrize("dtype", DTYPES)
@settings(deadline=None, max_examples=60)  # the first call compiles
@given(**SIZES)
def test_rows_meet_functions(dtype, n, n_columns, n_functions, seed):
    rng = np.random.default_rng(seed)
    Z, slopes = (rng.normal(size=(m, n_columns)).astype(dtype) for m in (n, n_functions))
    t = np.empty((n + -n % 4, n_functions), dtype)
    meet(Z, slopes, t)
    assert_near(t[:n], Z, slopes.T, np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
@settings(deadline=None, max_examples=60)  # the first call compiles
@given(**SIZES)
def test_sums_by_functions_meet_rows(dtype, n, n_columns, n_functions, seed):
    rng = np.random.default_rng(seed)
    v, Z = np.zeros((n_functions, n + -n % 4), dtype), rng.normal(size=(n, n_columns)).astype(dtype)
    v[:, :n] = rng.normal(size=(n_functions, n))
    total = add_up(v, Z)
    assert total.dtype == np.float64
    assert_near(total, v[:, :n], Z, np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_has_the_same_bits_at_any_place(dtype):
    rng = np.random.default_rng(0)
    Z, slopes = rng.normal(size=(23, 131)).astype(dtype), rng.normal(size=(17, 131)).astype(dtype)
    t, one = np.empty((24, 17), dtype), np.empty((4, 17), dtype)
    meet(Z, slopes, t)
    for row in range(23):
        meet(Z[row : row + 1], slopes, one)
        assert_array_equal(one[0], t[row])


def test_sums_of_many_rows_in_single_precision_lose_nothing_to_their_number():
    n = 2**20
    v, Z = np.full((1, n), 0.1, np.float32), np.full((n, 1), 0.1, np.float32)
    assert abs(add_up(v, Z)[0, 0] / (n * float(np.float32(0.1)) ** 2) - 1) < 1e-5


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n_columns", [5, 200])
@pytest.mark.parametrize("q", [3, 9])
def test_both_kernels_take_rows_of_any_width(dtype, n_columns, q):
    """Whether the products are compiled or left to BLAS."""
    rng = np.random.default_rng(0)
    slopes = rng.normal(size=(n_columns, q * q + 1)).astype(dtype)
    geometry = dataclasses.replace(random_geometry(10, q, dtype, rng), slopes=slopes)
    Z = rng.normal(size=(130, n_columns)).astype(dtype)
    eps = np.finfo(dtype).eps
    for kind in NumbaKernel, NumpyKernel:
        w = kind.side_by_side(dtype)
        height = 130 + -130 % w
        kernel, t = kind(geometry, height), np.full((height, q * q + 1), np.nan, dtype)
        kernel.meet(Z, t)
        assert_near(t[:130], Z, slopes, eps)
        assert not t[130:].any()
        v = np.zeros((q * q + 1, height), dtype)
        v[:, :130] = rng.normal(size=(q * q + 1, 130))
        assert_near(kernel.add_up(v, Z), v[:, :130], Z, eps)
        assert_near(kernel.add_up(v, np.asfortranarray(Z)), v[:, :130], Z, eps)


def test_products_are_compiled_where_that_is_faster():
    assert pays(300, 17, np.float64)
    assert pays(300, 17, np.float32)
    assert not pays(50, 17, np.float32)
    assert not pays(300, 257, np.float64)
