"""Whether a block is what its array says: Dask believes what it was told of shapes, types and masks."""

from __future__ import annotations

from typing import Any

import numpy as np

REMEDY = (
    "mend the function that makes the blocks, or tell Dask what it makes: map_blocks takes chunks=, dtype= "
    "and meta=, from_delayed shape= and dtype="
)


def check_block(X: Any, n_columns: int, rows: tuple[int, int] | None) -> None:
    """Raise TypeError or ValueError unless a block is a table of real numbers of the size that was declared.

    Parameters
    ----------
    X : whatever a task of the user's graph has returned
    n_columns : int
    rows : (int, int) or None
        First row and the one after the last; None where sizes are unknown.
    """
    if not (hasattr(X, "shape") and hasattr(X, "dtype")):
        raise TypeError(
            f"A block of X is a {type(X).__name__} and no array; make arrays of the blocks, for example with "
            "X.map_blocks(np.asarray)."
        )
    n_rows = X.shape[:1] if rows is None else (rows[1] - rows[0],)
    if X.shape != (*n_rows, n_columns):
        raise ValueError(
            f"A block of X has shape {X.shape}, and X says that it has {(*n_rows, n_columns)}; {REMEDY}."
        )
    if X.dtype.kind not in "biuf":
        raise TypeError(f"A block of X has dtype {X.dtype}, which holds no real numbers; {REMEDY}.")
    if isinstance(X, np.ma.MaskedArray):
        raise TypeError(
            "A block of X is a masked array, and its mask would be lost; fill it, with "
            "da.ma.filled(X, value)."
        )
