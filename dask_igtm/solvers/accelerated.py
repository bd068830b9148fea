"""EM with extrapolation: the same objective in fewer passes over the data."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import pinvh

from dask_igtm.model.arrays import Arrays
from dask_igtm.model.functions import functions_of
from dask_igtm.model.model import Model, Prior
from dask_igtm.solvers import em
from dask_igtm.solvers.em import Iteration
from dask_igtm.solvers.lbfgs import Point, Secant, position_of, quasi_newton, remember
from dask_igtm.solvers.m_step import m_step
from dask_igtm.statistics.e_step import SufficientStatistics

Array = NDArray[np.float64]

WARM_UP = 10  # EM steps before the first extrapolation, which decide which of many optima is near
LONGEST = 20.0  # of an extrapolation, in lengths of the EM step
LARGEST_LOG = 600.0  # of a noise variance, so that no extrapolation overflows


@dataclass(frozen=True)
class State(em.State):
    """EM with extrapolation; `history` has the models that were worse than the best too.

    Attributes
    ----------
    best : Point or None
        The best model seen; None before the first pass.
    direction : ndarray or None
        The step from `best` to `model`.
    failures : int
        How many models were evaluated and rejected since `best`.
    secants : tuple of Secant
        Oldest first.

    Notes
    -----
    EM is gradient ascent in the metric of the M-step (Xu & Jordan 1996), so its step is a
    preconditioned gradient, and L-BFGS accelerates it at no further pass (Jamshidian & Jennrich 1997;
    the recursion is that of Nocedal & Wright 2006, algorithm 7.4). A step that lowers the objective is
    shortened by interpolation, and after a second failure EM itself takes over with an empty memory.
    """

    best: Point | None = None
    direction: Array | None = None
    failures: int = 0
    secants: tuple[Secant, ...] = ()

    @property
    def result(self) -> Model:
        """The EM update of the best model seen, which is at least as good."""
        return self.model if self.best is None else self.best.em_model

    def step(self, statistics: SufficientStatistics, prior: Prior, tol: float) -> State:
        """Return the state after one pass; `tol` is compared with the gain of the penalised likelihood."""
        best = self.best
        if not _finite(statistics):
            if best is None:
                raise FloatingPointError("The first model has no finite likelihood; the data may overflow.")
            repeated = dataclasses.replace(self.history[-1], number=len(self.history) + 1, change=np.inf)
            after = dataclasses.replace(self, history=(*self.history, repeated), secants=())
            return _by_em(after, best, failures=2)
        point, iteration = _evaluate(self, statistics, prior)
        state = dataclasses.replace(self, history=(*self.history, iteration))
        if best is None:
            return _advance(state, point, prior)
        state = dataclasses.replace(state, secants=remember(state.secants, best, point))
        gain = (point.objective - best.objective) / point.weight
        if gain < 0 and state.direction is not None:
            return _retreat(state, best, point, prior)
        # EM can lower the objective by rounding alone; then there is nothing left to gain.
        after = _advance(state, point if gain >= 0 else best, prior)
        return dataclasses.replace(after, calm=_calm(state, after, gain, tol))

    def pack(self) -> Arrays:
        """Return named arrays from which `unpack` makes the same state."""
        arrays = {
            **super().pack(),
            "failures": np.array(self.failures),
            "steps": np.array([secant.step for secant in self.secants]),
            "losses": np.array([secant.loss for secant in self.secants]),
        }
        if self.direction is not None:
            arrays["direction"] = self.direction
        return arrays if self.best is None else arrays | self.best.pack()

    @classmethod
    def unpack(cls, arrays: Arrays, model: Model, **own: Any) -> Self:
        """Return the state that `pack` named."""
        pairs = zip(arrays["steps"], arrays["losses"], strict=True)
        return super().unpack(
            arrays,
            model,
            best=Point.unpack(arrays, model) if "metric" in arrays else None,
            direction=arrays.get("direction"),
            failures=int(arrays["failures"]),
            secants=tuple(Secant(step, loss) for step, loss in pairs),
            **own,
        )


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
    sums = (
        statistics.g.sum(),
        statistics.functions_rx.sum(),
        statistics.distance_sum,
        statistics.log_likelihood,
    )
    return bool(np.isfinite(sums).all())


def _evaluate(state: State, statistics: SufficientStatistics, prior: Prior) -> tuple[Point, Iteration]:
    """Gather what a pass says of the model of `state`: objective, gradient and EM update."""
    model = state.model
    iteration, weight = state.evaluate(statistics, prior), statistics.weight
    best = -np.inf if state.best is None else state.best.objective / weight
    iteration = dataclasses.replace(iteration, change=abs(iteration.penalised - best))
    phi, beta_inv = model.basis.phi, model.beta_inv
    metric = (phi.T * statistics.g) @ phi / beta_inv + prior.regul * np.eye(phi.shape[1])
    by_weights = functions_of(model.basis).of_phi.T @ statistics.residual(model) / beta_inv - prior.regul * (
        model.weights - prior.mean
    )
    by_noise = 0.5 * (statistics.distance_sum / beta_inv - weight * model.weights.shape[1])
    point = Point(
        model=model,
        em_model=m_step(statistics, model, prior),
        weight=weight,
        objective=iteration.penalised * weight,
        gradient=np.append(by_weights, by_noise),
        metric=metric,
        inverse=pinvh(metric),
    )
    return point, iteration


def _advance(state: State, best: Point, prior: Prior) -> State:
    """Set out from the best point: by EM while the run is young, then by L-BFGS."""
    state = dataclasses.replace(state, best=best)
    if len(state.history) <= WARM_UP or not state.secants:
        return _by_em(state, best)
    with np.errstate(over="ignore", invalid="ignore"):  # EM goes where the direction is no number
        direction = quasi_newton(best, state.secants)
        ascent, length = float(direction @ best.gradient), best.length(direction)
    if not (ascent > 0 and math.isfinite(ascent) and math.isfinite(length)):
        return _by_em(dataclasses.replace(state, secants=()), best)
    reach = LONGEST * best.length(position_of(best.em_model) - position_of(best.model))
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
    unit = max(abs(before), abs(after), abs(end - start))  # whose square may be no number
    if not math.isfinite(unit):
        return 0.1
    before, after, gain = before / unit, after / unit, (end - start) / unit
    cubic, quadratic = before + after - 2.0 * gain, 3.0 * gain - 2.0 * before - after
    discriminant = quadratic**2 - 3.0 * cubic * before
    # This form of the root does not cancel; it is positive because the slope at 0 is.
    denominator = -quadratic + math.sqrt(max(discriminant, 0.0))
    share = before / denominator if denominator > 0 else 0.5
    return float(np.clip(share, 0.1, 0.8))


def _by_em(state: State, best: Point, failures: int = 0) -> State:
    return dataclasses.replace(state, model=best.em_model, best=best, direction=None, failures=failures)


def _along(state: State, best: Point, direction: Array, prior: Prior, failures: int) -> State:
    position = position_of(best.model) + direction
    weights = position[:-1].reshape(best.model.weights.shape)
    beta_inv = max(math.exp(min(position[-1], LARGEST_LOG)), prior.noise_floor)
    model = dataclasses.replace(best.model, weights=weights, beta_inv=beta_inv)
    return dataclasses.replace(state, model=model, direction=direction, failures=failures)
