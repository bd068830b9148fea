"""How many rows a fit keeps of its first pass, and which."""

from __future__ import annotations

import math

from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.fitting.settings import Settings
from dask_igtm.solvers.sample import rows_surveyed
from dask_igtm.solvers.sampled import Stages, stages_of
from dask_igtm.statistics.row_sample import Draw

MOST_BYTES = 2**27  # of the rows kept
BESIDE = 8192  # rows that show each of many fits how its objective bends, one fit after the other
# Where nobody knows how many rows there are: so many are supposed, and each block offers all that are kept.
SUPPOSED, MOST_BYTES_OF_A_BLOCK = 1e7, 2**24


def sampled_stages(rows: RowBlocks, settings: Settings) -> Stages | None:
    """Return the stages of a fit on a sample; None where there are none."""
    if settings.solver != "sampled":
        return None
    n_rows, most = _size(rows)
    k, _ = settings.sides(max(n_rows, 1))
    return stages_of(n_rows, k * k, most)


def draw_of(rows: RowBlocks, settings: Settings) -> Draw | None:
    """Return the draw of the rows that a solver asks for; None where it asks for none, or X has too few."""
    if settings.solver == "em":
        return None
    stages = sampled_stages(rows, settings)
    surveyed = rows_surveyed(*_size(rows)) if settings.family.curved else 0
    size = max(surveyed, stages.size if stages else 0)
    return Draw(size, settings.seed, rows.n_rows) if size else None


def draw_beside(rows: RowBlocks, settings: Settings, share: float, n_draws: int) -> Draw | None:
    """Return the draw for fits to a share of the rows that go beside others; None where there is none."""
    n_rows, most = rows.X.shape[0] * share, MOST_BYTES / rows.row_bytes / n_draws
    asked = settings.solver != "em" and settings.family.curved
    size = rows_surveyed(n_rows, min(most, BESIDE)) if asked else 0
    # No seed of parts is as large: with the same one all rows of a part would have keys of one kind.
    return Draw(size, settings.seed + 2**32, n_rows) if size else None


def _size(rows: RowBlocks) -> tuple[float, float]:
    """Return how many rows there are, or are supposed to be, and how many may be kept."""
    n_rows, n_bytes = rows.n_rows, rows.row_bytes
    if math.isnan(n_rows):
        return SUPPOSED, MOST_BYTES_OF_A_BLOCK / n_bytes
    return n_rows, MOST_BYTES / n_bytes
