"""Listeners of a fit: who is told of each iteration."""

from __future__ import annotations

import logging

from dask_igtm import accelerate, em

State = em.State | accelerate.State

logger = logging.getLogger("dask_igtm")


def log_iteration(state: State) -> None:
    """Log the last iteration at level INFO."""
    logger.info(iteration_line(state))


def print_iteration(state: State) -> None:
    """Log the last iteration and print it."""
    log_iteration(state)
    print(iteration_line(state), flush=True)  # noqa: T201


def iteration_line(state: State) -> str:
    """One line on the last iteration; `log-likelihood` is a mean per row in the user's units."""
    last = state.history[-1]
    likelihood = f"log-likelihood {last.log_likelihood:14.6f}"
    return f"iteration {last.number:4d}  {likelihood}  change {last.change:9.2e}"
