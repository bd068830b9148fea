"""The E-step of a block, and the sums of it that an M-step needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.model import Model
from dask_igtm.model.sufficient_statistics import SufficientStatistics
from dask_igtm.posterior.posterior import Sums, sums, weighted_sum
from dask_igtm.posterior.sparse_rows import Products
from dask_igtm.posterior.tiles import Rows
from dask_igtm.statistics import row_subsets
from dask_igtm.statistics.log_histogram import Histogram

Array = NDArray[np.float64]


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
    g, exposures = np.zeros((2, len(model.basis.nodes)))
    distance_sum, log_likelihood, log_peak = 0.0, 0.0, 0.0
    for part in parts:
        g += part.g
        exposures += 0.0 if part.exposed is None else part.exposed
        distance_sum += weighted_sum(part.scores.distance, part.weight)
        log_likelihood += weighted_sum(part.scores.log_likelihood, part.weight)
        log_peak += weighted_sum(part.scores.log_mass, part.weight)
    return SufficientStatistics(
        g,
        products.total,
        distance_sum,
        log_likelihood,
        log_peak,
        products.column_squares,
        exposures if model.noise.exposed else None,
    )
