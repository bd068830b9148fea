"""EM with extrapolation: the same objective in fewer passes over the data.

Near a peak a sample of the rows shows how the objective bends, so that the last steps are few and their gain
is known before.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model import stored
from dask_igtm.model.model import Metric, Model, Prior
from dask_igtm.model.stored import Arrays
from dask_igtm.model.sufficient_statistics import SufficientStatistics
from dask_igtm.solvers import curvature, em
from dask_igtm.solvers.curvature import Curvature, curvature_of
from dask_igtm.solvers.lbfgs import Point, Secant, position_of, quasi_newton, remember
from dask_igtm.solvers.sample import Sample

Array = NDArray[np.float64]
S = TypeVar("S", bound="State")

WARM_UP = 10
LONGEST = 20.0  # of an extrapolation, in lengths of the EM step
NEAR = 0.1
LASTING = 8  # steps that a curvature serves
# Of a state of release 0.1, which knew nothing of these.
OF_0_1: Arrays = {"steps_left": np.array(0), "reach": np.array(np.inf), "settled": np.array(False)}
POOR, GOOD = 0.1, 0.5  # gains as shares of slope times step, of which a quadratic gains half at its peak


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
    rows : Sample or None
        What shows how the objective bends; without it the run goes on as it began.
    age : int
        Models evaluated.
    curvature : Curvature or None
        Near a peak, how the objective bends there.
    steps_left : int
        How many more of the best models it serves.
    reach : float
        How long the next step may be, in the metric of the M-step.
    settled : bool
        Whether the next step should gain no more than half of the tolerance.

    Notes
    -----
    EM is gradient ascent in the metric of the M-step (Xu & Jordan 1996), so its step is a
    preconditioned gradient, and L-BFGS accelerates it at no further pass (Jamshidian & Jennrich 1997;
    the recursion is that of Nocedal & Wright 2006, algorithm 7.4). A step that lowers the objective is
    shortened by interpolation, and after a second failure EM itself takes over with an empty memory.

    The metric of the M-step leaves out what the responsibilities change along a step. Once the steps promise
    little, the exact Hessian of a sample takes its place, in the directions where the centres vary. With it
    half of the gradient times the step is what the objective can still gain, and a run stops where that is
    within half of the tolerance; without it where four changes are within it.
    """

    best: Point | None = None
    direction: Array | None = None
    failures: int = 0
    secants: tuple[Secant, ...] = ()
    rows: Sample | None = None
    age: int = 0
    curvature: Curvature | None = None
    steps_left: int = 0
    reach: float = np.inf
    settled: bool = False

    @property
    def warm_up(self) -> int:
        """EM steps before the first extrapolation, which decide which of many optima is near."""
        return WARM_UP

    @property
    def near(self) -> float:
        """What a step promises at most, in nats a row, where the curvature is worth its cost."""
        return NEAR

    @property
    def surveys(self) -> bool:
        """Whether there are rows enough to show how the objective bends, and it is known by them."""
        return self.rows is not None and self.rows.surveyed.stop > 0 and self.model.noise.curved

    @property
    def converged(self) -> bool:
        """Whether there is little to gain, or four changes in a row were within the tolerance."""
        return self.settled or super().converged

    @property
    def stopped_by(self) -> str:
        """What ends a run that nothing else does."""
        return "predicted gain" if self.settled else super().stopped_by

    @property
    def result(self) -> Model:
        """The EM update of the best model seen, which is at least as good."""
        return self.model if self.best is None else self.best.em_model

    def step(self, statistics: SufficientStatistics, prior: Prior, tol: float) -> Self:
        """Return the state after one pass; `tol` is compared with the gain of the penalised likelihood."""
        best = self.best
        if not _finite(statistics):
            if best is None:
                raise FloatingPointError("The first model has no finite likelihood; the data may overflow.")
            last = self.history[-1]
            repeated = dataclasses.replace(last, number=last.number + 1, change=np.inf, cost=last.share)
            after = dataclasses.replace(self, history=(*self.history, repeated), secants=())
            return _by_em(after, best, failures=2)
        point = Point.of(self.model, statistics, prior)
        gain = np.inf if best is None else (point.objective - best.objective) / point.weight
        iteration = dataclasses.replace(self.evaluate(statistics, prior), change=abs(gain))
        state = dataclasses.replace(self, history=(*self.history, iteration), age=self.age + 1)
        if best is None:
            return _advance(*state.chosen(point, statistics, prior), tol)
        state = dataclasses.replace(state, secants=remember(state.secants, best, point))
        if state.direction is not None:
            state = dataclasses.replace(state, reach=_reach(state, best, state.direction, gain))
            if gain < 0:
                return _retreat(state, best, point, prior)
        # EM can lower the objective by rounding alone; then there is nothing left to gain.
        chosen = state.chosen(point, statistics, prior) if gain >= 0 else (state, best, prior)
        after = _advance(*chosen, tol)
        if self.failures > 1 and gain > tol:  # EM goes on where extrapolation did not
            after = dataclasses.replace(after, settled=False)
        return dataclasses.replace(after, calm=_calm(state, after, gain, tol))

    def chosen(
        self,
        best: Point,
        statistics: SufficientStatistics,  # noqa: ARG002
        prior: Prior,
    ) -> tuple[Self, Point, Prior]:
        """Return what a run goes on with from a point that is the best so far, here just that."""
        return self, best, prior

    def pack(self) -> Arrays:
        """Return named arrays from which `unpack` makes the same state."""
        arrays = {
            **super().pack(),
            "failures": np.array(self.failures),
            "steps": np.array([secant.step for secant in self.secants]),
            "losses": np.array([secant.loss for secant in self.secants]),
            "age": np.array(self.age),
            "steps_left": np.array(self.steps_left),
            "reach": np.array(self.reach),
            "settled": np.array(self.settled),
        }
        if self.direction is not None:
            arrays["direction"] = self.direction
        if self.curvature is not None:
            arrays |= self.curvature.pack()
        return arrays if self.best is None else arrays | self.best.pack()

    def unpack(self, arrays: Arrays) -> Self:
        """Return the state that `pack` named; files of 0.1 know nothing of curvature."""
        arrays = {**OF_0_1, "age": np.array(len(arrays["history"])), **arrays}
        n = len(position_of(self.model))
        return dataclasses.replace(
            super().unpack(arrays),
            best=Point.unpack(arrays, self.model) if "metric" in arrays else None,
            direction=stored.floats(arrays, "direction", n) if "direction" in arrays else None,
            failures=stored.whole(arrays, "failures"),
            secants=_secants(arrays, n),
            age=stored.whole(arrays, "age"),
            curvature=Curvature.unpack(arrays, self.model),
            steps_left=stored.whole(arrays, "steps_left"),
            reach=stored.number(arrays, "reach", finite=False),
            settled=stored.flag(arrays, "settled"),
        )


