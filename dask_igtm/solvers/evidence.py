"""A ridge and a noise that the evidence chooses: how probable they make the rows, all in all.

For weights W under a Gaussian prior of precision `regul`, the evidence averages the likelihood over the
posterior of W, here taken as a Gaussian about its peak. Large weights cost, and so do weights that the
rows leave undetermined. At its peak `regul` is the number of determined weights over their squared size.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from dask_igtm.model import stored
from dask_igtm.model.model import Model, Prior
from dask_igtm.model.stored import Arrays
from dask_igtm.model.sufficient_statistics import SufficientStatistics
from dask_igtm.solvers import accelerated, em
from dask_igtm.solvers.lbfgs import Point, Secant

FIRST = 5  # iteration that re-estimates; until then the map unfolds under the ridge it started with


@dataclass(frozen=True)
class State(em.State):
    """Plain EM that re-estimates its ridge and its noise, from the fifth iteration on.

    Attributes
    ----------
    regul : float
        Ridge of the next iteration; NaN before the first, which takes that of the prior.

    Notes
    -----
    Bishop, Svensén & Williams (1998), Developments of the generative topographic mapping, Neurocomputing
    21, 203-224, with the re-estimates of MacKay (1992), Bayesian interpolation, Neural Computation 4,
    415-447. The objective moves with the ridge, so no quantity of `em.Iteration` needs to rise.
    """

    regul: float = np.nan

    def prior(self, start: Prior) -> Prior:
        """Return `start` with the ridge of the next iteration."""
        return dataclasses.replace(start, regul=self.regul) if self.history else start

    def step(self, statistics: SufficientStatistics, prior: Prior, tol: float) -> Self:
        """Return the state after one iteration of EM and the re-estimates that follow it."""
        number = len(self.history) + 1
        prior = self.prior(prior)
        if number >= FIRST:
            prior = counted(prior, statistics, self.model)
        # No change counts before the evidence has had its first say.
        after = super().step(statistics, prior, tol if number > FIRST else 0.0)
        if number >= FIRST:
            prior = reestimate(prior, after.model)
        return dataclasses.replace(after, regul=prior.regul)

    def pack(self) -> Arrays:
        """Return named arrays from which `unpack` makes the same state."""
        return {**super().pack(), "regul": np.array(self.regul)}

    def unpack(self, arrays: Arrays) -> Self:
        """Return the state that `pack` named."""
        return dataclasses.replace(super().unpack(arrays), regul=stored.number(arrays, "regul", finite=False))


@dataclass(frozen=True)
class Accelerated(accelerated.State):
    """Accelerated EM that re-estimates ridge and noise at each of its best points, from the fifth on.

    Attributes
    ----------
    regul : float
        Ridge of the next iteration; NaN before the first re-estimate, until when it is that of the start.
    n_determined : float or ndarray of shape (Q,)
        Weights that the rows determine.

    Notes
    -----
    With both given there is an objective, the penalised likelihood whose noise has so many entries of X
    fewer, and it peaks where plain EM under the evidence rests. Each of its best points moves it: by the
    ridge all gradients are moved in proportion to the weights, and by the count alike, so that the secants
    stay true; one that no longer bends down is dropped. The gain that a step promises has those moves in it,
    and where it is small nothing moves.
    """

    regul: float = np.nan
    n_determined: Any = 0.0

    def prior(self, start: Prior) -> Prior:
        """Return `start` with the ridge and the count of the next iteration."""
        if np.isnan(self.regul):
            return start
        return dataclasses.replace(start, regul=self.regul, determined=self.n_determined)

    def step(self, statistics: SufficientStatistics, prior: Prior, tol: float) -> Self:
        """Return the state after one pass, and the re-estimates that follow a point that is the best."""
        return super().step(statistics, self.prior(prior), tol)

    def chosen(
        self, best: Point, statistics: SufficientStatistics, prior: Prior
    ) -> tuple[Self, Point, Prior]:
        """Return what the run goes on with: the state, the point and the prior after a re-estimate."""
        if self.age < FIRST:
            return self, best, prior
        moved = reestimate(counted(prior, statistics, best.model), best.model)
        n_weights = best.model.weights.size
        under = (_under(secant, moved.regul - prior.regul, n_weights) for secant in self.secants)
        secants = tuple(secant for secant in under if secant.step @ secant.loss > 0)
        state = dataclasses.replace(self, regul=moved.regul, n_determined=moved.determined, secants=secants)
        return state, Point.of(best.model, statistics, moved), moved

    def pack(self) -> Arrays:
        """Return named arrays from which `unpack` makes the same state."""
        own = {"regul": np.array(self.regul), "n_determined": np.array(self.n_determined)}
        return {**super().pack(), **own}

    def unpack(self, arrays: Arrays) -> Self:
        """Return the state that `pack` named."""
        each = self.model.weights.shape[1:] if arrays["n_determined"].ndim else ()  # before a re-estimate
        n_determined = stored.floats(arrays, "n_determined", *each)
        return dataclasses.replace(
            super().unpack(arrays),
            regul=stored.number(arrays, "regul", finite=False),
            n_determined=n_determined if n_determined.ndim else float(n_determined),
        )


def _under(secant: Secant, more_ridge: float, n_weights: int) -> Secant:
    """Return what a secant is under a ridge that is so much larger."""
    loss = secant.loss.copy()
    loss[:n_weights] += more_ridge * secant.step[:n_weights]
    return Secant(secant.step, loss)


def counted(prior: Prior, statistics: SufficientStatistics, model: Model) -> Prior:
    """Return the prior with the weights that the rows determine, see `Noise.determined`."""
    return dataclasses.replace(prior, determined=model.noise.determined(statistics, model, prior.regul))


def reestimate(prior: Prior, model: Model) -> Prior:
    """Return the prior whose ridge suits the weights of `model`, held at `prior.limit`."""
    square = float(np.sum((model.weights - prior.mean) ** 2))
    n_determined = float(np.sum(prior.determined))
    within = n_determined < prior.limit * square
    return dataclasses.replace(prior, regul=n_determined / square if within else prior.limit)
