"""Expectation maximisation: a loop that knows iterations, and neither data nor schedulers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from dask_igtm.maximize import maximize
from dask_igtm.model import Model, Prior
from dask_igtm.statistics import SufficientStatistics

PATIENCE = 4

EStep = Callable[[Model], SufficientStatistics]


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
    """

    number: int
    log_likelihood: float
    penalised: float
    err: float
    change: float
    regul: float


@dataclass(frozen=True)
class State:
    """All that a run has to remember between two iterations."""

    model: Model
    history: tuple[Iteration, ...] = ()
    calm: int = 0  # consecutive changes within the tolerance

    @property
    def converged(self) -> bool:
        """Whether the run stopped by itself, and not because its iterations ran out."""
        return self.calm >= PATIENCE

    @property
    def result(self) -> Model:
        """The map that a run has reached."""
        return self.model


def fit(state: State, prior: Prior, e_step: EStep, **settings: Any) -> State:
    """Go on by plain EM; `settings` as in `run`.

    `tol` is compared with the change of `err`.
    """
    after: State = run(state, step, e_step, prior, **settings)
    return after


def run(
    state: Any,
    step: Callable[..., Any],
    e_step: EStep,
    prior: Prior,
    *,
    niter: int,
    tol: float,
    on_iteration: Callable[[Any], bool | None] = lambda _: None,
) -> Any:
    """Iterate until `niter`, or until four changes in a row were at most `tol`.

    Parameters
    ----------
    state : State, or that of another solver
        Where to start; it knows its `model`, its `history` and whether it has `converged`.
    step : callable
        Takes a state, the statistics of its model, `prior` and `tol`; returns the next state.
    e_step : callable
        Takes a model and returns the sufficient statistics of all rows: one pass over the data.
    prior : Prior
    niter : int
        Largest number of iterations.
    tol : float
        0 never stops early.
    on_iteration : callable
        Told of the new state after every step; the last of its `history` is the iteration just done.
        What is true of its answer stops the run.
    """
    while len(state.history) < niter and not state.converged:
        state = step(state, e_step(state.model), prior, tol)
        if on_iteration(state):
            break
    return state


def step(state: State, statistics: SufficientStatistics, prior: Prior, tol: float) -> State:
    """Return the state after one iteration; `statistics` are those of its model."""
    model, weight = state.model, statistics.weight
    err = _err(statistics, model)
    change = abs(err - state.history[-1].err) if state.history else np.inf
    log_likelihood = statistics.log_likelihood / weight
    penalised = log_likelihood + prior.log_density(model) / weight
    iteration = Iteration(len(state.history) + 1, log_likelihood, penalised, err, change, prior.regul)
    calm = state.calm + 1 if tol > 0 and change <= tol else 0
    return State(maximize(statistics, model, prior), (*state.history, iteration), calm)


def _err(statistics: SufficientStatistics, model: Model) -> float:
    """Ugtm's "Err": a mean negative log-likelihood without each row's peak, its exponent capped at 50."""
    n_nodes, n_columns = len(model.basis.nodes), model.weights.shape[1]
    log_constant = -min(n_columns / 2.0, 50.0) * np.log(2.0 * np.pi * model.beta_inv)
    return float(np.log(n_nodes) - log_constant - statistics.log_peak / statistics.weight)
