"""The algorithm against a dense textbook EM, and what it promises by itself."""

import dask.array as da
import numpy as np
import pytest
from helpers.data import correlated, reference_sets
from helpers.running import run_alone
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from oracles.dense_em import dense_em
from scipy.stats import multivariate_normal

from dask_igtm import eIGTM
from dask_igtm.model.basis import make_basis
from dask_igtm.solvers import accelerated, em, evidence
from dask_igtm.solvers.initialize import initialize
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.moments import moments_of


@pytest.mark.parametrize("scale", ["center", "standard"])
def test_against_a_dense_em(scale):
    X = correlated(300, 5)
    Z = (X - X.mean(axis=0)) / (X.std(axis=0) if scale == "standard" else 1.0)
    start = eIGTM(k=6, m=3, niter=0, scale=scale).fit(X)
    igtm = eIGTM(k=6, m=3, niter=12, tol=0, scale=scale).fit(X)
    basis = start.model_.basis
    W, beta_inv = dense_em(Z, basis, start.model_.weights, start.beta_inv_, 0.1, 12)
    assert_allclose(igtm.beta_inv_, beta_inv, rtol=1e-10)
    assert_allclose(igtm.centers_, (basis.phi @ W) * igtm.scale_ + X.mean(axis=0), atol=1e-9)


@pytest.mark.parametrize("scale", [None, "center", "standard"])
def test_likelihood_is_the_density_of_the_mixture(scale):
    X = correlated(50, 3)
    igtm = eIGTM(k=4, m=2, niter=5, scale=scale).fit(X)
    densities = [multivariate_normal(y, np.diag(igtm.noise_variance_)).pdf(X) for y in igtm.centers_]
    assert_allclose(igtm.score_samples(X), np.log(np.mean(densities, axis=0)), rtol=1e-10)


def test_history_is_the_likelihood_before_each_iteration():
    X = correlated(200, 4)
    igtm = eIGTM(k=5, m=3, niter=6, tol=0).fit(X)
    before = [eIGTM(k=5, m=3, niter=n, tol=0).fit(X).log_likelihood_ for n in range(7)]
    assert_allclose([*igtm.history_, igtm.log_likelihood_], before, rtol=1e-12)


@pytest.mark.parametrize("name", reference_sets())
@pytest.mark.parametrize("scale", [None, "standard"])
def test_penalised_likelihood_never_falls(name, scale):
    X = reference_sets()[name]
    start = initialize(moments_of(X, None), make_basis(8, 4, 0.3), regul=0.1, scale=scale)
    state = run_alone(
        em.State(start.model),
        start.prior,
        lambda model: e_step(X, None, model, "numpy"),
        niter=100,
        tol=0,
    )
    penalised = np.array([iteration.penalised for iteration in state.history])
    assert (np.diff(penalised) >= -1e-12 * np.abs(penalised[1:])).all()
    assert len(penalised) == 100
    assert not state.converged


def test_converged_says_apart_whether_iterations_ran_out():
    X = correlated(200, 4)
    stopped = eIGTM(k=5, m=3, niter=500).fit(X)
    assert stopped.converged_
    assert 4 < stopped.n_iter_ < 500
    cut = eIGTM(k=5, m=3, niter=stopped.n_iter_ - 1).fit(X)
    assert not cut.converged_


def close(one, other, tolerance=1e-9):
    for name in ("beta_inv_", "centers_", "log_likelihood_"):
        assert_allclose(getattr(one, name), getattr(other, name), rtol=tolerance, atol=tolerance)


@settings(max_examples=12, deadline=None)
@given(cuts=st.lists(st.integers(1, 399), max_size=12, unique=True), seed=st.integers(0, 2**32 - 1))
def test_chunks_and_order_of_rows_do_not_matter(cuts, seed):
    X = correlated(400, 5)
    expected = eIGTM(k=6, m=3, niter=20, tol=0).fit(X)
    sizes = tuple(np.diff([0, *sorted(cuts), 400]).tolist())
    close(eIGTM(k=6, m=3, niter=20, tol=0).fit(da.from_array(X, chunks=(sizes, -1))), expected)
    shuffled = np.random.default_rng(seed).permutation(X)
    close(eIGTM(k=6, m=3, niter=20, tol=0).fit(shuffled), expected)


