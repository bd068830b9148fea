"""Projections a block of rows after the other, for data of which nothing else is to be in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dask_igtm.data.rechunk import rechunk
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.passes.blocks import naming
from dask_igtm.passes.map_rows import compute
from dask_igtm.posterior.row_outputs import Output
from dask_igtm.projection.fitted_tree import Fitted


def project_blocks(
    fitted: Fitted, rows: RowBlocks, outputs: tuple[Output, ...], n_rows: int | None
) -> Iterator[tuple[Any, ...]]:
    """Yield the outputs, computed, of `n_rows` rows at a time; None takes the blocks as they are."""
    computed = (_computed(fitted, block, outputs) for block in rows.each())
    return computed if n_rows is None else rechunk(computed, n_rows)


def _computed(fitted: Fitted, rows: RowBlocks, outputs: tuple[Output, ...]) -> tuple[Any, ...]:
    with naming(0, rows.span(0)):
        arrays: tuple[Any, ...] = compute(fitted.project(rows, outputs), in_memory=rows.in_memory)
        return arrays
