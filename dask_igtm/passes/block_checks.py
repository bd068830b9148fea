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
    """What an array says of its blocks, beside their number of rows.

    Attributes
    ----------
    name : {"X", "sample_weight", "y"}
    width : tuple of int
        Shape of a row: (D,), or () of one number.
    dtype : numpy.dtype
    """

    name: str
    width: tuple[int, ...]
    dtype: Any

    @classmethod
    def by(cls, name: str, array: da.Array) -> Self:
        """Return what a dask array says."""
        return cls(name, array.shape[1:], array.dtype)

    def check(self, block: Any, rows: tuple[int, int] | None) -> None:
        """Raise TypeError or ValueError unless a block is of the size declared, and numbers where these were.

        Parameters
        ----------
        block : whatever a task of the user's graph has returned
        rows : (int, int) or None
            First row and the one after the last; None where sizes are unknown.
        """
        name = self.name
        if not (hasattr(block, "shape") and hasattr(block, "dtype")):
            raise TypeError(
                f"A block of {name} is a {type(block).__name__} and no array; make arrays of the blocks, for "
                f"example with {name}.map_blocks(np.asarray)."
            )
        shape = (*(block.shape[:1] if rows is None else [rows[1] - rows[0]]), *self.width)
        if block.shape != shape:
            raise ValueError(
                f"A block of {name} has shape {block.shape}, and {name} says that it has {shape}; {REMEDY}."
            )
        if self.dtype.kind in NUMBERS and block.dtype.kind not in NUMBERS:
            raise TypeError(
                f"A block of {name} has dtype {block.dtype}, and {name} says {self.dtype}; {REMEDY}."
            )
        if isinstance(block, np.ma.MaskedArray):
            raise TypeError(
                f"A block of {name} is a masked array, and its mask would be lost; fill it, with "
                f"da.ma.filled({name}, value)."
            )
