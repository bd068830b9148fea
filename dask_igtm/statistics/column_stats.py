"""Additive statistics of each column by itself, over what is observed of it: what fills its gaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dask_igtm.posterior.entry_checks import check_weights
from dask_igtm.posterior.tiles import Rows, row_tiles

Array = NDArray[np.float64]

MOST_DISTINCT = 100_000


@dataclass(frozen=True)
class ColumnMeans:
    """Weight and weighted mean of the entries of each column, (D,)."""

    weight: Array
    mean: Array

    def __add__(self, other: ColumnMeans) -> ColumnMeans:
        weight = self.weight + other.weight
        share = other.weight / np.where(weight > 0, weight, 1.0)
        with np.errstate(over="ignore", invalid="ignore"):  # the driver refuses what overflows
            return ColumnMeans(weight, self.mean + share * (other.mean - self.mean))


@dataclass(frozen=True)
class ColumnRanges:
    """Weight, least and largest entry of each column, (D,); inf and -inf where there is none."""

    weight: Array
    low: Array
    high: Array

    def __add__(self, other: ColumnRanges) -> ColumnRanges:
        return ColumnRanges(
            self.weight + other.weight, np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        )


@dataclass(frozen=True)
class ColumnHistograms:
    """Weight, least and largest entry in each bin of each column, (D, B), and the weight below, (D,)."""

    weight: Array
    low: Array
    high: Array
    below: Array

    def __add__(self, other: ColumnHistograms) -> ColumnHistograms:
        return ColumnHistograms(
            self.weight + other.weight,
            np.minimum(self.low, other.low),
            np.maximum(self.high, other.high),
            self.below + other.below,
        )


@dataclass(frozen=True)
class ColumnCounts:
    """Weight of each distinct entry of each column; None for a column that has too many of them."""

    counts: tuple[dict[float, float] | None, ...]

    def __add__(self, other: ColumnCounts) -> ColumnCounts:
        return ColumnCounts(tuple(map(_merge, self.counts, other.counts)))


def means(X: Rows, sample_weight: Array | None) -> ColumnMeans:
    """Means of one block."""
    zeros = np.zeros(X.shape[1])
    total = ColumnMeans(zeros, zeros)
    for tile, weight in _observed(X, sample_weight):
        sums = weight.sum(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):  # the driver refuses what overflows
            mean = (weight * tile).sum(axis=0) / np.where(sums > 0, sums, 1.0)
        total += ColumnMeans(sums, mean)
    return total


def ranges(X: Rows, sample_weight: Array | None) -> ColumnRanges:
    """Ranges of one block."""
    limits = np.full(X.shape[1], np.inf)
    total = ColumnRanges(np.zeros(X.shape[1]), limits, -limits)
    for tile, weight in _observed(X, sample_weight):
        counted = weight > 0
        low = tile.min(axis=0, initial=np.inf, where=counted)
        high = tile.max(axis=0, initial=-np.inf, where=counted)
        total += ColumnRanges(weight.sum(axis=0), low, high)
    return total


def histograms(
    X: Rows, sample_weight: Array | None, low: Array, high: Array, n_bins: int
) -> ColumnHistograms:
    """Histograms of one block, with bins of one width between `low` and `high` of each column, (D,)."""
    n_columns = X.shape[1]
    shape = (n_columns, n_bins)
    weights, below = np.zeros(shape), np.zeros(n_columns)
    lows, highs = np.full(shape, np.inf), np.full(shape, -np.inf)
    for tile, weight in _observed(X, sample_weight):
        below += np.where(tile < low, weight, 0.0).sum(axis=0)
        for column in range(n_columns):
            values, counts = tile[:, column], weight[:, column]
            inside = (counts > 0) & (values >= low[column]) & (values <= high[column])
            values, counts = values[inside], counts[inside]
            place = _place(values, float(low[column]), float(high[column]))
            bins = np.minimum((place * n_bins).astype(np.int64), n_bins - 1)
            weights[column] += np.bincount(bins, counts, minlength=n_bins)
            np.minimum.at(lows[column], bins, values)
            np.maximum.at(highs[column], bins, values)
    return ColumnHistograms(weights, lows, highs, below)


def _place(values: Array, low: float, high: float) -> Array:
    """Where between `low`, 0, and `high`, 1, the values lie."""
    if np.isinf(high - low):
        values, low, high = values / 2, low / 2, high / 2
    if high <= low:
        return np.zeros(len(values))
    with np.errstate(over="ignore"):  # of which NumPy 1 warns where high - low is subnormal
        return (values - low) / (high - low)


def counts(X: Rows, sample_weight: Array | None) -> ColumnCounts:
    """Distinct entries of one block."""
    total = ColumnCounts(tuple({} for _ in range(X.shape[1])))
    for tile, weight in _observed(X, sample_weight):
        total += ColumnCounts(tuple(map(_count, tile.T, weight.T)))
    return total


def _count(values: Array, weight: Array) -> dict[float, float]:
    distinct, inverse = np.unique(values[weight > 0], return_inverse=True)
    weights = np.bincount(inverse, weight[weight > 0], minlength=len(distinct))
    return dict(zip(distinct.tolist(), weights.tolist(), strict=True))


def _merge(one: dict[float, float] | None, other: dict[float, float] | None) -> dict[float, float] | None:
    if one is None or other is None:
        return None
    merged = dict(one)
    for value, weight in other.items():
        merged[value] = merged.get(value, 0.0) + weight
    return merged if len(merged) <= MOST_DISTINCT else None


def _observed(X: Rows, sample_weight: Array | None) -> Iterator[tuple[Array, Array]]:
    """Yield rows (n, D) with 0 in gaps and for infinities, and the weight of each entry, 0 there."""
    check_weights(sample_weight)
    for rows, tile in row_tiles(X):
        seen = np.isfinite(tile)
        weight = 1.0 if sample_weight is None else sample_weight[rows, None]
        yield np.where(seen, tile, 0).astype(np.float64), seen * weight
