"""From the moments of the data to principal axes and the first model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from scipy.spatial.distance import cdist

from dask_igtm.model.affine import Affine
from dask_igtm.model.basis import Basis
from dask_igtm.model.gaps import REFUSED, Gaps
from dask_igtm.model.model import Model, Prior
from dask_igtm.statistics.moments import Moments

Array = NDArray[np.float64]

# Of the variance of a coordinate. Nearer to the rows than its root centres are not moved for sure: along
# what the nodes of few rows hardly feel, rounding of the sums moves them as far.
NOISE_FLOOR = 128 * float(np.finfo(np.float64).eps)
START_SHARE = 0.01  # where the evidence sets out, as a share of the ridge under which a fit collapses
WIDE = 512  # columns from which a few axes cost far less than all
BLOCK = 8  # vectors that a Krylov step adds at least; a product with fewer takes as long


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
    """

    model: Model
    prior: Prior
    variance: float
    growth: float


def initialize(
    moments: Moments,
    basis: Basis,
    *,
    regul: float | None,
    scale: str | None,
    n_components: float | None = None,
    gaps: Gaps = REFUSED,
    init: Model | None = None,
) -> Start:
    """Spread the map over the first two principal axes.

    Parameters
    ----------
    moments : Moments
        Of all rows, in the user's coordinates.
    basis : Basis
    regul : float or None
        Ridge on the weights. None leaves it to the evidence, which sets out from a hundredth of the ridge
        at which `growth` is 1, low enough for the map to unfold, and stays below one at which no direction
        of the map grows.
    scale : {None, "center", "standard"}
        None keeps ugtm's ridge towards the origin of the user's coordinates; "center" shrinks towards
        the column means; "standard" also divides by the column standard deviations.
    n_components : int, float in (0, 1), or None
        Rotate to that many principal axes, or to as many as explain that share of the variance, which
        is 80 % for -1.
    gaps : Gaps
        What the model does with entries that are missing.
    init : Model, optional
        Where to start instead, in its own coordinates.

    Raises
    ------
    ValueError
        If there is a single row, or if all rows are equal.

    Notes
    -----
    Bishop, Svensén & Williams (1998), section 2.2, with ugtm's choice of the noise: the smaller of the
    third eigenvalue and the squared half of the mean distance between two centres.
    """
    affine = init.affine if init else _affine(moments, scale)
    # The sample covariance of counted rows; weights that were normalised to a sum of 1 count none.
    divisor = moments.weight - 1.0 if moments.weight >= 2.0 else moments.weight
    covariance = np.outer(affine.scale, affine.scale)
    np.divide(moments.scatter, covariance, out=covariance)
    covariance /= divisor
    if affine.axes is not None:
        covariance, n_components = affine.axes.T @ covariance @ affine.axes, None
    # Covariances pair by pair may have negative eigenvalues, whose trace is not the variance of the start.
    eigenvalues, axes, mean = principal_axes(covariance, n_components, definite=not gaps.marginal)
    if eigenvalues[0] == 0 or _constant(moments).all():
        raise ValueError(_no_variance_message(moments))
    if n_components is not None:
        affine = dataclasses.replace(affine, axes=axes)
        axes, mean = np.eye(len(eigenvalues)), float(eigenvalues.mean())
    plane = _plane(basis, np.sqrt(eigenvalues[:2]))
    weights = plane @ axes[:, : plane.shape[1]].T
    variance = mean * divisor / moments.weight
    stretch = float(eigenvalues[0] / mean)
    collapse, limit = _largest_ridges(basis, moments.weight, stretch, variance)
    regul = START_SHARE * collapse if regul is None else regul
    prior = make_prior(affine, weights.shape, regul=regul, scale=scale, variance=variance)
    prior = dataclasses.replace(prior, limit=limit)
    beta_inv = max(_first_noise(eigenvalues, mean, basis.phi @ plane), prior.noise_floor)
    growth = _growth(basis, moments.weight, stretch, variance, regul)
    flat = Model(basis, affine, weights, beta_inv, gaps)
    return Start(dataclasses.replace(init, gaps=gaps) if init else flat, prior, variance, growth)


def make_prior(
    affine: Affine, shape: tuple[int, ...], *, regul: float, scale: str | None, variance: float
) -> Prior:
    """Return the prior of weights of that shape; `variance` is that of a model coordinate."""
    mean = np.zeros(shape)
    if scale is None:
        mean[-1] = affine.forward(np.zeros((1, len(affine.mean))))[0]  # the user's origin
    return Prior(regul, mean, NOISE_FLOOR * variance)


