"""The E-step of a block, and the sums of it that an M-step needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.functions import functions_of
from dask_igtm.model.model import Model
from dask_igtm.posterior.posterior import Sums, sums, weighted_sum
from dask_igtm.posterior.sparse_rows import Products
from dask_igtm.posterior.tiles import Rows
from dask_igtm.statistics import row_subsets
from dask_igtm.statistics.log_histogram import Histogram

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SufficientStatistics:
    """What an M-step has to know of the rows, for the centres of one E-step.

    Attributes
    ----------
    g : ndarray of shape (K,)
        Sums of the responsibilities over the rows.
    functions_rx : ndarray of shape (q * q + 1, Q)
        RT_acc by the orthonormal functions of the map, `functions.T @ responsibilities.T @ X`, of the rows
        in model coordinates; `of_phi.T` takes it to `phi.T @ responsibilities.T @ X`.
    distance_sum : float
        Sum over rows and nodes of responsibility times squared distance.
    log_likelihood : float
        Sum of ln p(x) in the user's units.
    log_peak : float
        Sum of ln sum_k exp(l_k - max l), the only part of a likelihood that ugtm's "Err" sees.
    """

    g: Array
    functions_rx: Array
    distance_sum: float
    log_likelihood: float
    log_peak: float

    @property
    def weight(self) -> float:
        """Sum of the sample weights (responsibilities of a row sum to its weight)."""
        return float(self.g.sum())

    def residual(self, model: Model) -> Array:
        """Return `functions_rx` of the rows minus the centres, for the model of the E-step."""
        return self.functions_rx - functions_of(model.basis).values.T @ (self.g[:, None] * model.centers)

    def __add__(self, other: SufficientStatistics) -> SufficientStatistics:
        return SufficientStatistics(
            self.g + other.g,
            self.functions_rx + other.functions_rx,
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
        Name of the kernel.
    """
    products = Products(model)
    return _added_up(sums(X, sample_weight, model, kernel, products), model, products)


def e_step_with_deviances(
    X: Rows, sample_weight: Array | None, model: Model, kernel: str
) -> row_subsets.Sums:
    """Return what `e_step` does, and the histogram of the rows' deviances, see `Likelihood`."""
    products, deviances, weights = Products(model), [np.empty(0)], [np.empty(0)]

    def noted() -> Iterator[Sums]:
        for part in sums(X, sample_weight, model, kernel, products):
            deviances.append(part.scores.deviance)
            weights.append(np.ones(len(deviances[-1])) if part.weight is None else part.weight)
            yield part

    statistics = _added_up(noted(), model, products)
    return row_subsets.Sums((statistics, Histogram.of(np.concatenate(deviances), np.concatenate(weights))))


def _added_up(parts: Iterable[Sums], model: Model, products: Products) -> SufficientStatistics:
    """Return the sums over the parts of a block, whose products are made while it is walked."""
    g = np.zeros(len(model.basis.nodes))
    distance_sum, log_likelihood, log_peak = 0.0, 0.0, 0.0
    for part in parts:
        g += part.g
        distance_sum += weighted_sum(part.scores.distance, part.weight)
        log_likelihood += weighted_sum(part.scores.log_likelihood, part.weight)
        log_peak += weighted_sum(part.scores.log_mass, part.weight)
    return SufficientStatistics(g, products.total, distance_sum, log_likelihood, log_peak)
