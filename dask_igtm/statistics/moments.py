"""Moments of rows: their weight, mean and scatter, where gaps are filled or refused, or pair by pair."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dask_igtm.model.gaps import REFUSED, Gaps
from dask_igtm.posterior.entry_checks import check_weights
from dask_igtm.posterior.tiles import Rows, csr_of, dense, is_sparse, row_tiles, spans
from dask_igtm.statistics.sparse_columns import filled_entries, finite_entries, mean_and_squares, scatter_of

Array = NDArray[np.float64]

# Sparse rows are made dense, a tile at a time, where that is faster, and where the squared mean of a column
# is so many of its variances that centring after the sums would cancel.
DENSE_SHARE = 1 / 8  # of entries, from which products of dense rows are faster
LARGEST_SQUARED_MEAN = 1e4  # in variances, that may be taken off a sum of squares


class ColumnMoments(Protocol):
    """What moments of every kind know of each column by itself."""

    @property
    def weight(self) -> float:
        """Sum of the sample weights."""

    @property
    def mean(self) -> Array:
        """Weighted mean (D,)."""

    @property
    def squares(self) -> Array:
        """Sum of the weighted squares (D,) of each column minus its mean."""

    @property
    def invalid(self) -> NDArray[np.int64]:
        """How many entries (D,) of each column are not finite."""

    @property
    def n_rows(self) -> int:
        """Rows with a weight."""


def divisor(moments: ColumnMoments) -> float:
    """Return what makes a sample covariance of scatter: of weights that were normalised to 1, their sum."""
    return moments.weight - 1.0 if moments.weight >= 2.0 else moments.weight


def deviation(moments: ColumnMoments) -> Array:
    """Return the population standard deviation (D,) of each column."""
    # Pair by pair, rounding may make the scatter of equal values negative.
    return np.asarray(np.sqrt(np.maximum(moments.squares, 0.0)) / np.sqrt(moments.weight))


def constant(moments: ColumnMoments) -> NDArray[np.bool_]:
    """Return which columns vary by no more than rounding, by the rule of scikit-learn's StandardScaler."""
    n, eps = moments.n_rows, np.finfo(np.float64).eps
    variance = moments.squares / moments.weight
    return np.asarray(variance <= n * eps * variance + (n * moments.mean * eps) ** 2)


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

    @property
    def squares(self) -> Array:
        """Diagonal of the scatter."""
        return np.diag(self.scatter)

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
    X = csr_of(X) if is_sparse(X) else X
    with np.errstate(over="ignore", invalid="ignore"):  # the driver refuses what overflows
        for rows in spans(X.shape):
            tile, weight = X[rows], None if sample_weight is None else sample_weight[rows]
            sums = _sparse_moments(tile, weight, gaps) if is_sparse(tile) else None
            total += sums or _tile_moments(gaps.filled(dense(tile).astype(np.float64, copy=False)), weight)
    return total


def _sparse_moments(X: csr_array, sample_weight: Array | None, gaps: Gaps) -> Moments | None:
    """Return the moments of sparse rows; None where they are better made dense."""
    weight = np.ones(X.shape[0]) if sample_weight is None else sample_weight
    total, n_rows = float(weight.sum()), int(np.count_nonzero(weight))
    if total == 0 or X.nnz > DENSE_SHARE * X.shape[0] * X.shape[1]:
        return None
    entries, invalid = finite_entries(filled_entries(X, gaps)[0])
    mean, squares = mean_and_squares(entries, weight)
    flat = squares <= total * (n_rows * np.finfo(np.float64).eps * mean) ** 2
    if (total * mean**2 > LARGEST_SQUARED_MEAN * squares)[~flat].any():
        return None
    return Moments(total, mean, scatter_of(entries, weight, mean, squares, flat), invalid, n_rows)


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
