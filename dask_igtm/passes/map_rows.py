"""Rows mapped to rows: as lazy arrays, or handed to a sink where they are computed."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import dask
import dask.array as da
import numpy as np

from dask_igtm._version import __version__
from dask_igtm.data.planning import planned
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.passes.block_checks import Declared
from dask_igtm.passes.blocks import Blocks, naming
from dask_igtm.passes.empty_rows import AroundEmpty
from dask_igtm.passes.graph import Source
from dask_igtm.passes.reduce import walk
from dask_igtm.passes.resources import check_version, scheduler_for, single_threaded_blas, telling_of_a_wait
from dask_igtm.posterior.row_outputs import Output


def map_rows(
    rows: RowBlocks, function: Callable[..., Any], *shared: Any, outputs: Sequence[Output]
) -> tuple[da.Array, ...]:
    """Return lazy arrays, one for each of `outputs`, of what `function(X, *shared)` makes of each block.

    Computed together, they share one call a block.

    Parameters
    ----------
    rows : RowBlocks
    function : callable
        Takes the (n, D) rows of a block, returns a tuple of arrays with one row for each.
    *shared
        Further arguments, one node of the graph.
    outputs : sequence of Output
        What the arrays of that tuple are.
    """
    tuples = map_blocks(rows, call_of(rows, function, *shared, outputs=outputs))
    return tuple(_pick(tuples, index, output) for index, output in enumerate(outputs))


def call_of(rows: RowBlocks, function: Callable[..., Any], *shared: Any, outputs: Sequence[Output]) -> Call:
    """Return what makes such arrays of one block of the rows; empty rows may be left out around it."""
    if rows.skip_empty:
        function = AroundEmpty(function, outputs)
    return Call(function, shared, Declared.by("X", rows.X), rows.starts)


def map_blocks(rows: RowBlocks, call: Call) -> da.Array:
    """Return what a call makes of each block, in an array in name only: its chunks are that."""
    node: Any = call
    if not planned(rows.X):
        node = dask.delayed(node, traverse=False, pure=False)
    return rows.X.map_blocks(
        _map_block, node, chunks=(rows.X.chunks[0], (1,)), dtype=np.float64, meta=np.empty((0, 0))
    )


def _pick(tuples: da.Array, index: int, output: Output) -> da.Array:
    if output.width is None:
        # Not map_blocks, which would concatenate the one chunk along the axis that goes.
        meta: Any = np.empty(0, output.dtype)
        return da.blockwise(_item, "i", tuples, "ij", index=index, concatenate=False, meta=meta)
    meta = np.empty((0, 0), output.dtype)
    chunks = (tuples.chunks[0], (output.width,))
    return tuples.map_blocks(operator.itemgetter(index), chunks=chunks, dtype=output.dtype, meta=meta)


def _item(chunks: Sequence[tuple[Any, ...]], index: int) -> Any:
    return chunks[0][index]


def compute(result: Any, *, in_memory: bool) -> Any:
    """Compute results of `map_rows`, alone or in a container, where their input belongs."""
    with telling_of_a_wait(in_memory):
        return dask.compute(result, **scheduler_for(in_memory))[0]


def write(
    source: Source,
    function: Callable[..., tuple[Any, ...]],
    sink: Callable[[int, tuple[Any, ...]], None],
    *shared: Any,
    label: str,
) -> int:
    """Hand the rows that `function(X, *shared)` makes to `sink`, a fold at a time; return their number.

    Parameters
    ----------
    source : Source
        Of rows whose number is known.
    function : callable
        Takes the rows of a block, returns a tuple of arrays with one row for each.
    sink : callable
        Takes the number of the first row, and those arrays for all rows of a fold; the values of rows that
        have some follow them. It runs on the workers, and again for the same rows where a worker is lost.
    *shared, label
        As in `reduce`.
    """
    return int(walk([source], _write, (function, sink, shared), label)[0]) if source.folds else 0


@dataclass(frozen=True)
class Call:
    """A function with its further arguments, to be called with each block of rows.

    Attributes
    ----------
    function : callable
    arguments : tuple
    declared : Declared
        What X says of its blocks.
    rows : tuple of int or None
        First row of each block, and the row after the last; None where sizes are unknown.
    version : str
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    declared: Declared
    rows: tuple[int, ...] | None
    version: str = __version__

    def __call__(self, X: Any, number: int) -> Any:
        """Return what the function makes of a block, by its number."""
        check_version(self.version)
        rows = None if self.rows is None else (self.rows[number], self.rows[number + 1])
        with single_threaded_blas, naming(number, rows):
            self.declared.check(X, rows)
            return self.function(X, *self.arguments)


def _map_block(X: Any, call: Call, block_id: tuple[int, ...] | None = None) -> Any:
    return call(X, block_id[0] if block_id else 0)


def _write(
    blocks: Blocks,
    values: dict[Any, Any],
    function: Callable[..., Any],
    sink: Any,
    shared: tuple[Any, ...],
) -> int:
    parts = []
    for block, (X, _, *values_of_rows) in blocks.read(values):
        with naming(*block):
            parts.append((*function(X, *shared), *values_of_rows))
    columns = tuple(np.concatenate(column) for column in zip(*parts, strict=True))
    sink(cast(int, blocks.edges[0]), columns)
    return len(columns[0])
