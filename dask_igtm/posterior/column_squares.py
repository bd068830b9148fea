"""Squared distances of rows to the nodes, column by column, as an E-step adds them up."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.functions import functions_of
from dask_igtm.model.model import Model
from dask_igtm.posterior.numpy_kernel import Kernel

Array = NDArray[np.float64]
Real = NDArray[np.floating[Any]]


class ColumnSquares:
    """Sum over rows and nodes of responsibility times squared distance in each column, (Q,), as it grows.

    The square of a row is that of what it lies off the mean of its nodes, and the variance of these: neither
    cancels where the noise is small. The former is added up row by row, the latter by the F functions of the
    map.
    """

    def __init__(self, model: Model) -> None:
        functions = functions_of(model.basis).values
        self._functions, self._centers = functions, model.centers
        self._by_functions = functions.T @ self._centers
        self._total = np.zeros(model.weights.shape[1])
        self._spread = np.zeros((functions.shape[1],) * 2)

    def add(self, Z: Real, v: Real, weight: Real, g: Array, unit: float, kernel: Kernel) -> None:
        """Add rows (n, Q) of weights in a unit, of which a kernel says v (F, n or more) and g (K,)."""
        each = v / np.where(weight > 0, weight, 1)
        squares, within = kernel.squares_beside(Z, each, self._by_functions.astype(v.dtype), weight)
        self._total += unit * squares
        self._spread += unit * ((self._functions.T * g) @ self._functions - within)

    def add_with_gaps(self, Z: Real, gaps: Real, R: Real, unit: float) -> None:
        """Add rows with gaps, and 0 there, of responsibilities R (K, n) times their weights."""
        R, centers = unit * R.astype(np.float64), self._centers
        seen, weight = 1.0 - gaps, R.sum(axis=0)
        expected = (R.T @ centers) / np.where(weight > 0, weight, 1.0)[:, None]
        self._total += weight @ (seen * (Z - expected) ** 2) - weight @ (seen * expected**2)
        # What is missing lies off by the noise, which is the unit here.
        self._total += np.einsum("kq,kq->q", R @ seen, centers**2) + weight @ gaps

    @property
    def total(self) -> Array:
        """The sums, in units of the noise."""
        spread = np.einsum("fq,fg,gq->q", self._by_functions, self._spread, self._by_functions, optimize=True)
        return np.asarray(self._total + np.maximum(spread, 0.0))
