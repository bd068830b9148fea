"""The solver that searches on a sample: its stages, what it does when the sample misleads, and its state."""

import logging

import numpy as np
import pytest
from helpers.data import correlated
from helpers.running import run_alone

from dask_igtm.model.basis import make_basis
from dask_igtm.solvers import accelerated, sampled
from dask_igtm.solvers.initialize import initialize
from dask_igtm.solvers.sample import Sample
from dask_igtm.solvers.sampled import stages_of
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.moments import moments_of
from dask_igtm.statistics.row_sample import Draw
from dask_igtm.statistics.row_subsets import uniform

SEED = 5


class Problem:
    """A start, a sample, and E-steps that remember what they were asked."""

    def __init__(self, X, k=4, m=3, regul=0.1):
        start = initialize(moments_of(X, None), make_basis(k, m, 0.3), regul=regul, scale="standard")
        self.X, self.model, self.prior, self.asked = X, start.model, start.prior, []
        stages = stages_of(len(X), k * k)
        rows = Draw(stages.size, SEED).of(X, None, np.arange(len(X)))
        self.rows = Sample(rows, float(len(X)), float(len(X)), "numpy")

    def begin(self, search=True):
        return sampled.begin(self.model, self.rows, search=search)

    def passes(self, state):
        """Return the E-step that a state asks for."""
        self.asked.append(state.sample)
        if state.sample is None:
            return e_step(self.X, None, state.model, "numpy")
        return self.rows.e_step(state.sample, state.model)

    def run(self, state, niter=100, tol=1e-4, states=None):
        while state.n_iter < niter and not state.converged:
            state = state.step(self.passes(state), self.prior, tol)
            if states is not None:
                states.append(state)
        return state

    def objective(self, model):
        return (e_step(self.X, None, model, "numpy").log_likelihood + self.prior.log_density(model)) / len(
            self.X
        )


def sheet(n_rows, seed=0):
    rng = np.random.default_rng(seed)
    latent = rng.uniform(-1, 1, (n_rows, 2))
    bent = np.column_stack([latent, np.sin(3 * latent[:, 0]), latent.prod(axis=1)])
    return bent + 0.05 * rng.normal(size=bent.shape)


@pytest.fixture(scope="module")
def problem():
    return Problem(sheet(20_000))


def test_stages_have_rows_for_the_nodes_of_the_map():
    assert stages_of(1e6, 256) == sampled.Stages(slice(8192), slice(32768), slice(32768, 40960))
    assert stages_of(1e5, 256) == sampled.Stages(slice(2048), slice(12500), slice(12500, 14548))
    assert stages_of(1e6, 256, 16384) == sampled.Stages(slice(8192), slice(8192), slice(8192, 16384))
    assert stages_of(5e4, 256) == sampled.Stages(slice(2048), slice(6250), slice(6250, 8298))
    assert stages_of(49_000, 256) is None
    assert stages_of(1e9, 256, 6000) is None


def test_the_last_steps_alone_read_all_rows(problem):
    state = problem.run(problem.begin())
    shares = [iteration.share for iteration in state.history]
    first = shares.index(1.0)
    assert set(shares[first:]) == {1.0}
    assert set(shares[:first]) == {250 / 20_000, 2048 / 20_000}
    assert state.n_iter == len(shares) - first < 15
    assert state.stopped_by == "predicted gain"
    assert len(state.found) == 4
    values = [iteration.penalised for iteration in state.history if iteration.share == 1]
    assert problem.objective(state.result) >= max(values)


def test_it_comes_near_the_optimum_of_all_rows_in_fewer_passes(problem):
    state = problem.run(problem.begin())
    plain = run_alone(
        accelerated.State(problem.model),
        problem.prior,
        lambda model: e_step(problem.X, None, model, "numpy"),
        niter=300,
        tol=1e-4,
    )
    assert problem.objective(state.result) >= problem.objective(plain.result) - 0.05
    assert sum(iteration.cost for iteration in state.history) < len(plain.history)


def test_what_little_is_left_to_gain_was_predicted(problem):
    state = problem.run(problem.begin(), tol=1e-3)
    reached = problem.objective(state.result)
    further = problem.run(problem.begin(), tol=0, niter=state.n_iter + 40)
    assert problem.objective(further.result) - reached < 1e-3


def test_costs_are_shares_of_a_pass_and_what_curvature_takes(problem):
    state = problem.run(problem.begin())
    searches = [i for i in state.history if i.share == 250 / 20_000]
    assert searches[0].cost == searches[0].share
    surveyed = [i.cost - i.share for i in state.history if i.cost > i.share and i.share == 1]
    assert surveyed == pytest.approx([20.0 * 1250 / 20_000] * len(surveyed))
    assert surveyed


def test_iterations_are_numbered_by_stage(problem):
    state = problem.run(problem.begin())
    numbers = [iteration.number for iteration in state.history]
    assert numbers.count(1) >= 6  # four searches, one of them twice, on more rows, on all
    assert numbers[-1] == state.n_iter


def test_a_given_start_is_not_searched_for(problem):
    state = problem.run(problem.begin(search=False))
    assert len(state.found) == 1


def test_where_the_sample_misleads_the_run_goes_on_without_it(caplog):
    X = sheet(20_000)
    unseen = np.argsort(uniform(np.arange(len(X)), SEED))[-12:]
    X[unseen] = 400.0 * np.random.default_rng(3).normal(size=(12, 4))  # which are most of the variance
    problem = Problem(X)
    with caplog.at_level(logging.INFO, "dask_igtm"):
        state = problem.run(problem.begin())
    assert not state.trusted
    assert "does not show all that counts" in caplog.text
    values = [iteration.penalised for iteration in state.history if iteration.share == 1]
    assert problem.objective(state.result) >= max(values)
    # Its second pass is over the first start.
    first = next(i for i, iteration in enumerate(state.history) if iteration.share == 1)
    assert state.history[first + 1].penalised == pytest.approx(problem.objective(problem.model))


def test_without_a_sample_it_is_the_accelerated_solver():
    X = correlated(300, 4)
    start = initialize(moments_of(X, None), make_basis(4, 3, 0.3), regul=0.1, scale="standard")

    def on_rows(model):
        return e_step(X, None, model, "numpy")

    one, other = (
        run_alone(state, start.prior, on_rows, niter=60, tol=1e-4)
        for state in (sampled.begin(start.model, None, search=True), accelerated.State(start.model))
    )
    assert one.history == other.history
    assert one.result.weights.tobytes() == other.result.weights.tobytes()


@pytest.mark.parametrize("tol", [1e-4, 0.0])
def test_a_state_comes_back_from_its_arrays_in_any_stage(problem, tol):
    states = [problem.begin()]
    end = problem.run(states[0], tol=tol, niter=12, states=states)
    for state in states[:: len(states) // 5]:
        back = problem.begin().unpack(state.pack())
        assert back.sample == state.sample
        again = problem.run(back, tol=tol, niter=12)
        assert again.history == end.history
        assert again.result.weights.tobytes() == end.result.weights.tobytes()
        assert {name: array.tobytes() for name, array in again.pack().items()} == {
            name: array.tobytes() for name, array in end.pack().items()
        }
