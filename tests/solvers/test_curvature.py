"""The curvature of a sample against differences of the gradient, and where it is an approximation."""

import dataclasses

import numpy as np
import pytest
from helpers.data import correlated
from numpy.testing import assert_allclose
from scipy.linalg import eigh

from dask_igtm import IGTM
from dask_igtm.model.functions import functions_of
from dask_igtm.model.gaps import Gaps
from dask_igtm.solvers import curvature
from dask_igtm.solvers.curvature import curvature_of
from dask_igtm.solvers.lbfgs import position_of
from dask_igtm.solvers.sample import Sample
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.row_sample import RowSample

REGUL = 2.0


def sample_of(X, weight=None, **kwargs):
    weight = np.ones(len(X)) if weight is None else weight
    rows = RowSample(X, weight, np.arange(float(len(X))), len(X))
    # As if of a whole that has 16 times the rows, all of them of this sample.
    return Sample(rows, 16.0 * len(X), kwargs.get("total", float(weight.sum())), "numpy")


@pytest.fixture(autouse=True)
def _few_rows_show_enough(monkeypatch):
    monkeypatch.setattr("dask_igtm.solvers.sample.LEAST_SURVEYED", 1)


def fitted(X, niter=300):
    return IGTM(k=5, m=2, scale="center", regul=REGUL, niter=niter, tol=0, solver="accelerated").fit(X).model_


def gradient(position, model, X, weight=None):
    W = position[:-1].reshape(model.weights.shape)
    model = dataclasses.replace(model, weights=W, beta_inv=float(np.exp(position[-1])))
    s = e_step(X, weight, model, "numpy")
    by_weights = functions_of(model.basis).of_phi.T @ s.residual(model) / model.beta_inv - REGUL * W
    return np.append(by_weights, 0.5 * (s.distance_sum / model.beta_inv - s.weight * W.shape[1]))


def hessian(model, X, weight=None):
    """Return minus the Hessian of the objective, by central differences."""
    position, step = position_of(model), 1e-5
    rows = []
    for axis in np.eye(len(position)):
        ahead, behind = (gradient(position + h * axis, model, X, weight) for h in (step, -step))
        rows.append((behind - ahead) / (2 * step))
    return np.array(rows)


def metric(model, X, weight=None):
    g = e_step(X, weight, model, "numpy")
    phi = model.basis.phi
    within = (phi.T * g.g) @ phi / model.beta_inv + REGUL * np.eye(phi.shape[1])
    n_columns = model.weights.shape[1]
    full = np.zeros((model.weights.size + 1,) * 2)
    full[:-1, :-1], full[-1, -1] = np.kron(within, np.eye(n_columns)), 0.5 * g.weight * n_columns
    return full


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("niter", [3, 300])
def test_is_the_inverse_of_the_hessian_but_for_the_signs(weighted, niter):
    X = correlated(150, 4)
    weight = np.random.default_rng(0).integers(1, 4, len(X)).astype(float) if weighted else None
    model = fitted(X, niter)
    found = curvature_of(sample_of(X, weight), model, REGUL)
    # The oracle: differences of the gradient, their eigenvalues in the metric made positive and not small.
    values, vectors = eigh(hessian(model, X, weight), metric(model, X, weight))
    inverse = vectors / np.maximum(np.abs(values), curvature.LEAST) @ vectors.T
    for vector in np.random.default_rng(1).normal(size=(5, len(inverse))):
        assert_allclose(found.newton(vector), inverse @ vector, rtol=1e-4, atol=1e-5 * np.abs(inverse).max())


def test_a_sample_stands_for_the_weight_of_all_rows():
    X = correlated(150, 4)
    model = fitted(X)
    one, ten = (curvature_of(sample_of(X, total=total), model, REGUL * total) for total in (150.0, 1500.0))
    vector = np.random.default_rng(1).normal(size=model.weights.size + 1)
    assert_allclose(10 * ten.newton(vector), one.newton(vector), rtol=1e-6)


def test_across_the_axes_it_leads_uphill(monkeypatch):
    X = correlated(300, 9)
    model = fitted(X)
    monkeypatch.setattr(curvature, "DIRECTIONS", 2)
    found = curvature_of(sample_of(X), model, REGUL)
    assert found.axes.shape == (9, 2)
    steps = np.array([found.newton(axis) for axis in np.eye(model.weights.size + 1)])
    assert_allclose(steps, steps.T, rtol=1e-8, atol=1e-12)
    assert np.linalg.eigvalsh(steps).min() > 0


def test_near_a_peak_a_step_reaches_it():
    X = correlated(400, 4)
    peak = fitted(X, 600)
    # A start so near that the objective is a quadratic.
    near = dataclasses.replace(peak, weights=peak.weights * 1.001, beta_inv=peak.beta_inv * 0.999)
    step = curvature_of(sample_of(X), near, REGUL).newton(gradient(position_of(near), near, X))
    before = np.linalg.norm(gradient(position_of(near), near, X))
    assert np.linalg.norm(gradient(position_of(near) + step, near, X)) < 0.05 * before


def test_gaps_are_taken_at_their_expectation():
    X = correlated(400, 4)
    model = dataclasses.replace(fitted(X), gaps=Gaps("marginalize"))
    X[:50, 0] = np.nan
    found = curvature_of(sample_of(X), model, REGUL)
    uphill = gradient(position_of(model), model, X)
    assert found.newton(uphill) @ uphill > 0


def test_maps_of_many_functions_have_none(monkeypatch):
    X = correlated(60, 3)
    model = fitted(X, 2)
    monkeypatch.setattr(curvature, "MOST_UNKNOWNS", 4)
    assert curvature_of(sample_of(X), model, REGUL) is None


def test_comes_back_from_its_arrays():
    X = correlated(60, 3)
    model = fitted(X, 5)
    found = curvature_of(sample_of(X), model, REGUL)
    again = type(found).unpack(found.pack(), model)
    vector = np.random.default_rng(1).normal(size=len(found.along))
    assert found.newton(vector).tobytes() == again.newton(vector).tobytes()
    assert type(found).unpack({}, model) is None
