"""Rows of a block a tile at a time: dense, and in the memory of this process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import vstack

Rows = Any  # an ndarray of shape (n, D), or a scipy.sparse or CuPy array that can be cut into tiles of one


TILE_ROWS = 4096  # where nothing else decides


def row_tiles(X: Rows, height: int = TILE_ROWS) -> Iterator[tuple[slice, NDArray[np.generic]]]:
    """Yield where a tile of at most `height` rows lies in `X`, and its rows as an ndarray.

    Sparse rows are made dense, and those of a GPU fetched, a tile at a time.
    """
    X = X.tocsr() if hasattr(X, "tocsr") else X  # of the sparse formats, the one that cuts rows fast
    for start in range(0, X.shape[0], height):
        rows = slice(start, min(start + height, X.shape[0]))
        yield rows, _dense(X[rows])


def stack(parts: Sequence[Rows]) -> Rows:
    """Return the rows of several blocks, or their weights, as those of one."""
    if len(parts) == 1:
        return parts[0]
    return vstack(parts, format="csr") if hasattr(parts[0], "tocsr") else np.concatenate(parts)


def _dense(rows: Any) -> NDArray[np.generic]:
    if hasattr(rows, "toarray"):
        rows = rows.toarray()
    return np.asarray(rows.get() if hasattr(rows, "get") else rows)
