"""A noise variance a column, against a linear system and a sum of all squares for each column."""

import dataclasses

import numpy as np
import pytest
from helpers.data import correlated, holed
from helpers.errors import assert_says, raised
from helpers.noises import KERNELS, assert_e_step, map_of, rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_noise import dense_diagonal_m_step, dense_e_step, objective
from scipy import sparse, stats

from dask_igtm import IGTM
from dask_igtm.model.basis import make_basis
from dask_igtm.model.gaps import REFUSED, Gaps
from dask_igtm.model.model import Prior
from dask_igtm.noise.diagonal import LEAST_START, NOISE_FLOOR, Diagonal
from dask_igtm.noise.isotropic import ISOTROPIC
from dask_igtm.posterior.row_outputs import outputs_of, project
from dask_igtm.solvers.initialize import initialize
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.moments import moments_of

NOISE, MARGINAL = Diagonal(), Gaps("marginalize")
with_kernels = pytest.mark.parametrize("kernel", KERNELS)
with_gaps = pytest.mark.parametrize("gaps", [REFUSED, MARGINAL])
WEIGHTS = ["none", "zeros among them", "large and small"]


def weights_of(kind, n_rows):
    rng = np.random.default_rng(5)
    return {
        "none": None,
        "zeros among them": rng.random(n_rows) * (rng.random(n_rows) < 0.7),
        "large and small": 10.0 ** rng.integers(-6, 7, n_rows),
    }[kind]


def rows_for(model, n_rows=300, seed=0):
    """Return rows that a map draws, a third of the entries missing if it takes gaps."""
    X = rows_of(model, n_rows, seed)
    if model.gaps.marginal:
        X = holed(X, 0.3)
        X[7] = np.nan
    return X


def prior_of(model, regul=0.1, mean=0.0, noise_floor=0.0):
    return Prior(regul, np.full(model.weights.shape, mean), noise_floor)


@with_kernels
@with_gaps
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_an_e_step_is_that_of_every_row_at_every_node(kernel, gaps, weights, dtype):
    model = map_of("diagonal", gaps=gaps)
    X = rows_for(model).astype(dtype)
    weight = weights_of(weights, len(X))
    found, expected = assert_e_step(X, X.astype(float), weight, model, kernel)
    rtol = 1e-11 if dtype is np.float64 else 1e-5
    assert_allclose(found.column_squares, expected.column_squares.astype(float), rtol=rtol)
    in_noise = float((expected.column_squares / model.beta_inv).sum())
    assert_allclose(found.distance_sum, in_noise, rtol=rtol)


@with_kernels
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_sparse_rows_are_as_dense_ones(kernel, dtype):
    model = map_of("diagonal", n_columns=30)
    X = (rows_of(model, 300) * (np.random.default_rng(0).random((300, 30)) < 0.2)).astype(dtype)
    X[[0, 7, 299]] = 0
    weight = weights_of("zeros among them", 300)
    found, expected = assert_e_step(sparse.csr_array(X), X.astype(float), weight, model, kernel)
    rtol = 1e-11 if dtype is np.float64 else 1e-5
    assert_allclose(found.column_squares, expected.column_squares.astype(float), rtol=rtol)


@with_kernels
def test_maps_and_tiles_of_all_sizes(kernel):
    @settings(deadline=None, max_examples=30)
    @given(
        st.integers(1, 9),
        st.integers(1, 5),
        st.integers(1, 7),
        st.sampled_from([0, 1, 127, 129, 600]),
        st.sampled_from([1e-4, 1.0, 1e3]),
        st.sampled_from([REFUSED, MARGINAL]),
    )
    def check(k, m, n_columns, n_rows, reach, gaps):
        model = map_of("diagonal", k, m, n_columns, reach=reach, gaps=gaps)
        X = rows_of(model, n_rows)
        X = holed(X, 0.3) if gaps.marginal else X
        if not n_rows:
            assert not e_step(X, None, model, kernel).column_squares.any()
            return
        found, expected = assert_e_step(X, X, None, model, kernel)
        squares = expected.column_squares.astype(float)
        assert_allclose(found.column_squares, squares, rtol=1e-9, atol=1e-9 * squares.max())

    check()


