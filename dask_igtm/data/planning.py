"""Dask's experimental array query planning, in which some functions of dask.array do not work yet."""

from __future__ import annotations

import dask.array as da


def planned(array: da.Array) -> bool:
    """Whether Dask's experimental array query planning made the array.

    Its graphs come optimised, and its map_blocks takes no delayed arguments.
    """
    return hasattr(array, "expr")
