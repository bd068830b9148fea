"""The spectrum of wide rows in the coordinates of a model, whose covariance is never made."""

from __future__ import annotations

import dataclasses
import math
from typing import cast

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.affine import Affine
from dask_igtm.solvers.leading_axes import CLOSE, TINY, Search, leading_axes
from dask_igtm.solvers.spectrum import Spectrum, principal_axes
from dask_igtm.statistics.covariance_images import WideMoments
from dask_igtm.statistics.moments import constant, deviation, divisor

Array = NDArray[np.float64]

# Columns up to which a pass for their covariance costs less than several for products with it: where few axes
# are asked for, and where there may be many.
WIDE, WIDE_FOR_AXES = 1024, 2048
# Length of the mean in that of the standard deviations up to which sums may be centred afterwards: rounding
# is then a hundredth of what is asked of the axes.
LARGEST_OFFSET = 1e4


def is_wide(n_columns: int, n_components: float | None) -> bool:
    """Whether a start does without the covariance of so many columns."""
    return n_columns > (WIDE if n_components is None else WIDE_FOR_AXES)


def spectrum_of(
    moments: WideMoments,
    affine: Affine,
    block: Array,
    *,
    n_components: float | None = None,
    stretch: Array | float = 1.0,
    close: float = CLOSE,
) -> Search:
    """Yield blocks (D, b) whose images under the scatter of rows are to be sent back; return its spectrum.

    Parameters
    ----------
    moments : WideMoments
    affine : Affine
        Of the model. Where it has axes the spectrum is that of the covariance on these, from one product.
    block : ndarray of shape (D, b)
        Whose image the moments have.
    n_components : int, float in (0, 1), -1, or None
        As in `principal_axes`.
    stretch : float or ndarray of shape (D,)
        By what each column of the rows is multiplied; in `squares` it is already.
    close : float
        As in `leading_axes`.

    Raises
    ------
    ValueError
        As `leading_axes` does, or if an image is no number.
    """
    n_columns, varies = len(block), ~constant(moments)
    unit = np.broadcast_to(stretch / affine.scale, n_columns)[:, None]

    def scaled(image: Array) -> Array:
        if not np.isfinite(image).all():
            raise ValueError(
                "X has changed since the first pass: it holds NaN or inf now. A fit reads X in every pass "
                "and needs the same rows each time; store X first and fit the stored rows."
            )
        return np.asarray(unit * image / divisor(moments))

    if affine.axes is not None:
        found = principal_axes(affine.axes.T @ scaled((yield unit * affine.axes)))
        return dataclasses.replace(found, n_passes=1)
    if not varies.any():
        return Spectrum(np.zeros(1), np.zeros((n_columns, 1)), 0.0)

    # Constant columns have no covariance, and none of their rounding is to be taken for some.
    def whole(part: Array) -> Array:
        columns = np.zeros((n_columns, part.shape[1]))
        columns[varies] = part
        return columns

    trace = _variance(moments, affine) * moments.weight / divisor(moments)
    near = _offset(moments, affine, np.ones(n_columns, bool)) <= LARGEST_OFFSET
    first = scaled(moments.image)[varies] if near else None
    search = leading_axes(trace, (block / unit)[varies], first, n_components, close)
    try:
        asked = next(search)
        while True:
            asked = search.send(scaled((yield unit * whole(asked)))[varies])
    except StopIteration as end:
        found = cast(Spectrum, end.value)
    # Where more axes are asked for than columns vary, those that do not are axes too, of no variance.
    others = np.flatnonzero(~varies)[: max(int(n_components or 0) - found.axes.shape[1], 0)]
    return dataclasses.replace(
        found,
        eigenvalues=np.append(found.eigenvalues, np.zeros(len(others))),
        axes=np.hstack([whole(found.axes), np.arange(n_columns)[:, None] == others]),
        mean=trace / n_columns,
    )


def lies_far(moments: WideMoments, affine: Affine) -> bool:
    """Whether the mean lies so far off that rows have to be centred before they are multiplied."""
    return _offset(moments, affine, ~constant(moments)) > LARGEST_OFFSET


def _offset(moments: WideMoments, affine: Affine, columns: NDArray[np.bool_]) -> float:
    """Length of the mean on some columns in that of the standard deviations, in model coordinates."""
    length = float(np.linalg.norm((moments.mean / affine.scale)[columns]))
    return length / max(math.sqrt(_variance(moments, affine)), TINY)


def _variance(moments: WideMoments, affine: Affine) -> float:
    """Sum of the population variances of the columns that vary, in model coordinates."""
    return float(np.sum((deviation(moments) / affine.scale)[~constant(moments)] ** 2))