def principal_axes(
    covariance: Array, n_components: float | None = None, *, definite: bool = True
) -> tuple[Array, Array, float]:
    """Leading eigenvalues and axes of a covariance, and the mean of all eigenvalues.

    Parameters
    ----------
    covariance : ndarray of shape (D, D)
    n_components : int, float in (0, 1), -1, or None
        How many axes, as in `initialize`; None are three, which a map needs.
    definite : bool
        Whether no eigenvalue is negative but for rounding. Where some are, they count as 0.

    Returns
    -------
    eigenvalues : ndarray of shape (Q,)
        In falling order. Those within rounding of 0, relative to the largest, are 0.
    axes : ndarray of shape (D, Q)
        In columns. The entry of largest magnitude of each is positive, the first of those that tie but for
        rounding.
    mean : float
        Of all D eigenvalues.
    """
    n_columns = len(covariance)
    leading = None
    if definite and n_columns >= WIDE and (n_components or 3) < n_columns // 16:
        leading = _leading_axes(covariance, n_components)
    eigenvalues, axes = leading or np.linalg.eigh(covariance)
    eigenvalues, axes = eigenvalues[::-1], axes[:, ::-1]
    tiny = n_columns * np.finfo(np.float64).eps * eigenvalues[0]
    eigenvalues = np.where(eigenvalues <= tiny, 0.0, eigenvalues)
    total = float(np.trace(covariance) if leading else eigenvalues.sum())
    magnitude = np.abs(axes)
    decisive = (magnitude >= (1.0 - 1e-6) * magnitude.max(axis=0)).argmax(axis=0)
    axes = axes * np.sign(axes[decisive, np.arange(len(eigenvalues))])
    kept = _n_axes(eigenvalues, n_components, total)
    return eigenvalues[:kept], axes[:, :kept], total / n_columns


def _leading_axes(
    covariance: Array, n_components: float | None, width: int = BLOCK
) -> tuple[Array, Array] | None:
    """Return the leading eigenpairs in rising order, or None where they would cost as much as all.

    Block Krylov with all blocks kept (Saad 2011, section 6.6): blocks as wide as the axes asked for find as
    many equal eigenvalues. Spectra without a gap converge late, and LAPACK then takes over.
    """
    n_columns = len(covariance)
    limit, rounding = n_columns // 8, np.sqrt(n_columns) * np.finfo(np.float64).eps
    total = np.trace(covariance) or 1.0  # the square of an eigenvalue may be no number
    width = max(width, _n_axes(np.empty(0), n_components, total))
    basis, images = np.empty((2, limit, n_columns)).transpose(0, 2, 1)
    projected = np.zeros((limit, limit))
    block = np.linalg.qr(np.random.default_rng(0).normal(size=(n_columns, width)))[0]
    next_check = 0.0
    for size in range(width, limit + 1, width):
        new, known = slice(size - width, size), basis[:, :size]
        basis[:, new], images[:, new] = block, covariance @ block / total
        projected[:size, new] = known.T @ images[:, new]
        if size >= next_check or size + width > limit:
            next_check = 1.25 * size
            eigenvalues, vectors = np.linalg.eigh(projected[:size, :size], UPLO="U")
            kept = _n_axes(eigenvalues[::-1], n_components, 1.0)
            if kept > limit // 4 and size >= limit // 2:
                break
            eigenvalues, vectors = eigenvalues[-kept:], vectors[:, -kept:]
            axes = known @ vectors
            residuals = np.linalg.norm(images[:, :size] @ vectors - axes * eigenvalues, axis=0)
            if kept <= size and residuals.max() <= rounding * eigenvalues[-1]:
                if kept > width:  # of a share
                    return _leading_axes(covariance, n_components, kept)
                return eigenvalues * total, axes
        block = images[:, new]
        for _ in range(3):  # at the end of a space only rounding is left, most of it within `known`
            block = np.linalg.qr(block - known @ (known.T @ block))[0]
    if n_components is not None and n_components < 1:
        return None
    kept = _n_axes(np.empty(0), n_components, total)
    found: tuple[Array, Array] = eigh(covariance, subset_by_index=(n_columns - kept, n_columns - 1))
    return found


def _affine(moments: Moments, scale: str | None) -> Affine:
    n_columns = len(moments.mean)
    if scale != "standard":
        return Affine(moments.mean, np.ones(n_columns))
    # Pair by pair, rounding may make the scatter of equal values negative.
    deviation = np.sqrt(np.maximum(np.diag(moments.scatter), 0.0) / moments.weight)
    return Affine(moments.mean, np.where(_constant(moments), 1.0, deviation), standardised=True)


def _constant(moments: Moments) -> NDArray[np.bool_]:
    """Which columns vary by no more than rounding, by the rule of scikit-learn's StandardScaler."""
    n, eps = moments.n_rows, np.finfo(np.float64).eps
    variance = np.diag(moments.scatter) / moments.weight
    return np.asarray(variance <= n * eps * variance + (n * moments.mean * eps) ** 2)


def _n_axes(eigenvalues: Array, n_components: float | None, total: float) -> int:
    """How many axes are asked for; one more than there are eigenvalues if these explain too little."""
    if n_components is None:
        return 3
    if n_components >= 1:
        return int(n_components)
    n_components = 0.8 if n_components == -1 else n_components
    explained = np.cumsum(eigenvalues) / (total or 1.0)  # rows that are all equal are refused later
    return int(np.searchsorted(explained, n_components, side="right")) + 1


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
    half_spacing = float((cdist(centers, centers).mean() / 2.0) ** 2)
    positive = [noise for noise in (third, half_spacing) if noise > 0]
    return min(positive, default=mean)


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


def _no_variance_message(moments: Moments) -> str:
    if moments.n_rows <= 1:
        return "X has 1 sample (n_samples=1), or no spread; a map needs at least two rows that differ."
    return (
        "All rows of X are equal, or differ by no more than rounding of the column means; a map needs at "
        "least two rows that differ. Subtract a large offset, or multiply tiny values, before fitting."
    )
