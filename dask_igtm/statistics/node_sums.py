"""What the rows of a block leave on the nodes of a map: weights, values and classes, as sums that add up."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dask_igtm.model.model import Model
from dask_igtm.posterior.entry_checks import check_entries, check_weights
from dask_igtm.posterior.posterior import Posterior, posteriors
from dask_igtm.posterior.tiles import Rows
from dask_igtm.statistics.targets import distinct, labels_of, numbers_of, union

Array = NDArray[np.float64]

MOST_CLASSES = 10_000


@dataclass(frozen=True)
class NodeTotals:
    """Weighted mean and scatter of values at each node, mergeable without cancellation.

    Attributes
    ----------
    weight : ndarray of shape (K, T)
        Sum of the responsibilities, over the rows that have a value in that column.
    mean : ndarray of shape (K, T)
        Mean of the values, weighted by the responsibilities; 0 where nothing weighs.
    scatter : ndarray of shape (K, T)
        Sum of the weighted squares of the values minus `mean`.
    """

    weight: Array
    mean: Array
    scatter: Array

    def __add__(self, other: NodeTotals) -> NodeTotals:
        """Merge by the centred formula (Chan, Golub & LeVeque 1979, eq. 2.1)."""
        weight = self.weight + other.weight
        share = other.weight / np.where(weight > 0, weight, 1.0)
        delta = other.mean - self.mean
        scatter = self.scatter + other.scatter + self.weight * share * delta**2
        return NodeTotals(weight, self.mean + share * delta, scatter)

    @property
    def pooled(self) -> NodeTotals:
        """The totals of all nodes together, (1, T)."""
        weight = self.weight.sum(axis=0, keepdims=True)
        share = self.weight / np.where(weight > 0, weight, 1.0)
        mean = (share * self.mean).sum(axis=0, keepdims=True)
        scatter = self.scatter + self.weight * (self.mean - mean) ** 2
        return NodeTotals(weight, mean, scatter.sum(axis=0, keepdims=True))

    def smoothed(self, share: Any) -> NodeTotals:
        """Return totals to which every row adds `share` of its weight at every node.

        A node without rows gets the mean and the standard deviation of all of them.
        """
        pooled = self.pooled
        return self + NodeTotals(share * pooled.weight, pooled.mean, share * pooled.scatter)


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
    for tile, weight in _weighted_tiles(X, sample_weight, model, kernel):
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
    nothing = np.zeros((len(model.basis.nodes), values.shape[1]))
    total = NodeTotals(nothing, nothing, nothing)
    for tile, weight in _weighted_tiles(X, sample_weight, model, kernel):
        total += totals_of(tile.totals, weight, values[tile.rows])
    return total


def totals_of(sums: Callable[[Array], Array], weight: Array, values: Array) -> NodeTotals:
    """Return the totals of a few rows with weights (n,) and values (n, T).

    `sums` takes columns (n, C) to their sums over the rows at each node, (K, C).
    """
    seen = ~np.isnan(values)
    values = np.where(seen, values, 0.0)
    centre = values.sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    centred = np.where(seen, values - centre, 0.0)  # near 0, so that the squares below do not cancel
    weights = seen * weight[:, None]
    columns = np.hstack([weights, weights * centred, weights * centred**2])
    total, first, second = np.hsplit(sums(columns), 3)
    mean = first / np.where(total > 0, total, 1.0)
    scatter = np.maximum(second - first * mean, 0.0)
    return NodeTotals(total, np.where(total > 0, mean + centre, 0.0), scatter)


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
    present, known = labels_of(labels)
    found, inverse = distinct(known)
    _check_number(len(found))  # before there are sums for each
    codes = np.full(len(present), -1)
    codes[present] = inverse
    sums = np.zeros((len(found), len(model.basis.nodes)))
    for tile, weight in _weighted_tiles(X, sample_weight, model, kernel):
        rows = np.flatnonzero(codes[tile.rows] >= 0)
        entries = (weight[rows], (codes[tile.rows][rows], rows))
        sums += csr_array(entries, shape=(len(found), len(weight))) @ tile.responsibilities
    return ClassTotals(found, sums.T)


def _check_number(n_labels: int) -> None:
    if n_labels > MOST_CLASSES:
        raise ValueError(
            f"There are more than {MOST_CLASSES} different labels; give classes, or a property if the "
            "labels are measured values."
        )


def _weighted_tiles(
    X: Rows, sample_weight: Array | None, model: Model, kernel: str
) -> Iterator[tuple[Posterior, Array]]:
    """Yield the posterior of a few rows at a time, and their weights in float64, in which sums are made."""
    check_weights(sample_weight)
    check_entries(X, model.gaps)
    for tile in posteriors(X, model, kernel):
        weight = tile.weight(sample_weight)
        yield tile, np.ones(len(tile.log_mass)) if weight is None else weight.astype(np.float64)
