"""The accelerated solver against plain EM: the same objective, in fewer passes, and never a worse map."""

import dataclasses

import numpy as np
import pytest
from helpers.data import correlated, reference_sets
from helpers.running import run_alone
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_wine

from dask_igtm import IGTM
from dask_igtm.model.basis import make_basis
from dask_igtm.solvers import accelerated, em
from dask_igtm.solvers.initialize import initialize
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.moments import moments_of


class Problem:
    """A start, and an E-step that remembers what it was asked."""

    def __init__(self, X, k=8, m=4, regul=0.1, scale="standard"):
        start = initialize(moments_of(X, None), make_basis(k, m, 0.3), regul=regul, scale=scale)
        self.X, self.model, self.prior, self.asked = X, start.model, start.prior, []

    def e_step(self, model):
        self.asked.append(model)
        return e_step(self.X, None, model, "numpy")

    def fit(self, solver=accelerated, niter=100, tol=0.0, **kwargs):
        state = solver.State(self.model)
        return run_alone(state, self.prior, self.e_step, niter=niter, tol=tol, **kwargs)

    def objective(self, model):
        statistics = e_step(self.X, None, model, "numpy")
        return (statistics.log_likelihood + self.prior.log_density(model)) / len(self.X)


def penalised(state):
    return np.array([iteration.penalised for iteration in state.history])


def assert_best(problem, state):
    """Hold that the result is sound and at least as good as whatever was seen on the way."""
    values = penalised(state)
    assert np.isfinite(values).all()
    assert np.isfinite(state.result.weights).all()
    assert problem.prior.noise_floor <= state.result.beta_inv < np.inf
    if state.result.beta_inv > problem.prior.noise_floor:  # where distances are rounding, so is the objective
        assert problem.objective(state.result) >= values.max() - 1e-10 * np.abs(values).max()


@pytest.mark.parametrize(
    ("name", "k", "speedup"), [("digits", 16, 3), ("swiss roll", 8, 3), ("iris", 16, 2), ("diabetes", 16, 2)]
)
def test_reaches_the_objective_of_em_in_fewer_passes(name, k, speedup):
    problem = Problem(reference_sets()[name], k=k, scale=None if name == "digits" else "standard")
    slow = penalised(problem.fit(em, niter=1000, tol=1e-4))
    target = slow[-1] - 1e-3
    quick = penalised(problem.fit(niter=60))
    assert quick.max() >= target
    assert (quick >= target).argmax() + 1 <= ((slow >= target).argmax() + 1) / speedup


@pytest.mark.parametrize("name", reference_sets())
@pytest.mark.parametrize("scale", [None, "standard"])
def test_the_result_is_the_best_model_seen(name, scale):
    for niter in (1, 12, 13, 30):
        problem = Problem(reference_sets()[name], k=6, m=3, scale=scale)
        assert_best(problem, problem.fit(niter=niter))


def test_the_gradient_of_a_point_is_that_of_the_objective():
    problem = Problem(correlated(60, 4), k=4, m=2)
    state = problem.fit(niter=3)
    point, model = state.best, state.best.model
    for entry in (0, 5, len(point.gradient) - 1):
        values = []
        for h in (-1e-5, 1e-5):
            weights, beta_inv = model.weights.copy(), model.beta_inv
            if entry < weights.size:
                weights.flat[entry] += h
            else:
                beta_inv *= np.exp(h)
            values.append(problem.objective(dataclasses.replace(model, weights=weights, beta_inv=beta_inv)))
        assert_allclose(point.gradient[entry] / 60, (values[1] - values[0]) / 2e-5, rtol=1e-5, atol=1e-8)


def test_a_run_repeats_bit_for_bit():
    problem = Problem(reference_sets()["iris"])
    one, other = problem.fit(niter=40), problem.fit(niter=40)
    assert one.history == other.history
    assert_array_equal(one.result.weights, other.result.weights)
    assert one.result.beta_inv == other.result.beta_inv


def test_a_state_is_all_that_a_run_has_to_remember():
    problem, states = Problem(reference_sets()["iris"]), []
    whole = problem.fit(niter=30, on_iteration=states.append)
    state = states[14]
    for _ in range(15):
        state = state.step(problem.e_step(state.model), problem.prior, 0.0)
    assert state.history == whole.history


def test_no_tolerance_never_stops_early():
    problem = Problem(reference_sets()["iris"], k=4, m=2)
    state = problem.fit(niter=150)
    assert len(state.history) == len(problem.asked) == 150
    assert not state.converged
    assert [iteration.number for iteration in state.history] == list(range(1, 151))
    assert_best(problem, state)


def test_no_iterations_return_the_start():
    problem = Problem(reference_sets()["iris"])
    state = problem.fit(niter=0)
    assert state.result is problem.model
    assert state.history == ()
    assert problem.asked == []


