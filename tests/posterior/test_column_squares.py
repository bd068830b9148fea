"""Squares of each column are those of every row at every node, however small the noise."""

import dataclasses

import numpy as np
import pytest
from helpers.maps import bent_map, rows_near
from helpers.noises import KERNELS
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_noise import dense_e_step

from dask_igtm.model.gaps import REFUSED, Gaps
from dask_igtm.noise.diagonal import Diagonal
from dask_igtm.statistics.e_step import e_step

GAPS = {"whole": REFUSED, "gaps": Gaps("marginalize")}
PRECISION = {np.float64: 1e-10, np.float32: 1e-4}


def map_with_noise(noise, gaps=REFUSED, n_columns=5, k=10):
    """Return a map whose noise is that share of the variance of its columns, more or less by column."""
    model = bent_map(k, 4, 1.0, 1.0, n_columns, gaps=gaps)
    of_columns = noise * model.centers.var(axis=0) * np.geomspace(0.5, 2.0, n_columns)
    return dataclasses.replace(model, beta_inv=of_columns, noise=Diagonal())


def rows_for(model, dtype, n_rows=700):
    X = rows_near(model, n_rows).astype(dtype)
    if model.gaps.marginal:
        random = np.random.default_rng(1)
        X[random.random(X.shape) < 0.2] = np.nan
        X[::3] = rows_near(model, n_rows, seed=2)[::3]  # whole ones among them
        X[5] = np.nan
    return X


def weights_of(kind, n_rows):
    random = np.random.default_rng(3)
    return {
        "none": None,
        "zeros among them": random.random(n_rows) * (random.random(n_rows) < 0.6),
        "large": 1e30 * random.random(n_rows),
        "zeros": np.zeros(n_rows),
    }[kind]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", PRECISION)
@pytest.mark.parametrize("kind", GAPS)
@pytest.mark.parametrize("weights", ["none", "zeros among them", "large", "zeros"])
@pytest.mark.parametrize("noise", [1.0, 1e-3, 1e-5])
def test_neither_what_rows_are_off_nor_what_nodes_are_apart_cancels(kernel, dtype, kind, weights, noise):
    model = map_with_noise(noise, GAPS[kind])
    X = rows_for(model, dtype)
    weight = weights_of(weights, len(X))
    found = e_step(X, weight, model, kernel).column_squares
    expected = dense_e_step(X.astype(float), model, weight).column_squares.astype(float)
    assert_allclose(found, expected, rtol=PRECISION[dtype])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", PRECISION)
def test_rows_far_off_all_nodes(kernel, dtype):
    model = map_with_noise(1e-2)
    X = (100 * rows_for(model, float)).astype(dtype)
    expected = dense_e_step(X.astype(float), model).column_squares.astype(float)
    assert_allclose(e_step(X, None, model, kernel).column_squares, expected, rtol=PRECISION[dtype])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("n_columns", [1, 40, 140])  # by BLAS, and compiled
def test_any_number_of_columns(kernel, n_columns):
    model = map_with_noise(0.1, n_columns=n_columns, k=6)
    X = rows_for(model, float, 130)
    expected = dense_e_step(X, model).column_squares.astype(float)
    assert_allclose(e_step(X, None, model, kernel).column_squares, expected, rtol=1e-10)


@pytest.mark.parametrize("kernel", KERNELS)
def test_blocks_add_up(kernel):
    model = map_with_noise(1e-2, GAPS["gaps"])
    X = rows_for(model, float)
    whole, parts = e_step(X, None, model, kernel), [e_step(X[i::3], None, model, kernel) for i in range(3)]
    assert_allclose((parts[0] + parts[1] + parts[2]).column_squares, whole.column_squares, rtol=1e-10)


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_is_missing_everywhere_lies_off_by_the_noise(kernel):
    model = map_with_noise(1e-2, GAPS["gaps"])
    X = rows_near(model, 200)
    X[:, 2] = np.nan
    found = e_step(X, None, model, kernel).column_squares
    assert_allclose(found[2], 200 * model.beta_inv[2], rtol=1e-9)
    assert_array_equal(found > 0, True)
