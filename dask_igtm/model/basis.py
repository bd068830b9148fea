"""The latent grid, the radial basis functions over it, and their values at its nodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Basis:
    """Everything of a map that does not depend on data.

    Attributes
    ----------
    nodes : ndarray of shape (K, 2)
        Latent grid in [-1, 1]^2, first coordinate slowest.
    rbf_centers : ndarray of shape (M, 2)
        Centres of the radial basis functions (RBFs) on the same square.
    width : float
        Variance of each RBF, in squared latent units.
    phi : ndarray of shape (K, M + 1)
        RBF values at the nodes; the last column is 1 (bias).
    """

    nodes: Array
    rbf_centers: Array
    width: float
    phi: Array


def make_basis(k: int, m: int, s: float) -> Basis:
    """Lay `k` x `k` nodes and `m` x `m` RBFs on the square [-1, 1]^2.

    Parameters
    ----------
    k, m : int
        Nodes and RBF centres along one side, at least 1.
    s : float
        RBF variance in units of the squared spacing of the RBF centres; 0 takes the largest squared
        distance between two centres. With `m` = 1 it is the variance itself.

    Raises
    ------
    ValueError
        If `s` is 0 and there is a single RBF, whose variance would then be 0.

    Notes
    -----
    Bishop, Svensén & Williams (1998), section 2; the width follows ugtm 2.3, where `s` scales a
    variance and not a standard deviation.
    """
    rbf_centers = square_grid(m)
    width = _rbf_width(rbf_centers, s)
    nodes = square_grid(k)
    return Basis(nodes, rbf_centers, width, values_at(nodes, rbf_centers, width))


def values_at(nodes: Array, rbf_centers: Array, width: float) -> Array:
    """Return `Basis.phi`."""
    values = np.exp(-cdist(nodes, rbf_centers, "sqeuclidean") / (2.0 * width))
    return np.column_stack([values, np.ones(len(nodes))])


def gradient(basis: Basis) -> Array:
    """Return the derivatives of `phi` along both latent coordinates at the nodes, (2, K, M + 1)."""
    offsets = (basis.rbf_centers[None] - basis.nodes[:, None]) / basis.width
    slopes = np.zeros((2, *basis.phi.shape))
    slopes[:, :, :-1] = np.moveaxis(offsets * basis.phi[:, :-1, None], -1, 0)
    return slopes


def square_grid(side: int) -> Array:
    """Return the (side^2, 2) points of a regular grid on [-1, 1]^2; a single point is the origin."""
    axis = np.linspace(-1.0, 1.0, side) if side > 1 else np.zeros(1)
    first, second = np.meshgrid(axis, axis, indexing="ij")
    return np.column_stack([first.ravel(), second.ravel()])


def _rbf_width(rbf_centers: Array, s: float) -> float:
    if len(rbf_centers) == 1:
        if s == 0:
            raise ValueError(
                "s=0 takes the RBF width from the spacing of the RBF centres, but m=1 has one centre only; "
                "give s > 0 or m >= 2."
            )
        return float(s)
    squared = cdist(rbf_centers, rbf_centers, "sqeuclidean")
    if s == 0:
        return float(squared.max())
    nearest = np.where(squared > 0, squared, np.inf).min(axis=1)
    return float(s * nearest.mean())
