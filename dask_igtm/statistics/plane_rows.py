"""Bits and counts before they have a map: rows in whose plane it begins, and what its first M-step needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.functions import functions_of
from dask_igtm.model.gaps import Gaps
from dask_igtm.model.model import Model, Noise
from dask_igtm.model.sufficient_statistics import SufficientStatistics
from dask_igtm.posterior.posterior import posteriors, weight_of
from dask_igtm.posterior.tiles import Rows, csr_of, dense, is_sparse

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FirstSums:
    """Sums of rows by the responsibilities of a plane.

    Attributes
    ----------
    statistics : SufficientStatistics
        Of the rows as they are, 0 for what is missing.
    missing : ndarray of shape (q * q + 1, D)
        The same products of 1 for every entry that is missing.
    squares : ndarray of shape (D,)
        Sum of the squares of each column.
    """

    statistics: SufficientStatistics
    missing: Array
    squares: Array

    def __add__(self, other: FirstSums) -> FirstSums:
        return FirstSums(
            self.statistics + other.statistics, self.missing + other.missing, self.squares + other.squares
        )

    def filled(self, model: Model) -> tuple[SufficientStatistics, Array, Array]:
        """Return statistics with what is missing at the mean of its column, and means and deviations (D,)."""
        constant = functions_of(model.basis).of_phi[:, -1]
        seen = self.statistics.weight - constant @ self.missing
        seen = np.maximum(seen, np.finfo(np.float64).tiny)
        mean = constant @ self.statistics.functions_rx / seen
        products = self.statistics.functions_rx + self.missing * mean
        deviation = np.sqrt(np.maximum(self.squares / seen - mean**2, 0.0))
        return dataclasses.replace(self.statistics, functions_rx=products), mean, deviation


def exposures_of(
    X: Rows, sample_weight: Array | None, noise: Noise, gaps: Gaps, names: Sequence[str] | None
) -> Array:
    """Return the sum of the exposures of the rows of a block, and that of their weights, (2,)."""
    X = _filled(X, gaps)
    noise.check_entries(X, names)
    weight = np.ones(X.shape[0]) if sample_weight is None else sample_weight
    return np.array([weight @ np.asarray(X.sum(axis=1, dtype=np.float64)).ravel(), weight.sum()])


def in_plane(
    X: Rows,
    sample_weight: Array | None,
    noise: Noise,
    gaps: Gaps,
    names: Sequence[str] | None,
    function: Callable[..., Any],
    *shared: Any,
) -> Any:
    """Return what a function makes of rows as they are in the plane where a map begins."""
    return function(noise.plane_rows(_filled(X, gaps), names), sample_weight, *shared)


def first_sums(X: Rows, sample_weight: Array | None, plane: Model, kernel: str, noise: Noise) -> FirstSums:
    """Return the sums of one block, of which `plane` is a map of the rows in their plane."""
    X = _filled(X, plane.gaps)
    functions = functions_of(plane.basis).values
    n_nodes, n_functions = functions.shape
    g, exposures = np.zeros((2, n_nodes))
    products, missing = np.zeros((2, n_functions, X.shape[1]))
    squares = np.zeros(X.shape[1])
    for tile in posteriors(noise.plane_rows(X, plane.names), plane, kernel, weight_of(X, sample_weight)):
        rows = X[tile.rows].astype(np.float64)
        found, n = tile.weight(sample_weight), rows.shape[0]
        weight = np.ones(n) if found is None else found
        v = weight[:, None] * tile.expectations(functions)
        if is_sparse(rows) and np.isfinite(rows.data).all():
            squares += rows.power(2).T @ weight
        else:
            rows = dense(rows)
            unseen = np.isnan(rows)
            rows[unseen] = 0.0
            if unseen.any():
                missing += v.T @ unseen.astype(np.float64)
            squares += weight @ np.square(rows)
        products += (rows.T @ v).T
        exposure = np.asarray(rows.sum(axis=1)).ravel()
        sums = tile.totals(np.column_stack([weight, weight * exposure]))
        g, exposures = g + sums[:, 0], exposures + sums[:, 1]
    of_rows = exposures if noise.exposed else None
    return FirstSums(
        SufficientStatistics(g, products, 0.0, np.nan, np.nan, exposures=of_rows), missing, squares
    )


def _filled(X: Rows, gaps: Gaps) -> Rows:
    """Return rows without gaps where these are filled; sparse ones stay sparse unless they have some."""
    X = csr_of(X) if is_sparse(X) else X
    if gaps.fill is None or not np.isnan(X.data if is_sparse(X) else X).any():
        return X
    return gaps.filled(dense(X).astype(np.float64))
