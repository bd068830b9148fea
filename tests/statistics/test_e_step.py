"""The sums of an E-step are those of all rows against all centres, and add up in any grouping."""

import dataclasses
import tracemalloc

import numpy as np
import pytest
from helpers.data import holed
from helpers.maps import bent_map, maps, powers_of_ten, rows_near, sums_of
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_e_step import dense_e_step, logit_error

from dask_igtm.model.basis import make_basis
from dask_igtm.model.functions import functions_of
from dask_igtm.model.gaps import Gaps
from dask_igtm.solvers.initialize import initialize
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.moments import moments_of

KERNELS = ["numpy", "numba"]
FINITE = st.floats(-1e3, 1e3, width=32)
THREE_BLOCKS = st.tuples(*(st.integers(0, 20).flatmap(lambda n: arrays(float, (n, 3), elements=FINITE)),) * 3)
SUMS = ("distance_sum", "log_likelihood", "log_peak")


@settings(deadline=None)
@given(THREE_BLOCKS)
def test_sufficient_statistics_merge_associatively(three):
    data = np.random.default_rng(0).normal(size=(100, 3)) * 100
    model = initialize(moments_of(data, None), make_basis(4, 2, 0.3), regul=0.1, scale=None).model
    a, b, c = (e_step(X, None, model, "numpy") for X in three)
    whole = e_step(np.concatenate(three), None, model, "numpy")
    for total in ((a + b) + c, a + (b + c)):
        for name, value in sums_of(whole).items():
            assert_allclose(getattr(total, name), value, rtol=1e-9, atol=1e-6)


def assert_is_dense(X, weight, model, kernel):
    """Hold an E-step against the dense one, to what rounding of the largest terms leaves of a logit."""
    found, expected = e_step(X, weight, model, kernel), dense_e_step(X, model, weight)
    error, narrow = logit_error(X, model, X.dtype == np.float32)
    precision = (1e-5 if narrow else 2e-12) + 4 * error
    n, n_nodes = float(expected.weight.sum()), len(model.basis.phi)
    assert_allclose(found.g.sum(), n, rtol=1e-6 if narrow else 1e-14)
    if precision > 0.1:  # no digit of a logit is left
        assert all(np.isfinite(value).all() for value in sums_of(found).values())
        return
    nearest = expected.row.below[weight > 0 if weight is not None else ...].max(axis=0, initial=-np.inf)
    edge = np.log(np.finfo(np.float32 if narrow else float).eps / n_nodes)
    assert not found.g[nearest <= edge - 2 * error - 1e-4].any()  # nodes without rows
    assert found.g[nearest >= edge + 2 * error + 1e-4].all()
    assert_allclose(found.g, expected.g.astype(float), rtol=precision, atol=precision * n / n_nodes)
    functions = functions_of(model.basis)
    size = float(expected.weight @ expected.row.norm)
    rx = expected.rx.astype(float)
    assert_allclose(found.functions_rx, functions.values.T @ rx, rtol=0, atol=precision * size)
    phi = model.basis.phi
    assert_allclose(
        functions.of_phi.T @ found.functions_rx, phi.T @ rx, rtol=0, atol=precision * size * n_nodes**0.5
    )
    for name in SUMS:
        value = float(getattr(expected, name))
        atol = n * (precision * (model.beta_inv if name == "distance_sum" else 1))
        assert_allclose(getattr(found, name), value, rtol=precision, atol=atol, err_msg=name)


def weights_of(kind, n_rows, rng):
    return {
        "none": None,
        "zeros": np.zeros(n_rows),
        "zeros among them": rng.random(n_rows) * (rng.random(n_rows) < 0.7),
        "large": 1e12 * rng.random(n_rows),
        "beyond float32": 1e60 * rng.random(n_rows),
        "below float32": 1e-60 * rng.random(n_rows),
        "large and small": 10.0 ** rng.integers(-12, 13, n_rows),
    }[kind]


WEIGHTS = st.sampled_from(
    ["none", "zeros", "zeros among them", "large", "beyond float32", "below float32", "large and small"]
)
NUMBERS = st.sampled_from([0, 1, 2, 127, 128, 129, 300])


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kernel", KERNELS)
def test_sums_are_those_of_all_rows_against_all_centres(kernel, dtype):
    @settings(deadline=None, max_examples=60)
    @given(maps(powers_of_ten(-6, 3)), NUMBERS, powers_of_ten(-3, 1), WEIGHTS)
    def check(model, n_rows, noise, weights):
        X = rows_near(model, n_rows, noise).astype(dtype)
        assert_is_dense(X, weights_of(weights, n_rows, np.random.default_rng(1)), model, kernel)

    check()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kernel", KERNELS)
