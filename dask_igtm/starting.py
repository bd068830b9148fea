"""Where a fit sets out: the passes before the first iteration, and what is refused or warned of there."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np

from dask_igtm import block, blocks
from dask_igtm.basis import make_basis
from dask_igtm.gaps import Gaps
from dask_igtm.imputation import check_observed, gaps_of
from dask_igtm.initialize import Start, initialize
from dask_igtm.model import Model
from dask_igtm.settings import Settings
from dask_igtm.source import Source
from dask_igtm.statistics import Moments, PairwiseMoments

# In standard deviations: how far off the origin rows may lie, and how far the ridge may then move the map.
LARGEST_OFFSET, LARGEST_PULL = 10.0, 0.01
LARGEST_VALUE = 1e101  # whose cube is a number still
REMEDY = 'fit with scale="standard", or with a smaller regul'


def check_init(init: Model, settings: Settings, n_columns: int) -> None:
    """Raise ValueError unless `init` is a map such as `settings` describe."""
    k, m = (math.isqrt(len(grid)) for grid in (init.basis.nodes, init.basis.rbf_centers))
    width = make_basis(k, m, settings.s).width
    kind = {
        "the number of columns": (len(init.affine.mean), n_columns),
        "k": (k, settings.k or k),
        "m": (m, settings.m or m),
        "the width of an RBF": (init.basis.width, width),
        "standardised": (init.affine.standardised, settings.scale == "standard"),
        "rotated to principal axes": (init.affine.axes is not None, settings.n_components is not None),
    }
    other = [f"{name}: {found}, not {wanted}" for name, (found, wanted) in kind.items() if found != wanted]
    if other:
        raise ValueError(
            f"The map to go on from is of another kind: {'; '.join(other)}. Give the parameters it had."
        )


def start_of(
    source: Source, settings: Settings, feature_names: Sequence[str] | None, init: Model | None = None
) -> tuple[Moments, Start]:
    """Return the moments of all rows and where a fit sets out; `fit_map` says what is refused."""
    gaps = gaps_of(source, settings.missing, feature_names)
    moments = moments_of(source, gaps, feature_names)
    return moments, set_out(moments, settings, gaps, init)


def moments_of(source: Source, gaps: Gaps, feature_names: Sequence[str] | None) -> Moments:
    """Return the moments of all rows, which have an entry in every column, and all finite but gaps."""
    if gaps.marginal:
        return checked(blocks.reduce(source, block.pairwise_moments, label="igtm-moments"), feature_names)
    return checked(blocks.reduce(source, block.moments, gaps, label="igtm-moments"), feature_names)


def checked(moments: Moments | PairwiseMoments, feature_names: Sequence[str] | None) -> Moments:
    """Return moments, pooled where they are pairwise; `fit_map` says what is refused."""
    if isinstance(moments, PairwiseMoments):
        check_observed(np.diag(moments.weights), feature_names)
        moments = moments.pooled
    if moments.invalid.any():
        raise ValueError(block.invalid_message(moments.invalid, feature_names))
    if moments.weight == 0:
        raise ValueError(
            "X has no rows, or every sample_weight is zero; give two rows that differ a positive weight."
        )
    spread = np.sqrt(np.diag(moments.scatter).max() / moments.weight)
    size = max(np.abs(moments.mean).max(), spread)
    if not size <= LARGEST_VALUE:
        raise ValueError(
            f"X has values around {size:.0e}, too large to multiply in float64; divide X by a constant first."
        )
    if 0 < spread < 1 / LARGEST_VALUE:
        raise ValueError(
            f"X has a spread around {spread:.0e}, too small to square in float64; multiply X by a constant "
            "first."
        )
    return moments


def set_out(moments: Moments, settings: Settings, gaps: Gaps, init: Model | None) -> Start:
    """Initialise, and warn of what will collapse."""
    basis = init.basis if init else make_basis(*settings.sides(moments.weight), settings.s)
    start = initialize(
        moments,
        basis,
        regul=settings.ridge,
        scale=settings.scale,
        n_components=settings.n_components,
        gaps=gaps,
        init=init,
    )
    offset = np.linalg.norm(moments.mean) / np.sqrt(start.variance * len(moments.mean))
    pull = start.prior.regul * start.variance / moments.weight * offset
    if settings.scale is None and offset > LARGEST_OFFSET and pull > LARGEST_PULL:
        warnings.warn(
            "The column means of X are large against its spread, and with scale=None the ridge pulls the map "
            "from them towards the origin, away from the rows; fit with scale='center' or 'standard'.",
            stacklevel=6,
        )
    if settings.ridge is not None and start.growth < 1 and len(basis.nodes) > 1:
        warnings.warn(
            "The map will collapse onto one point: the ridge shrinks it faster than the data spread it "
            f"(growth {start.growth:.2g} per iteration, below 1); {REMEDY}.",
            stacklevel=6,
        )
    return start
