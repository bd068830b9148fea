"""Some rows of all, chosen by their numbers, so that how they lie in blocks changes nothing."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from dask_igtm.companions import sizes_message, unknown
from dask_igtm.inputs import RowBlocks
from dask_igtm.rows import Rows, row_tiles

TILE_ROWS = 4096


@dataclass(frozen=True)
class PickedRows:
    """Rows (n, D) in float64; those of neighbouring blocks are added in their order."""

    X: NDArray[np.float64]

    def __add__(self, other: PickedRows) -> PickedRows:
        return PickedRows(np.concatenate([self.X, other.X]))


def numbered(rows: RowBlocks) -> RowBlocks:
    """Return the rows with their numbers as `y`, by which `pick` finds them.

    Raises
    ------
    ValueError
        If chunk sizes of X are unknown.
    """
    if unknown(rows.X.chunks[0]):
        raise ValueError(sizes_message("A sample of rows", "store X in Zarr first"))
    numbers = da.arange(rows.X.shape[0], chunks=(rows.X.chunks[0],), dtype=np.int64)
    return dataclasses.replace(rows, y=numbers)


def pick(X: Rows, numbers: NDArray[np.int64], chosen: NDArray[np.int64]) -> PickedRows:
    """Return the rows of neighbouring blocks whose numbers are among those `chosen`, which are sorted."""
    found = [np.empty((0, X.shape[1]))]
    for rows, tile in row_tiles(X, TILE_ROWS):
        within = chosen - numbers[rows.start]
        first, last = np.searchsorted(within, [0, len(tile)])
        found.append(tile[within[first:last]].astype(np.float64))
    return PickedRows(np.concatenate(found))