def test_noise_of_any_size(kernel, dtype):
    @settings(deadline=None, max_examples=60)
    @given(maps(powers_of_ten(-12, 12)), powers_of_ten(-12, 12), WEIGHTS)
    def check(model, noise, weights):
        X = rows_near(model, 50, noise).astype(dtype)
        assert_is_dense(X, weights_of(weights, 50, np.random.default_rng(1)), model, kernel)

    check()


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("k", "m", "n_columns"), [(1, 1, 1), (1, 4, 3), (2, 5, 1), (3, 3, 2), (5, 2, 1), (9, 1, 4)]
)
@pytest.mark.parametrize("n_rows", [0, 1, 127, 128, 129, 1025])
def test_maps_and_tiles_of_odd_sizes(k, m, n_columns, n_rows, kernel, dtype):
    model = bent_map(k, m, 1.0, 0.1, n_columns)
    assert_is_dense(rows_near(model, n_rows).astype(dtype), None, model, kernel)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_tiles_of_rows_that_do_not_count(kernel, dtype):
    model = bent_map(6, 3, 1.0, 0.1, 3)
    X, weight = rows_near(model, 4000).astype(dtype), np.ones(4000)
    weight[900:3900] = 0  # more than a tile
    assert_is_dense(X, weight, model, kernel)
    found, without = e_step(X, weight, model, kernel), e_step(X[weight > 0], None, model, kernel)
    for name, value in sums_of(without).items():
        rtol = 1e-12 if dtype is np.float64 else 1e-5
        assert_allclose(getattr(found, name), value, rtol=rtol, atol=rtol * np.abs(value).max(), err_msg=name)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(
    ("far", "dtype"), [(1e6, "f4"), (1e6, "f8"), (1e15, "f4"), (1e15, "f8"), (1e150, "f8")]
)
def test_rows_far_away_leave_the_others_as_they_are(kernel, far, dtype):
    model = bent_map(6, 3, 1.0, 0.1, 3)
    near = rows_near(model, 200).astype(dtype)
    away = (far * np.linspace(-1, 1, 30).reshape(10, 3)).astype(dtype)
    X = np.r_[near[:50], away, near[50:]]
    found, alone, rows = (
        e_step(X, None, model, kernel),
        e_step(near, None, model, kernel),
        dense_e_step(away, model),
    )
    assert all(np.isfinite(value).all() for value in sums_of(found).values())
    there = found.g - alone.g
    assert_allclose(there.sum(), 10, rtol=1e-5)
    assert (there > -1e-4).all()
    if far == 1e6:  # at larger distances no digit tells which node is the nearest
        assert_allclose(there, rows.g.astype(float), atol=1e-3)
    assert_allclose(found.distance_sum, float(rows.distance_sum) + alone.distance_sum, rtol=1e-6)
    assert_allclose(found.log_likelihood, float(rows.log_likelihood) + alone.log_likelihood, rtol=1e-6)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("weights", ["none", "zeros among them", "large"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("share", [0.001, 0.3, 0.9])
def test_gaps_are_left_out_where_they_are_marginalized(kernel, weights, dtype, share):
    model = bent_map(7, 3, 1.0, 0.05, 4, gaps=Gaps("marginalize"))
    X = holed(rows_near(model, 1500), share).astype(dtype)
    X[7] = np.nan
    assert_is_dense(X, weights_of(weights, len(X), np.random.default_rng(1)), model, kernel)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_complete_rows_count_as_they_do_without_rows_with_gaps(kernel, dtype):
    model = bent_map(7, 3, 1.0, 0.05, 4, gaps=Gaps("marginalize"))
    X, weight = rows_near(model, 1000).astype(dtype), np.random.default_rng(1).random(1000)
    X[::3, 1] = np.nan
    incomplete = np.isnan(X).any(axis=1)
    whole = e_step(X, weight, model, kernel)
    parts = [e_step(X[rows], weight[rows], model, kernel) for rows in (incomplete, ~incomplete)]
    for name, value in sums_of(parts[0] + parts[1]).items():
        rtol = 1e-13 if dtype is np.float64 else 1e-6
        assert_allclose(getattr(whole, name), value, rtol=rtol, atol=rtol * np.abs(value).max(), err_msg=name)


def whole_numbers(dtype, n_rows=1200):
    """Return rows of numbers that float32 has, and a map among them."""
    wide = np.random.default_rng(0).normal(size=(n_rows, 3)) @ [[9, 2, 0], [1, 8, 3], [0, 1, 2]]
    X = wide > 0 if dtype == "bool" else np.abs(4 * wide).astype(dtype)
    model = initialize(moments_of(X.astype(float), None), make_basis(8, 3, 0.5), regul=0.1, scale=None).model
    return X, model


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int64", "bool", "float16"])
def test_numbers_that_float32_has_are_taken_for_float32(kernel, dtype):
    X, model = whole_numbers(dtype)
    narrow, wide = (e_step(X.astype(other), None, model, kernel) for other in (np.float32, np.float64))
    found = e_step(X, None, model, kernel)
    for name, value in sums_of(found).items():
        assert_array_equal(value, getattr(narrow, name))
        other = getattr(wide, name)
        assert_allclose(value, other, rtol=1e-5, atol=1e-5 * np.abs(other).max())
    assert (found.functions_rx != wide.functions_rx).any()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_whole_numbers_that_float32_has_not_are_taken_for_float64(kernel, dtype, sign):
    X, model = whole_numbers(dtype)
    large = sign * (2**24 + X)
    affine = dataclasses.replace(model.affine, mean=model.affine.mean + sign * 2.0**24)
    model = dataclasses.replace(model, affine=affine)
    found, wide = e_step(large, None, model, kernel), e_step(large.astype(float), None, model, kernel)
    for name, value in sums_of(found).items():
        assert_array_equal(value, getattr(wide, name))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", ["uint8", "int64", "bool", "float16", "float32"])
def test_a_block_is_never_copied_whole(kernel, dtype):
    model = bent_map(6, 3, 1.0, 0.1, 200)
    X = np.random.default_rng(0).integers(0, 2, (30_000, 200)).astype(dtype)
    e_step(X[:100], None, model, kernel)  # compiles
    tracemalloc.start()
    e_step(X, None, model, kernel)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * X.size * 4
