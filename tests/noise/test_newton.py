"""Newton's steps of many columns: none falls, all arrive, and none sees the others."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from oracles.dense_noise import objective_of_column
from scipy.optimize import minimize

from dask_igtm.model.basis import make_basis
from dask_igtm.noise import newton
from dask_igtm.noise.bernoulli import Bernoulli
from dask_igtm.noise.newton import climb, newton_step
from dask_igtm.noise.poisson import Poisson

FAMILIES = {"bernoulli": Bernoulli, "poisson": Poisson}
LARGEST = {"bernoulli": 1.0, "poisson": 1e6}  # mean of an entry
each = pytest.mark.parametrize("name", FAMILIES)


class Problem:
    """Sums over some rows at the nodes of a map, for columns of which the first is all 0."""

    def __init__(self, name, k, m, regul, seed, power=3.0, n_columns=4, s=1.0):
        rng = np.random.default_rng(seed)
        self.name, self.rng, self.regul = name, rng, regul
        self.phi = make_basis(k, m, s).phi
        n_nodes, n_functions = self.phi.shape
        self.exposed = 10.0**power * rng.random(n_nodes) * (rng.random(n_nodes) < 0.8)
        means = LARGEST[name] ** rng.random((n_nodes, n_columns)) * rng.random((n_nodes, n_columns))
        means[:, 0] = 0.0
        self.targets = self.phi.T @ (self.exposed[:, None] * means)
        self.prior = np.zeros((n_functions, n_columns))
        self.prior[-1] = rng.normal(size=n_columns)

    def climb(self, weights, steps, columns=slice(None)):
        w, t, p = weights[:, columns], self.targets[:, columns], self.prior[:, columns]
        return climb(self.phi, w, t, self.exposed, self.regul, p, FAMILIES[self.name].normaliser, steps)

    def objective(self, w, column):
        """Return the value, the gradient and the Hessian of a column."""
        target, prior = self.targets[:, column].astype(np.longdouble), self.prior[:, column]
        return objective_of_column(
            w.astype(np.longdouble), self.phi, target, self.exposed, self.regul, prior, self.name
        )

    def values(self, weights):
        return np.array([self.objective(w, column)[0] for column, w in enumerate(weights.T)])

    def size(self, weights):
        """Return what the terms of the objectives add up to, by which they are rounded."""
        theta = self.phi @ weights
        normaliser = FAMILIES[self.name].normaliser.value(theta)
        return (np.abs(weights) * np.abs(self.targets)).sum(axis=0) + self.exposed @ np.abs(normaliser)


@each
def test_no_column_ever_falls(name):
    @settings(deadline=None, max_examples=150)
    @example(2, 2, 0.0, 50.0, False, 0.0, 1)  # where float64 has no doubt left
    @given(
        st.integers(1, 5),
        st.integers(2, 3),
        st.sampled_from([0.0, 1e-6, 0.1, 10.0]),
        st.sampled_from([0.0, 1.0, 50.0, -50.0]),
        st.booleans(),
        st.floats(-3, 6),
        st.integers(0, 2**32 - 1),
    )
    def check(k, m, regul, far, bent, power, seed):
        problem = Problem(name, k, m, regul, seed, power)
        weights = np.zeros(problem.prior.shape)
        weights[-1] = far
        if bent:
            weights += abs(far) * problem.rng.normal(size=weights.shape) / len(weights) ** 0.5
        if (np.abs(problem.phi @ weights) > 250).any():  # where rates are cut off
            return
        before = problem.values(weights)
        for steps in (1, 2, 8):
            found = problem.climb(weights, steps)
            assert np.isfinite(found).all()
            rounding = 1e-14 * (np.abs(before) + problem.size(found))
            assert (problem.values(found) >= before - rounding).all()

    check()


@each
@pytest.mark.parametrize("power", [0.0, 3.0])
@pytest.mark.parametrize("far", [0.0, 20.0, -20.0])
def test_enough_steps_lead_to_the_optimum(name, far, power):
    problem = Problem(name, 5, 3, 0.1, 1, power)
    weights = np.zeros(problem.prior.shape)
    weights[-1] = far
    found = problem.climb(weights, 80)
    for column, w in enumerate(found.T):
        _, gradient, hessian = (part.astype(float) for part in problem.objective(w, column))
        left = np.linalg.solve(hessian, gradient)  # what a further step would move
        assert_allclose(left, 0, atol=1e-9 * max(1.0, np.abs(w).max()))

        def fall(w, column=column):
            value, gradient, _ = problem.objective(w, column)
            return float(-value), -gradient.astype(float)

        def bend(w, column=column):
            return -problem.objective(w, column)[2].astype(float)

        other = minimize(
            fall, problem.prior[:, column], jac=True, hess=bend, method="trust-exact", options={"gtol": 1e-8}
        )
        value = float(problem.objective(w, column)[0])
        assert value >= -other.fun - 1e-12 * max(1.0, abs(value))
        if other.success:
            assert_allclose(problem.phi @ w, problem.phi @ other.x, atol=1e-4)


def test_plain_steps_from_zero_would_go_beyond_all_bounds():
    """Of a rate of 100 the first step of Newton is 99, where the next ones fall by 1 each."""
    phi, exposed = np.ones((3, 1)), np.full(3, 10.0)
    target, start = np.full((1, 1), 3000.0), np.zeros((1, 1))
    plain = newton_step(phi, exposed[:, None] * np.exp(phi @ start), 0.0, target - 30.0)
    assert_allclose(plain, 99.0)
    assert 3000 * 99 - 30 * np.exp(99.0) < -30  # the objective there, and at 0
    reached = [
        climb(phi, start, target, exposed, 0.0, start, Poisson.normaliser, n)[0, 0] for n in (1, 2, 12)
    ]
    assert 3000 * reached[0] - 30 * np.exp(reached[0]) > -30
    assert abs(reached[1] - np.log(100)) < abs(reached[0] - np.log(100))
    assert_allclose(reached[2], np.log(100), rtol=1e-12)


def test_weights_where_nothing_climbs_stay_as_they_are(monkeypatch):
    """The step from there is far larger than they are, so that to come back would round them away."""
    problem = Problem("poisson", 4, 2, 1e-6, 0)
    weights = np.zeros(problem.prior.shape)
    weights[-1] = -50.0
    monkeypatch.setattr(newton, "HALVINGS", 1)
    monkeypatch.setattr(newton, "FARTHEST", 1e300)
    found = problem.climb(weights, 3)
    assert_array_equal(found[:, 1:], weights[:, 1:])


@each
def test_columns_in_chunks_are_the_columns_one_at_a_time(name, monkeypatch):
    problem = Problem(name, 5, 3, 0.1, 2, n_columns=23)
    weights = problem.rng.normal(size=problem.prior.shape)
    # Steps on the way magnify rounding, which differs; where they arrive there is little of it.
    whole = problem.climb(weights, 20)
    singles = np.column_stack([problem.climb(weights, 20, slice(c, c + 1)) for c in range(23)])
    assert_allclose(problem.phi @ whole, problem.phi @ singles, rtol=1e-8, atol=1e-8)
    monkeypatch.setattr(newton, "CHUNK_NUMBERS", 7 * 10**2)  # 7 columns of 10 functions
    assert_allclose(problem.phi @ problem.climb(weights, 20), problem.phi @ whole, rtol=1e-8, atol=1e-8)
    curvature = problem.rng.random((25, 23))
    step = newton_step(problem.phi, curvature, 0.1, weights)
    monkeypatch.setattr(newton, "CHUNK_NUMBERS", 1)
    assert_allclose(newton_step(problem.phi, curvature, 0.1, weights), step, rtol=1e-9, atol=1e-12)


@each
def test_what_is_given_is_left_as_it_is(name):
    problem = Problem(name, 4, 2, 0.1, 3)
    weights = np.zeros(problem.prior.shape)
    given_ = [part.copy() for part in (weights, problem.targets, problem.exposed, problem.prior)]
    problem.climb(weights, 2)
    for part, before in zip((weights, problem.targets, problem.exposed, problem.prior), given_, strict=True):
        assert_array_equal(part, before)


@pytest.mark.parametrize("regul", [1e-3, 1.0, 100.0])
def test_a_step_solves_the_system_of_each_column(regul):
    rng = np.random.default_rng(0)
    phi = make_basis(6, 3, 1.0).phi
    curvature, gradient = rng.random((36, 5)) * np.geomspace(1e-3, 1e3, 5), rng.normal(size=(10, 5))
    step = newton_step(phi, curvature, regul, gradient)
    for column in range(5):
        system = phi.T @ np.diag(curvature[:, column]) @ phi + regul * np.eye(10)
        assert_allclose(system @ step[:, column], gradient[:, column], rtol=1e-8, atol=1e-8)


def test_without_ridge_what_no_row_determines_stays_finite():
    phi = make_basis(2, 3, 1.0).phi  # 4 nodes, 10 functions
    gradient = phi.T @ np.arange(8.0).reshape(4, 2)
    step = newton_step(phi, np.ones((4, 2)), 0.0, gradient)
    assert_allclose(phi @ step, np.arange(8.0).reshape(4, 2), rtol=1e-6, atol=1e-6)
    assert_array_equal(newton_step(phi, np.zeros((4, 2)), 0.0, np.zeros((10, 2))), np.zeros((10, 2)))