@pytest.mark.parametrize("name", ["swiss roll", "iris", "diabetes", "wine", "breast cancer"])
def test_stops_by_itself_about_where_em_does_or_above(name):
    problem = Problem(reference_sets()[name])
    slow = problem.fit(em, niter=1000, tol=1e-4)
    state = problem.fit(niter=1000, tol=1e-4)
    assert state.converged
    assert penalised(state).max() >= penalised(slow).max() - 5e-3
    assert_best(problem, state)


def test_a_tolerance_that_all_changes_meet_stops_soon_after_the_warm_up():
    state = Problem(reference_sets()["iris"]).fit(tol=1e9)
    assert state.converged
    assert accelerated.WARM_UP + em.PATIENCE <= len(state.history) <= accelerated.WARM_UP + 2 * em.PATIENCE


def test_slow_steps_of_em_after_a_warm_start_are_no_convergence():
    problem = Problem(reference_sets()["digits"], k=8)
    slow = problem.fit(em, niter=60, tol=0)
    problem.model = slow.model
    again = penalised(problem.fit(em, niter=8, tol=0))
    tol = 2 * np.diff(again).max()
    state = problem.fit(tol=tol)
    assert len(state.history) > accelerated.WARM_UP


@pytest.mark.parametrize("load", [load_wine, load_breast_cancer])
def test_a_map_that_collapses_stays_sound(load):
    problem = Problem(load().data, scale=None)
    assert_best(problem, problem.fit(niter=60))


@pytest.mark.parametrize("regul", [0.0, 0.1])
@pytest.mark.parametrize("scale", [None, "center", "standard"])
@pytest.mark.parametrize("size", [{"k": 1}, {"k": 1, "m": 1}, {"k": 2, "m": 8}, {"k": 5, "m": 1}], ids=str)
def test_small_maps(size, scale, regul):
    problem = Problem(correlated(200, 3), regul=regul, scale=scale, **size)
    assert_best(problem, problem.fit(niter=40))


@pytest.mark.parametrize("regul", [0.0, 0.1])
@pytest.mark.parametrize("n_rows", [2, 3, 10])
def test_fewer_rows_than_nodes(n_rows, regul):
    problem = Problem(correlated(n_rows, 5), scale=None, regul=regul)
    assert_best(problem, problem.fit(niter=100))


@pytest.mark.parametrize("seed", [1, 2, 19, 42])
def test_units_whose_squares_are_hardly_numbers_give_no_warning(seed):
    rng = np.random.default_rng(seed)
    for _ in range(20):
        units = rng.permutation([1e100, *[1e-300] * rng.integers(1, 6)])
        X = rng.normal(size=(rng.integers(4, 9), len(units))) * units
        problem = Problem(X, k=4, m=2, regul=1e-6, scale=None)
        assert_best(problem, problem.fit(niter=20))


def test_a_map_that_meets_every_row_stops_at_the_floor_of_the_noise():
    problem = Problem(correlated(4, 3), m=5, regul=0.0, scale=None)
    state = problem.fit(niter=400)
    assert state.result.beta_inv == problem.prior.noise_floor
    assert_best(problem, state)


def test_an_extrapolation_without_a_likelihood_falls_back_to_em():
    problem, calls = Problem(reference_sets()["iris"]), []

    def sometimes(model):
        calls.append(model)
        statistics = problem.e_step(model)
        lost = len(calls) > accelerated.WARM_UP and len(calls) % 3 == 0
        return dataclasses.replace(statistics, log_likelihood=np.nan) if lost else statistics

    state = run_alone(accelerated.State(problem.model), problem.prior, sometimes, niter=40, tol=0.0)
    assert len(state.history) == 40
    assert_best(problem, state)


def test_data_without_a_likelihood_are_an_error():
    problem = Problem(reference_sets()["iris"])

    def never(model):
        return dataclasses.replace(problem.e_step(model), log_likelihood=np.nan)

    with pytest.raises(FloatingPointError, match="first model"):
        run_alone(accelerated.State(problem.model), problem.prior, never, niter=3, tol=0.0)


def test_the_estimator_takes_it():
    X = reference_sets()["digits"]
    plain = IGTM(niter=500, solver="em").fit(X)
    quick = IGTM(niter=500, solver="accelerated").fit(X)
    assert quick.converged_
    assert quick.n_iter_ < plain.n_iter_ / 2
    assert quick.log_likelihood_ > plain.log_likelihood_ - 0.02
    assert quick.n_passes_ == quick.n_iter_ + 1


def test_an_unknown_solver_is_refused():
    with pytest.raises(ValueError, match=r"solver='x'.*accelerated"):
        IGTM(solver="x").fit(correlated(30, 3))
