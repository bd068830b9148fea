"""Columns of sparse rows, which stay sparse: their entries made finite, their means and their squares."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dask_igtm.model.gaps import Gaps
from dask_igtm.posterior.tiles import Rows, csr_of

Array = NDArray[np.float64]


def filled_entries(X: Rows, gaps: Gaps) -> tuple[csr_array, NDArray[np.bool_]]:
    """Return sparse rows (n, D) in float64, their gaps filled, and which rows (n,) are nothing but gaps."""
    rows = csr_of(X)
    data, n_columns = rows.data.astype(np.float64), rows.shape[1]
    gap = np.isnan(data)
    if gaps.fill is None or not gap.any():
        return _csr(rows, data), np.zeros(rows.shape[0], bool)
    data[gap] = np.broadcast_to(gaps.fill, n_columns)[rows.indices[gap]]
    before = np.concatenate([[0], gap.cumsum()])  # each entry
    return _csr(rows, data), np.diff(before[rows.indptr]) == n_columns


def finite_entries(rows: csr_array) -> tuple[csr_array, NDArray[np.int64]]:
    """Return sparse rows with 0 for what is not finite, and the counts of that in each column, (D,)."""
    bad = ~np.isfinite(rows.data)
    invalid = np.bincount(rows.indices[bad], minlength=rows.shape[1])
    # The driver refuses the data; until then nothing may warn.
    return _csr(rows, np.where(bad, 0.0, rows.data)) if bad.any() else rows, invalid


def mean_and_squares(rows: csr_array, weight: Array) -> tuple[Array, Array]:
    """Weighted mean of each column, and its squares around it; `weight` (n,) has a sum above 0.

    The squares are summed around the mean, so that what does not vary is told from rounding.
    """
    total, n_columns = weight.sum(), rows.shape[1]
    by_entry = np.repeat(weight, np.diff(rows.indptr))

    def sums(values: Any) -> Array:
        return np.asarray(np.bincount(rows.indices, values, minlength=n_columns), dtype=np.float64)

    mean = sums(by_entry * rows.data) / total
    squares = sums(by_entry * (rows.data - mean[rows.indices]) ** 2)
    full = np.bincount(rows.indices[by_entry > 0], minlength=n_columns) == np.count_nonzero(weight)
    zeros = np.where(full, 0.0, np.maximum(total - sums(by_entry), 0.0))
    return mean, squares + zeros * mean**2


def scatter_of(rows: csr_array, weight: Array, mean: Array, squares: Array, flat: NDArray[np.bool_]) -> Array:
    """Weighted scatter (D, D) around the mean, by a correction of the product; 0 in `flat` columns."""
    by_entry = np.repeat(weight, np.diff(rows.indptr))
    scatter = (rows.T @ _csr(rows, by_entry * rows.data)).toarray()
    scatter -= np.outer(weight.sum() * mean, mean)
    scatter[flat], scatter[:, flat] = 0.0, 0.0
    np.fill_diagonal(scatter, squares)
    return np.asarray(scatter)


def _csr(rows: csr_array, data: Array) -> csr_array:
    """Return an array with the places of `rows` and other numbers."""
    return csr_array((data, rows.indices, rows.indptr), shape=rows.shape)
