"""From the moments of the data to principal axes and the first model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from dask_igtm.model.affine import Affine
from dask_igtm.model.basis import Basis
from dask_igtm.model.gaps import REFUSED, Gaps
from dask_igtm.model.model import Model, Noise, Prior
from dask_igtm.noise.isotropic import ISOTROPIC, make_prior
from dask_igtm.solvers.spectrum import Spectrum, principal_axes
from dask_igtm.statistics.moments import ColumnMoments, Moments, constant, deviation, divisor

Array = NDArray[np.float64]

# By which columns are told to have units of their own, see `standardises`.
UNLIKE, RELATED = 10.0, 0.3
START_SHARE = 0.01  # where the evidence sets out, as a share of the ridge under which a fit collapses
PAIRS = 2**24  # of points, whose distances are held at a time


@dataclass(frozen=True)
class Start:
    """Where EM sets out from.

    Attributes
    ----------
    model : Model
    prior : Prior
    variance : float
        Population variance of a model coordinate, averaged: the noise of a map that is a single point.
    growth : float
        Factor by which a map that is a single point grows in one iteration; below 1 the fit collapses.
    n_passes : int
        Passes over the rows that looked for the axes, beside the one for the moments.
    columns : tuple of ndarray and ndarray of shape (D,), or None
        Means and standard deviations of the columns, where the moments are those of other rows.
    """

    model: Model
    prior: Prior
    variance: float
    growth: float
    n_passes: int = 0
    columns: tuple[Array, Array] | None = None


def initialize(
    moments: ColumnMoments,
    basis: Basis,
    *,
    regul: float | None,
    scale: str | None,
    n_components: float | None = None,
    gaps: Gaps = REFUSED,
    noise: Noise = ISOTROPIC,
    init: Model | None = None,
    spectrum: Spectrum | None = None,
) -> Start:
    """Spread the map over the first two principal axes.

    Parameters
    ----------
    moments : Moments or WideMoments
        Of all rows, in the user's coordinates.
    basis : Basis
    regul : float or None
        Ridge on the weights. None leaves it to the evidence, which sets out from a hundredth of the ridge
        at which `growth` is 1, low enough for the map to unfold, and stays below one at which no direction
        of the map grows.
    scale : {None, "center", "standard", "auto"}
        None keeps ugtm's ridge towards the origin of the user's coordinates; "center" shrinks towards
        the column means; "standard" also divides by the column standard deviations; "auto" does one of these
        two, see `standardises`.
    n_components : int, float in (0, 1), or None
        Rotate to that many principal axes, or to as many as explain that share of the variance, which
        is 80 % for -1.
    gaps : Gaps
        What the model does with entries that are missing.
    noise : Noise
        That of the model; where its sheet is one of natural parameters this is still the plane of rows with
        isotropic noise, see `Noise.begin`.
    init : Model, optional
        Where to start instead, in its own coordinates.
    spectrum : Spectrum, optional
        Of the sample covariance in the model's coordinates, before they are rotated unless those of `init`
        are. None finds it from the scatter of `moments`.

    Raises
    ------
    ValueError
        If there is a single row, or if all rows are equal.

    Notes
    -----
    Bishop, Svensén & Williams (1998), section 2.2, with ugtm's choice of the noise: the smaller of the
    third eigenvalue and the squared half of the mean distance between two centres.
    """
    affine = affine_of(moments, scale, init)
    if spectrum is None:
        spectrum = _spectrum_of(moments, affine, n_components)
    eigenvalues, axes, mean = spectrum.eigenvalues, spectrum.axes, spectrum.mean
    if eigenvalues[0] == 0 or constant(moments).all():
        raise ValueError(_no_variance_message(moments, noise))
    if affine.axes is None and n_components is not None:
        affine = dataclasses.replace(affine, axes=axes)
        axes, mean = np.eye(len(eigenvalues)), float(eigenvalues.mean())
    plane = _plane(basis, np.sqrt(eigenvalues[:2]))
    weights = plane @ axes[:, : plane.shape[1]].T
    variance = mean * divisor(moments) / moments.weight
    stretch = float(eigenvalues[0] / mean)
    collapse, limit = _largest_ridges(basis, moments.weight, stretch, variance)
    regul = START_SHARE * collapse if regul is None else regul
    prior = make_prior(affine, weights.shape, regul=regul, scale=scale, variance=variance)
    prior = dataclasses.replace(prior, limit=limit)
    beta_inv = max(_first_noise(eigenvalues, mean, basis.phi @ plane), prior.noise_floor)
    growth = _growth(basis, moments.weight, stretch, variance, regul)
    flat = Model(basis, affine, weights, beta_inv, ISOTROPIC, gaps)
    if affine.axes is None:
        flat, prior = noise.of_plane(flat, prior, (deviation(moments) / affine.scale) ** 2)
    model = dataclasses.replace(init, gaps=gaps) if init else flat
    return Start(model, prior, variance, growth, spectrum.n_passes)


def affine_of(moments: ColumnMoments, scale: str | None, init: Model | None = None) -> Affine:
    """Return the model's coordinates, before they are rotated unless those of `init` are."""
    if init:
        return init.affine
    if not standardises(moments, scale):
        return Affine(moments.mean, np.ones(len(moments.mean)))
    units = np.where(constant(moments), 1.0, deviation(moments))
    return Affine(moments.mean, units, standardised=True)


