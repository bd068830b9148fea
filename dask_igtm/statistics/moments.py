"""Moments of rows: their weight, mean and scatter, where gaps are filled or refused, or pair by pair."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.gaps import REFUSED, Gaps
from dask_igtm.posterior.entry_checks import check_weights
from dask_igtm.posterior.tiles import Rows, row_tiles

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
    n_rows : int
        Rows with a weight that were added up, whatever they weigh: what rounding grows with.
    """

    weight: float
    mean: Array
    scatter: Array
    invalid: NDArray[np.int64]
    n_rows: int

    def __add__(self, other: Moments) -> Moments:
        """Merge by the centred formula (Chan, Golub & LeVeque 1979, eq. 2.1)."""
        invalid = self.invalid + other.invalid
        if self.weight == 0:  # the first sum of each block, in which D x D zeros cost as much as many rows
            return dataclasses.replace(other, invalid=invalid)
        weight = self.weight + other.weight
        share = other.weight / weight
        with np.errstate(over="ignore", invalid="ignore"):  # the driver refuses what overflows
            delta = other.mean - self.mean
            scatter = self.scatter + other.scatter
            scatter += self.weight * share * np.outer(delta, delta)
            n_rows = self.n_rows + other.n_rows
            return Moments(weight, self.mean + share * delta, scatter, invalid, n_rows)


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
    n_rows : int
        Rows with a weight and any entry.
    """

    weight: float
    weights: Array
    means: Array
    scatter: Array
    invalid: NDArray[np.int64]
    n_rows: int

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
                self.n_rows + other.n_rows,
            )

    @property
    def pooled(self) -> Moments:
        """Moments as if every pair were known in all rows; their scatter need not be positive definite."""
        share = self.weight / np.where(self.weights > 0, self.weights, 1.0)
        with np.errstate(over="ignore", invalid="ignore"):
            scatter = share * self.scatter
        return Moments(self.weight, np.diag(self.means).copy(), scatter, self.invalid, self.n_rows)


def moments_of(X: Rows, sample_weight: Array | None, gaps: Gaps = REFUSED) -> Moments:
    """Weight, mean and scatter of one block, its gaps filled, and how many entries are not finite."""
    check_weights(sample_weight)
    n_columns = X.shape[1]
    nothing, invalid = np.zeros(n_columns), np.zeros(n_columns, np.int64)
    total = Moments(0.0, nothing, np.zeros((n_columns, n_columns)), invalid, 0)
    for rows, tile in row_tiles(X):
        weight = None if sample_weight is None else sample_weight[rows]
        with np.errstate(over="ignore", invalid="ignore"):  # the driver refuses what overflows
            total += _tile_moments(gaps.filled(np.asarray(tile, dtype=np.float64)), weight)
    return total


def _tile_moments(X: Array, sample_weight: Array | None) -> Moments:
    finite = np.isfinite(X)
    invalid = np.count_nonzero(~finite, axis=0)
    if invalid.any():
        X = np.where(finite, X, 0.0)  # the driver refuses the data; until then nothing may warn
    if sample_weight is None:
        n_rows, weight, mean = len(X), float(len(X)), X.mean(axis=0)
        centred = weighted = X - mean
    else:
        n_rows, weight = int(np.count_nonzero(sample_weight)), float(sample_weight.sum())
        mean = sample_weight @ X / weight if weight > 0 else np.zeros(X.shape[1])
        centred = X - mean
        weighted = sample_weight[:, None] * centred
    return Moments(weight, mean, centred.T @ weighted, invalid, n_rows)


def pairwise_moments_of(X: Rows, sample_weight: Array | None) -> PairwiseMoments:
    """Moments of one block with gaps, and how many entries are infinite."""
    check_weights(sample_weight)
    zeros = np.zeros((X.shape[1], X.shape[1]))
    total = PairwiseMoments(0.0, zeros, zeros, zeros, np.zeros(X.shape[1], np.int64), 0)
    for rows, tile in row_tiles(X):
        weight = np.ones(len(tile)) if sample_weight is None else sample_weight[rows]
        with np.errstate(over="ignore", invalid="ignore"):  # the driver refuses what overflows
            total += _tile_pairwise_moments(np.asarray(tile, dtype=np.float64), weight)
    return total


def _tile_pairwise_moments(X: Array, sample_weight: Array) -> PairwiseMoments:
    invalid = np.count_nonzero(np.isinf(X), axis=0)
    seen = np.isfinite(X)
    here, X = seen.astype(np.float64), np.where(seen, X, 0.0)
    weighted = here * sample_weight[:, None]
    column_weights = weighted.sum(axis=0)
    centre = sample_weight @ X / np.where(column_weights > 0, column_weights, 1.0)
    X = (X - centre) * here  # near 0, so that the products below do not cancel
    weights = here.T @ weighted
    sums = X.T @ weighted
    means = sums / np.where(weights > 0, weights, 1.0)
    scatter = X.T @ (X * sample_weight[:, None]) - sums * means.T
    centred_back = np.where(weights > 0, means + centre[:, None], 0.0)
    counted = sample_weight[seen.any(axis=1)]
    n_rows = int(np.count_nonzero(counted))
    return PairwiseMoments(float(counted.sum()), weights, centred_back, scatter, invalid, n_rows)
