"""What rows expect of the values at the nodes of a map, and how that compares with what is known of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.model import Model
from dask_igtm.posterior.entry_checks import check_weights
from dask_igtm.posterior.posterior import posteriors
from dask_igtm.posterior.tiles import Rows
from dask_igtm.statistics.node_sums import ClassTotals, NodeTotals, totals_of
from dask_igtm.statistics.targets import check_comparable, distinct, known_labels, known_numbers

Array = NDArray[np.float64]


def expected(X: Rows, model: Model, kernel: str, values: Array) -> Array:
    """Return what the rows of a block expect of values at the nodes, (n, C) of (K, C); (n,) of (K,)."""
    columns = np.column_stack([values, np.ones(len(values))])
    result = np.empty((X.shape[0], columns.shape[1]))
    for tile in posteriors(X, model, kernel):
        result[tile.rows] = tile.expectations(columns)
    result = result[:, :-1] / result[:, -1:]  # responsibilities in float32 sum to 1 in float32
    return result if values.ndim > 1 else result[:, 0]


def answer(X: Rows, model: Model, kernel: str, values: Array) -> tuple[Array]:
    """Return what `expected` does, as the only output of its rows."""
    return (expected(X, model, kernel, values),)


def count_right(
    X: Rows,
    sample_weight: Array | None,
    labels: Any,
    model: Model,
    kernel: str,
    values: Array,
    classes: NDArray[Any],
) -> Array:
    """Return how many rows of a block are of the likeliest class, and how many there are, (2,)."""
    check_weights(sample_weight)
    weight = np.ones(X.shape[0]) if sample_weight is None else sample_weight
    known = known_labels(labels)
    check_comparable(classes, known)
    right = classes[expected(X, model, kernel, values).argmax(axis=1)] == known
    return np.array([weight @ right, weight.sum()])


def residuals(
    X: Rows, sample_weight: Array | None, y: Any, model: Model, kernel: str, values: Array
) -> NodeTotals:
    """Return the moments of T columns of y and of what it exceeds its expectation by, as if of one node."""
    check_weights(sample_weight)
    weight = np.ones(X.shape[0]) if sample_weight is None else sample_weight
    numbers = known_numbers(y)
    if numbers.shape[1] != values.shape[1]:
        raise ValueError(
            f"y has {numbers.shape[1]} columns, and had {values.shape[1]} in fit; give the same ones."
        )
    beyond = numbers - expected(X, model, kernel, values)
    return totals_of(lambda columns: columns.sum(axis=0)[None], weight, np.hstack([numbers, beyond]))


def count_labels(_X: Rows, _weight: Array | None, y: Any) -> ClassTotals:
    """Return how often each label is in a block of y; raise ValueError where one is missing."""
    labels, codes = distinct(known_labels(y))
    return ClassTotals(labels, np.bincount(codes, minlength=len(labels))[None].astype(np.float64))


def check_numbers(_X: Rows, _weight: Array | None, y: Any) -> int:
    """Raise ValueError where a value of a block of y is missing, infinite or no number."""
    known_numbers(y)
    return 0
