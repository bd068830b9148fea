"""Additive statistics: what one block of rows adds to a pass over all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dask_igtm.histogram import Histogram

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Weighted mean and scatter of rows, mergeable without cancellation far from the origin.

    Attributes
    ----------
    weight : float
        Sum of the sample weights (the number of rows without weights).
    mean : ndarray of shape (D,)
    scatter : ndarray of shape (D, D)
        Sum of weighted outer products of the rows minus `mean`.
    invalid : ndarray of shape (D,)
        How many entries of each column are NaN or infinite.
    """

    weight: float
    mean: Array
    scatter: Array
    invalid: NDArray[np.int64]

    def __add__(self, other: Moments) -> Moments:
        """Merge by the centred formula (Chan, Golub & LeVeque 1979, eq. 2.1)."""
        weight = self.weight + other.weight
        share = other.weight / weight if weight > 0 else 0.0
        with np.errstate(over="ignore", invalid="ignore"):  # the driver refuses what overflows
            delta = other.mean - self.mean
            scatter = self.scatter + other.scatter
            scatter += self.weight * share * np.outer(delta, delta)
            return Moments(weight, self.mean + share * delta, scatter, self.invalid + other.invalid)


@dataclass(frozen=True)
class PairwiseMoments:
    """Moments of rows with gaps: of each pair of columns, over the rows that have both.

    Attributes
    ----------
    weight : float
        Sum of the weights of the rows that have any entry.
    weights : ndarray of shape (D, D)
        The same of the rows that have both entries of a pair.
    means : ndarray of shape (D, D)
        Means of the column of each row of this matrix, over the rows that have both entries.
    scatter : ndarray of shape (D, D)
        Sum of weighted products of the two entries minus their means.
    invalid : ndarray of shape (D,)
        How many entries of each column are infinite.
    """

    weight: float
    weights: Array
    means: Array
    scatter: Array
    invalid: NDArray[np.int64]

    def __add__(self, other: PairwiseMoments) -> PairwiseMoments:
        """Merge pair by pair, by the formula of `Moments`."""
        weights = self.weights + other.weights
        share = other.weights / np.where(weights > 0, weights, 1.0)
        with np.errstate(over="ignore", invalid="ignore"):  # the driver refuses what overflows
            delta = other.means - self.means
            return PairwiseMoments(
                self.weight + other.weight,
                weights,
                self.means + share * delta,
                self.scatter + other.scatter + self.weights * share * delta * delta.T,
                self.invalid + other.invalid,
            )

    @property
    def pooled(self) -> Moments:
        """Moments as if every pair were known in all rows; their scatter need not be positive definite."""
        share = self.weight / np.where(self.weights > 0, self.weights, 1.0)
        with np.errstate(over="ignore", invalid="ignore"):
            scatter = share * self.scatter
        return Moments(self.weight, np.diag(self.means).copy(), scatter, self.invalid)


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
