"""A sample of the rows, drawn by their numbers in the pass that makes another statistic."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.posterior.tiles import Rows, csr_of, dense, is_sparse, stack
from dask_igtm.statistics.row_subsets import Parts, Sums, by_parts, sums, uniform, weights_in

Array = NDArray[np.float64]


@dataclass(frozen=True)
class RowSample:
    """The rows of the smallest keys, in the order of their keys, so that any first few are a sample too.

    Attributes
    ----------
    X : ndarray or csr_array of shape (n, D)
    weight : ndarray of shape (n,)
        Of each row, in the sense of `sample_weight`.
    keys : ndarray of shape (n,)
        Drawn for each row by its number, so that how rows lie in blocks changes nothing.
    size : int
        How many rows to keep at most.
    """

    X: Rows
    weight: Array
    keys: Array
    size: int

    def __add__(self, other: RowSample) -> RowSample:
        keys = np.concatenate([self.keys, other.keys])
        order = np.argsort(keys)[: self.size]
        weight = np.concatenate([self.weight, other.weight])
        return RowSample(stack([self.X, other.X])[order], weight[order], keys[order], self.size)


@dataclass(frozen=True)
class Draw:
    """How a sample is drawn.

    Attributes
    ----------
    size : int
        How many rows to keep at most.
    seed : int
    n_rows : float
        Of the whole, by which blocks know what they need not offer; NaN where nobody knows.
    """

    size: int
    seed: int
    n_rows: float = np.nan

    def of(self, X: Rows, sample_weight: Array | None, numbers: NDArray[np.int64]) -> RowSample:
        """Return the sample of a block whose rows have these numbers; rows without weight are left out."""
        keys = uniform(numbers, self.seed)
        # Six standard deviations more than needed, so that no sample falls short.
        offered = keys * self.n_rows < self.size + 6.0 * np.sqrt(self.size)
        offered |= np.isnan(self.n_rows)
        if sample_weight is not None:
            offered &= sample_weight > 0
        order = np.flatnonzero(offered)
        order = order[np.argsort(keys[order])][: self.size]
        weight = np.ones(len(order)) if sample_weight is None else sample_weight[order]
        chosen = csr_of(X)[order] if is_sparse(X) else dense(X[order])
        return RowSample(chosen, weight, keys[order], self.size)


def with_sample(
    X: Rows,
    sample_weight: Array | None,
    numbers: NDArray[np.int64],
    draw: Draw,
    function: Callable[..., Any],
    *shared: Any,
) -> Sums:
    """Return `function(X, sample_weight, *shared)` of a block, and its sample."""
    return Sums((function(X, sample_weight, *shared), draw.of(X, sample_weight, numbers)))


def sums_with_samples(
    X: Rows,
    sample_weight: Array | None,
    part: Any,
    numbers: NDArray[np.int64],
    draws: Sequence[tuple[Parts, Draw]],
    function: Callable[..., Any],
    wanted: Sequence[tuple[Parts, tuple[Any, ...]]],
) -> Sums:
    """Return `row_subsets.sums` of a block, and a sample of the rows of some parts for each of the draws."""
    part = by_parts(part)
    samples = [draw.of(X, weights_in(part, parts, sample_weight), numbers) for parts, draw in draws]
    return Sums((sums(X, sample_weight, part, function, wanted), *samples))
