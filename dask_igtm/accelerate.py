"""The loop of `em` with extrapolation: the same objective in fewer passes over the data."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import pinvh

from dask_igtm import em
from dask_igtm.em import PATIENCE, EStep, Iteration
from dask_igtm.model import Model, Prior
from dask_igtm.statistics import SufficientStatistics

Array = NDArray[np.float64]

WARM_UP = 10  # EM steps before the first extrapolation, which decide which of many optima is near
MEMORY = 20  # secants kept
LONGEST = 20.0  # of an extrapolation, in lengths of the EM step
LARGEST_LOG = 600.0  # of a noise variance, so that no extrapolation overflows
LEAST_CURVATURE = 0.02  # of a secant, as a share of the M-step's


@dataclass(frozen=True)
class Point:
    """A model that has been evaluated, and what its pass over the data says of the objective there.

    A position is the weights, row by row, and then ln beta_inv.

    Attributes
    ----------
    model : Model
    em_model : Model
        Its EM update.
    weight : float
        Sum of the sample weights.
    objective : float
        Penalised log-likelihood, summed over the rows.
    gradient : ndarray of shape (P,)
        Of the objective.
    metric : ndarray of shape (M + 1, M + 1)
        Curvature of the M-step's objective with respect to each column of the weights.
    inverse : ndarray of shape (M + 1, M + 1)
        Its inverse.
    """

    model: Model
    em_model: Model
    weight: float
    objective: float
    gradient: Array
    metric: Array
    inverse: Array

    def apply(self, matrix: Array, noise_factor: float, vector: Array) -> Array:
        """Multiply the weights' part of a vector by `matrix`, and the noise's by its own factor."""
        weights = matrix @ vector[:-1].reshape(self.model.weights.shape)
        return np.append(weights, noise_factor * vector[-1])

    @property
    def noise_curvature(self) -> float:
        """Curvature of the M-step's objective with respect to ln beta_inv."""
        return 0.5 * self.weight * float(self.model.weights.shape[1])

    def curve(self, step: Array) -> Array:
        """Return what the gradient would lose along a step if the M-step's objective were the objective."""
        return self.apply(self.metric, self.noise_curvature, step)

    def newton(self, gradient: Array) -> Array:
        """Return the step that inverts `curve`."""
        return self.apply(self.inverse, 1.0 / self.noise_curvature, gradient)

    def length(self, step: Array) -> float:
        """Length of a step in the metric of the M-step."""
        return math.sqrt(max(float(step @ self.curve(step)), 0.0))


@dataclass(frozen=True)
class Secant:
    """A step between two evaluated models and what the gradient of the objective lost along it."""

    step: Array
    loss: Array


@dataclass(frozen=True)
class State:
    """All that a run has to remember between two iterations.

    Attributes
    ----------
    model : Model
        What the next pass evaluates.
    history : tuple of em.Iteration
        Of every model that was evaluated, those that were worse than the best included.
    calm : int
        Consecutive improvements within the tolerance.
    best : Point or None
        The best model seen; None before the first pass.
    direction : ndarray or None
        The step from `best` to `model`.
    failures : int
        How many models were evaluated and rejected since `best`.
    secants : tuple of Secant
        Oldest first.
    """

    model: Model
    history: tuple[Iteration, ...] = ()
    calm: int = 0
    best: Point | None = None
    direction: Array | None = None
    failures: int = 0
    secants: tuple[Secant, ...] = ()

    @property
    def converged(self) -> bool:
        """Whether the run stopped by itself, and not because its iterations ran out."""
        return self.calm >= PATIENCE

    @property
    def result(self) -> Model:
        """The EM update of the best model seen, which is at least as good."""
        return self.model if self.best is None else self.best.em_model


def fit(state: State, prior: Prior, e_step: EStep, **settings: Any) -> State:
    """Go on by EM with extrapolation; `settings` as in `em.run`.

    `tol` is compared with the improvement of the penalised mean log-likelihood.

    Notes
    -----
    EM is gradient ascent in the metric of the M-step (Xu & Jordan 1996), so its step is a
    preconditioned gradient, and L-BFGS accelerates it at no further pass (Jamshidian & Jennrich 1997;
    the recursion is that of Nocedal & Wright 2006, algorithm 7.4). A step that lowers the objective is
    shortened by interpolation, and after a second failure EM itself takes over with an empty memory.
    """
    after: State = em.run(state, step, e_step, prior, **settings)
    return after


def step(state: State, statistics: SufficientStatistics, prior: Prior, tol: float) -> State:
    """Return the state after one pass; `statistics` are those of its model."""
    best = state.best
    if not _finite(statistics):
        if best is None:
            raise FloatingPointError("The first model has no finite likelihood; the data may overflow.")
        repeated = dataclasses.replace(state.history[-1], number=len(state.history) + 1, change=np.inf)
        state = dataclasses.replace(state, history=(*state.history, repeated))
        return _by_em(dataclasses.replace(state, secants=()), best, failures=2)
    point, iteration = _evaluate(state, statistics, prior)
    state = dataclasses.replace(state, history=(*state.history, iteration))
    if best is None:
        return _advance(state, point, prior)
    state = dataclasses.replace(state, secants=_remember(state.secants, best, point))
    gain = (point.objective - best.objective) / point.weight
    if gain < 0 and state.direction is not None:
        return _retreat(state, best, point, prior)
    # EM can lower the objective by rounding alone; then there is nothing left to gain.
    after = _advance(state, point if gain >= 0 else best, prior)
    return dataclasses.replace(after, calm=_calm(state, after, gain, tol))


