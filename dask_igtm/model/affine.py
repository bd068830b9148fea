"""The coordinates in which a model works: centred, optionally scaled and rotated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Affine:
    """The map x -> ((x - mean) / scale) @ axes from the user's coordinates to the model's.

    Attributes
    ----------
    mean, scale : ndarray of shape (D,)
        Offset and unit of each column, in the user's units.
    axes : ndarray of shape (D, Q) or None
        Orthonormal principal axes of the scaled columns; None keeps the columns (Q = D).
    standardised : bool
        Whether `scale` holds the standard deviations. ugtm's names then show the model's coordinates,
        and the user's otherwise.
    """

    mean: Array
    scale: Array
    axes: Array | None = None
    standardised: bool = False

    @property
    def log_volume(self) -> float:
        """Log of the volume of a unit cube of the model, in the user's units.

        After a rotation to fewer axes there is no density over the user's columns: likelihoods are
        those of the principal coordinates, and this is 0.
        """
        return float(np.log(self.scale).sum()) if self.axes is None else 0.0

    def forward(
        self, X: NDArray[np.generic], out: NDArray[np.floating[Any]] | None = None
    ) -> NDArray[np.floating[Any]]:
        """Take rows (n, D) to model coordinates (n, Q), into `out` where given.

        The mean is subtracted in float64, so that a narrower `out` loses nothing to a large offset.
        """
        Z: NDArray[np.floating[Any]]
        if self.axes is None:
            Z = np.subtract(X, self.mean, out=out, dtype=np.float64, casting="same_kind")
            Z /= self.scale
            return Z
        centred = np.subtract(X, self.mean, dtype=np.float64)
        Z = np.matmul(centred / self.scale, self.axes, out=out, casting="same_kind")
        return Z

    def inverse(self, Z: Array) -> Array:
        """Take model coordinates (n, Q) back to the user's (n, D)."""
        return self.inverse_linear(Z) + self.mean

    def inverse_linear(self, Z: Array) -> Array:
        """Take differences of model coordinates (n, Q) back to the user's (n, D)."""
        rows = Z if self.axes is None else Z @ self.axes.T
        return np.asarray(rows * self.scale)

    def inverse_variance(self, variances: Array) -> Array:
        """Return the variances (D,) of the user's columns for those of the model coordinates, (Q,)."""
        # Axes mix coordinates of equal noise.
        of_columns = variances if self.axes is None else variances[0] * np.sum(self.axes**2, axis=1)
        return np.asarray(of_columns * self.scale**2)
