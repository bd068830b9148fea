"""The E-step of a block, and the sums of it that an M-step needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.model import Model
from dask_igtm.posterior.posterior import posteriors, weighted_sum
from dask_igtm.posterior.tiles import Rows

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SufficientStatistics:
    """What an M-step has to know of the rows, for the centres of one E-step.

    Attributes
    ----------
    g : ndarray of shape (K,)
        Sums of the responsibilities over the rows.
    rx : ndarray of shape (K, Q)
        Responsibility-weighted sums of the rows, in model coordinates.
    distance_sum : float
        Sum over rows and nodes of responsibility times squared distance.
    log_likelihood : float
        Sum of ln p(x) in the user's units.
    log_peak : float
        Sum of ln sum_k exp(l_k - max l), the only part of a likelihood that ugtm's "Err" sees.
    """

    g: Array
    rx: Array
    distance_sum: float
    log_likelihood: float
    log_peak: float

    @property
    def weight(self) -> float:
        """Sum of the sample weights (responsibilities of a row sum to its weight)."""
        return float(self.g.sum())

    def __add__(self, other: SufficientStatistics) -> SufficientStatistics:
        return SufficientStatistics(
            self.g + other.g,
            self.rx + other.rx,
            self.distance_sum + other.distance_sum,
            self.log_likelihood + other.log_likelihood,
            self.log_peak + other.log_peak,
        )


def e_step(X: Rows, sample_weight: Array | None, model: Model, kernel: str) -> SufficientStatistics:
    """E-step of one block (Gaspar et al. 2015), with the responsibilities times `sample_weight`.

    Where entries are missing, their expectations stand in, so that the M-step that follows is exact EM.

    Parameters
    ----------
    X : array of shape (n, D)
    sample_weight : ndarray of shape (n,) or None
    model : Model
    kernel : str
        Name of the softmax.
    """
    n_nodes, n_columns = len(model.basis.nodes), model.weights.shape[1]
    sums = np.zeros((n_columns + 1, n_nodes))
    distance_sum = log_likelihood = log_peak = 0.0
    for tile in posteriors(X, model, kernel):
        weight = tile.weight(sample_weight)
        sums += tile.sums(weight)
        distance_sum += weighted_sum(tile.distance, weight)
        log_likelihood += weighted_sum(tile.log_likelihood, weight)
        log_peak += weighted_sum(tile.log_mass, weight)
    return SufficientStatistics(sums[-1], sums[:-1].T, distance_sum, log_likelihood, log_peak)