def test_far_from_the_origin():
    X = correlated(300, 4)
    near, far = (eIGTM(k=6, m=3, niter=10, tol=0, scale="center").fit(X + offset) for offset in (0, 1e6))
    assert_allclose(far.transform(X + 1e6), near.transform(X), atol=1e-6)


X = correlated(300, 5)


def test_weights_that_sum_to_one():
    expected = eIGTM(k=6, m=3, niter=10, scale="standard", regul=0).fit(X)
    for total in (1.0, 1.0 + 1e-12, 1.0 - 1e-12):
        weight = np.full(300, total / 300)
        igtm = eIGTM(k=6, m=3, niter=10, scale="standard", regul=0).fit(X, sample_weight=weight)
        assert_allclose(igtm.log_likelihood_, expected.log_likelihood_, rtol=1e-2)


def test_a_fit_that_is_done_drops_out():
    asked = []

    def e_step(models):
        asked.append(sorted(models))
        return [0] * len(models)

    class Counted(em.State):
        @property
        def n_iter(self):
            return len(self.history)

        def step(self, statistics, prior, tol):
            calm = em.PATIENCE if len(self.history) == self.model else 0  # after as many steps, plus one
            return Counted(self.model, (*self.history, None), calm)

    told = []
    states = [Counted(0), Counted(3), Counted(1)]
    states = em.run(states, [None] * 3, e_step, niter=3, tol=0, on_pass=told.append)
    assert asked == [[0, 1, 2], [1, 2], [1]]
    assert len(told) == 3
    assert [state.converged for state in states] == [True, False, True]
    assert [state.stopped_by for state in states] == ["tolerance", "iterations", "tolerance"]


# States


@pytest.mark.parametrize("solver", [em.State, accelerated.State, evidence.State])
@pytest.mark.parametrize("niter", [0, 1, 15])
def test_a_state_comes_back_from_its_arrays(solver, niter):
    X = correlated(200, 4)
    start = initialize(moments_of(X, None), make_basis(6, 3, 0.3), regul=0.1, scale="standard")

    def on_rows(model):
        return e_step(X, None, model, "numpy")

    state = run_alone(solver(start.model), start.prior, on_rows, niter=niter, tol=0)
    back = solver(start.model).unpack(state.pack())
    assert type(back) is solver
    ends = [run_alone(one, start.prior, on_rows, niter=niter + 12, tol=0) for one in (state, back)]
    assert ends[0].result.weights.tobytes() == ends[1].result.weights.tobytes()
    assert ends[0].history == ends[1].history
    packed = [one.pack() for one in ends]
    assert {name: array.tobytes() for name, array in packed[0].items()} == {
        name: array.tobytes() for name, array in packed[1].items()
    }


def test_many_states_go_as_each_by_itself():
    X = correlated(200, 4)
    starts = [
        initialize(moments_of(X, None), make_basis(k, 3, 0.3), regul=regul, scale="standard")
        for k, regul in ((4, 0.1), (6, 1.0), (5, 0.01))
    ]
    solvers, asked = [em.State, accelerated.State, evidence.State], []

    def pass_over(models):
        asked.append(len(models))
        return [e_step(X, None, model, "numpy") for model in models.values()]

    states = [solver(start.model) for solver, start in zip(solvers, starts, strict=True)]
    priors = [start.prior for start in starts]
    together = em.run(states, priors, pass_over, niter=60, tol=1e-3)
    for state, prior, after in zip(states, priors, together, strict=True):
        alone = run_alone(state, prior, lambda model: e_step(X, None, model, "numpy"), niter=60, tol=1e-3)
        assert after.pack()["history"].tobytes() == alone.pack()["history"].tobytes()
    lengths = [len(state.history) for state in together]
    assert len(asked) == max(lengths)
    assert asked == [sum(length > i for length in lengths) for i in range(max(lengths))]
