"""Leading eigenvalues and axes of a covariance, and how many of them are asked for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

EPS = float(np.finfo(np.float64).eps)
AXES = 3  # what a map needs: two to lie along, and the noise beyond them
MOST = 0.8  # of the variance, where as many axes are asked for as explain most of it


@dataclass(frozen=True)
class Spectrum:
    """What a start needs of a covariance.

    Attributes
    ----------
    eigenvalues : ndarray of shape (Q,)
        The largest, in falling order. Those within rounding of 0, relative to the first, are 0.
    axes : ndarray of shape (D, Q)
        In columns. The entry of largest magnitude of each is positive, the first of those that tie but for
        rounding.
    mean : float
        Of all D eigenvalues.
    n_passes : int
        Passes over the rows that it took, beside the one that found their mean.
    angle : float
        How far the space of the axes that are used may be turned, in radians, beyond rounding.
    """

    eigenvalues: Array
    axes: Array
    mean: float
    n_passes: int = 0
    angle: float = 0.0


def principal_axes(covariance: Array, n_components: float | None = None) -> Spectrum:
    """Return the leading eigenpairs of a covariance, from all of them; negative eigenvalues count as 0.

    Parameters
    ----------
    covariance : ndarray of shape (D, D)
    n_components : int, float in (0, 1), -1, or None
        How many axes, as in `initialize`; None are three, which a map needs.
    """
    eigenvalues, axes = np.linalg.eigh(covariance)
    eigenvalues, axes = without_rounding(eigenvalues[::-1], len(covariance)), axes[:, ::-1]
    total = float(eigenvalues.sum())
    kept = n_axes(eigenvalues, n_components, total)
    return Spectrum(eigenvalues[:kept], signed(axes[:, :kept]), total / len(covariance))


def without_rounding(eigenvalues: Array, n_columns: int) -> Array:
    """Return eigenvalues, the largest first, of which those within rounding of 0 are 0."""
    return np.where(eigenvalues <= n_columns * EPS * eigenvalues[0], 0.0, eigenvalues)


def signed(axes: Array) -> Array:
    """Return axes, in columns, whose entry of largest magnitude is positive."""
    magnitude = np.abs(axes)
    decisive = (magnitude >= (1.0 - 1e-6) * magnitude.max(axis=0)).argmax(axis=0)
    return np.asarray(axes * np.sign(axes[decisive, np.arange(axes.shape[1])]))


def n_axes(eigenvalues: Array, n_components: float | None, total: float) -> int:
    """How many axes are asked for; one more than there are eigenvalues if these explain too little."""
    if n_components is None:
        return AXES
    if n_components >= 1:
        return int(n_components)
    explained = np.cumsum(eigenvalues) / (total or 1.0)  # rows that are all equal are refused later
    return int(np.searchsorted(explained, share_of(n_components), side="right")) + 1


def share_of(n_components: float) -> float:
    """Return the share of the variance that is asked for."""
    return MOST if n_components == -1 else n_components