def _calm(before: State, after: State, gain: float, tol: float) -> int:
    """Count an improvement within `tol`, unless the next step promises more than that.

    The slow steps of EM while the run is young promise nothing and do not count.
    """
    best, direction = after.best, after.direction
    promise = 0.0
    if best is not None and direction is not None:
        promise = 0.5 * float(direction @ best.gradient) / best.weight
    young = len(after.history) <= WARM_UP
    if tol == 0 or young or gain > tol or promise > tol:
        return 0
    # A shortened step gains little because it is short; that says nothing of the objective.
    return before.calm if before.failures > 0 and gain > 0 else before.calm + 1


def _finite(statistics: SufficientStatistics) -> bool:
    sums = (statistics.g.sum(), statistics.rx.sum(), statistics.distance_sum, statistics.log_likelihood)
    return bool(np.isfinite(sums).all())


def _evaluate(state: State, statistics: SufficientStatistics, prior: Prior) -> tuple[Point, Iteration]:
    """Gather what a pass says of the model of `state`: objective, gradient and EM update."""
    model = state.model
    em_state = em.step(em.State(model, state.history), statistics, prior, tol=0.0)
    iteration, weight = em_state.history[-1], statistics.weight
    best = -np.inf if state.best is None else state.best.objective / weight
    iteration = dataclasses.replace(iteration, change=abs(iteration.penalised - best))
    phi, beta_inv = model.basis.phi, model.beta_inv
    metric = (phi.T * statistics.g) @ phi / beta_inv + prior.regul * np.eye(phi.shape[1])
    residual = statistics.rx - statistics.g[:, None] * model.centers
    by_weights = phi.T @ residual / beta_inv - prior.regul * (model.weights - prior.mean)
    by_noise = 0.5 * (statistics.distance_sum / beta_inv - weight * model.weights.shape[1])
    point = Point(
        model=model,
        em_model=em_state.model,
        weight=weight,
        objective=iteration.penalised * weight,
        gradient=np.append(by_weights, by_noise),
        metric=metric,
        inverse=pinvh(metric),
    )
    return point, iteration


def _remember(secants: tuple[Secant, ...], start: Point, end: Point) -> tuple[Secant, ...]:
    """Add the secant between two points, its curvature made positive, and drop the oldest."""
    step = _position(end.model) - _position(start.model)
    loss, plain = start.gradient - end.gradient, start.curve(step)
    length = float(step @ plain)
    if not length > 0:
        return secants
    # Where the objective is convex, its curvature says how far the next step may go, not where to.
    curvature = float(step @ loss)
    wanted = max(abs(curvature), LEAST_CURVATURE * length)
    loss = loss + (wanted - curvature) / length * plain
    return (*secants, Secant(step, loss))[-MEMORY:]


def _advance(state: State, best: Point, prior: Prior) -> State:
    """Set out from the best point: by EM while the run is young, then by L-BFGS."""
    state = dataclasses.replace(state, best=best)
    if len(state.history) <= WARM_UP or not state.secants:
        return _by_em(state, best)
    direction = _quasi_newton(best, state.secants)
    ascent = float(direction @ best.gradient)
    if not (np.isfinite(ascent) and ascent > 0):
        return _by_em(dataclasses.replace(state, secants=()), best)
    reach = LONGEST * best.length(_position(best.em_model) - _position(best.model))
    length = best.length(direction)
    if length > reach:
        direction *= reach / length
    return _along(state, best, direction, prior, failures=0)


def _retreat(state: State, best: Point, point: Point, prior: Prior) -> State:
    """Try a shorter step the first time that one fails; fall back to EM the second time."""
    if state.failures > 0 or state.direction is None:
        return _by_em(dataclasses.replace(state, secants=()), best, failures=2)
    before, after = (float(state.direction @ p.gradient) for p in (best, point))
    share = _shorter(best.objective, point.objective, before, after)
    return _along(state, best, share * state.direction, prior, failures=1)


def _shorter(start: float, end: float, before: float, after: float) -> float:
    """Where between 0.1 and 0.8 a cubic peaks, from its values and slopes at 0 and 1."""
    cubic, quadratic = before + after - 2.0 * (end - start), 3.0 * (end - start) - 2.0 * before - after
    discriminant = quadratic**2 - 3.0 * cubic * before
    # This form of the root does not cancel; it is positive because the slope at 0 is.
    denominator = -quadratic + math.sqrt(max(discriminant, 0.0))
    share = before / denominator if denominator > 0 else 0.5
    return float(np.clip(share, 0.1, 0.8))


def _quasi_newton(point: Point, secants: tuple[Secant, ...]) -> Array:
    """Two-loop recursion of L-BFGS, in which the inverse of the M-step's curvature starts the product."""
    vector, shares = point.gradient.copy(), []
    for secant in reversed(secants):
        share = float(secant.step @ vector) / float(secant.step @ secant.loss)
        vector -= share * secant.loss
        shares.append(share)
    direction = point.newton(vector)
    for secant, share in zip(secants, reversed(shares), strict=True):
        curvature = float(secant.step @ secant.loss)
        direction += (share - float(secant.loss @ direction) / curvature) * secant.step
    return direction


def _by_em(state: State, best: Point, failures: int = 0) -> State:
    return dataclasses.replace(state, model=best.em_model, best=best, direction=None, failures=failures)


def _along(state: State, best: Point, direction: Array, prior: Prior, failures: int) -> State:
    position = _position(best.model) + direction
    weights = position[:-1].reshape(best.model.weights.shape)
    beta_inv = max(math.exp(min(position[-1], LARGEST_LOG)), prior.noise_floor)
    model = dataclasses.replace(best.model, weights=weights, beta_inv=beta_inv)
    return dataclasses.replace(state, model=model, direction=direction, failures=failures)


def _position(model: Model) -> Array:
    return np.append(model.weights, np.log(model.beta_inv))
