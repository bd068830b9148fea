"""EM for streams: running averages of the sufficient statistics, and an M-step after every block.

Stepwise EM (Cappé & Moulines 2009, eq. 8). A block of w rows, when n were seen before, moves the averages by
the share (1 + n / w)^-0.6, which is their rule (t + 1)^-0.6 for blocks of one size.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.functions import functions_of
from dask_igtm.model.model import Model, Prior
from dask_igtm.solvers.m_step import m_step
from dask_igtm.statistics.e_step import SufficientStatistics
from dask_igtm.statistics.log_histogram import NOTHING, Histogram

Array = NDArray[np.float64]

EXPONENT = 0.6  # between 1/2 and 1; smaller forgets faster


@dataclass(frozen=True)
class State:
    """All that a stream has to remember between two blocks.

    Attributes
    ----------
    model : Model
    weight : float
        Rows seen so far, each times its weight.
    g : ndarray of shape (K,)
        Averages over the rows of the responsibilities,
    functions_rx : ndarray of shape (q * q + 1, Q)
        of the rows, in model coordinates, times what they are by the functions of the map,
    square : float
        and of |x|^2.
    deviance : Histogram
        Of weight 1: the same average of how the deviances are distributed, see `Likelihood`, of each block
        under the model before it; without weight where that is known of no row.
    """

    model: Model
    weight: float
    g: Array
    functions_rx: Array
    square: float
    deviance: Histogram = NOTHING

    @property
    def variance(self) -> float:
        """Variance of the rows, averaged over the model coordinates."""
        mean = functions_of(self.model.basis).of_phi[:, -1] @ self.functions_rx  # by the constant
        return float(self.square - mean @ mean) / len(mean)


def begin(model: Model, weight: float = 0.0, deviance: Histogram = NOTHING) -> State:
    """Return a state that has seen `weight` rows, distributed as `model` says, with these deviances."""
    centers = model.centers
    n_nodes, n_columns = centers.shape
    square = float(np.sum(centers**2) / n_nodes + n_columns * model.beta_inv)
    functions_rx = functions_of(model.basis).values.T @ centers / n_nodes
    return State(model, weight, np.full(n_nodes, 1.0 / n_nodes), functions_rx, square, deviance)


def step(state: State, statistics: SufficientStatistics, deviance: Histogram, prior: Prior) -> State:
    """Return the state after one more block, which has weight; of its rows under the state's model."""
    weight = statistics.weight
    share = (1.0 + state.weight / weight) ** -EXPONENT
    centers = state.model.centers
    # Squares of the rows themselves, since the centres move under the averages.
    squares = (
        statistics.distance_sum
        + 2.0 * np.sum(statistics.functions_rx * _by_functions(state.model))
        - statistics.g @ np.einsum("kq,kq->k", centers, centers)
    )
    after = dataclasses.replace(
        state,
        weight=state.weight + weight,
        g=state.g + share * (statistics.g / weight - state.g),
        functions_rx=state.functions_rx + share * (statistics.functions_rx / weight - state.functions_rx),
        square=float(state.square + share * (squares / weight - state.square)),
        deviance=_moved(state.deviance, deviance, share),
    )
    return dataclasses.replace(after, model=m_step(_of_all(after), state.model, prior))


def _moved(average: Histogram, block: Histogram, share: float) -> Histogram:
    """Return an average of histograms after one more block; where it is of nothing, the block's own."""
    of_block = block.scaled(1.0 / block.weight.sum())
    if len(average.weight) == 0:
        return of_block
    return average.scaled(1.0 - share) + of_block.scaled(share)


def _of_all(state: State) -> SufficientStatistics:
    """Return the averages as sums over all rows seen, for the centres of the state's model."""
    centers = state.model.centers
    spread = (
        state.square
        - 2.0 * np.sum(state.functions_rx * _by_functions(state.model))
        + state.g @ np.einsum("kq,kq->k", centers, centers)
    )
    n = state.weight
    return SufficientStatistics(
        n * state.g, n * state.functions_rx, n * max(float(spread), 0.0), np.nan, np.nan
    )


def _by_functions(model: Model) -> Array:
    return functions_of(model.basis).values.T @ model.centers
