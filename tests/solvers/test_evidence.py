"""The ridge that the evidence chooses, against dense formulas and against the evidence itself."""

import dataclasses
import warnings

import dask.array as da
import numpy as np
import pytest
from helpers.cut import bits, cut_after
from helpers.data import correlated, reference_sets
from helpers.running import run_alone
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from oracles.dense_evidence import dense_e_step, dense_fit, dense_gamma, log_evidence
from scipy.special import logsumexp
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris, load_wine

from dask_igtm import IGTM, load
from dask_igtm.data import npz_io
from dask_igtm.model.basis import make_basis
from dask_igtm.solvers import evidence
from dask_igtm.solvers.initialize import initialize
from dask_igtm.solvers.lbfgs import Point, Secant, position_of, remember
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.moments import moments_of

IRIS = load_iris().data


def auto(**changed):
    return IGTM(**({"k": 6, "m": 3, "regul": "auto", "scale": "standard", "solver": "em"} | changed))


def standardised(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


@pytest.mark.parametrize("niter", [4, 5, 6, 20])
def test_against_a_dense_procedure(niter):
    X = correlated(200, 4)
    start = auto(niter=0).fit(X)
    W, beta_inv, regul = dense_fit(standardised(X), start.model_, start.regul_, niter)
    igtm = auto(niter=niter, tol=0).fit(X)
    assert_allclose(igtm.model_.weights, W, atol=1e-9)
    assert_allclose(igtm.beta_inv_, beta_inv, rtol=1e-9)
    assert_allclose(igtm.regul_, regul, rtol=1e-9)


SOLVERS = pytest.mark.parametrize("solver", ["em", "accelerated"])


@SOLVERS
@pytest.mark.parametrize("scale", ["center", "standard"])
def test_it_settles_where_ridge_noise_and_weights_agree(scale, solver):
    X = load_wine().data[:, :6]
    igtm = auto(scale=scale, niter=2000, tol=1e-10, solver=solver).fit(X)
    assert igtm.converged_
    model, Z = igtm.model_, igtm.model_.affine.forward(X)
    R, squared = dense_e_step(Z, model)
    gamma = dense_gamma(R, model.basis.phi, model.beta_inv, igtm.regul_, X.shape[1])
    assert 0 < gamma < model.weights.size
    assert_allclose(igtm.regul_, gamma / (model.weights**2).sum(), rtol=1e-5)
    assert_allclose(igtm.beta_inv_, (R * squared).sum() / (X.size - gamma), rtol=1e-5)


@SOLVERS
def test_noise_by_column_has_weights_of_its_own_in_each(solver):
    X = load_wine().data[:, :6]
    igtm = auto(noise="diagonal", niter=2000, tol=1e-10, solver=solver).fit(X)
    assert igtm.converged_
    model, Z = igtm.model_, igtm.model_.affine.forward(X)
    squared = (Z[:, None, :] - model.centers[None]) ** 2
    log_joint = -(squared / (2 * model.beta_inv)).sum(axis=2)
    R = np.exp(log_joint - logsumexp(log_joint, axis=1, keepdims=True))
    gamma = np.array([dense_gamma(R, model.basis.phi, b, igtm.regul_, 1) for b in model.beta_inv])
    assert_allclose(igtm.regul_, gamma.sum() / (model.weights**2).sum(), rtol=1e-5)
    noise = np.einsum("nk,nkd->d", R, squared) / (len(X) - gamma)
    assert_allclose(igtm.beta_inv_, noise, rtol=1e-5)


@SOLVERS
@pytest.mark.parametrize("name", ["iris", "wine"])
def test_no_fixed_ridge_has_more_evidence(name, solver):
    X = reference_sets()[name]
    igtm = auto(k=8, m=4, tol=1e-5, solver=solver).fit(X)
    found, others = log_evidence(igtm, X), []
    for factor in (1 / 16, 1 / 4, 4, 16):
        fixed = auto(k=8, m=4, tol=1e-5, regul=igtm.regul_ * factor).fit(X)
        others.append(log_evidence(fixed, X))
    assert found > max(others) + 10
    assert others[1] > others[0]
    assert others[2] > others[3]


def test_wine_in_its_own_units_settles_and_runs_away_from_a_high_start():
    X = load_wine().data
    igtm = auto(scale="center").fit(X)
    assert igtm.converged_
    assert igtm.regul_ < 1e-3
    start = initialize(moments_of(X, None), make_basis(6, 3, 0.3), regul=10, scale="center")
    assert start.growth < 1
    state = run_alone(
        evidence.State(start.model),
        start.prior,
        lambda model: e_step(X, None, model, "numpy"),
        niter=30,
        tol=0,
    )
    assert state.regul == start.prior.limit


@SOLVERS
@pytest.mark.parametrize("n_columns", [3, 20])
def test_a_ridge_that_runs_away_is_held_and_said(n_columns, solver):
    noise = np.random.default_rng(0).normal(size=(300, n_columns))
    with pytest.warns(UserWarning, match=r"held at regul_=.*give regul a number") as caught:
        igtm = auto(scale="center", solver=solver).fit(noise)
    assert len(caught) == 1
    assert not igtm.converged_
    assert np.isfinite(igtm.regul_)
    limit = auto(scale="center", niter=0).fit(noise).regul_ / START * limit_share(noise)
    assert_allclose(igtm.regul_, limit, rtol=1e-9)


START = 0.01


def limit_share(X):
    """Largest ridge that the evidence may choose, over the one under which a fit collapses."""
    phi = make_basis(6, 3, 0.3).phi
    bent = phi - phi.mean(axis=0)
    eigenvalues = np.linalg.eigvalsh(np.cov(X.T))
    spread = eigenvalues[-1] / eigenvalues.mean() * bent.T @ bent
    return np.linalg.eigvalsh(spread)[-1] / np.linalg.eigvalsh(spread - phi.T @ phi)[-1]


@pytest.mark.parametrize("name", reference_sets())
def test_the_start_is_a_hundredth_of_the_ridge_under_which_a_map_collapses(name):
    moments, basis = moments_of(reference_sets()[name], None), make_basis(8, 4, 0.3)

    def growth(regul):
        return initialize(moments, basis, regul=regul, scale="center").growth

    start = initialize(moments, basis, regul=None, scale="center")
    assert start.growth > 0.8 * growth(0.0) > 1 if name != "swiss roll" else start.growth > 1
    assert_allclose(growth(start.prior.regul / START), 1.0, rtol=1e-6)
    assert growth(start.prior.limit) < 1


@SOLVERS
@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_units_do_not_matter(factor, solver):
    X, wanted = correlated(200, 4), auto(scale="center", niter=30, solver=solver)
    one, other = clone(wanted).fit(X), clone(wanted).fit(factor * X)
    assert_allclose(other.regul_ * factor**2, one.regul_, rtol=1e-6)
    assert_allclose(other.transform(factor * X), one.transform(X), atol=1e-6)


def test_weights_are_frequencies_and_chunks_do_not_matter():
    X = correlated(200, 4)
    twice = auto(niter=30, tol=0).fit(np.repeat(X, 2, axis=0))
    for igtm in (
        auto(niter=30, tol=0).fit(X, sample_weight=np.full(len(X), 2.0)),
        auto(niter=30, tol=0).fit(da.from_array(np.repeat(X, 2, axis=0), chunks=(70, 4))),
    ):
        assert_allclose(igtm.regul_, twice.regul_, rtol=1e-9)
        assert_allclose(igtm.centers_, twice.centers_, atol=1e-9)


def test_a_single_column_and_gaps():
    two = np.random.default_rng(0).normal(size=(200, 1)) + np.repeat([[0.0], [8.0]], 100, axis=0)
    clusters = auto().fit(two)
    assert 0 < clusters.regul_ < 100
    assert clusters.beta_inv_ < 0.1
    X = np.where(np.random.default_rng(1).random(IRIS.shape) < 0.2, np.nan, IRIS)
    whole, gaps = auto().fit(IRIS), auto(missing="marginalize").fit(X)
    assert 0.2 < gaps.regul_ / whole.regul_ < 5


@SOLVERS
@settings(max_examples=15, deadline=None)
@given(n=st.integers(2, 8), n_columns=st.integers(1, 4), m=st.integers(1, 5), seed=st.integers(0, 2**32 - 1))
def test_fewer_rows_than_weights_leave_noise(solver, n, n_columns, m, seed):
    X = np.random.default_rng(seed).normal(size=(n, n_columns))
    start = initialize(moments_of(X, None), make_basis(5, m, 0.3), regul=None, scale="center")
    state = {"em": evidence.State, "accelerated": evidence.Accelerated}[solver](start.model)
    for _ in range(25):
        statistics = e_step(X, None, state.model, "numpy")
        gamma = evidence.counted(state.prior(start.prior), statistics, state.model).determined
        assert 0 <= gamma <= n * n_columns / 2 + 1e-9
        state = state.step(statistics, start.prior, 0.0)
        assert np.isfinite(state.model.weights).all()
        assert 0 < state.model.beta_inv < np.inf
        assert 0 <= state.prior(start.prior).regul <= start.prior.limit


@pytest.mark.parametrize("name", ["wine", "digits"])
def test_accelerated_takes_fewer_passes_and_no_less_evidence(name):
    X = {"wine": load_wine, "digits": load_digits}[name]().data
    plain = auto(k=12, m=4, niter=1000).fit(X)
    quick = auto(k=12, m=4, niter=1000, solver="accelerated").fit(X)
    assert quick.converged_
    assert quick.n_passes_ < 0.7 * plain.n_passes_
    assert log_evidence(quick, X) > log_evidence(plain, X) - 0.5


@pytest.mark.parametrize("age", [evidence.FIRST, 15])
def test_accelerated_follows_the_gradient_of_what_it_climbs(age):
    X = IRIS - IRIS.mean(axis=0)
    start = initialize(moments_of(X, None), make_basis(6, 3, 0.3), regul=None, scale="center")
    state = evidence.Accelerated(start.model)
    for _ in range(age):
        state = state.step(e_step(X, None, state.model, "numpy"), start.prior, 0.0)
    prior, best = state.prior(start.prior), state.best
    assert prior.determined > 1

    def objective(position):
        weights = position[:-1].reshape(best.model.weights.shape)
        model = dataclasses.replace(best.model, weights=weights, beta_inv=np.exp(position[-1]))
        return Point.of(model, e_step(X, None, model, "numpy"), prior).objective

    at, way = position_of(best.model), np.random.default_rng(0).normal(size=len(best.gradient))
    slope = (objective(at + 1e-5 * way) - objective(at - 1e-5 * way)) / 2e-5
    assert_allclose(best.gradient @ way, slope, rtol=1e-5)
    assert_allclose(objective(at), best.objective, rtol=1e-12)
    secant = state.secants[-1]  # made under another ridge, and true under that of now
    before = at - secant.step
    model = dataclasses.replace(
        best.model, weights=before[:-1].reshape(best.model.weights.shape), beta_inv=np.exp(before[-1])
    )
    again = remember((), Point.of(model, e_step(X, None, model, "numpy"), prior), best)[-1]
    assert_allclose(secant.loss, again.loss, rtol=1e-6, atol=1e-6 * np.abs(again.loss).max())


def test_a_secant_that_bends_up_under_a_smaller_ridge_is_dropped():
    X = IRIS - IRIS.mean(axis=0)
    start = initialize(moments_of(X, None), make_basis(6, 3, 0.3), regul=None, scale="center")
    state, prior = evidence.Accelerated(start.model), dataclasses.replace(start.prior, regul=1e3)
    for _ in range(evidence.FIRST - 1):
        state = state.step(e_step(X, None, state.model, "numpy"), prior, 0.0)
    step = np.ones(len(state.best.gradient))
    kept, dropped = Secant(step, 2e3 * step), Secant(step, step)
    state = dataclasses.replace(state, secants=(kept, dropped))
    state = state.step(e_step(X, None, state.model, "numpy"), prior, 0.0)
    assert state.regul < 500
    assert all(secant.step @ secant.loss > 0 for secant in state.secants)
    assert len(state.secants) == 2  # with that of the last step


def test_each_iteration_says_its_ridge():
    events = []
    igtm = auto(niter=8).fit(IRIS, callbacks=[events.append])
    regul = [event.regul for event in events]
    assert len(set(regul[:5])) == 1
    assert len(set(regul[4:])) == 4
    assert regul[0] == auto(niter=0).fit(IRIS).regul_
    assert igtm.regul_ != regul[-1]


def test_nothing_converges_before_the_evidence_had_its_say():
    assert auto(tol=1e9).fit(IRIS).n_iter_ == evidence.FIRST + 4
    assert auto(tol=1e9, regul=0.1).fit(IRIS).n_iter_ == 5


@SOLVERS
@pytest.mark.parametrize("n_passes", [1, 2, 5, 6, 14, 20])
def test_a_cut_fit_goes_on_to_the_same_bits(tmp_path, monkeypatch, n_passes, solver):
    wanted = auto(niter=20, tol=0, solver=solver)
    whole = clone(wanted).fit(IRIS)
    cut_after(monkeypatch, n_passes, OSError("the scheduler is gone"))
    with pytest.raises(OSError, match="gone"):
        clone(wanted).fit(IRIS, checkpoint=tmp_path / "fit.npz")
    monkeypatch.undo()
    again = clone(wanted).fit(IRIS, checkpoint=tmp_path / "fit.npz")
    assert bits(again) == bits(whole)
    assert again.regul_ == whole.regul_


def test_a_checkpoint_of_a_fixed_ridge_is_another_fit(tmp_path):
    auto(niter=2).fit(IRIS, checkpoint=tmp_path / "fit.npz")
    with pytest.raises(ValueError, match=r"regul was 'auto' and is 0\.1"):
        auto(regul=0.1).fit(IRIS, checkpoint=tmp_path / "fit.npz")


def test_ctrl_c_keeps_the_ridge(monkeypatch):
    cut_after(monkeypatch, 9, KeyboardInterrupt())
    igtm = auto()
    with pytest.raises(KeyboardInterrupt):
        igtm.fit(IRIS)
    monkeypatch.undo()
    assert igtm.regul_ == auto(niter=8).fit(IRIS).regul_


REFUSED = {
    "scale": ({"scale": None}, "give scale='auto', 'center' or 'standard'"),
    "solver": ({"solver": "sampled"}, "give solver='accelerated'.*regul=regul_"),
    "word": ({"regul": "evidence"}, "regul='evidence'; give a finite number >= 0, or 'auto'"),
    "negative": ({"regul": -1}, "regul=-1; give a finite number >= 0, or 'auto'"),
    "none": ({"regul": None}, "regul=None; give a finite number"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_the_remedy(name):
    changed, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        auto(**changed).fit(IRIS)


def test_the_remedies_work():
    igtm = auto().fit(IRIS)
    faster = auto(solver="accelerated", regul=igtm.regul_).fit(IRIS, init=igtm)
    assert faster.regul_ == igtm.regul_
    assert_allclose(faster.log_likelihood_, igtm.log_likelihood_, atol=0.2)


@pytest.mark.parametrize("solver", ["em", "accelerated"])
def test_a_number_stays(solver):
    assert auto(regul=0.25, niter=3, solver=solver).fit(IRIS).regul_ == 0.25


def test_a_stream_keeps_the_ridge_of_a_fit(tmp_path):
    with pytest.raises(ValueError, match="fit a sample first"):
        auto().partial_fit(IRIS)
    igtm = auto(niter=20).fit(IRIS)
    chosen = igtm.regul_
    fixed = auto(niter=20).fit(IRIS).set_params(regul=chosen)
    assert igtm.partial_fit(IRIS[::2]).regul_ == chosen
    assert igtm.centers_.tobytes() == fixed.partial_fit(IRIS[::2]).centers_.tobytes()
    assert igtm.set_params(regul=0.3).partial_fit(IRIS).regul_ == 0.3


def test_the_ridge_is_saved(tmp_path):
    igtm = auto(niter=10).fit(IRIS)
    igtm.save(tmp_path / "auto.npz")
    assert load(tmp_path / "auto.npz").regul_ == igtm.regul_
    fixed = auto(niter=2, regul=0.2).fit(IRIS)
    fixed.save(tmp_path / "fixed.npz")
    header, arrays = npz_io.read(tmp_path / "fixed.npz", npz_io.MODEL)
    del header["fitted"]["regul_"]
    npz_io.write(tmp_path / "old.npz", npz_io.MODEL, header, arrays)
    assert load(tmp_path / "old.npz").regul_ == 0.2


def test_it_costs_no_pass():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        igtm = auto(niter=12, tol=0).fit(IRIS)
    assert igtm.n_passes_ == auto(niter=12, tol=0, regul=0.1).fit(IRIS).n_passes_ == 13
