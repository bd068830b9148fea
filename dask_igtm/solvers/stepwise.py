"""EM for streams: running averages of the sufficient statistics, and an M-step after every block.

Stepwise EM (Cappé & Moulines 2009, eq. 8). A block of w rows, when n were seen before, moves the averages by
the share (1 + n / w)^-0.6, which is their rule (t + 1)^-0.6 for blocks of one size.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.functions import functions_of
from dask_igtm.model.model import Model, Prior
from dask_igtm.model.sufficient_statistics import SufficientStatistics
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
    square : float or ndarray of shape (Q,)
        and of |x|^2, or of the squares of each column, where an M-step needs these.
    deviance : Histogram
        Of weight 1: the same average of how the deviances are distributed, see `Likelihood`, of each block
        under the model before it; without weight where that is known of no row.
    exposures : ndarray of shape (K,) or None
        Averages of the responsibilities times exposures, where rows have such.
    """

    model: Model
    weight: float
    g: Array
    functions_rx: Array
    square: Any
    deviance: Histogram = NOTHING
    exposures: Array | None = None

    @property
    def averages(self) -> SufficientStatistics:
        """The averages as statistics of one row, but for its distances."""
        return SufficientStatistics(
            self.g, self.functions_rx, np.nan, np.nan, np.nan, exposures=self.exposures
        )

    def prior(self, regul: float, scale: str | None) -> Prior:
        """Return what a fit assumes that goes on from here."""
        return self.model.noise.prior_of(self.averages, self.square, self.model, regul, scale)


def begin(model: Model, weight: float = 0.0, deviance: Histogram = NOTHING) -> State:
    """Return a state that has seen `weight` rows, distributed as `model` says, with these deviances."""
    n_nodes, noise = len(model.basis.nodes), model.noise
    g = np.full(n_nodes, 1.0 / n_nodes)
    exposures = noise.mean_exposure * g if noise.exposed else None
    functions_rx = functions_of(model.basis).values.T @ model.means * noise.mean_exposure / n_nodes
    return State(model, weight, g, functions_rx, noise.expected_squares(model), deviance, exposures)


def step(state: State, statistics: SufficientStatistics, deviance: Histogram, prior: Prior) -> State:
    """Return the state after one more block, which has weight; of its rows under the state's model."""
    weight = statistics.weight
    share = (1.0 + state.weight / weight) ** -EXPONENT
    noise, exposures = state.model.noise, state.exposures
    # Squares of the rows themselves, since the centres move under the averages.
    squares = noise.squares(statistics, state.model)
    if exposures is not None:
        exposures = exposures + share * (statistics.exposed / weight - exposures)
    after = dataclasses.replace(
        state,
        weight=state.weight + weight,
        g=state.g + share * (statistics.g / weight - state.g),
        functions_rx=state.functions_rx + share * (statistics.functions_rx / weight - state.functions_rx),
        square=state.square + share * (squares / weight - state.square),
        deviance=_moved(state.deviance, deviance, share),
        exposures=exposures,
    )
    return dataclasses.replace(after, model=noise.m_step(_of_all(after), state.model, prior))


def _moved(average: Histogram, block: Histogram, share: float) -> Histogram:
    """Return an average of histograms after one more block; where it is of nothing, the block's own."""
    of_block = block.scaled(1.0 / block.weight.sum())
    if len(average.weight) == 0:
        return of_block
    return average.scaled(1.0 - share) + of_block.scaled(share)


def _of_all(state: State) -> SufficientStatistics:
    """Return the averages as sums over all rows seen, for the centres of the state's model."""
    n, average = state.weight, state.averages
    average = state.model.noise.of_squares(average, state.square, state.model)
    return SufficientStatistics(
        n * average.g,
        n * average.functions_rx,
        n * average.distance_sum,
        np.nan,
        np.nan,
        None if average.column_squares is None else n * average.column_squares,
        None if average.exposures is None else n * average.exposures,
    )
