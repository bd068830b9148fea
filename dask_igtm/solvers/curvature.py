"""How the objective bends near a peak, from a sample of the rows.

A pass tells where the objective climbs and not how it bends; a few thousand rows tell that well enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from dask_igtm.model import stored
from dask_igtm.model.model import Model
from dask_igtm.model.stored import Arrays
from dask_igtm.posterior.posterior import Posterior, posteriors
from dask_igtm.posterior.sparse_rows import along
from dask_igtm.posterior.tiles import Rows, dense, is_sparse
from dask_igtm.solvers.sample import Sample

Array = NDArray[np.float64]

COST = 20.0  # of a row, in E-steps of one
DIRECTIONS = 12  # in which centres vary most: along these the curvature of the weights is exact
MOST_UNKNOWNS = 1024  # whose eigenvectors take a second
LEAST = 0.1  # curvature, as a share of the M-step's
JITTER = 1e-12  # of the mean curvature of the M-step, where that of a direction is 0


@dataclass(frozen=True)
class Curvature:
    """Inverse of minus the Hessian of the objective, with its eigenvalues made positive.

    Attributes
    ----------
    axes : ndarray of shape (Q, d)
        Orthonormal directions of model coordinates in which the centres vary most.
    along : ndarray of shape ((M + 1) * d + 1, (M + 1) * d + 1)
        By the weights along the axes, row by row, and by ln beta_inv.
    across : ndarray of shape (M + 1, M + 1)
        By the weights in any direction across the axes.
    """

    axes: Array
    along: Array
    across: Array

    def newton(self, gradient: Array) -> Array:
        """Return the step to which a gradient of the objective leads."""
        by_weights = gradient[:-1].reshape(len(self.across), -1)
        within = by_weights @ self.axes
        found = self.along @ np.append(within, gradient[-1])
        weights = found[:-1].reshape(within.shape) @ self.axes.T
        weights += self.across @ (by_weights - within @ self.axes.T)
        return np.append(weights, found[-1])

    def pack(self) -> Arrays:
        """Return named arrays from which `unpack` makes the same."""
        return {"curvature_axes": self.axes, "curvature_along": self.along, "curvature_across": self.across}

    @classmethod
    def unpack(cls, arrays: Arrays, model: Model) -> Self | None:
        """Return what `pack` named, near such a model; None where there was none."""
        if "curvature_axes" not in arrays:
            return None
        n_functions, n_columns = model.weights.shape
        axes = stored.floats(arrays, "curvature_axes", n_columns, None)
        n = n_functions * axes.shape[1] + 1
        along = stored.floats(arrays, "curvature_along", n, n)
        return cls(axes, along, stored.floats(arrays, "curvature_across", n_functions, n_functions))


def curvature_of(sample: Sample, model: Model, regul: float) -> Curvature | None:
    """Return the curvature at a model; None for maps of too many functions, or where it is no number.

    Parameters
    ----------
    sample : Sample
    model : Model
    regul : float
        Ridge on the weights.

    Notes
    -----
    With l_k = ln p(x | k), the Hessian of ln p(x) is the mean of the Hessians of l_k and the covariance of
    their gradients, both under the responsibilities (Louis 1982, J. R. Stat. Soc. B 44, 226-233). By the
    weights the gradient of l_k is phi_k times (x - y_k) / beta_inv, by ln beta_inv it is -l_k but for a
    constant. Across the axes, where centres do not differ and rows vary by beta_inv, the two leave the
    square of the mean of phi_k. What is missing of a row is taken as known, at its expectation.
    """
    n_functions = model.basis.phi.shape[1]
    n_axes = min(DIRECTIONS, MOST_UNKNOWNS // n_functions)
    if n_axes == 0:
        return None
    bent = model.centers - model.centers.mean(axis=0)
    axes = np.linalg.svd(bent, full_matrices=False)[2][:n_axes].T
    X, weight = sample.weighted(sample.surveyed)
    sums = _Sums(model, axes)
    with np.errstate(all="ignore"):  # squares of noise variances far from 1 may be no numbers
        for tile in posteriors(X, model, sample.kernel):
            sums.add(tile, X[tile.rows], weight)
        return sums.curvature(regul)


class _Sums:
    """What a Hessian needs of the rows; in model coordinates, those of the columns along the axes."""

    def __init__(self, model: Model, axes: Array) -> None:
        phi, d = model.basis.phi, axes.shape[1]
        self.model, self.axes, self.centers = model, axes, model.centers @ axes
        n_nodes, n_functions = phi.shape
        self.phi_centers = np.einsum("km,kd->kmd", phi, self.centers).reshape(n_nodes, -1)
        self.g, self.scatter = np.zeros(n_nodes), np.zeros((n_nodes, d, d))
        self.square_of_mean = np.zeros((n_functions, n_functions))
        size = n_functions * d
        self.gradient, self.with_noise = np.zeros(size), np.zeros(size)
        self.square_of_gradient = np.zeros((size, size))
        self.distance, self.noise = 0.0, 0.0

    def add(self, tile: Posterior, X: Rows, sample_weight: Array) -> None:
        phi, centers, R = self.model.basis.phi, self.centers, tile.responsibilities.astype(np.float64)
        weight: Any = tile.weight(sample_weight)
        Z = self._along_axes(tile, X, R)
        n, d = Z.shape
        with np.errstate(divide="ignore", invalid="ignore"):
            logits = np.where(R > 0, np.log(R), 0.0)
        logits -= np.einsum("nk,nk->n", R, logits)[:, None]
        mean_phi = R @ phi
        gradient = np.einsum("nm,nd->nmd", mean_phi, Z).reshape(n, -1) - R @ self.phi_centers
        R *= weight[:, None]
        g, RZ = R.sum(axis=0), R.T @ Z
        self.g += g
        squares = (R.T @ np.einsum("nd,ne->nde", Z, Z).reshape(n, -1)).reshape(-1, d, d)
        mixed = np.einsum("kd,ke->kde", RZ, centers)
        own = np.einsum("k,kd,ke->kde", g, centers, centers)
        self.scatter += squares - mixed - mixed.swapaxes(1, 2) + own
        self.square_of_mean += (mean_phi.T * weight) @ mean_phi
        self.gradient += weight @ gradient
        self.square_of_gradient += (gradient.T * weight) @ gradient
        self.distance += float(weight @ tile.distance)
        R *= logits
        self.with_noise += (phi.T @ (R.T @ Z - R.sum(axis=0)[:, None] * centers)).ravel()
        self.noise += float(np.einsum("nk,nk->", R, logits))

    def _along_axes(self, tile: Posterior, X: Rows, R: Array) -> Array:
        affine, axes = self.model.affine, self.axes
        if is_sparse(X) and np.isfinite(X.data).all():
            return along(X, affine, axes if affine.axes is None else affine.axes @ axes)
        Z = affine.forward(self.model.gaps.filled(dense(X).astype(np.float64)))
        if tile.gaps is not None:
            Z = np.where(tile.gaps == 0, Z, R @ self.model.centers)
        return np.asarray(Z @ axes)

    def curvature(self, regul: float) -> Curvature | None:
        """Return the curvature, worked out with the noise as the unit, so that those of X do not matter."""
        phi, b, d = self.model.basis.phi, self.model.beta_inv, self.axes.shape[1]
        n_functions = phi.shape[1]
        ridge = regul * b * np.eye(n_functions)
        metric = (phi.T * self.g) @ phi + ridge
        by_noise = 0.5 * float(self.g.sum()) * self.model.weights.shape[1]
        scatter = self.scatter.reshape(len(phi), -1)
        spread = np.stack([(phi.T * column) @ scatter for column in phi.T])  # sum of phi phi^T (x) scatter
        spread = spread.reshape(n_functions, n_functions, d, d).swapaxes(1, 2)
        plain = np.zeros((n_functions * d + 1,) * 2)
        plain[:-1, :-1], plain[-1, -1] = np.kron(metric, np.eye(d)), by_noise
        hessian = plain.copy()
        hessian[:-1, :-1] -= (spread.reshape(self.square_of_gradient.shape) - self.square_of_gradient) / b
        hessian[:-1, -1] = hessian[-1, :-1] = (self.gradient + self.with_noise) / np.sqrt(b)
        hessian[-1, -1] = 0.5 * self.distance / b - self.noise
        across = self.square_of_mean + ridge
        if not all(np.isfinite(matrix).all() for matrix in (hessian, plain, across)):
            return None
        along = _inverse(hessian, plain)
        along[:-1] *= np.sqrt(b)
        along[:, :-1] *= np.sqrt(b)
        return Curvature(self.axes, along, b * _inverse(across, metric))


def _inverse(matrix: Array, metric: Array) -> Array:
    """Invert a symmetric matrix whose eigenvalues in a metric are made positive and not small."""
    size = len(metric)
    values, vectors = eigh(matrix, metric + JITTER * np.trace(metric) / size * np.eye(size))
    return np.asarray((vectors / np.maximum(np.abs(values), LEAST)) @ vectors.T)
