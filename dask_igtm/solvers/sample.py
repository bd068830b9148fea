"""A sample of the rows that stands for all of them, in the memory of this process."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.model import Model
from dask_igtm.model.sufficient_statistics import SufficientStatistics
from dask_igtm.posterior.posterior import posteriors, weight_of
from dask_igtm.posterior.tiles import Rows
from dask_igtm.statistics.e_step import e_step
from dask_igtm.statistics.row_sample import RowSample

Array = NDArray[np.float64]

SURVEYED = 32768, 1 / 16  # rows that show a curvature: at most so many, and that share of all
LEAST_SURVEYED = 1024  # fewer show none


def rows_surveyed(n_rows: float, available: float = np.inf) -> int:
    """Return how many rows of a sample should show how the objective bends; 0 where that would be too few."""
    most, share = SURVEYED
    size = int(min(most, share * n_rows, available))
    return size if size >= LEAST_SURVEYED else 0


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows in random order, of which any slice is a sample.

    Attributes
    ----------
    rows : RowSample
    n_rows : float
        How many rows the whole has,
    total : float
        and the sum of their weights.
    kernel : str
        Name of the kernel.
    """

    rows: RowSample
    n_rows: float
    total: float
    kernel: str

    def __len__(self) -> int:
        return len(self.rows.weight)

    @property
    def surveyed(self) -> slice:
        """Those that show how the objective bends."""
        return slice(rows_surveyed(self.n_rows, len(self)))

    def share(self, chosen: slice) -> float:
        """Return how many of all rows a slice has."""
        return len(range(len(self))[chosen]) / self.n_rows

    def weighted(self, chosen: slice) -> tuple[Rows, Array]:
        """Return rows (n, D), and weights (n,) that add up to those of all rows."""
        weight = self.rows.weight[chosen]
        return self.rows.X[chosen], weight * (self.total / weight.sum())

    def e_step(self, chosen: slice, model: Model) -> SufficientStatistics:
        """Return the sufficient statistics of a slice, as an estimate of those of all rows."""
        return e_step(*self.weighted(chosen), model, self.kernel)

    def log_likelihood(self, chosen: slice, model: Model) -> tuple[float, float]:
        """Return the mean of ln p(x) over a slice, and its standard error."""
        X, weight = self.weighted(chosen)
        values, weights = np.zeros(X.shape[0]), np.zeros(X.shape[0])
        for tile in posteriors(X, model, self.kernel, weight_of(X, weight)):
            values[tile.rows], weights[tile.rows] = tile.log_likelihood, tile.weight(weight)
        weights /= weights.sum()
        mean = float(weights @ values)
        return mean, float(np.sqrt(weights**2 @ (values - mean) ** 2))
