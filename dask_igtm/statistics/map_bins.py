"""Where rows lie on the map: sums over square bins of it, and the rows themselves while they are few."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.model import Model
from dask_igtm.posterior.entry_checks import check_weights
from dask_igtm.posterior.row_outputs import outputs_of, project
from dask_igtm.posterior.tiles import Rows
from dask_igtm.statistics.targets import distinct, labels_of, numbers_of, union

Array = NDArray[np.float64]
Counts = NDArray[Any]  # whole numbers where there are no weights

TOLD = "tooltip "  # with which the names of columns begin that tooltips tell
MOST_LABELS = 1_000  # of whose bins a picture is made


@dataclass(frozen=True)
class LabelBins:
    """Rows of each label in each bin, where there are some.

    Attributes
    ----------
    labels : ndarray of shape (L,)
        Sorted.
    keys : ndarray of shape (S,)
        Number of the label times the number of all bins, plus the number of the bin; sorted, each once.
    rows : ndarray of shape (S,)
    n_bins : int
        How many bins there are.
    """

    labels: NDArray[Any]
    keys: NDArray[np.int64]
    rows: Counts
    n_bins: int

    def __post_init__(self) -> None:
        if len(self.labels) > MOST_LABELS:
            raise ValueError(
                f"There are more than {MOST_LABELS} labels; merge the rare ones, or give them as y if they "
                "are measured values."
            )

    def __add__(self, other: LabelBins) -> LabelBins:
        labels = union(self.labels, other.labels)
        codes = [np.searchsorted(labels, part.labels)[part.code] for part in (self, other)]
        keys = np.concatenate(codes) * self.n_bins + np.concatenate([self.bin, other.bin])
        return LabelBins(labels, *_added(keys, np.concatenate([self.rows, other.rows])), self.n_bins)

    @property
    def code(self) -> NDArray[np.int64]:
        """Which label each of the entries is of, (S,)."""
        return self.keys // self.n_bins

    @property
    def bin(self) -> NDArray[np.int64]:
        """Which bin, (S,)."""
        return self.keys % self.n_bins

    @property
    def totals(self) -> dict[Any, float]:
        """How many rows each label has."""
        sums = np.bincount(self.code, self.rows, len(self.labels))
        return dict(zip(self.labels.tolist(), sums.tolist(), strict=True))


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
    weights : ndarray of shape (n,) or None
        Of each row, where there are weights.
    told : ndarray of records of shape (n,) or None
        What else is to be told of each row.
    """

    rows: NDArray[np.intp]
    means: Array
    values: NDArray[Any] | None
    weights: Array | None = None
    told: NDArray[Any] | None = None

    def followed_by(self, other: Points, n_before: int) -> Points:
        """Return both, where `n_before` rows were looked at before the first one of `other`."""
        rows = np.concatenate([self.rows, n_before + other.rows])
        means = np.concatenate([self.means, other.means])
        pairs = (
            (self.values, other.values),
            (self.weights, other.weights),
            (self.told, other.told),
        )
        return Points(rows, means, *(_joined(*pair) for pair in pairs))


@dataclass(frozen=True)
class Spread:
    """How rows spread over B x B square bins of the map; where values or labels are asked for, rows with one.

    Rows count as often as they weigh, and those without weight are no points.

    Attributes
    ----------
    counts : ndarray of shape (B, B)
        Rows in each bin; x1 runs along the first axis. The B + 1 edges of bins along a side hold all rows.
    sums : ndarray of shape (B, B) or None
        Sums of their values.
    labels : LabelBins or None
    n_without : int or float
        Rows that have no value or label, and are in nothing of the above.
    n_seen : int
        Rows that were looked at, whatever they weigh.
    log_likelihood : float
        Sum of ln p(x) over all rows.
    points : Points or None
        The rows in their order; None where they are more than `limit`.
    limit : int
    """

    counts: Counts
    sums: Array | None
    labels: LabelBins | None
    n_without: float
    n_seen: int
    log_likelihood: float
    points: Points | None
    limit: int

    def __add__(self, other: Spread) -> Spread:
        points = None
        if self.points and other.points and len(self.points.rows) + len(other.points.rows) <= self.limit:
            points = self.points.followed_by(other.points, self.n_seen)
        return Spread(
            self.counts + other.counts,
            None if self.sums is None or other.sums is None else self.sums + other.sums,
            None if self.labels is None or other.labels is None else self.labels + other.labels,
            self.n_without + other.n_without,
            self.n_seen + other.n_seen,
            self.log_likelihood + other.log_likelihood,
            points,
            self.limit,
        )

    @property
    def n_rows(self) -> float:
        """Number of rows that are counted, each times its weight."""
        n_rows: float = self.counts.sum().item()
        return n_rows


def edges_of(n_nodes: int, n_bins: int) -> Array:
    """Return where about `n_bins` bins of a side of the map begin and end, a whole number for each node."""
    k = math.isqrt(n_nodes)
    half = k / (k - 1) if k > 1 else 1.0
    return np.linspace(-half, half, k * max(1, round(n_bins / k)) + 1)


def of_rows(
    X: Rows, sample_weight: Array | None, model: Model, kernel: str, edges: Array, limit: int
) -> Spread:
    """Return how the rows of a block spread over the map by their posterior means.

    Parameters
    ----------
    X : array of shape (n, D)
    sample_weight : ndarray of shape (n,) or None
    model : Model
    kernel : str
        Name of the kernel.
    edges : ndarray of shape (B + 1,)
        Where bins begin and end along a side of the map.
    limit : int
        The most rows that are kept as points.
    """
    return spread(places_of(X, model, kernel), sample_weight, edges, limit)


