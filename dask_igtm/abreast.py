"""Several fits side by side: one pass over the data is an iteration of all that still go on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from dask_igtm.model import Model, Prior
from dask_igtm.statistics import SufficientStatistics


def run(
    states: Sequence[Any],
    steps: Sequence[Callable[..., Any]],
    e_step: Callable[[dict[int, Model]], Sequence[SufficientStatistics]],
    priors: Sequence[Prior],
    *,
    niter: int,
    tol: float,
    on_pass: Callable[[int], None] = lambda _: None,
) -> tuple[list[Any], int]:
    """Iterate each state as `em.run` does, and return where they end and how many passes that took.

    Parameters
    ----------
    states : sequence of State
        As in `em.run`.
    steps : sequence of callable
        That of the solver of each state.
    e_step : callable
        Takes the models of the states that go on, by their places, and returns the sufficient statistics
        of each, in that order: one pass over the data.
    priors : sequence of Prior
        One for each state.
    niter, tol
        As in `em.run`.
    on_pass : callable
        Told before every pass how many states go on.
    """
    states, n_passes = list(states), 0
    while going := [
        i for i, state in enumerate(states) if len(state.history) < niter and not state.converged
    ]:
        on_pass(len(going))
        totals = e_step({i: states[i].model for i in going})
        for i, total in zip(going, totals, strict=True):
            states[i] = steps[i](states[i], total, priors[i], tol)
        n_passes += 1
    return states, n_passes