def test_ln_p_is_the_density_of_the_mixture_in_the_users_units():
    model = map_of("diagonal")
    X = rows_of(model, 50)
    (found,) = project(X, model, "numpy", outputs_of(("log_likelihood",), len(model.basis.nodes)))
    covariance = np.diag(model.beta_inv * model.affine.scale**2)
    centers = model.affine.inverse(model.centers)
    densities = [stats.multivariate_normal(center, covariance).pdf(X) for center in centers]
    assert_allclose(found, np.log(np.mean(densities, axis=0)), rtol=1e-10)


def test_a_constant_is_that_of_the_columns_that_are_seen():
    model, missing = map_of("diagonal", gaps=MARGINAL), np.array([[0.0, 0, 1, 0, 1], [0, 0, 0, 0, 0]])
    of_columns = -0.5 * np.log(2 * np.pi * model.beta_inv) - np.log(model.affine.scale)
    expected = (1 - missing) @ of_columns - np.log(len(model.basis.nodes))
    assert_allclose(NOISE.log_constant(model, missing), expected, rtol=1e-12)
    assert_allclose(NOISE.log_constant(model), expected[1], rtol=1e-12)


@with_kernels
@with_gaps
def test_equal_variances_are_isotropic_noise(kernel, gaps):
    model = map_of("diagonal", gaps=gaps)
    model = dataclasses.replace(model, beta_inv=np.full(5, 0.2))
    other = dataclasses.replace(model, beta_inv=0.2, noise=ISOTROPIC)
    X = rows_for(model)
    found, expected = (e_step(X, None, one, kernel) for one in (model, other))
    assert_allclose(found.g, expected.g, rtol=1e-10)
    assert_allclose(found.functions_rx, expected.functions_rx, rtol=1e-9, atol=1e-9)
    assert_allclose(found.log_likelihood, expected.log_likelihood, rtol=1e-12)
    assert_allclose(found.column_squares.sum(), expected.distance_sum, rtol=1e-10)


@with_gaps
@pytest.mark.parametrize("weights", WEIGHTS)
@pytest.mark.parametrize("regul", [0.0, 0.1, 10.0])
def test_an_iteration_is_a_linear_system_and_a_sum_of_squares_a_column(gaps, weights, regul):
    model = map_of("diagonal", 8, 3, gaps=gaps)
    X = rows_for(model)
    weight = weights_of(weights, len(X))
    prior = prior_of(model, regul, 0.3)
    found = NOISE.m_step(e_step(X, weight, model, "numpy"), model, prior)
    weights_, noise = dense_diagonal_m_step(X, model, regul, prior.mean, weight)
    assert_allclose(found.centers, model.basis.phi @ weights_, atol=1e-7)
    assert_allclose(found.beta_inv, noise, rtol=1e-8)
    if regul:
        assert_allclose(found.weights, weights_, atol=1e-7 * np.abs(weights_).max())


@pytest.mark.parametrize("k", [1, 2, 3])
def test_more_rbfs_than_nodes_without_ridge_put_every_centre_at_the_mean_of_its_rows(k):
    model = map_of("diagonal", k, 4, 3, s=0.3)
    X = rows_of(model, 300)
    found = NOISE.m_step(e_step(X, None, model, "numpy"), model, prior_of(model, 0.0))
    dense = dense_e_step(X, model)
    assert_allclose(found.centers, (dense.rx / dense.g[:, None]).astype(float), atol=1e-8)


def test_noise_does_not_fall_below_its_floor_in_any_column():
    model = map_of("diagonal")
    floor = np.array([0.0, 100.0, 0.0, 100.0, 0.0])
    statistics = e_step(rows_of(model, 300), None, model, "numpy")
    found = NOISE.m_step(statistics, model, prior_of(model, 0.1, 0.0, floor)).beta_inv
    assert_array_equal(found == 100.0, floor > 0)
    moved = NOISE.moved(model, model.weights, np.full(5, -1e3), prior_of(model, 0.1, 0.0, floor + 1))
    assert_array_equal(moved.beta_inv, floor + 1)
    assert np.isfinite(NOISE.moved(model, model.weights, np.full(5, 1e6), prior_of(model)).beta_inv).all()