def _secants(arrays: Arrays, n: int) -> tuple[Secant, ...]:
    if arrays["steps"].size == 0:  # without columns
        return ()
    steps = stored.floats(arrays, "steps", None, n)
    return tuple(map(Secant, steps, stored.floats(arrays, "losses", len(steps), n)))


def _calm(before: State, after: State, gain: float, tol: float) -> int:
    """Count an improvement within `tol`, unless the next step promises more than that.

    The slow steps of EM while the run is young promise nothing and do not count.
    """
    best, direction = after.best, after.direction
    promise = 0.0
    if best is not None and direction is not None:
        promise = 0.5 * float(direction @ best.gradient) / best.weight
    young = after.age <= after.warm_up
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


def _advance(state: S, best: Point, prior: Prior, tol: float) -> S:
    """Set out from the best point: by EM while the run is young, then by L-BFGS."""
    state = dataclasses.replace(state, best=best, steps_left=max(state.steps_left - 1, 0))
    if state.age <= state.warm_up or not (state.secants or state.curvature or state.surveys):
        return _by_em(state, best)
    direction, promise = _direction(state, best)
    if state.rows is not None and state.surveys and state.steps_left == 0 and promise <= state.near:
        state = _surveyed(state, state.rows, best, prior)
        direction, promise = _direction(state, best)
    with np.errstate(over="ignore", invalid="ignore"):  # EM goes where a step is no number
        length, known = best.length(direction), state.secants or state.curvature
    if not (known and promise > 0 and math.isfinite(promise) and math.isfinite(length)):
        return _by_em(dataclasses.replace(state, secants=(), curvature=None), best)
    if state.curvature is not None:
        state = dataclasses.replace(state, settled=promise <= 0.5 * tol)
    reach = min(state.reach, LONGEST * best.length(position_of(best.em_model) - position_of(best.model)))
    if length > reach:
        direction *= reach / length
    return _along(state, best, direction, prior, failures=0)


def _direction(state: State, best: Point) -> tuple[Array, float]:
    """Return the step of L-BFGS, and what it should gain in nats a row."""
    bends: Metric | Curvature = state.curvature or best.metric
    with np.errstate(over="ignore", invalid="ignore"):
        direction = quasi_newton(best.gradient, state.secants, bends.newton)
        return direction, 0.5 * float(direction @ best.gradient) / best.weight


def _surveyed(state: S, rows: Sample, best: Point, prior: Prior) -> S:
    """Return the state with the curvature at its best point, which the secants before say nothing of."""
    found = curvature_of(rows, best.model, prior.regul)
    last = state.history[-1]
    last = dataclasses.replace(last, cost=last.cost + curvature.COST * rows.share(rows.surveyed))
    return dataclasses.replace(
        state, history=(*state.history[:-1], last), curvature=found, steps_left=LASTING, secants=()
    )


def _reach(state: State, best: Point, direction: Array, gain: float) -> float:
    """Return how long the next step may be, by what the last one gained of what its slope led to expect."""
    length, slope = best.length(direction), float(direction @ best.gradient) / best.weight
    if gain < POOR * slope:
        return 0.5 * length
    return max(state.reach, 2.0 * length) if gain > GOOD * slope else state.reach


def _retreat(state: S, best: Point, point: Point, prior: Prior) -> S:
    """Try a shorter step the first time that one fails; fall back to EM the second time."""
    if state.failures > 0 or state.direction is None:
        return _by_em(dataclasses.replace(state, secants=(), curvature=None, steps_left=0), best, failures=2)
    before, after = (float(state.direction @ p.gradient) for p in (best, point))
    direction = _shorter(best.objective, point.objective, before, after) * state.direction
    state = dataclasses.replace(state, reach=best.length(direction))
    return _along(state, best, direction, prior, failures=1)


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


def _by_em(state: S, best: Point, failures: int = 0) -> S:
    return dataclasses.replace(state, model=best.em_model, best=best, direction=None, failures=failures)


def _along(state: S, best: Point, direction: Array, prior: Prior, failures: int) -> S:
    position, start = position_of(best.model) + direction, best.model
    weights = position[: start.weights.size].reshape(start.weights.shape)
    model = start.noise.moved(start, weights, position[start.weights.size :], prior)
    return dataclasses.replace(state, model=model, direction=direction, failures=failures)