def of_values(
    X: Rows, sample_weight: Array | None, y: Any, model: Model, kernel: str, edges: Array, limit: int
) -> Spread:
    """Return the same of rows that have a value each; y is (n,), NaN where there is none."""
    return spread_by_value(places_of(X, model, kernel), sample_weight, y, edges, limit)


def of_labels(
    X: Rows, sample_weight: Array | None, y: Any, model: Model, kernel: str, edges: Array, limit: int
) -> Spread:
    """Return the same of rows that have a label each; y is (n,), None or NaN where there is none."""
    return spread_by_label(places_of(X, model, kernel), sample_weight, y, edges, limit)


class Places(NamedTuple):
    """Where the rows of a block lie."""

    means: Array  # (n, 2)
    log_likelihood: Array  # (n,)


def places_of(X: Rows, model: Model, kernel: str) -> Places:
    """Return where the rows of a block lie."""
    return Places(*project(X, model, kernel, outputs_of(Places._fields, len(model.basis.nodes))))


def spread(places: Places, sample_weight: Array | None, edges: Array, limit: int) -> Spread:
    """Return what `of_rows` does of rows that lie there."""
    return _spread(places, sample_weight, edges, limit)[0]


def spread_by_value(places: Places, sample_weight: Array | None, y: Any, edges: Array, limit: int) -> Spread:
    """Return what `of_values` does of rows that lie there."""
    values = numbers_of(y)[:, 0]
    found, bins, kept = _spread(places, sample_weight, edges, limit, ~np.isnan(values), values)
    weighted = values[kept] if sample_weight is None else sample_weight[kept] * values[kept]
    return replace(found, sums=_histogram(bins, edges, weighted))


def spread_by_label(places: Places, sample_weight: Array | None, y: Any, edges: Array, limit: int) -> Spread:
    """Return what `of_labels` does of rows that lie there."""
    present, known = labels_of(y)
    labels = np.empty(len(present), known.dtype)
    labels[present] = known
    total, bins, kept = _spread(places, sample_weight, edges, limit, present, labels)
    found, codes = distinct(labels[kept])
    weights = np.ones(len(kept), int) if sample_weight is None else sample_weight[kept]
    keys, rows = _added(codes * total.counts.size + bins, weights)
    return replace(total, labels=LabelBins(found, keys, rows, total.counts.size))


def of_records(
    X: Rows,
    sample_weight: Array | None,
    y: Any,
    model: Model,
    kernel: str,
    edges: Array,
    limit: int,
    kind: Any,
) -> Spread:
    """Return the spread of rows of which something is told, as `of_rows`, `of_values` or `of_labels` do.

    `kind` is one of these. y are records (n,): fields to tell, and one of values or labels for `kind`, if it
    takes such.
    """
    told = [name for name in y.dtype.names if name.startswith(TOLD)]
    columns = [y[name] for name in y.dtype.names if name not in told]
    return telling(kind(X, sample_weight, *columns, model, kernel, edges, limit), y[told])


def telling(found: Spread, told: NDArray[Any] | None) -> Spread:
    """Return the spread of a block whose points tell what there is to tell of each row, (n,) records."""
    if found.points is None or told is None:
        return found
    return replace(found, points=replace(found.points, told=told[found.points.rows]))


def among(found: Spread, kept: NDArray[np.bool_]) -> Spread:
    """Return the spread of a block where its rows were those that `kept`, (n,), marks among others."""
    points = found.points and replace(found.points, rows=np.flatnonzero(kept)[found.points.rows])
    return replace(found, points=points, n_seen=len(kept))


def _added(keys: NDArray[np.int64], rows: Counts) -> tuple[NDArray[np.int64], Counts]:
    """Return sorted keys, each once, and the sums of what they have."""
    keys, place = np.unique(keys, return_inverse=True)
    sums = np.bincount(place, rows, len(keys))
    return keys, sums.astype(rows.dtype)


def _spread(
    places: Places,
    sample_weight: Array | None,
    edges: Array,
    limit: int,
    known: NDArray[np.bool_] | None = None,
    values: Any = None,
) -> tuple[Spread, NDArray[np.intp], NDArray[np.intp]]:
    """Return the spread of `known` rows without sums and labels, their bins, and where they are.

    `values` are of all rows.
    """
    check_weights(sample_weight)
    means, log_likelihood = places
    counted = np.ones(len(means), bool) if known is None else known
    n_without: float = int(np.count_nonzero(~counted))
    weights, total = None, float(log_likelihood.sum())
    if sample_weight is not None:
        n_without, total = float(sample_weight[~counted].sum()), float(sample_weight @ log_likelihood)
        counted = counted & (sample_weight > 0)
        weights = sample_weight[counted]
    rows = np.flatnonzero(counted)
    of_rows = None if values is None else values[rows]
    points = Points(rows, means[rows], of_rows, weights) if len(rows) <= limit else None
    bins = _bins(means[rows], edges)
    counts = _histogram(bins, edges, weights)
    return Spread(counts, None, None, n_without, len(means), total, points, limit), bins, rows


def _joined(one: NDArray[Any] | None, other: NDArray[Any] | None) -> NDArray[Any] | None:
    return None if one is None or other is None else np.concatenate([one, other])


def _bins(means: Array, edges: Array) -> NDArray[np.intp]:
    """Return the number of the bin of each row; a bin holds its lower edges, the last one its upper too."""
    inner = edges[1:-1]
    first, second = (np.searchsorted(inner, column, side="right") for column in means.T)
    return np.asarray(first * (len(inner) + 1) + second)


def _histogram(bins: NDArray[np.intp], edges: Array, values: Array | None = None) -> Any:
    n_bins = len(edges) - 1
    return np.bincount(bins, values, n_bins**2).reshape(n_bins, n_bins)
