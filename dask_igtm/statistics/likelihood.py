"""How well a map explains the rows of a block."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.model import Model
from dask_igtm.posterior.entry_checks import check_weights
from dask_igtm.posterior.posterior import posteriors, weight_of, weighted_sum
from dask_igtm.posterior.tiles import Rows
from dask_igtm.statistics.log_histogram import Histogram

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Likelihood:
    """How well a map explains rows.

    Attributes
    ----------
    weight : float
        Sum of the weights of the rows that have any entry.
    log_likelihood : float
        Sum of ln p(x) in the user's units.
    deviance : Histogram
        Of how far ln p(x) lies below the largest that a row with the same gaps can have.
    """

    weight: float
    log_likelihood: float
    deviance: Histogram

    def __add__(self, other: Likelihood) -> Likelihood:
        return Likelihood(
            self.weight + other.weight,
            self.log_likelihood + other.log_likelihood,
            self.deviance + other.deviance,
        )

    @property
    def mean(self) -> float:
        """Mean of ln p(x) per row."""
        return self.log_likelihood / self.weight


def likelihood_of(X: Rows, sample_weight: Array | None, model: Model, kernel: str) -> Likelihood:
    """Likelihood of one block; rows with nothing observed do not count."""
    check_weights(sample_weight)
    weights, deviance, log_likelihood = np.empty(X.shape[0]), np.empty(X.shape[0]), 0.0
    for tile in posteriors(X, model, kernel, weight_of(X, sample_weight)):
        weight = tile.weight(sample_weight)
        weights[tile.rows] = 1.0 if weight is None else weight
        deviance[tile.rows] = tile.deviance
        log_likelihood += weighted_sum(tile.log_likelihood, weight)
    return Likelihood(float(weights.sum()), log_likelihood, Histogram.of(deviance, weights))
