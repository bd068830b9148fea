"""Where rows lie on the map: sums over square bins of it, and the rows themselves while they are few."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.model import Model
from dask_igtm.posterior.row_outputs import outputs_of, project
from dask_igtm.posterior.tiles import Rows
from dask_igtm.statistics.targets import distinct, labels_of, numbers_of, union

Array = NDArray[np.float64]
Counts = NDArray[np.int64]

MOST_LABELS = 10  # that can be told apart by colour; each is a histogram of its own


@dataclass(frozen=True)
class Points:
    """Rows with their place on the map.

    Attributes
    ----------
    rows : ndarray of shape (n,)
        Their numbers, counted from the first row that was looked at.
    means : ndarray of shape (n, 2)
    values : ndarray of shape (n,) or None
        Value or label of each row.
    """

    rows: NDArray[np.intp]
    means: Array
    values: NDArray[Any] | None

    def followed_by(self, other: Points, n_before: int) -> Points:
        """Return both, where `n_before` rows were looked at before the first one of `other`."""
        values = None
        if self.values is not None and other.values is not None:
            values = np.concatenate([self.values, other.values])
        rows = np.concatenate([self.rows, n_before + other.rows])
        return Points(rows, np.concatenate([self.means, other.means]), values)


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
            points = self.points.followed_by(other.points, self.n_rows + self.n_without)
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
    """Return how the rows of a block spread over the map by their posterior means.

    Parameters
    ----------
    X : array of shape (n, D)
    sample_weight : ignored
    model : Model
    kernel : str
        Name of the kernel.
    edges : ndarray of shape (B + 1,)
        Where bins begin and end along a side of the map.
    limit : int
        The most rows that are kept as points.
    """
    del sample_weight
    return _spread(X, model, kernel, edges, limit)[0]


def of_values(
    X: Rows, sample_weight: Array | None, y: Any, model: Model, kernel: str, edges: Array, limit: int
) -> Spread:
    """Return the same of rows that have a value each; y is (n,), NaN where there is none."""
    del sample_weight
    values = numbers_of(y)[:, 0]
    known = ~np.isnan(values)
    spread, bins = _spread(X, model, kernel, edges, limit, known, values[known])
    return replace(spread, sums=_histogram(bins, edges, values[known]))


def of_labels(
    X: Rows, sample_weight: Array | None, y: Any, model: Model, kernel: str, edges: Array, limit: int
) -> Spread:
    """Return the same of rows that have a label each; y is (n,), None or NaN where there is none."""
    del sample_weight
    present, labels = labels_of(y)
    found, codes = distinct(labels)
    _check_number(len(found))
    spread, bins = _spread(X, model, kernel, edges, limit, present, labels)
    by_label = {label: _histogram(bins[codes == code], edges) for code, label in enumerate(found.tolist())}
    return replace(spread, labels=by_label)


def _spread(
    X: Rows, model: Model, kernel: str, edges: Array, limit: int, known: Any = None, values: Any = None
) -> tuple[Spread, NDArray[np.intp]]:
    """Return the spread of `known` rows, with their values but without sums and labels; and their bins."""
    outputs = outputs_of(("means", "log_likelihood"), len(model.basis.nodes))
    means, log_likelihood = project(X, model, kernel, outputs)
    rows = np.arange(len(means))
    if known is not None:
        rows, means = rows[known], means[known]
    bins = _bins(means, edges)
    points = Points(rows, means, values) if len(rows) <= limit else None
    n_without, total = len(log_likelihood) - len(rows), float(log_likelihood.sum())
    return Spread(_histogram(bins, edges), None, None, n_without, total, points, limit), bins


def _bins(means: Array, edges: Array) -> NDArray[np.intp]:
    """Return the number of the bin of each row; a bin holds its lower edges, the last one its upper too."""
    inner = edges[1:-1]
    first, second = (np.searchsorted(inner, column, side="right") for column in means.T)
    return np.asarray(first * (len(inner) + 1) + second)


def _histogram(bins: NDArray[np.intp], edges: Array, values: Array | None = None) -> Any:
    n_bins = len(edges) - 1
    return np.bincount(bins, values, n_bins**2).reshape(n_bins, n_bins)


def _merged(one: dict[Any, Counts], other: dict[Any, Counts]) -> dict[Any, Counts]:
    labels = union(*(np.array(list(part), dtype=object) for part in (one, other))).tolist()
    _check_number(len(labels))
    return {label: np.asarray(one.get(label, 0) + other.get(label, 0)) for label in labels}


def _check_number(n_labels: int) -> None:
    if n_labels > MOST_LABELS:
        raise ValueError(
            f"There are more than {MOST_LABELS} labels, as many as colours can tell apart; merge the "
            "rare ones, or draw landscape.classes with a panel for each of some columns."
        )
