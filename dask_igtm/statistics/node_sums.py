"""What the rows of a block leave on the nodes of a map: weights, values and classes, as sums that add up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dask_igtm.model.model import Model
from dask_igtm.posterior.entry_checks import check_weights
from dask_igtm.posterior.posterior import Posterior, posteriors
from dask_igtm.posterior.tiles import Rows
from dask_igtm.statistics.targets import distinct, labels_of, numbers_of, union

Array = NDArray[np.float64]
Indices = NDArray[np.intp]

MOST_CLASSES = 10_000


@dataclass(frozen=True)
class NodeTotals:
    """Weighted mean and deviation of values at each node, mergeable without cancellation or overflow.

    Attributes
    ----------
    weight : ndarray of shape (K, T)
        Sum of the responsibilities, over the rows that have a value in that column.
    mean : ndarray of shape (K, T)
        Mean of the values, weighted by the responsibilities; 0 where nothing weighs.
    deviation : ndarray of shape (K, T)
        Standard deviation of the values, weighted the same, from `mean`: unlike its square it is as large or
        small a number as they are.
    """

    weight: Array
    mean: Array
    deviation: Array

    def __add__(self, other: NodeTotals) -> NodeTotals:
        """Merge by the centred formula (Chan, Golub & LeVeque 1979, eq. 2.1)."""
        weight = self.weight + other.weight
        share = other.weight / np.where(weight > 0, weight, 1.0)
        delta = other.mean - self.mean
        within = np.hypot(np.sqrt(1.0 - share) * self.deviation, np.sqrt(share) * other.deviation)
        between = np.sqrt(share * (1.0 - share)) * delta
        return NodeTotals(weight, self.mean + share * delta, np.hypot(within, between))

    @property
    def pooled(self) -> NodeTotals:
        """The totals of all nodes together, (1, T)."""
        weight = self.weight.sum(axis=0, keepdims=True)
        share = self.weight / np.where(weight > 0, weight, 1.0)
        mean = (share * self.mean).sum(axis=0, keepdims=True)
        squares = np.sqrt(share) * np.hypot(self.deviation, self.mean - mean)
        return NodeTotals(weight, mean, np.hypot.reduce(squares, axis=0, keepdims=True))

    def smoothed(self, share: Any) -> NodeTotals:
        """Return totals to which every row adds `share` of its weight at every node.

        A node without rows gets the mean and the standard deviation of all of them.
        """
        pooled = self.pooled
        return self + NodeTotals(share * pooled.weight, pooled.mean, pooled.deviation)


@dataclass(frozen=True)
class ClassTotals:
    """Sums of the responsibilities of each class; the classes are those met so far.

    Attributes
    ----------
    labels : ndarray of shape (C,)
        Sorted labels.
    sums : ndarray of shape (K, C)
        Sums of the responsibilities over the rows of each class.
    """

    labels: NDArray[Any]
    sums: Array

    def __post_init__(self) -> None:
        _check_number(len(self.labels))

    def __add__(self, other: ClassTotals) -> ClassTotals:
        """Add class by class, over the union of the labels."""
        labels = union(self.labels, other.labels)
        sums = np.zeros((len(self.sums), len(labels)))
        for part in (self, other):
            sums[:, np.searchsorted(labels, part.labels)] += part.sums
        return ClassTotals(labels, sums)


def node_weights(X: Rows, sample_weight: Array | None, model: Model, kernel: str) -> Array:
    """Return the sums of the responsibilities at each node, (K,), over the rows of a block."""
    total = np.zeros(len(model.basis.nodes))
    for tile, weight in weighted_tiles(X, sample_weight, model, kernel):
        total += tile.totals(weight[:, None])[:, 0]
    return total


def value_totals(X: Rows, sample_weight: Array | None, y: Any, model: Model, kernel: str) -> NodeTotals:
    """Return what one block of rows says of values at the nodes.

    Parameters
    ----------
    X : array of shape (n, D)
    sample_weight : ndarray of shape (n,) or None
    y : array of shape (n,) or (n, T)
        Values; a row that is NaN in a column does not count there.
    model : Model
    kernel : str
        Name of the kernel.

    Raises
    ------
    ValueError
        If a value is infinite or no number, or X or the weights cannot be used.
    """
    values = numbers_of(y)
    total = no_totals(len(model.basis.nodes), values.shape[1])
    for tile, weight in weighted_tiles(X, sample_weight, model, kernel):
        total += totals_of(tile.totals, weight, values[tile.rows])
    return total


def no_totals(n_nodes: int, n_columns: int) -> NodeTotals:
    """Return the totals of no rows."""
    nothing = np.zeros((n_nodes, n_columns))
    return NodeTotals(nothing, nothing, nothing)


def totals_of(sums: Callable[[Array], Array], weight: Array, values: Array) -> NodeTotals:
    """Return the totals of a few rows with weights (n,) and values (n, T).

    `sums` takes columns (n, C) to their sums over the rows at each node, (K, C).
    """
    seen = ~np.isnan(values)
    values = np.where(seen, values, 0.0)
    # In units that are powers of 2, which round nothing, no square of a value or weight leaves its range.
    unit, unit_weight = (
        _power_of_2(np.abs(values).max(axis=0, initial=0.0)),
        _power_of_2(weight.max(initial=0.0)),
    )
    values, weights = values / unit, seen * (weight / unit_weight)[:, None]
    centre = values.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    centred = np.where(seen, values - centre, 0.0)  # near 0, so that the squares below do not cancel
    spread = _power_of_2(np.abs(centred).max(axis=0, initial=0.0))
    centred /= spread
    columns = np.hstack([weights, weights * centred, weights * centred**2])
    total, first, second = np.hsplit(sums(columns), 3)
    known = total > 0
    divisor = np.where(known, total, 1.0)
    mean = first / divisor
    deviation = np.sqrt(np.maximum(second / divisor - mean**2, 0.0))
    mean = np.where(known, unit * (centre + spread * mean), 0.0)
    return NodeTotals(unit_weight * total, mean, unit * (spread * deviation))


def _power_of_2(largest: Any) -> Any:
    """Return powers of 2 of about those sizes, 1 for 0, by which a number can be divided."""
    exponent = np.where(largest > 0, np.frexp(largest)[1], 0)
    return np.ldexp(1.0, np.clip(exponent, -1021, 1021))


def class_totals(X: Rows, sample_weight: Array | None, labels: Any, model: Model, kernel: str) -> ClassTotals:
    """Return what one block of rows says of classes at the nodes.

    Parameters
    ----------
    X, sample_weight, model, kernel
        As in `value_totals`.
    labels : array of shape (n,) or (n, 1)
        A row whose label is missing (None, NaN) does not count.

    Raises
    ------
    ValueError
        If the labels are no labels, or X or the weights cannot be used.
    """
    found, codes = classes_in(labels)
    sums = np.zeros((len(found), len(model.basis.nodes)))
    for tile, weight in weighted_tiles(X, sample_weight, model, kernel):
        sums += sums_by_class(tile, weight, codes[tile.rows], len(found))
    return ClassTotals(found, sums.T)


def classes_in(labels: Any) -> tuple[NDArray[Any], Indices]:
    """Return the sorted labels of a block, and which of them each row has, (n,); -1 where it has none."""
    present, known = labels_of(labels)
    found, inverse = distinct(known)
    _check_number(len(found))  # before there are sums for each
    codes = np.full(len(present), -1)
    codes[present] = inverse
    return found, codes


def sums_by_class(tile: Posterior, weight: Array, codes: Indices, n_classes: int) -> Array:
    """Return the sums of the responsibilities of a few rows over those of each class, (C, K)."""
    rows = np.flatnonzero(codes >= 0)
    entries = (weight[rows], (codes[rows], rows))
    return np.asarray(csr_array(entries, shape=(n_classes, len(weight))) @ tile.responsibilities)


def _check_number(n_labels: int) -> None:
    if n_labels > MOST_CLASSES:
        raise ValueError(
            f"There are more than {MOST_CLASSES} different labels; give classes, or a property if the "
            "labels are measured values."
        )


def weighted_tiles(
    X: Rows, sample_weight: Array | None, model: Model, kernel: str
) -> Iterator[tuple[Posterior, Array]]:
    """Yield the posterior of a few rows at a time, and their weights in float64, in which sums are made."""
    check_weights(sample_weight)
    for tile in posteriors(X, model, kernel):
        weight = tile.weight(sample_weight)
        yield tile, np.ones(len(tile.log_mass)) if weight is None else weight.astype(np.float64)
