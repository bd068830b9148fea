"""Entries of rows, dense or sparse: functions of them, and which of them a noise does not have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dask_igtm.model.checks import name_columns

Array = NDArray[np.float64]


def entries_of(X: Any) -> NDArray[Any]:
    """Return the entries of rows; of sparse ones those that are stored."""
    return np.asarray(X.data if hasattr(X, "tocsr") else X)


def row_sums(X: Any, function: Callable[[NDArray[Any]], Array]) -> Array:
    """Return the sums (n,) of a function of the entries of each row in float64, which is 0 of 0."""
    values = function(entries_of(X).astype(np.float64, copy=False))
    return _added_up(X, values)


def _added_up(X: Any, values: Array) -> Array:
    """Return the sums (n,) over each row of values of its entries."""
    if not hasattr(X, "tocsr"):
        return np.asarray(values.sum(axis=1))
    return np.asarray(csr_array((values, X.indices, X.indptr), shape=X.shape) @ np.ones(X.shape[1]))


def look_up(X: Any, by: Array, table: Array) -> tuple[Array, Array, bool]:
    """Return X @ by, (n, 3), sums (n,) of a table at the entries, and whether each is a place of it.

    The table has 0 at 0.
    """
    entries = entries_of(X)
    places = np.clip(np.nan_to_num(entries), 0, len(table) - 1).astype(np.intp)
    known = bool((places == entries).all())
    products = np.asarray(X.astype(np.float64) @ by)
    return products, _added_up(X, table[places]), known


def with_entries(X: Any, function: Callable[[NDArray[Any], Any], Array]) -> Any:
    """Return rows with a function of their entries, which is 0 of 0, and of the numbers of their rows."""
    if not hasattr(X, "tocsr"):
        return function(X, np.arange(len(X))[:, None])
    X = X.tocsr()
    row = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
    return csr_array((function(X.data, row), X.indices, X.indptr), shape=X.shape)


def refuse_entries(
    X: Any, wrong: NDArray[np.bool_], what: str, noise: str, remedy: str, names: Sequence[str] | None
) -> None:
    """Raise ValueError naming the columns if any of the entries is wrong; gaps are for others to judge."""
    if not wrong.any():
        return
    wrong = wrong & ~np.isnan(entries_of(X))
    if not wrong.any():
        return
    sparse = hasattr(X, "tocsr")
    counts = np.bincount(X.indices[wrong], minlength=X.shape[1]) if sparse else wrong.sum(axis=0)
    columns = np.flatnonzero(counts)
    listed = name_columns(columns, names, counts=counts[columns])
    raise ValueError(
        f"X has entries that {what}, which noise={noise!r} does not have: {listed}. {remedy}, or give "
        "another noise."
    )
