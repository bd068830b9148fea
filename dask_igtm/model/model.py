"""A map as a value: what an EM iteration reads and what it returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.affine import Affine
from dask_igtm.model.basis import Basis
from dask_igtm.model.gaps import REFUSED, Gaps

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Model:
    """A Gaussian mixture whose centres lie on a bent sheet.

    Attributes
    ----------
    basis : Basis
        Latent grid and RBF values.
    affine : Affine
        From the user's coordinates to those in which `weights` and `beta_inv` live.
    weights : ndarray of shape (M + 1, Q)
        Coefficients of the sheet, in model coordinates.
    beta_inv : float
        Noise variance, the same for every node and model coordinate.
    gaps : Gaps
        What it does with entries that are missing.
    names : tuple of str, or None
        What the user's columns are called, for comparisons and messages.
    """

    basis: Basis
    affine: Affine
    weights: Array
    beta_inv: float
    gaps: Gaps = REFUSED
    names: tuple[str, ...] | None = None

    @property
    def centers(self) -> Array:
        """Centres of the Gaussians, (K, Q), in model coordinates."""
        return np.asarray(self.basis.phi @ self.weights)

    def log_normalization(self, gaps: NDArray[np.floating[Any]] | None = None) -> Any:
        """Return what turns ln sum_k exp(-|x - y_k|^2 / (2 beta_inv)) into ln p(x) in the user's units.

        A number; or (n,) for rows whose `gaps`, (n, Q), are 1 where an entry is missing and 0 elsewhere.
        """
        n_columns: Any = self.weights.shape[1]
        log_volume: Any = self.affine.log_volume
        if gaps is not None:
            n_columns = n_columns - gaps.sum(axis=1, dtype=np.float64)
            log_volume = log_volume - gaps @ np.log(self.affine.scale)
        log_gaussian = -0.5 * n_columns * np.log(2.0 * np.pi * self.beta_inv)
        return log_gaussian - np.log(len(self.basis.nodes)) - log_volume


@dataclass(frozen=True)
class Prior:
    """What a fit assumes of a model before it sees responsibilities.

    Attributes
    ----------
    regul : float
        Precision of the Gaussian prior over the weights, in inverse squared units of the model.
    mean : ndarray of shape (M + 1, Q)
        Its mean. ugtm shrinks the bias towards 0 in the data's own coordinates; in centred ones that
        is a prior mean of -(column means) in the bias row. Zero gives the fit that ignores offsets.
    noise_floor : float
        Smallest noise variance a fit may reach, so that exact fits stay finite.
    limit : float
        Largest `regul` that the evidence may choose; see `initialize`.
    determined : float
        Weights that the rows determine, so many entries of X fewer are left for the noise. Only the evidence
        counts them.
    """

    regul: float
    mean: Array
    noise_floor: float
    limit: float = np.inf
    determined: float = 0.0

    def log_density(self, model: Model) -> float:
        """Log prior density of the model's weights, up to a constant."""
        return float(-0.5 * self.regul * np.sum((model.weights - self.mean) ** 2))
