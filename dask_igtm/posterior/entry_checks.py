"""What no E-step can take: entries that are NaN or infinite, and weights that are no weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.model.gaps import Gaps
from dask_igtm.posterior.tiles import Rows, row_tiles

Array = NDArray[np.float64]


def check_weights(sample_weight: Array | None) -> None:
    """Raise ValueError if a weight of a block is negative, NaN or infinite."""
    if sample_weight is None:
        return
    bad = ~(np.isfinite(sample_weight) & (sample_weight >= 0))
    if bad.any():
        raise ValueError(
            f"sample_weight has {np.count_nonzero(bad)} negative or non-finite values; give weights >= 0."
        )


def check_entries(X: Rows, gaps: Gaps) -> None:
    """Raise ValueError naming the columns of a block that hold infinity, or gaps that are not allowed."""
    invalid = invalid_entries(X, None, gaps)
    if invalid.any():
        raise ValueError(invalid_message(invalid))


def invalid_entries(X: Rows, sample_weight: Array | None, gaps: Gaps) -> NDArray[np.int64]:
    """Count what `check_entries` refuses in each column of a block."""
    check_weights(sample_weight)
    invalid = np.zeros(X.shape[1], np.int64)
    for _, tile in row_tiles(X):
        invalid += np.count_nonzero(np.isinf(tile) if gaps.allowed else ~np.isfinite(tile), axis=0)
    return invalid


def invalid_message(invalid: NDArray[np.int64], names: Sequence[str] | None = None) -> str:
    """Say how many entries of which columns are NaN or infinite, and what to do."""
    columns = np.flatnonzero(invalid)
    listed = name_columns(columns, names, counts=invalid[columns])
    return (
        f"X contains NaN or inf: {listed}. For gaps (NaN), fit with missing='marginalize' or 'median'; "
        "infinities have to be dropped or replaced, on a dask array with da.where(da.isinf(X), value, X)."
    )


def name_columns(columns: Any, names: Sequence[str] | None, counts: Any = None) -> str:
    """List a few columns by name or number, each with its count where there are counts."""
    listed = [f"column {c if names is None else repr(names[c])}" for c in columns[:5]]
    if counts is not None:
        listed = [f"{count} in {column}" for count, column in zip(counts, listed, strict=False)]
    more = f" and {len(columns) - 5} more columns" if len(columns) > 5 else ""
    return ", ".join(listed) + more
