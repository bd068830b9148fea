"""Where rows lie on the map: sums over square bins of it, and the rows themselves while they are few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.block import project_all
from dask_igtm.model import Model
from dask_igtm.rows import Rows

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

MAX_LABELS = 100  # each is a histogram of its own


@dataclass(frozen=True)
class Points:
    """Rows with their place on the map.

    Attributes
    ----------
    means : ndarray of shape (n, 2)
    values : ndarray of shape (n,) or None
        Value or label of each row.
    """

    means: Array
    values: NDArray[Any] | None

    def __add__(self, other: Points) -> Points:
        values = None
        if self.values is not None and other.values is not None:
            values = np.concatenate([self.values, other.values])
        return Points(np.concatenate([self.means, other.means]), values)


@dataclass(frozen=True)
class Spread:
    """How rows spread over B x B square bins of the map; where values or labels are asked for, rows with one.

    Attributes
    ----------
    counts : ndarray of shape (B, B)
        Rows in each bin; x1 runs along the first axis. The B + 1 edges of bins along a side hold all rows.
    sums : ndarray of shape (B, B) or None
        Sums of their values.
    labels : dict of ndarrays of shape (B, B), or None
        Rows of each label in each bin.
    n_without : int
        Rows that have no value or label, and are in nothing of the above.
    log_likelihood : float
        Sum of ln p(x) over all rows.
    points : Points or None
        The rows in their order; None where they are more than `limit`.
    limit : int
    """

    counts: Counts
    sums: Array | None
    labels: dict[Any, Counts] | None
    n_without: int
    log_likelihood: float
    points: Points | None
    limit: int

    def __add__(self, other: Spread) -> Spread:
        points = None
        if self.points and other.points and self.n_rows + other.n_rows <= self.limit:
            points = self.points + other.points
        return Spread(
            self.counts + other.counts,
            None if self.sums is None or other.sums is None else self.sums + other.sums,
            None if self.labels is None or other.labels is None else _merged(self.labels, other.labels),
            self.n_without + other.n_without,
            self.log_likelihood + other.log_likelihood,
            points,
            self.limit,
        )

    @property
    def n_rows(self) -> int:
        """Number of rows that are counted."""
        return int(self.counts.sum())


def of_rows(
    X: Rows, sample_weight: Array | None, model: Model, kernel: str, edges: Array, limit: int
) -> Spread:
    """Return how the posterior means of the rows of a block spread over the map."""
    del sample_weight
    means, log_likelihood = project_all(X, model, kernel, ("means", "log_likelihood"))
    counts = _histogram(_bins(means, edges), edges)
    points = Points(means, None) if len(means) <= limit else None
    return Spread(counts, None, None, 0, float(log_likelihood.sum()), points, limit)


def of_values(
    X: Rows, sample_weight: Array | None, y: Any, model: Model, kernel: str, edges: Array, limit: int
) -> Spread:
    """Return the same of rows that have a finite value each."""
    del sample_weight
    try:
        values = np.asarray(y, dtype=np.float64)
    except (TypeError, ValueError):
        raise TypeError("y holds what is no number; give words as labels.") from None
    means, log_likelihood = project_all(X, model, kernel, ("means", "log_likelihood"))
    known = np.isfinite(values)
    means, values = means[known], values[known]
    bins = _bins(means, edges)
    sums = _histogram(bins, edges, values)
    points = Points(means, values) if len(means) <= limit else None
    n_without = int(np.count_nonzero(~known))
    return Spread(
        _histogram(bins, edges), sums, None, n_without, float(log_likelihood.sum()), points, limit
    )


def of_labels(
    X: Rows, sample_weight: Array | None, y: Any, model: Model, kernel: str, edges: Array, limit: int
) -> Spread:
    """Return the same of rows that have a label each, which is not None or NaN."""
    del sample_weight
    labels = np.asarray(y)
    known = np.ones(len(labels), bool)
    if labels.dtype.kind not in "biuSU":
        known[:] = [not _is_missing(label) for label in labels.tolist()]
    means, log_likelihood = project_all(X, model, kernel, ("means", "log_likelihood"))
    means, labels = means[known], labels[known]
    if labels.dtype == object:
        labels = labels.astype(str)  # as they will be drawn, and can be sorted
    bins = _bins(means, edges)
    found, codes = np.unique(labels, return_inverse=True)
    _check_number(len(found))
    by_label = {label: _histogram(bins[codes == code], edges) for code, label in enumerate(found.tolist())}
    points = Points(means, labels) if len(means) <= limit else None
    n_without = int(np.count_nonzero(~known))
    return Spread(
        _histogram(bins, edges), None, by_label, n_without, float(log_likelihood.sum()), points, limit
    )


def _bins(means: Array, edges: Array) -> NDArray[np.intp]:
    """Return the number of the bin of each row; a bin holds its lower edges, the last one its upper too."""
    inner = edges[1:-1]
    first, second = (np.searchsorted(inner, column, side="right") for column in means.T)
    return np.asarray(first * (len(inner) + 1) + second)


def _histogram(bins: NDArray[np.intp], edges: Array, values: Array | None = None) -> Any:
    n_bins = len(edges) - 1
    return np.bincount(bins, values, n_bins**2).reshape(n_bins, n_bins)


def _merged(one: dict[Any, Counts], other: dict[Any, Counts]) -> dict[Any, Counts]:
    merged = one | {label: one.get(label, 0) + counts for label, counts in other.items()}
    _check_number(len(merged))
    return merged


def _check_number(n_labels: int) -> None:
    if n_labels > MAX_LABELS:
        raise ValueError(f"There are more than {MAX_LABELS} labels; give numbers as y, or fewer labels.")


def _is_missing(label: Any) -> bool:
    return label is None or type(label).__name__ in {"NAType", "NaTType"} or label != label
