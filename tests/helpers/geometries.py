"""What kernels are given of a map, without a map."""

import numpy as np

from dask_igtm.posterior.geometry import Geometry

NO_CELLS = np.empty(0, np.intp)


def random_geometry(k, q, dtype, rng):
    """Return a geometry of k x k nodes of which nothing is orthonormal."""
    axis, further, half = rng.normal(size=(k, q)), rng.normal(size=k * k), rng.random(k * k)
    slopes = np.zeros((1, q * q + 1))
    return Geometry(*(array.astype(dtype) for array in (axis, further, slopes, half)), 1.0, NO_CELLS)


def geometry_of_logits(logits):
    """Return a geometry whose nodes are functions of their own, and t of rows with these logits, (n, K)."""
    k, dtype = round(logits.shape[1] ** 0.5), logits.dtype
    nothing = np.zeros(k * k, dtype)
    geometry = Geometry(
        np.eye(k, dtype=dtype), nothing, np.zeros((1, k * k + 1), dtype), nothing, 1.0, NO_CELLS
    )
    return geometry, np.column_stack([logits, np.zeros(len(logits), dtype)])
