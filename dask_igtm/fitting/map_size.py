"""What a map takes in memory, known before it is made."""

from __future__ import annotations

import bisect
import math

from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.fitting.settings import Settings
from dask_igtm.passes.resources import MEMORY_HERE

# Arrays of each shape at once, by the peaks of fits: in the start of nodes and functions, and of functions
# and functions; in a pass of nodes and columns; in the steps of a solver of functions and columns.
OF_PHI, OF_GRAM, OF_CENTERS, OF_WEIGHTS = 6, 7, 4, 16


def map_bytes(k: int, m: int, n_columns: int) -> int:
    """Return about what a fit of `k` x `k` nodes and `m` x `m` RBFs holds at most, beside rows."""
    n_nodes, n_functions = k * k, m * m + 1
    return 8 * (
        OF_PHI * n_nodes * n_functions
        + OF_GRAM * n_functions**2
        + OF_CENTERS * n_nodes * n_columns
        + OF_WEIGHTS * n_functions * n_columns
    )


def check_rows(settings: Settings, rows: RowBlocks) -> None:
    """Raise ValueError unless there can be a map of such settings for these rows, and memory for it."""
    n_rows, n_columns = rows.X.shape
    settings.check_columns(n_columns)
    k, m = settings.sides(1 if math.isnan(n_rows) else n_rows)  # of unknown numbers of rows, small ones

    def takes(longest: int) -> int:
        """Return what the map takes if its sides are at most so long."""
        return map_bytes(min(k, longest), min(m, longest), n_columns)

    needed = takes(max(k, m))
    if needed > MEMORY_HERE:
        most = bisect.bisect_right(range(1, max(k, m)), MEMORY_HERE, key=takes)
        remedy = f"give at most k={min(k, most)} and m={min(m, most)}" if most else "give fewer columns"
        raise ValueError(
            f"k={k} and m={m} make a map of {n_columns:,} columns that takes {needed / 1e9:,.1f} GB, and "
            f"there are {MEMORY_HERE / 1e9:,.1f} GB for this process; {remedy}."
        )
