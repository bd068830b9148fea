"""Whether a block is what its array says: Dask believes what it was told of shapes, types and masks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import dask.array as da
import numpy as np

NUMBERS = "biuf"
REMEDY = (
    "mend the function that makes the blocks, or tell Dask what it makes: map_blocks takes chunks=, dtype= "
    "and meta=, from_delayed shape= and dtype="
)


@dataclass(frozen=True)
class Declared:
    """What an array of two dimensions says of its blocks, beside their rows."""

    n_columns: int
    dtype: Any

    @classmethod
    def by(cls, array: da.Array) -> Self:
        """Return what a dask array says."""
        return cls(array.shape[1], array.dtype)

    def check(self, X: Any, rows: tuple[int, int] | None) -> None:
        """Raise TypeError or ValueError unless a block is of the size declared, and numbers where these were.

        Parameters
        ----------
        X : whatever a task of the user's graph has returned
        rows : (int, int) or None
            First row and the one after the last; None where sizes are unknown.
        """
        if not (hasattr(X, "shape") and hasattr(X, "dtype")):
            raise TypeError(
                f"A block of X is a {type(X).__name__} and no array; make arrays of the blocks, for example "
                "with X.map_blocks(np.asarray)."
            )
        shape = (*(X.shape[:1] if rows is None else [rows[1] - rows[0]]), self.n_columns)
        if X.shape != shape:
            raise ValueError(f"A block of X has shape {X.shape}, and X says that it has {shape}; {REMEDY}.")
        if self.dtype.kind in NUMBERS and X.dtype.kind not in NUMBERS:
            raise TypeError(f"A block of X has dtype {X.dtype}, and X says {self.dtype}; {REMEDY}.")
        if isinstance(X, np.ma.MaskedArray):
            raise TypeError(
                "A block of X is a masked array, and its mask would be lost; fill it, with "
                "da.ma.filled(X, value)."
            )
