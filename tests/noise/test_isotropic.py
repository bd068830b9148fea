"""The M-step from sums by the functions of a map is that of a textbook."""

import numpy as np
import pytest
from helpers.maps import bent_map, rows_near
from numpy.testing import assert_allclose
from oracles.dense_e_step import dense_e_step
from oracles.dense_m_step import dense_m_step, noise_of

from dask_igtm.model.functions import functions_of
from dask_igtm.model.model import Prior
from dask_igtm.model.sufficient_statistics import SufficientStatistics
from dask_igtm.statistics.e_step import e_step

WIDTHS = [0.3, 1, 10]


def prior_of(model, regul, mean=0.0, noise_floor=0.0):
    return Prior(regul, np.full(model.weights.shape, mean), noise_floor)


def exact_statistics(X, model, weight=None):
    """Return the sums of an E-step, rounded once."""
    dense = dense_e_step(X, model, weight)
    functions_rx = functions_of(model.basis).values.T @ dense.rx
    sums = (dense.g, functions_rx, dense.distance_sum, dense.log_likelihood, dense.log_peak)
    return SufficientStatistics(*(np.asarray(value, float)[()] for value in sums))


@pytest.mark.parametrize("s", WIDTHS)
@pytest.mark.parametrize("k", [6, 16])
@pytest.mark.parametrize("mean", [0.0, 0.3])
@pytest.mark.parametrize("noise", [1.0, 0.01])
def test_weights_and_noise_are_those_of_dense_matrices(s, k, mean, noise):
    model = bent_map(k, 4, s, noise, 5)
    X = rows_near(model, 500)
    found = model.noise.m_step(exact_statistics(X, model), model, prior_of(model, 0.1, mean))
    weights, beta_inv = dense_m_step(X, model, 0.1, mean)
    assert_allclose(found.beta_inv, noise_of(found.weights, X, model), rtol=2e-13)
    assert_allclose(found.beta_inv, beta_inv, rtol=1e-9)  # what the ridge leaves of rounding in the weights
    assert_allclose(found.centers, model.basis.phi @ weights, atol=1e-8)
    if s < 10:  # where RBFs are not nearly alike
        assert_allclose(found.weights, weights, atol=1e-9 * np.abs(weights).max())


@pytest.mark.parametrize("kernel", ["numpy", "numba"])
@pytest.mark.parametrize("s", WIDTHS)
def test_an_iteration_is_that_of_dense_matrices(s, kernel):
    model = bent_map(10, 4, s, 0.1, 5)
    X, weight = rows_near(model, 700), np.random.default_rng(3).random(700)
    found = model.noise.m_step(e_step(X, weight, model, kernel), model, prior_of(model, 0.1))
    weights, beta_inv = dense_m_step(X, model, 0.1, 0.0, weight)
    assert_allclose(found.beta_inv, noise_of(found.weights, X, model, weight), rtol=2e-13)
    assert_allclose(found.beta_inv, beta_inv, rtol=1e-10)
    assert_allclose(found.centers, model.basis.phi @ weights, atol=1e-9)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_more_rbfs_than_nodes_without_ridge_put_every_centre_at_the_mean_of_its_rows(k):
    model = bent_map(k, 4, 0.3, 0.05, 3)
    X = rows_near(model, 300)
    found = model.noise.m_step(e_step(X, None, model, "numpy"), model, prior_of(model, 0.0))
    dense = dense_e_step(X, model)
    assert_allclose(found.centers, (dense.rx / dense.g[:, None]).astype(float), atol=1e-9)


def test_noise_does_not_fall_below_its_floor():
    model = bent_map(6, 3, 1.0, 0.01, 3)
    X = rows_near(model, 300)
    assert (
        model.noise.m_step(e_step(X, None, model, "numpy"), model, prior_of(model, 0.1, 0.0, 0.5)).beta_inv
        == 0.5
    )