def standardises(moments: ColumnMoments, scale: str | None) -> bool:
    """Whether columns are divided by their standard deviations.

    For "auto" they are where the largest deviation is more than ten times that of the middle column, unless
    no two columns have a correlation of 0.3: principal components, whose deviations say what they are worth,
    have none. Of rows that are wide the moments know no correlations; bits, genes and words have one unit.
    """
    if scale != "auto":
        return scale == "standard"
    varying = np.flatnonzero(~constant(moments))
    if not isinstance(moments, Moments) or len(varying) < 2:
        return False
    spread = deviation(moments)[varying]
    unlike = spread.max() > UNLIKE * np.quantile(spread, 0.5, method="lower")
    return bool(unlike) and _largest_correlation(moments, varying, spread) >= RELATED


def _largest_correlation(moments: Moments, columns: NDArray[np.intp], spread: Array) -> float:
    correlation = moments.scatter[np.ix_(columns, columns)] / spread[:, None] / spread / moments.weight
    np.fill_diagonal(correlation, 0.0)
    return float(np.abs(correlation).max())


def _spectrum_of(moments: Any, affine: Affine, n_components: float | None) -> Spectrum:
    covariance = np.outer(affine.scale, affine.scale)
    np.divide(moments.scatter, covariance, out=covariance)
    covariance /= divisor(moments)
    if affine.axes is None:
        return principal_axes(covariance, n_components)
    return principal_axes(affine.axes.T @ covariance @ affine.axes)


def _plane(basis: Basis, sides: Array) -> Array:
    """Weights (M + 1, 1 or 2) of centres on the plane of the principal axes, in its coordinates."""
    # A single RBF is even and cannot follow the nodes; its own values then run along the first axis.
    latent = basis.nodes if len(basis.rbf_centers) > 1 else basis.phi[:, :1]
    spread = latent.std(axis=0)
    standardised = (latent - latent.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    used = min(latent.shape[1], len(sides))
    target = standardised[:, :used] * sides[:used]
    return np.asarray(np.linalg.lstsq(basis.phi, target, rcond=None)[0])


def _first_noise(eigenvalues: Array, mean: float, centers: Array) -> float:
    """Smaller of the third eigenvalue and (mean distance of the centres / 2)^2; zeros do not count."""
    third = float(eigenvalues[2]) if len(eigenvalues) > 2 else 0.0
    half_spacing = float((_mean_distance(centers) / 2.0) ** 2)
    positive = [noise for noise in (third, half_spacing) if noise > 0]
    return min(positive, default=mean)


def _mean_distance(points: Array) -> float:
    """Return the mean distance of all pairs, of which few are held at a time."""
    height = max(1, PAIRS // len(points))
    parts = (points[start : start + height] for start in range(0, len(points), height))
    return float(sum(cdist(part, points).sum() for part in parts) / len(points) ** 2)


def _growth(basis: Basis, weight: float, stretch: float, variance: float, regul: float) -> float:
    """Growth of a small map per iteration, from EM linearised about a single point.

    `stretch` is the largest eigenvalue over the mean of all.
    """
    phi = basis.phi
    bent = phi - phi.mean(axis=0)
    per_node = weight / len(phi)
    ridge = per_node * phi.T @ phi + regul * variance * np.eye(phi.shape[1])
    step = per_node * np.linalg.lstsq(ridge, bent.T @ bent, rcond=None)[0]
    return float(stretch * np.abs(np.linalg.eigvals(step)).max())


def _largest_ridges(basis: Basis, weight: float, stretch: float, variance: float) -> tuple[float, float]:
    """Return the ridge at which `_growth` is 1, and one at which it is below 1 for any data.

    The former is 0 where the data spread alike in all directions; far bent maps may still suit them, so it
    is no bound for the evidence, and the latter is.
    """
    phi = basis.phi
    bent = phi - phi.mean(axis=0)
    spread = stretch * bent.T @ bent
    collapse, limit = (float(np.linalg.eigvalsh(gain)[-1]) for gain in (spread - phi.T @ phi, spread))
    per_node = weight / (len(phi) * variance)
    return per_node * max(collapse, 0.0), per_node * max(limit, 0.0)


def _no_variance_message(moments: ColumnMoments, noise: Noise) -> str:
    if moments.n_rows <= 1:
        return "X has 1 sample (n_samples=1), or no spread; a map needs at least two rows that differ."
    if noise.exposed:
        return (
            "All rows of X have the same shares of their sums, which are all that exposure='total' leaves of "
            "them; give exposure=None, or rows of which two differ in their shares."
        )
    return (
        "All rows of X are equal, or differ by no more than rounding of the column means; a map needs at "
        "least two rows that differ. Subtract a large offset, or multiply tiny values, before fitting."
    )
