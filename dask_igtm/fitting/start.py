"""Where a fit sets out: the passes before the first iteration, and what is refused or warned of there."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.column_names import different_names
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.data.user_warnings import warn
from dask_igtm.fitting.collapse import warn_of_likely_collapse
from dask_igtm.fitting.fill_values import check_observed, gaps_of
from dask_igtm.fitting.settings import Settings
from dask_igtm.fitting.wide_start import Request, View, WideStart, find_axes, wide_start
from dask_igtm.model.basis import make_basis
from dask_igtm.model.checks import name_columns
from dask_igtm.model.gaps import Gaps
from dask_igtm.model.model import Model, Noise
from dask_igtm.passes.graph import Source, keep, prepare
from dask_igtm.passes.reduce import reduce
from dask_igtm.passes.resources import single_threaded_blas, worth_keeping
from dask_igtm.posterior.entry_checks import LEAST_WEIGHT, invalid_message
from dask_igtm.posterior.kernels import best_kernel
from dask_igtm.solvers.initialize import Start, initialize, standardises
from dask_igtm.solvers.spectrum import Spectrum
from dask_igtm.statistics.covariance_images import Image, WideMoments, image_of, wide_moments_of
from dask_igtm.statistics.moments import (
    ColumnMoments,
    Moments,
    PairwiseMoments,
    deviation,
    moments_of,
    pairwise_moments_of,
)
from dask_igtm.statistics.plane_rows import FirstSums, exposures_of, first_sums, in_plane
from dask_igtm.statistics.row_sample import Draw, RowSample, with_sample

Array = NDArray[np.float64]

logger = logging.getLogger("dask_igtm")


# In standard deviations: how far off the origin rows may lie, and how far the ridge may then move the map.
LARGEST_OFFSET, LARGEST_PULL = 10.0, 0.01
LARGEST_VALUE = 1e101  # whose cube is a number still


def check_init(init: Model, settings: Settings, n_columns: int, names: Sequence[str] | None = None) -> None:
    """Raise ValueError unless `init` is a map such as `settings` describe, of columns with these names."""
    if init.names is not None and names is not None and list(init.names) != list(names):
        raise ValueError(f"The map to go on from has other columns. {different_names(init.names, names)}")
    k, m = (math.isqrt(len(grid)) for grid in (init.basis.nodes, init.basis.rbf_centers))
    width = make_basis(k, m, settings.s).width
    kind = {
        "the number of columns": (len(init.affine.mean), n_columns),
        "k": (k, settings.k or k),
        "m": (m, settings.m or m),
        "the width of an RBF": (init.basis.width, width),
        "noise": (init.noise.name, settings.noise),
        "exposed to the sums of rows": (init.noise.exposed, settings.family.exposed),
        "standardised": (init.affine.standardised, settings.standardised(init)),
        "rotated to principal axes": (init.affine.axes is not None, settings.n_components is not None),
    }
    other = [f"{name}: {found}, not {wanted}" for name, (found, wanted) in kind.items() if found != wanted]
    if other:
        raise ValueError(
            f"The map to go on from is of another kind: {'; '.join(other)}. Give the parameters it had."
        )


def prepare_fit(rows: RowBlocks, persist: bool | str) -> Source:
    """Return rows that are ready to be read in every pass of a fit, kept in memory where that is worth it."""
    source = prepare(rows)
    if worth_keeping(rows, persist):
        logger.info("keeping the blocks of X in the workers' memory during the fit")
        source = keep(source)
    return source


def start_of(
    source: Source,
    n_columns: int,
    settings: Settings,
    feature_names: Sequence[str] | None,
    init: Model | None = None,
    draw: Draw | None = None,
) -> tuple[Moments | WideMoments, Start, RowSample | None]:
    """Return the moments of all rows, where a fit sets out, and the rows that were drawn if any were to be.

    `fit` says what is refused.
    """
    gaps = gaps_of(source, settings.missing, feature_names)
    noise = noise_of(source, settings, gaps, feature_names)
    view = plane_view(noise, gaps, feature_names)
    anchor = None if noise.natural else init
    wide = wide_start(source, n_columns, settings, gaps, feature_names, view, anchor)
    function, shared = view(*moments_statistic(gaps, wide))
    if draw is None:
        found, drawn = reduce(source, function, *shared, label="igtm-moments"), None
    else:
        both = reduce(source.numbered(), with_sample, draw, function, *shared, label="igtm-moments")
        found, drawn = both.each
    moments = checked(found, feature_names, settings, wide)
    spectrum = None
    if wide:

        def images_of(requests: Mapping[int, Request]) -> list[Image]:
            asked = [view(image_of, request) for request in requests.values()]
            return [reduce(source, function, *shared, label="igtm-axes") for function, shared in asked]

        (spectrum,) = find_axes([(wide, moments)], settings, anchor, images_of)
    start = set_out(moments, settings, gaps, noise, init, feature_names, spectrum)
    if noise.natural:
        arguments = (start.model, best_kernel(), noise)
        start = leave_plane(start, noise, reduce(source, first_sums, *arguments, label="igtm-first"), init)
    return moments, start, drawn


def noise_of(source: Source, settings: Settings, gaps: Gaps, feature_names: Sequence[str] | None) -> Noise:
    """Return the noise of a fit to these rows; one more pass where it has to know their mean exposure."""
    noise = settings.family
    if not noise.exposed:
        return noise
    return exposed(noise, reduce(source, exposures_of, noise, gaps, feature_names, label="igtm-exposures"))


def exposed(noise: Noise, sums: Array) -> Noise:
    """Return a noise that knows the mean exposure of rows, by what `exposures_of` adds up."""
    total, weight = sums
    return noise.with_exposure(float(total / weight) if total > 0 else 1.0)


def plane_view(noise: Noise, gaps: Gaps, names: Sequence[str] | None) -> View:
    """Return what makes a statistic, a function and its arguments, one of rows as they are in their plane."""

    def view(
        function: Callable[..., Any], shared: tuple[Any, ...]
    ) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        if not noise.natural:
            return function, shared
        return in_plane, (noise, gaps, names, function, *shared)

    return view


def leave_plane(start: Start, noise: Noise, first: FirstSums, init: Model | None) -> Start:
    """Return the start of bits or counts of one on a plane, and of the sums under that."""
    plane = start.model
    statistics, mean, deviation = first.filled(plane)
    with single_threaded_blas:
        model, prior = noise.begin(plane, statistics, start.prior.regul)
    if init:
        model = dataclasses.replace(init, noise=noise, gaps=plane.gaps, names=plane.names)
    n_passes = start.n_passes + 1 + noise.exposed
    return Start(model, prior, start.variance, math.inf, n_passes, (mean, deviation))


def steps_of(noise: Noise) -> AbstractContextManager[Any]:
    """Return the context of M-steps: those of bits and counts are many small products, for one thread."""
    return single_threaded_blas if noise.natural else nullcontext()


def moments_statistic(gaps: Gaps, wide: WideStart | None) -> tuple[Callable[..., Any], tuple[Any, ...]]:
    """Return the function that makes the moments of a block, and its further arguments."""
    if wide:
        return wide_moments_of, (wide.block, wide.gaps)
    return (pairwise_moments_of, ()) if gaps.marginal else (moments_of, (gaps,))


def checked(
    moments: Any, feature_names: Sequence[str] | None, settings: Settings, wide: WideStart | None
) -> Any:
    """Return moments as of rows without gaps; `fit` says what is refused."""
    if isinstance(moments, PairwiseMoments):
        check_observed(np.diag(moments.weights), feature_names)
        moments = moments.pooled
    if moments.invalid.any():
        raise ValueError(invalid_message(moments.invalid, feature_names, settings.family))
    if moments.weight < LEAST_WEIGHT:
        raise ValueError(
            "X has no rows, or every sample_weight is zero or next to it; give two rows that differ a "
            f"positive weight, and all weights a sum of at least {LEAST_WEIGHT:.0e}."
        )
    moments = wide.stretched(moments) if wide else moments
    _check_size(moments, feature_names, settings.plane_scale)
    return moments


def _check_size(moments: ColumnMoments, feature_names: Sequence[str] | None, scale: str | None) -> None:
    """Raise ValueError naming the columns whose values are too large, or too small, to be multiplied."""
    spread = deviation(moments)
    size = np.maximum(np.abs(moments.mean), spread)
    large = ~(size <= LARGEST_VALUE)  # NaN too
    if large.any():
        raise ValueError(
            f"X has values around {size[large].max():.0e}, too large to multiply in float64, in "
            f"{name_columns(np.flatnonzero(large), feature_names)}; divide X by a constant first, or drop "
            "these columns."
        )
    least = 1 / LARGEST_VALUE
    # A column is set off against the others, unless each is divided by its own spread.
    small = (
        (size > 0) & (size < least) if standardises(moments, scale) else (spread > 0) & (spread.max() < least)
    )
    if small.any():
        raise ValueError(
            f"X has a spread around {spread[small].max():.0e}, too small to square in float64, in "
            f"{name_columns(np.flatnonzero(small), feature_names)}; multiply X by a constant first, or drop "
            "these columns."
        )


def set_out(
    moments: ColumnMoments,
    settings: Settings,
    gaps: Gaps,
    noise: Noise,
    init: Model | None,
    names: Sequence[str] | None,
    spectrum: Spectrum | None = None,
) -> Start:
    """Initialise, and warn of a ridge that pulls the map far off, or onto a point.

    Maps of bits and counts are left on the plane of their rows, see `leave_plane`.
    """
    basis = init.basis if init else make_basis(*settings.sides(moments.weight), settings.s)
    with single_threaded_blas:  # small factors lose to more threads, and differ by their number
        start = initialize(
            moments,
            basis,
            regul=settings.ridge,
            scale=settings.plane_scale,
            n_components=settings.n_components,
            gaps=gaps,
            noise=noise,
            init=None if noise.natural else init,
            spectrum=spectrum,
        )
    model = dataclasses.replace(start.model, names=None if names is None else tuple(names))
    start = dataclasses.replace(start, model=model)
    if noise.natural:
        return start
    if settings.scale == "auto" and init is None:
        kind = "standard" if start.model.affine.standardised else "center"
        logger.info('scale="auto" takes "%s" for these columns', kind)
    offset = np.linalg.norm(moments.mean) / np.sqrt(start.variance * len(moments.mean))
    pull = start.prior.regul * start.variance / moments.weight * offset
    if settings.scale is None and offset > LARGEST_OFFSET and pull > LARGEST_PULL:
        warn(
            "The column means of X are large against its spread, and with scale=None the ridge pulls the map "
            "from them towards the origin, away from the rows; fit with scale='center' or 'standard'."
        )
    if settings.niter and settings.ridge is not None:
        warn_of_likely_collapse(start)
    return start