@with_gaps
@pytest.mark.parametrize("weighted", [False, True])
def test_the_gradient_is_that_of_the_penalised_likelihood(gaps, weighted):
    model = map_of("diagonal", 4, 2, 3, gaps=gaps)
    X = rows_for(model, 80)
    weight = weights_of("zeros among them", 80) if weighted else None
    prior = prior_of(model, 0.3, 0.1)
    found = NOISE.gradient(e_step(X, weight, model, "numpy"), model, prior)
    place = np.append(model.weights, NOISE.position(model))
    assert len(NOISE.position(model)) == NOISE.n_parameters(model) == 3
    step = 1e-5

    def at(i, move):
        moved = place.copy()
        moved[i] += move
        other = NOISE.moved(model, moved[:-3].reshape(model.weights.shape), moved[-3:], prior)
        return objective(X, other, prior, weight)

    slopes = [float((at(i, step) - at(i, -step)) / (2 * step)) for i in range(len(place))]
    assert_allclose(found, slopes, rtol=1e-6, atol=1e-7 * np.abs(found).max())


@pytest.mark.parametrize("regul", [1e-3, 1.0])
def test_a_metric_and_its_newton_are_inverse(regul):
    model = map_of("diagonal")
    statistics = e_step(rows_of(model, 200), None, model, "numpy")
    metric = NOISE.metric(statistics, model, prior_of(model, regul))
    step = np.random.default_rng(0).normal(size=model.weights.size + 5)
    assert_allclose(metric.newton(metric.curve(step)), step, rtol=1e-6, atol=1e-6)
    assert_array_equal(NOISE.metric_of(metric.pack(), model).curve(step), metric.curve(step))
    phi, g = model.basis.phi, statistics.g
    for column in range(5):
        system = phi.T @ np.diag(g) @ phi / model.beta_inv[column] + regul * np.eye(phi.shape[1])
        expected = system @ step[:-5].reshape(-1, 5)[:, column]
        assert_allclose(metric.curve(step)[:-5].reshape(-1, 5)[:, column], expected, rtol=1e-9)
    assert_allclose(metric.curve(step)[-5:], 0.5 * 200 * step[-5:], rtol=1e-12)


@with_gaps
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("regul", [0.0, 0.1])
def test_em_never_lowers_the_penalised_likelihood(gaps, weighted, regul):
    truth = map_of("diagonal", 6, 3, 4, gaps=gaps, seed=3)
    X = rows_for(truth, 250)
    weight = weights_of("zeros among them", 250) if weighted else None
    model = dataclasses.replace(truth, weights=0.2 * truth.weights, beta_inv=np.ones(4))
    prior = prior_of(truth, regul, 0.1, 1e-9)
    reached, said = [], []
    for _ in range(61):
        statistics = e_step(X, weight, model, "numba")
        said.append(statistics.log_likelihood + prior.log_density(model))
        reached.append(float(objective(X, model, prior, weight)))
        model = NOISE.m_step(statistics, model, prior)
    assert_allclose(said, reached, rtol=1e-10)
    assert (np.diff(reached) >= -1e-12 * np.abs(reached[1:])).all()
    assert reached[-1] > reached[0] + 1
    assert np.ptp(np.log(model.beta_inv)) > 1  # the columns are told apart


def test_deviances_are_0_where_all_nodes_are_at_a_row_and_never_negative():
    model = map_of("diagonal")
    deviance = outputs_of(("deviance",), len(model.basis.nodes))
    X = rows_of(model, 200)
    for kernel in KERNELS:
        (found,) = project(X, model, kernel, deviance)
        assert (found > 0).all()
        assert_allclose(found, dense_e_step(X, model).row.deviance.astype(float), rtol=1e-9)
    flat = dataclasses.replace(model, weights=np.zeros(model.weights.shape))
    assert_allclose(project(model.affine.mean[None], flat, "numpy", deviance)[0], 0, atol=1e-12)


