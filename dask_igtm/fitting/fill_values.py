"""What fills the gaps of each column: one or two passes over the data, before those of the fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.checks import name_columns
from dask_igtm.model.gaps import Gaps
from dask_igtm.passes.graph import Source
from dask_igtm.passes.reduce import reduce
from dask_igtm.statistics import column_stats

Array = NDArray[np.float64]

PASSES = {"mean": 1, "median": 2, "most_frequent": 1}  # over lazy data, before the moments
BINS = (64, 4096)  # least and most of a histogram, and so many of all columns together:
ALL_BINS = 2**21


def gaps_of(source: Source, strategy: str, names: Sequence[str] | None = None) -> Gaps:
    """Return what a fit to these rows does with gaps, and what fills them.

    Parameters
    ----------
    source : Source
    strategy : str
        See `Gaps`. "mean", "median" and "most_frequent" are those of the column's entries, rows times
        their weights; "constant" is 0.
    names : sequence of str, optional
        Of the columns, for messages.

    Raises
    ------
    ValueError
        If a column has no entries, or too many different ones for "most_frequent".
    """
    if strategy in ("error", "marginalize"):
        return Gaps(strategy)
    find = {"mean": _means, "median": _medians, "most_frequent": _most_frequent, "constant": _zeros}[strategy]
    return Gaps(strategy, find(source, names))


def check_observed(weight: Array, names: Sequence[str] | None) -> None:
    """Raise ValueError if a column has no entry."""
    empty = np.flatnonzero(weight == 0)
    if len(empty) and weight.any():
        raise ValueError(f"X has no value in {name_columns(empty, names)}; drop what is all gaps.")


def _reduce(source: Source, function: Callable[..., Any], *shared: Any) -> Any:
    return reduce(source, function, *shared, label="igtm-columns")


def _zeros(source: Source, names: Sequence[str] | None) -> Array:  # noqa: ARG001
    return np.zeros(1)  # for every column


def _means(source: Source, names: Sequence[str] | None) -> Array:
    found: column_stats.ColumnMeans = _reduce(source, column_stats.means)
    check_observed(found.weight, names)
    large = np.flatnonzero(~np.isfinite(found.mean))
    if len(large):
        raise ValueError(
            f"X has values too large to average in {name_columns(large, names)}; divide X by a constant "
            "first, or drop these columns."
        )
    return found.mean


def _medians(source: Source, names: Sequence[str] | None) -> Array:
    """Medians by a range and a histogram: exact where the middle bin holds one value, else its middle.

    The error is at most half a bin, a 4,096th of the range or more in very many columns. Data in memory
    are counted again within the bin until it holds one value.
    """
    found: column_stats.ColumnRanges = _reduce(source, column_stats.ranges)
    check_observed(found.weight, names)
    some = found.weight > 0
    low, high = np.where(some, found.low, 0.0), np.where(some, found.high, 0.0)
    n_bins = int(np.clip(ALL_BINS // len(low), *BINS))
    while True:
        histograms: column_stats.ColumnHistograms = _reduce(
            source, column_stats.histograms, low, high, n_bins
        )
        inside, (least, most) = low < high, _middle(histograms, found.weight / 2)
        low, high = np.where(inside, least, low), np.where(inside, most, high)
        if not source.in_memory or (low == high).all():
            return np.where(low == high, low, low / 2 + high / 2)  # the sum may overflow


def _middle(histograms: column_stats.ColumnHistograms, half: Array) -> tuple[Array, Array]:
    """Bounds (D,) of the weighted median of each column with a range: equal where it is known exactly."""
    reached = histograms.below[:, None] + histograms.weight.cumsum(axis=1)
    column, last = np.arange(len(half)), histograms.weight.shape[1] - 1
    slack = 1e-12 * half[:, None]  # weights need not be whole numbers
    lower = np.minimum((reached < half[:, None] - slack).sum(axis=1), last)
    upper = np.minimum((reached <= half[:, None] + slack).sum(axis=1), last)
    low, high = histograms.low[column, lower], histograms.high[column, upper]
    # Half of the weight ends with a bin: the median lies between that bin's last value and the next one.
    between = lower < upper
    with np.errstate(invalid="ignore"):  # a column without a range has empty bins
        middle = histograms.high[column, lower] / 2 + histograms.low[column, upper] / 2
    return np.where(between, middle, low), np.where(between, middle, high)


def _most_frequent(source: Source, names: Sequence[str] | None) -> Array:
    """Most frequent values, the least of those that tie."""
    found: column_stats.ColumnCounts = _reduce(source, column_stats.counts)
    many = np.flatnonzero([counts is None for counts in found.counts])
    if len(many):
        raise ValueError(
            f"X has more than {column_stats.MOST_DISTINCT} different values in {name_columns(many, names)}, "
            "which missing='most_frequent' does not count; give missing='median' or 'marginalize'."
        )
    weights = [counts or {} for counts in found.counts]
    check_observed(np.array([sum(weight.values()) for weight in weights]), names)
    return np.array([min(w, key=lambda value: (-w[value], value), default=0.0) for w in weights])
