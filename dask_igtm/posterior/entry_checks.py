"""What no E-step can take: NaN, infinities, rows too far from the map, and weights that are no weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.checks import name_columns
from dask_igtm.model.gaps import Gaps
from dask_igtm.model.model import Model, Noise
from dask_igtm.posterior.tiles import Rows, csr_of, is_sparse, row_tiles

Array = NDArray[np.float64]

# Of a block: its weight times a row's squared distance from the column means, also over the noise variance.
LARGEST_SUM = 1e305  # of which a thousand blocks add up to a number
LEAST_WEIGHT, LARGEST_WEIGHT = 1e-100, 1e50  # of all rows, and of a single one


def check_weights(sample_weight: Array | None) -> None:
    """Raise ValueError if a weight of a block is negative, not finite, or too large to add up its like."""
    if sample_weight is None:
        return
    bad = ~(np.isfinite(sample_weight) & (sample_weight >= 0))
    if bad.any():
        raise ValueError(
            f"sample_weight has {np.count_nonzero(bad)} negative or non-finite values; give weights >= 0."
        )
    if sample_weight.max(initial=0.0) > LARGEST_WEIGHT:
        raise ValueError(
            f"sample_weight has values up to {sample_weight.max():.0e}, too large to add up; divide all "
            f"weights by a constant, so that none is beyond {LARGEST_WEIGHT:.0e}."
        )


def largest_square(model: Model, weight: float) -> float:
    """Return the largest |z|^2 of a row, in model coordinates, in a block of that weight."""
    return float(LARGEST_SUM * min(1.0, model.beta_inv) / max(1.0, weight))


def refusal(X: Rows, model: Model, largest: float) -> ValueError:
    """Return the error for a block where |z|^2 of a row is larger, or NaN; it names the columns at fault."""
    invalid, large = refused_entries(X, None, model.gaps, np.inf)
    if invalid.any():
        return ValueError(invalid_message(invalid, model.names, model.noise))
    # Where |z|^2 is too large, so is the D-th part of it in one column at least.
    limit = np.sqrt(largest / X.shape[1])
    for _, tile in row_tiles(X):
        with np.errstate(over="ignore"):
            z = np.abs(np.subtract(tile, model.affine.mean)) / model.affine.scale
        large += np.count_nonzero(z > limit, axis=0)
    why = "lies too far from the map to square its distances in float64"
    return ValueError(large_message(large, why, model.names))


def refused_entries(X: Rows, sample_weight: Array | None, gaps: Gaps, largest: float) -> NDArray[np.int64]:
    """Count, in each column of a block, entries that are no numbers, and others beyond `largest`, (2, D)."""
    check_weights(sample_weight)
    if is_sparse(X):
        X = csr_of(X)
        invalid, large = _refused(X.data, gaps, largest)
        return np.stack([np.bincount(X.indices[bad], minlength=X.shape[1]) for bad in (invalid, large)])
    counts = np.zeros((2, X.shape[1]), np.int64)
    for _, tile in row_tiles(X):
        counts += [np.count_nonzero(bad, axis=0) for bad in _refused(tile, gaps, largest)]
    return counts


def _refused(entries: NDArray[Any], gaps: Gaps, largest: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Say which entries are no numbers, and which others are beyond `largest`."""
    invalid = np.isinf(entries) if gaps.allowed else ~np.isfinite(entries)
    return invalid, (np.abs(entries.astype(np.float64)) > largest) & ~invalid


def invalid_message(invalid: NDArray[np.int64], names: Sequence[str] | None, noise: Noise) -> str:
    """Say how many entries of which columns are NaN or infinite, and what to do."""
    columns = np.flatnonzero(invalid)
    listed = name_columns(columns, names, counts=invalid[columns])
    return (
        f"X contains NaN or inf: {listed}. For gaps (NaN), fit with missing={noise.gaps_by}; "
        "infinities have to be dropped or replaced, on a dask array with da.where(da.isinf(X), value, X)."
    )


def large_message(large: NDArray[np.int64], why: str, names: Sequence[str] | None = None) -> str:
    """Say how many entries of which columns are too large, and what to do."""
    columns = np.flatnonzero(large)
    listed = name_columns(columns, names, counts=large[columns])
    return f"X {why}: {listed}. Drop those rows or replace the values, as clip(low, high) does on an array."
