"""Expectation maximisation: a loop that knows iterations, and neither data nor schedulers.

A solver is a state that steps: of the statistics of its model it makes the next state. `State` is plain EM,
and what other solvers extend. `run` drives one of them, or many in the same passes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np

from dask_igtm.model import stored
from dask_igtm.model.arrays import pack_sheet, unpack_sheet
from dask_igtm.model.model import Model, Prior
from dask_igtm.model.stored import Arrays
from dask_igtm.model.sufficient_statistics import SufficientStatistics

PATIENCE = 4


@dataclass(frozen=True)
class Iteration:
    """What one iteration reports. All values belong to the model that entered it.

    Attributes
    ----------
    number : int
        Counted from 1.
    log_likelihood : float
        Mean of ln p(x) over the rows, in the user's units.
    penalised : float
        `log_likelihood` plus the log prior density of the weights over N; no iteration lowers it.
    err : float
        The quantity by which ugtm, and so plain EM here, decides when to stop.
    change : float
        |change of `err`| since the iteration before; infinite in the first.
    regul : float
        Ridge of that iteration.
    share : float
        How many of the rows it read: 1 for all, less for a sample of them.
    cost : float
        In passes over all rows.
    """

    number: int
    log_likelihood: float
    penalised: float
    err: float
    change: float
    regul: float
    share: float = 1.0
    cost: float = 1.0


@dataclass(frozen=True)
class State:
    """All that a run has to remember between two iterations.

    Attributes
    ----------
    model : Model
        What the next pass evaluates.
    history : tuple of Iteration
        One for every model that was evaluated.
    calm : int
        Consecutive changes within the tolerance.
    """

    model: Model
    history: tuple[Iteration, ...] = ()
    calm: int = 0

    @property
    def n_iter(self) -> int:
        """How many iterations read all rows; `niter` limits them."""
        return sum(iteration.share == 1 for iteration in self.history)

    @property
    def sample(self) -> slice | None:
        """Which rows of a sample the next pass reads; None for all rows of the data."""
        return None

    @property
    def converged(self) -> bool:
        """Whether four changes in a row were within the tolerance."""
        return self.calm >= PATIENCE

    @property
    def stopped_by(self) -> str:
        """What ends a run that nothing else does: "tolerance", or "iterations" that ran out."""
        return "tolerance" if self.converged else "iterations"

    @property
    def result(self) -> Model:
        """The map that the run has reached."""
        return self.model

    def prior(self, start: Prior) -> Prior:
        """Return the prior of the next iteration, in a run that set out from `start`."""
        return start

    def step(self, statistics: SufficientStatistics, prior: Prior, tol: float) -> Self:
        """Return the state after one iteration.

        Parameters
        ----------
        statistics : SufficientStatistics
            Of all rows, for `model`.
        prior : Prior
            That of the start of the run.
        tol : float
            Largest change that counts as none, of `Iteration.err`; 0 never stops early.
        """
        iteration = self.evaluate(statistics, prior)
        calm = self.calm + 1 if tol > 0 and iteration.change <= tol else 0
        after = self.model.noise.m_step(statistics, self.model, prior)
        return dataclasses.replace(self, model=after, history=(*self.history, iteration), calm=calm)

    def evaluate(self, statistics: SufficientStatistics, prior: Prior) -> Iteration:
        """Return what these statistics say of `model`."""
        weight = statistics.weight
        err = _err(statistics, self.model)
        change = abs(err - self.history[-1].err) if self.history else np.inf
        log_likelihood = statistics.log_likelihood / weight
        penalised = log_likelihood + prior.log_density(self.model) / weight
        return Iteration(len(self.history) + 1, log_likelihood, penalised, err, change, prior.regul)

    def pack(self) -> Arrays:
        """Return named arrays from which `unpack` makes the same state."""
        history = [dataclasses.astuple(iteration) for iteration in self.history]
        return {
            "history": np.array(history, dtype=np.float64),
            "calm": np.array(self.calm),
            **pack_sheet("model", self.model),
        }

    def unpack(self, arrays: Arrays) -> Self:
        """Return the state that `pack` named; this one, of the same run, lends what all its states share.

        Raises ValueError if they are none of such a run.
        """
        return dataclasses.replace(
            self,
            model=unpack_sheet("model", arrays, self.model),
            history=_history(arrays),
            calm=stored.whole(arrays, "calm"),
        )


S = TypeVar("S", bound=State)


def run(
    states: Sequence[S],
    priors: Sequence[Prior],
    e_step: Callable[[dict[int, Model]], Sequence[SufficientStatistics]],
    *,
    niter: int,
    tol: float,
    on_pass: Callable[[list[S]], bool | None] = lambda _: None,
) -> list[S]:
    """Iterate each state until `niter`, or until it has converged; a pass is an iteration of all that go on.

    Parameters
    ----------
    states : sequence of State
        Where to start.
    priors : sequence of Prior
        One for each state.
    e_step : callable
        Takes the models of the states that go on, by their places, and returns the sufficient statistics
        of each, in that order: one pass over the data.
    niter : int
        Largest number of iterations that read all rows.
    tol : float
        As in `State.step`.
    on_pass : callable
        Told of all states after every pass. What is true of its answer stops the run.
    """
    states = list(states)
    while going := [i for i, s in enumerate(states) if s.n_iter < niter and not s.converged]:
        totals = e_step({i: states[i].model for i in going})
        for i, total in zip(going, totals, strict=True):
            states[i] = states[i].step(total, priors[i], tol)
        if on_pass(states):
            break
    return states


def _history(arrays: Arrays) -> tuple[Iteration, ...]:
    if arrays["history"].size == 0:  # without columns
        return ()
    rows = stored.floats(arrays, "history", None, None, finite=False).tolist()
    return tuple(Iteration(int(number), *rest) for number, *rest in rows)


def _err(statistics: SufficientStatistics, model: Model) -> float:
    """Ugtm's "Err": a mean negative log-likelihood without each row's peak, its exponent capped at 50."""
    n_nodes, n_columns = len(model.basis.nodes), model.weights.shape[1]
    log_noise = float(np.mean(np.log(2.0 * np.pi * model.beta_inv)))
    log_constant = -min(n_columns / 2.0, 50.0) * log_noise
    return float(np.log(n_nodes) - log_constant - statistics.log_peak / statistics.weight)
