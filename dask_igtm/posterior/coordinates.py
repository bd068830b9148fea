"""Rows of one tile in model coordinates, and their squared norms: by NumPy, or in one compiled sweep."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.affine import Affine

Array = NDArray[np.float64]
Real = NDArray[np.floating[Any]]


def numpy_forward(X: NDArray[Any], affine: Affine, Z: Real) -> Array:
    """Take rows (n, D) to model coordinates, which are written to Z (n, Q); return their squared norms (n,).

    The mean is subtracted in float64; entries that are NaN or infinite stay so.
    """
    return squared_norms(affine.forward(X, out=Z))


def squared_norms(Z: Real) -> Array:
    """Return |z|^2 of each row, added up in float64."""
    norms: Array = np.einsum("nq,nq->n", Z, Z, dtype=np.float64)
    return norms


def numba_forward(X: NDArray[Any], affine: Affine, Z: Real) -> Array:
    """Do the same in one compiled sweep, where Z is in C order."""
    # Axes are a matrix product; and compiled code would read past the end of rows of another width.
    if affine.axes is not None or X.shape[1:] != affine.mean.shape:
        return numpy_forward(X, affine, Z)
    # What fills the gaps of float32 rows is float64, and must not be rounded before the mean is subtracted.
    dtype = X.dtype if X.dtype == np.float64 else Z.dtype
    X, mean = np.require(X, dtype, ["C", "A"]), np.require(affine.mean, None, ["C", "A"])
    norms: Array = _compile(dtype.name, Z.dtype.name)(X, mean, 1.0 / affine.scale, Z)
    return norms


@functools.cache
def _compile(given: str, result: str) -> Any:
    """Compile `Affine.forward` without axes; NumPy spends more on starting its loop over each row."""
    import numba

    Array = numba.types.Array  # its own import is not safe among threads
    real, double, narrow = numba.from_dtype(np.dtype(result)), numba.float64, np.dtype(result).type
    X = Array(numba.from_dtype(np.dtype(given)), 2, "C", readonly=True)
    column = Array(double, 1, "C", readonly=True)

    @numba.njit(  # type: ignore[untyped-decorator]
        double[::1](X, column, column, real[:, ::1]),
        fastmath={"reassoc", "contract"},
        error_model="numpy",
        nogil=True,
    )
    def forward(X: Any, mean: Any, per_scale: Any, Z: Any) -> Any:
        norms = np.empty(len(X))
        for row in range(len(X)):
            norm = 0.0
            for q in range(len(mean)):
                z = narrow((X[row, q] - mean[q]) * per_scale[q])
                Z[row, q] = z
                norm += double(z) * double(z)
            norms[row] = norm
        return norms

    return forward
