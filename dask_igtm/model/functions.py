"""The functions of which a map is made, orthonormal over its nodes.

The centres are K points on a surface with M + 1 degrees of freedom, and the M = m * m RBFs are products of
m functions of one latent coordinate each. In an orthonormal basis of what these span no term of a sum over
the functions is much larger than the sum, however wide the RBFs are.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.basis import Basis
from dask_igtm.model.remember import remembered

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Functions:
    """An orthonormal basis of the columns of `phi`: products of functions of one coordinate, and one more.

    Attributes
    ----------
    axis : ndarray of shape (k, q)
        Orthonormal functions of one latent coordinate at the k places of the grid; q is m, or k where that
        is less.
    further : ndarray of shape (K,)
        What their products leave of the constant, at length 1; 0 where they make the constant too.
    of_phi : ndarray of shape (q * q + 1, M + 1)
        `values.T @ phi`, so that `phi = values @ of_phi`.
    """

    axis: Array
    further: Array
    of_phi: Array

    @functools.cached_property
    def values(self) -> Array:
        """The functions at the nodes, (K, q * q + 1)."""
        return _values(self.axis, self.further)


@remembered
def functions_of(basis: Basis) -> Functions:
    """Return the functions of a basis."""
    k, m = math.isqrt(len(basis.nodes)), math.isqrt(len(basis.rbf_centers))
    offsets = basis.nodes[:k, 1:] - basis.rbf_centers[:m, 1]
    axis = np.linalg.qr(np.exp(-(offsets**2) / (2.0 * basis.width)))[0]
    further = _rest_of_constant(axis)
    return Functions(axis, further, _values(axis, further).T @ basis.phi)


def _values(axis: Array, further: Array) -> Array:
    return np.column_stack([np.kron(axis, axis), further])


def _rest_of_constant(axis: Array) -> Array:
    within = axis @ axis.sum(axis=0)
    beyond = 1.0 - within
    rest = beyond[:, None] + np.outer(within, beyond)  # 1 - within * within, without cancellation
    rest -= axis @ (axis.T @ rest @ axis) @ axis.T
    length = np.linalg.norm(rest)
    return np.ravel(rest / length if length > rest.size * np.finfo(np.float64).eps else np.zeros_like(rest))
