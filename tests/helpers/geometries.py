"""What kernels are given of a map, without a map."""

import numpy as np

from dask_igtm.posterior.geometry import Geometry

NO_CELLS = np.empty(0, np.intp)


def random_geometry(k, q, dtype, rng):
    """Return a geometry of k x k nodes of which nothing is orthonormal."""
    return geometry(rng.normal(size=(k, q)), rng.normal(size=k * k), rng.random(k * k), dtype)


def geometry(axis, further, half_squares, dtype):
    functions = np.column_stack([np.kron(axis, axis), further])
    slopes = np.zeros((1, functions.shape[1]))
    arrays = (axis, further, functions, slopes, half_squares)
    return Geometry(*(array.astype(dtype) for array in arrays), 1.0, NO_CELLS)


def geometry_of_logits(logits):
    """Return a geometry whose nodes are functions of their own, and t of rows with these logits, (n, K)."""
    k, dtype = round(logits.shape[1] ** 0.5), logits.dtype
    nothing = np.zeros(k * k)
    return geometry(np.eye(k), nothing, nothing, dtype), np.column_stack(
        [logits, np.zeros(len(logits), dtype)]
    )
