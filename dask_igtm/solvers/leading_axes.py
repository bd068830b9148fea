"""The leading axes of a covariance of which nothing is known but its products: block Krylov.

All blocks are kept (Saad 2011, *Numerical Methods for Large Eigenvalue Problems*, section 6.6), and of their
images only what lies along these: how far an axis is off is read from the step to the next block.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

from dask_igtm.solvers.spectrum import EPS, Spectrum, n_axes, share_of, signed, without_rounding

Array = NDArray[np.float64]
Search = Generator[Array, Array, Spectrum]

BLOCK, MOST_BLOCK = 16, 64  # columns of a product, for few axes and for many
MOST_AXES = 256
TYPICAL_PASSES, MOST_PASSES = 8, 24  # products, of which the first comes with the moments
CLOSE = 1e-10  # how far axes may be off, of the largest eigenvalue, and eigenvalues, of themselves
NEARLY = 1e-3  # the same of eigenvalues that bound those to come, or are only estimates
LARGEST_CONDITION = 1e4  # of a block whose image is worth keeping
TINY = float(np.finfo(np.float64).tiny)


def width_for(n_components: float | None) -> int:
    """Return how many columns a product has; raise ValueError if more axes are asked for than are found."""
    if n_components is None:
        return BLOCK
    if n_components > MOST_AXES:
        raise ValueError(
            f"n_components={n_components} is more than the {MOST_AXES} axes that are found of so many "
            f"columns; give at most {MOST_AXES}."
        )
    return int(np.clip(n_components, BLOCK, MOST_BLOCK)) if n_components >= 1 else MOST_BLOCK


def random_block(n_columns: int, width: int) -> Array:
    """Return the block (D, b) that searches set out from, the same each time."""
    return np.random.default_rng(0).normal(size=(n_columns, width))


def leading_axes(
    trace: float,
    block: Array,
    image: Array | None = None,
    n_components: float | None = None,
    close: float = CLOSE,
) -> Search:
    """Yield blocks (D, b) whose images under a covariance are to be sent back; return its leading axes.

    Parameters
    ----------
    trace : float
        Of the covariance.
    block : ndarray of shape (D, b)
        Where to set out from; no eigenvalue is found more than b times for sure.
    image : ndarray of shape (D, b), optional
        Its image, if that is known already.
    n_components : int, float in (0, 1), -1, or None
        How many axes, as in `principal_axes`.
    close : float
        How far axes may be off, of the largest eigenvalue, and eigenvalues, of themselves.

    Raises
    ------
    ValueError
        If `MOST_AXES` do not explain the share that is asked for.

    Notes
    -----
    The end is where the plane that a map lies in, or the space of all axes asked for, is off by at most
    `close` times the largest eigenvalue over the gap to the next one, and the eigenvalues by `close` of
    themselves. Spectra without a gap converge late, and other planes explain as much: the end is then
    after `MOST_PASSES` products.
    """
    n_columns = len(block)
    block, image = _orthonormal(block[:, :n_columns], None if image is None else image[:, :n_columns])
    limit = min(MOST_PASSES * block.shape[1], n_columns)
    basis, projected = np.empty((limit, n_columns)).T, np.zeros((limit, limit))
    size = n_passes = 0
    while True:
        if image is None:
            image = yield block
            n_passes += 1
        new, size = slice(size, size + block.shape[1]), size + block.shape[1]
        basis[:, new] = block
        known = basis[:, :size]
        image = image / (trace or 1.0)  # the square of an eigenvalue may be no number
        projected[:size, new] = known.T @ image
        eigenvalues, vectors = np.linalg.eigh(projected[:size, :size], UPLO="U")
        eigenvalues, vectors = without_rounding(eigenvalues[::-1], n_columns), vectors[:, ::-1]
        block = _beyond(known, image)[:, : n_columns - size]
        residuals = np.linalg.norm(block.T @ image @ vectors[new], axis=0)
        kept = n_axes(eigenvalues, n_components, 1.0)
        used = int(np.count_nonzero(eigenvalues[: 2 if n_components is None else kept]))
        _check_share(eigenvalues, residuals, n_components, last=size == limit)
        if size == limit or _found(eigenvalues, residuals, used, kept, close):
            break
        block, image = block[:, : limit - size], None
    axes = signed(known @ vectors[:, :kept])
    angle = _angle(eigenvalues, residuals, used)
    return Spectrum(eigenvalues[:kept] * trace, axes, trace / n_columns, n_passes, angle)


def find_together(
    searches: Sequence[Search], images_of: Callable[[Mapping[int, Array]], Sequence[Array]]
) -> list[Spectrum]:
    """Return what several searches find, which all take a step in each pass.

    Parameters
    ----------
    searches : sequence of Search
    images_of : callable
        Given the block of each search that goes on, by its number, makes a pass and returns their images in
        the same order.
    """
    found: dict[int, Spectrum] = {}
    images: dict[int, Array | None] = dict.fromkeys(range(len(searches)))
    while images:
        blocks: dict[int, Array] = {}
        for number, image in images.items():
            try:
                blocks[number] = next(searches[number]) if image is None else searches[number].send(image)
            except StopIteration as end:
                found[number] = end.value
        images = dict(zip(blocks, images_of(blocks), strict=True)) if blocks else {}
    return [found[number] for number in range(len(searches))]


def _orthonormal(block: Array, image: Array | None) -> tuple[Array, Array | None]:
    """Return a block with orthonormal columns, and its image unless too little of it is left."""
    block, mixed = np.linalg.qr(block)
    if image is not None:
        if not np.linalg.cond(mixed) <= LARGEST_CONDITION:
            return block, None
        image = solve_triangular(mixed, image.T, trans="T").T
    return block, image


def _beyond(known: Array, image: Array) -> Array:
    """Return an orthonormal block of what of an image lies outside the columns `known`."""
    block = image
    for _ in range(3):  # at the end of a space only rounding is left, most of it within `known`
        block = np.linalg.qr(block - known @ (known.T @ block))[0]
    return block


def _found(eigenvalues: Array, residuals: Array, used: int, kept: int, close: float) -> bool:
    """Whether the axes that are used, and all eigenvalues that are kept, are found."""
    if kept >= len(eigenvalues):
        return False
    largest, gaps = eigenvalues[0], eigenvalues[:kept] - eigenvalues[1 : kept + 1]
    off = np.minimum(residuals[:kept], residuals[:kept] ** 2 / np.maximum(gaps, TINY))
    known = off <= close * np.maximum(eigenvalues[:kept], EPS * largest)
    return bool((residuals[:used] <= close * largest).all() and known.all())


def _angle(eigenvalues: Array, residuals: Array, used: int) -> float:
    """Bound of how far the space of the first axes is turned (Davis & Kahan 1970), in radians."""
    off = float(residuals[:used].max(initial=0.0))
    beyond = eigenvalues[used] if used < len(eigenvalues) else 0.0
    gap = float(eigenvalues[used - 1] - beyond) if used else 0.0
    return min(off / max(gap, TINY), math.pi / 2)


def _check_share(eigenvalues: Array, residuals: Array, n_components: float | None, *, last: bool) -> None:
    """Raise ValueError if it takes too many axes to explain the share of the variance that is asked for."""
    if n_components is None or n_components >= 1:
        return
    share, most = share_of(n_components), float(eigenvalues[:MOST_AXES].sum())
    if not last:  # no axis to come has a larger eigenvalue than the last that is nearly known
        known = int(np.argmin(np.append(residuals <= NEARLY * eigenvalues, False)))
        if known == 0:
            return
        rest = max(MOST_AXES - known, 0) * (1.0 + NEARLY) * eigenvalues[known - 1]
        most = float(eigenvalues[: min(known, MOST_AXES)].sum() + rest)
    if most < share:
        raise ValueError(
            f"n_components={n_components} asks for axes that explain {share:.3g} of the variance, and "
            f"{MOST_AXES} axes explain at most {most:.3g}; give a smaller share, or a number of axes up to "
            f"{MOST_AXES}."
        )
