"""The start of wide rows: a first pass that makes no covariance, and a few more that find principal axes."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.fitting.fill_values import check_observed
from dask_igtm.fitting.settings import Settings
from dask_igtm.model.gaps import Gaps
from dask_igtm.model.model import Model
from dask_igtm.passes.graph import Source
from dask_igtm.passes.reduce import reduce
from dask_igtm.passes.resources import single_threaded_blas
from dask_igtm.solvers.initialize import affine_of
from dask_igtm.solvers.leading_axes import (
    CLOSE,
    MOST_PASSES,
    NEARLY,
    TYPICAL_PASSES,
    find_together,
    random_block,
    width_for,
)
from dask_igtm.solvers.spectrum import Spectrum
from dask_igtm.solvers.wide_spectrum import is_wide, lies_far, spectrum_of
from dask_igtm.statistics.column_stats import ColumnMeans, means
from dask_igtm.statistics.covariance_images import Image, WideMoments

Array = NDArray[np.float64]
Request = tuple[Any, ...]  # what `image_of` takes beside a block of rows
# Of a statistic, a function and its arguments, that of rows as they are where a map begins.
View = Callable[[Callable[..., Any], tuple[Any, ...]], tuple[Callable[..., Any], tuple[Any, ...]]]

logger = logging.getLogger("dask_igtm")


@dataclass(frozen=True)
class WideStart:
    """How wide rows are read before a fit to them.

    Attributes
    ----------
    block : ndarray of shape (D, b)
        Whose image the first pass makes.
    gaps : Gaps
        What these passes do with gaps.
    entries : ndarray of shape (D,) or None
        Weight of the entries of each column, where gaps are filled for the start alone.
    """

    block: Array
    gaps: Gaps
    entries: Array | None = None

    def stretch(self, moments: WideMoments) -> Array:
        """By what columns are multiplied, so that what fills their gaps takes nothing from their variance."""
        if self.entries is None:
            return np.ones(len(self.block))
        return np.sqrt(moments.weight / self.entries)

    def stretched(self, moments: WideMoments) -> WideMoments:
        """Return moments of which the squares are those of the entries."""
        return dataclasses.replace(moments, squares=moments.squares * self.stretch(moments) ** 2)


def wide_start(
    source: Source,
    n_columns: int,
    settings: Settings,
    gaps: Gaps,
    names: Sequence[str] | None,
    view: View,
    init: Model | None = None,
) -> WideStart | None:
    """Return how rows of so many columns are read before a fit; None where their covariance costs less.

    The covariance of rows with gaps is a quotient pair by pair, and none of its products is a sum over rows:
    where gaps are marginal they are filled with the means of their columns until the fit begins. One more
    pass finds these.
    """
    if not is_wide(n_columns, settings.n_components):
        return None
    width = width_for(settings.n_components) if init is None or init.affine.axes is None else 0
    block = random_block(n_columns, width)
    if not gaps.marginal:
        return WideStart(block, gaps)
    logger.info("gaps of %d columns are filled with means until the map has its first place", n_columns)
    function, shared = view(means, ())
    found: ColumnMeans = reduce(source, function, *shared, label="igtm-columns")
    check_observed(found.weight, names)
    return WideStart(block, dataclasses.replace(gaps, fill=found.mean), found.weight)


def start_cost(n_columns: int, settings: Settings) -> tuple[int, int, int]:
    """Return passes of a start beside that of the moments, as a rule and at most, and bytes of the sums."""
    if not is_wide(n_columns, settings.n_components):
        return 0, 0, 8 * n_columns**2
    filling = settings.missing == "marginalize"
    n_bytes = 3 * 8 * n_columns * width_for(settings.n_components)
    # One product more where that of the first pass tells nothing.
    return TYPICAL_PASSES - 1 + filling, MOST_PASSES + filling, n_bytes


def unseen(start: WideStart | None) -> WideStart | None:
    """Return how rows are read that are counted alone, and whose axes nobody asks for."""
    return start and dataclasses.replace(start, block=start.block[:, :0])


def find_axes(
    starts: Sequence[tuple[WideStart, WideMoments]],
    settings: Settings,
    init: Model | None,
    images_of: Callable[[Mapping[int, Request]], Sequence[Image]],
) -> list[Spectrum]:
    """Return the spectrum of each set of rows, in as many passes as the slowest search takes.

    Parameters
    ----------
    starts : sequence of (WideStart, WideMoments)
    settings : Settings
    init : Model or None
        As in `fit`.
    images_of : callable
        Makes a pass: returns images for what is asked of some sets of rows, by their numbers.
    """
    affines = [affine_of(moments, settings.plane_scale, init) for _, moments in starts]

    def request(number: int, block: Array) -> Request:
        start, moments = starts[number]
        return moments.mean, block, start.gaps, lies_far(moments, affines[number])

    def make(blocks: Mapping[int, Array]) -> list[Array]:
        return [found.image for found in images_of({i: request(i, block) for i, block in blocks.items()})]

    searches = [
        spectrum_of(
            moments,
            affine,
            start.block,
            n_components=settings.n_components,
            stretch=start.stretch(moments),
            close=CLOSE if init is None else NEARLY,  # of a map that has its place only its growth is asked
        )
        for (start, moments), affine in zip(starts, affines, strict=True)
    ]
    with single_threaded_blas:  # as in `start.set_out`
        found = find_together(searches, make)
    for (_, moments), spectrum in zip(starts, found, strict=True):
        logger.info(
            "%d principal axes of %d columns, after %d passes more, are known to %.1e radians",
            len(spectrum.eigenvalues),
            len(moments.mean),
            spectrum.n_passes,
            spectrum.angle,
        )
    return found
