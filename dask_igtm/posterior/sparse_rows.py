"""Sparse rows as a map sees them: what their entries add to what a row of zeros is.

A row z = (x - mean) / scale of the model has no zeros where the mean has none, and is never written out: of
it an E-step needs its products with the functions of the map and its squared norm, and gives back products of
the same kind. In all of them the mean is one row more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dask_igtm.model.affine import Affine
from dask_igtm.model.functions import functions_of
from dask_igtm.model.model import Model
from dask_igtm.model.remember import remembered
from dask_igtm.posterior.column_squares import ColumnSquares

if TYPE_CHECKING:
    from dask_igtm.posterior.numpy_kernel import Kernel

Array = NDArray[np.float64]

FAR = 1e-9  # error of a logit, by rounding of a row of zeros, from which rows are taken as dense ones


@dataclass(frozen=True)
class SparseGeometry:
    """What the entries of sparse rows add up to under a map, all in float64.

    Attributes
    ----------
    table : ndarray of shape (D, F + 2)
        An entry x of a column adds x times the first F numbers of its row here to t = z @ slopes, with the
        slopes of `Geometry`, and x * (x * a + b) to |z|^2, where a and b are the last two.
    t, squared_norm : ndarray of shape (F,), float
        Those of a row of zeros.
    """

    table: Array
    t: Array
    squared_norm: float


@remembered
def sparse_geometry_of(model: Model) -> SparseGeometry:
    """Return what the entries of sparse rows add up to under a model whose columns are those of X."""
    per_scale, zeros = 1.0 / model.affine.scale, model.affine.mean / model.affine.scale
    slopes = model.noise.slopes(model, functions_of(model.basis).values)
    squares = np.column_stack([per_scale**2, -2.0 * zeros * per_scale])
    table = np.column_stack([slopes * per_scale[:, None], squares])
    return SparseGeometry(table, -zeros @ slopes, float(zeros @ zeros))


def near(model: Model) -> bool:
    """Whether a row of zeros is so near to the mean that rounding of it does not count against the noise."""
    zeros = model.affine.mean / model.affine.scale
    return bool(np.finfo(np.float64).eps * (zeros @ zeros) <= FAR * model.beta_inv)


class SparseTile:
    """A few sparse rows in model coordinates, by what their entries add up to.

    Attributes
    ----------
    t : ndarray of shape (n, F)
    squared_norm : ndarray of shape (n,)
    """

    def __init__(self, X: csr_array, rows: slice, model: Model, kernel: type[Kernel]) -> None:
        geometry, n = sparse_geometry_of(model), rows.stop - rows.start
        self._X, self._rows, self._kernel = X, rows, kernel
        self.t, self.squared_norm = np.empty((n, len(geometry.t))), np.empty(n)
        with np.errstate(over="ignore", invalid="ignore"):  # rows that overflow show by their norm
            kernel.meet_sparse(X, rows, geometry.table, self.t, self.squared_norm)
        self.t += geometry.t
        self.squared_norm += geometry.squared_norm
        np.maximum(self.squared_norm, 0.0, out=self.squared_norm)

    def __len__(self) -> int:
        return len(self.t)

    def entries(self) -> csr_array:
        """Return the rows of X, as they are."""
        return self._X[self._rows]

    def add_to(self, total: Array, v: Array) -> None:
        """Add the transpose of the rows of X, as they are, times v (n, F) to total (D, F)."""
        self._kernel.add_up_sparse(self._X, self._rows, v, total)


class Products:
    """`functions.T @ R.T @ Z` of rows, (F, Q), as it grows; of sparse rows the mean is counted at the end."""

    def __init__(self, model: Model) -> None:
        seen = model.noise.seen(model)
        self._affine, self._unit = seen.affine, seen.affine.scale / model.affine.scale
        self.squares = ColumnSquares(seen) if model.noise.by_column else None
        n_functions, n_columns = len(functions_of(model.basis).of_phi), model.weights.shape[1]
        self._total, self._weight = np.zeros((n_functions, n_columns)), np.zeros(n_functions)
        self._of_entries: Array | None = None  # (D, F), for one entry adds to all functions of its column

    def add(self, products: Array) -> None:
        """Add those of a tile, (F, Q)."""
        self._total += products

    def add_tile(self, tile: SparseTile, v: Array) -> None:
        """Add those of a sparse tile, whose responsibilities by the functions are v (n, F)."""
        if self._of_entries is None:
            self._of_entries = np.zeros(self._total.T.shape)
        tile.add_to(self._of_entries, v)
        self._weight += v.sum(axis=0)

    @property
    def total(self) -> Array:
        """The sum of all that was added, in model coordinates."""
        if self.squares is not None:
            return self._total * self._unit
        if self._of_entries is None:
            return self._total
        of_sparse = self._of_entries - np.outer(self._affine.mean, self._weight)
        of_sparse /= self._affine.scale[:, None]
        return self._total + of_sparse.T

    @property
    def column_squares(self) -> Array | None:
        """The sums of squared distances of each column, if any are wanted, in model coordinates."""
        return None if self.squares is None else self.squares.total * self._unit**2


def along(X: csr_array, affine: Affine, axes: Array) -> Array:
    """Return rows of X, in model coordinates without axes of their own, along some axes (D, d): (n, d)."""
    per_scale = axes / affine.scale[:, None]
    return np.asarray(X @ per_scale - affine.mean @ per_scale)
