"""What an M-step has to know of the rows: the tuple that blocks add up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.functions import functions_of

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
        Sum over rows and nodes of responsibility times squared distance: of noise by column in units of it,
        and 0 of bits and counts.
    log_likelihood : float
        Sum of ln p(x) in the user's units.
    log_peak : float
        Sum of ln sum_k exp(l_k - max l), the only part of a likelihood that ugtm's "Err" sees.
    column_squares : ndarray of shape (Q,) or None
        The distance sum of each column, of noise by column.
    exposures : ndarray of shape (K,) or None
        Sums of the responsibilities times the exposures of the rows; None where these are 1, and the sums g.
    """

    g: Array
    functions_rx: Array
    distance_sum: float
    log_likelihood: float
    log_peak: float
    column_squares: Array | None = None
    exposures: Array | None = None

    @property
    def weight(self) -> float:
        """Sum of the sample weights (responsibilities of a row sum to its weight)."""
        return float(self.g.sum())

    @property
    def exposed(self) -> Array:
        """How much of the rows each node has, (K,), times their exposures."""
        return self.g if self.exposures is None else self.exposures

    def residual(self, model: Any) -> Array:
        """Return `functions_rx` of the rows minus what the nodes expect, for the model of the E-step."""
        expected = functions_of(model.basis).values.T @ (self.exposed[:, None] * model.means)
        return np.asarray(self.functions_rx - expected)

    def __add__(self, other: SufficientStatistics) -> SufficientStatistics:
        return SufficientStatistics(
            self.g + other.g,
            self.functions_rx + other.functions_rx,
            self.distance_sum + other.distance_sum,
            self.log_likelihood + other.log_likelihood,
            self.log_peak + other.log_peak,
            _sum(self.column_squares, other.column_squares),
            _sum(self.exposures, other.exposures),
        )


def _sum(one: Array | None, other: Array | None) -> Array | None:
    return None if one is None or other is None else one + other
