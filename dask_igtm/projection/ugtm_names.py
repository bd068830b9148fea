"""A model under ugtm's names, for scripts that were written for ugtm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.model import Model

Array = NDArray[np.float64]


@dataclass(frozen=True)
class OptimizedGTM:
    """The fields of ugtm's class of the same name, and a projection where there is one.

    Attributes
    ----------
    matW : ndarray of shape (D, M + 1)
    matY : ndarray of shape (D, K)
        Centres of the Gaussians. As `matW` in the data's own coordinates; in standardised ones after
        `runIGTM` or `scale="standard"`, and in principal ones after a rotation to these. Of bits log odds,
        and of counts log rates, so that `matW` is what makes them; `centers_` are the means.
    matX : ndarray of shape (K, 2)
        Latent grid.
    betaInv : float, or ndarray of shape (D,)
        Noise variance; one a column with `noise="diagonal"`, and 1 of bits and counts.
    n_dimensions : int
    converged : bool
    matMeans, matModes : array of shape (n, 2), or None without rows
        Lazy where the rows were lazy.
    matR, matP : array of shape (n, K), or None
        Responsibilities, and the same divided by the largest of their row.
    """

    matW: Array
    matY: Array
    matX: Array
    betaInv: float
    n_dimensions: int
    converged: bool
    matMeans: Any = None
    matModes: Any = None
    matR: Any = None
    matP: Any = None


def optimized(model: Model, *, converged: bool, **projection: Any) -> OptimizedGTM:
    """Return `model` under ugtm's names, with whatever fields of a `projection` are at hand."""
    weights, centers = model.weights.copy(), model.centers
    if not model.affine.standardised and model.affine.axes is None:
        weights[-1] += model.affine.mean
        centers = centers + model.affine.mean
    return OptimizedGTM(
        matW=weights.T,
        matY=centers.T,
        matX=model.basis.nodes,
        betaInv=model.beta_inv,
        n_dimensions=centers.shape[1],
        converged=converged,
        **projection,
    )
