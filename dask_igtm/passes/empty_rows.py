"""Rows in which every entry is NaN, such as the sea in data of the land: set aside where they are kept so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.posterior.row_outputs import Output
from dask_igtm.posterior.tiles import is_sparse


def occupied(X: Any) -> NDArray[np.bool_] | None:
    """Say which rows of a block have an entry; None where all have one, as sparse rows do."""
    if is_sparse(X) or X.dtype.kind != "f":
        return None
    empty: NDArray[np.bool_] = np.isnan(X[:, 0])
    if not empty.any():  # which most blocks show by their first column
        return None
    empty[empty] = np.isnan(X[empty]).all(axis=1)
    return ~empty if empty.any() else None


def without_empty(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return a block and what goes with its rows (or None) without the empty rows."""
    kept = occupied(arrays[0])
    return arrays if kept is None else tuple(array if array is None else array[kept] for array in arrays)


@dataclass(frozen=True)
class AroundEmpty:
    """A function of the rows of a block that meets no empty ones; in its results they are what no row has.

    Attributes
    ----------
    function : callable
        Takes the rows of a block, returns a tuple of arrays with one row for each.
    outputs : sequence of Output
        What the arrays of that tuple are.
    """

    function: Callable[..., tuple[Any, ...]]
    outputs: Sequence[Output]

    def __call__(self, X: Any, *shared: Any) -> tuple[Any, ...]:
        """Return the arrays for all rows."""
        kept = occupied(X)
        if kept is None:
            return self.function(X, *shared)
        results = tuple(np.full(output.shape(len(X)), output.fill, output.dtype) for output in self.outputs)
        for result, found in zip(results, self.function(X[kept], *shared), strict=True):
            result[kept] = found
        return results