def test_rows_are_drawn_with_their_centre_and_variances():
    model, random = map_of("diagonal"), np.random.RandomState(0)
    drawn = NOISE.draw(model, np.full(200_000, 7), random)
    deviation = np.sqrt(NOISE.variances(model))
    assert_array_equal(NOISE.variances(model), model.beta_inv)
    assert (np.abs(drawn.mean(axis=0) - model.centers[7]) < 5 * deviation / 200_000**0.5).all()
    assert_allclose(drawn.var(axis=0), model.beta_inv, rtol=0.03)
    assert np.abs(np.corrcoef(drawn.T) - np.eye(5)).max() < 5 / np.sqrt(200_000)


def test_squares_of_a_stream_come_back():
    model = map_of("diagonal")
    X = rows_of(model, 300)
    statistics = e_step(X, None, model, "numpy")
    squares = NOISE.squares(statistics, model)
    assert_allclose(squares, (model.affine.forward(X) ** 2).sum(axis=0), rtol=1e-10)
    again = NOISE.of_squares(statistics, squares, model)
    assert_allclose(again.column_squares, statistics.column_squares, rtol=1e-9)
    assert_allclose(
        NOISE.expected_squares(model), (model.centers**2).mean(axis=0) + model.beta_inv, rtol=1e-12
    )


def test_a_start_has_what_the_plane_leaves_of_each_column():
    X = correlated(300, 5)
    X[:, 4] = 3.0  # which has no variance
    moments, basis = moments_of(X, None), make_basis(6, 3, 0.3)
    start = initialize(moments, basis, regul=0.1, scale="center", noise=NOISE)
    variance = X.var(axis=0)
    scale = np.where(variance > 0, variance, variance.mean())
    left = np.maximum(scale - start.model.centers.var(axis=0), LEAST_START * scale)
    assert_allclose(start.model.beta_inv, left, rtol=1e-10)
    assert_allclose(start.prior.noise_floor, NOISE_FLOOR * scale, rtol=1e-10)
    plane = initialize(moments, basis, regul=0.1, scale="center")
    assert_array_equal(start.model.weights, plane.model.weights)


@pytest.mark.parametrize("missing", ["error", "marginalize"])
def test_weights_of_2_are_rows_twice(missing):
    X = correlated(150, 5)
    X = X if missing == "error" else holed(X, 0.2)
    given_ = {"k": 5, "m": 3, "niter": 8, "tol": 0, "noise": "diagonal", "missing": missing, "regul": 0.2}
    twice = IGTM(**given_).fit(np.r_[X, X])
    doubled = IGTM(**given_).fit(X, sample_weight=np.full(150, 2.0))
    assert_allclose(doubled.centers_, twice.centers_, rtol=1e-8, atol=1e-8)
    assert_allclose(doubled.noise_variance_, twice.noise_variance_, rtol=1e-8)
    assert_allclose(doubled.history_, twice.history_, rtol=1e-10)


def test_units_of_columns_do_not_matter_where_they_are_standardised():
    X, units = correlated(200, 5), np.geomspace(1e-3, 1e3, 5)
    given_ = {"k": 5, "m": 3, "niter": 10, "tol": 0, "noise": "diagonal", "scale": "standard"}
    one, other = IGTM(**given_).fit(X), IGTM(**given_).fit(X * units)
    assert_allclose(other.centers_, one.centers_ * units, rtol=1e-7, atol=1e-7)
    assert_allclose(other.noise_variance_, one.noise_variance_ * units**2, rtol=1e-7)


def test_axes_that_mix_the_columns_are_refused():
    axes = raised(ValueError, IGTM(noise="diagonal", n_components=2).fit, np.eye(6))
    assert_says(
        axes, "gives each column a noise of its own, and n_components", "noise='isotropic', or n_comp"
    )
