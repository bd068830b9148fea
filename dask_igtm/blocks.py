"""Passes over the blocks of a dask array: sums up a tree, and rows mapped to rows.

A pass is one graph. Its leaves, the folds, each walk a few blocks one after the other and add up what
a function makes of them; a tree with a fixed fan-in adds the folds. The shape of both depends on the
shape, dtype and chunks of the data alone, so every scheduler and every number of workers gives the
same bits.
"""

from __future__ import annotations

import functools
import operator
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import dask
import dask.array as da
import numpy as np
from dask.delayed import Delayed
from dask.task_spec import DataNode, List, Task, TaskRef

from dask_igtm import __version__
from dask_igtm.blas import single_threaded_blas
from dask_igtm.inputs import RowBlocks, planned, row_bytes
from dask_igtm.outputs import Output
from dask_igtm.rows import stack
from dask_igtm.source import Block, Fold, Source, naming, scheduler_for, span

FAN_IN = 8
STRETCH_BYTES = 2**20  # smaller blocks cost more in calls than in arithmetic


def reduce(source: Source, function: Callable[..., Any], *shared: Any, label: str) -> Any:
    """Add up `function(X, sample_weight, *shared)` over all blocks, in one pass.

    Parameters
    ----------
    source : Source
    function : callable
        Takes the rows of a block, their weights (or None), and their values or labels where the source
        has such; returns something that adds to its like.
    *shared
        Further arguments, sent to each worker once.
    label : str
        What the tasks are called on a dashboard.

    Raises
    ------
    Exception
        Whatever reading or `function` raised, with a note of the block's rows.
    """
    return _walk([source], _sum, (function, shared), label)[0]


def reduce_each(sources: Sequence[Source], function: Callable[..., Any], *shared: Any, label: str) -> Any:
    """Return what `reduce` does of each source, in one pass over all of them."""
    totals: dict[int, Any] = {}
    for in_memory in (True, False):  # what is in memory stays there
        chosen = [i for i, source in enumerate(sources) if source.in_memory == in_memory]
        if chosen:
            work = _walk([sources[i] for i in chosen], _sum, (function, shared), label)
            totals |= dict(zip(chosen, work, strict=True))
    return [totals[i] for i in range(len(sources))]


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
        Takes the number of the first row, and those arrays for all rows of a fold. It runs on the
        workers, and again for the same rows where a worker is lost.
    *shared, label
        As in `reduce`.
    """
    return int(_walk([source], _write, (function, sink, shared), label)[0]) if source.folds else 0


def _walk(
    sources: Sequence[Source], work: Callable[..., Any], shared: tuple[Any, ...], label: str
) -> tuple[Any, ...]:
    """Add up `work(blocks, values, *shared)` over all folds of each source, in one graph."""
    run = uuid.uuid4().hex
    shared_key = f"igtm-shared-{run}"
    graph: dict[Any, Any] = {shared_key: DataNode(shared_key, (__version__, *shared))}
    roots = []
    for number, source in enumerate(sources):
        graph |= source.graph
        leaves = [(f"{label}-{run}", number, index) for index in range(len(source.folds))]
        for key, fold in zip(leaves, source.folds, strict=True):
            inputs = List(*(TaskRef(k) for k in fold.inputs))
            graph[key] = Task(key, _work, work, fold, inputs, TaskRef(shared_key))
        roots.append(_grow_tree(graph, leaves, f"igtm-combine-{run}", number))
    totals = [Delayed(root, graph) for root in roots]
    return tuple(dask.compute(*totals, optimize_graph=False, **scheduler_for(sources[0].in_memory)))


def _grow_tree(graph: dict[Any, Any], layer: list[Any], *name: Any) -> Any:
    """Add to `graph` the tasks that sum `layer` with a fixed fan-in; return the key of the total."""
    level = 0
    while len(layer) > 1:
        level += 1
        groups = [layer[i : i + FAN_IN] for i in range(0, len(layer), FAN_IN)]
        layer = [(*name, level, index) for index in range(len(groups))]
        for key, group in zip(layer, groups, strict=True):
            graph[key] = Task(key, add_up, List(*(TaskRef(k) for k in group)))
    return layer[0]


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
    node: Any = _Shared(function, shared, rows.starts)
    if not planned(rows.X):
        node = dask.delayed(node, traverse=False, pure=False)
    # An array in name only: a chunk of it is the tuple of a block.
    tuples = rows.X.map_blocks(
        _map_block, node, chunks=(rows.X.chunks[0], (1,)), dtype=np.float64, meta=np.empty((0, 0))
    )
    return tuple(_pick(tuples, index, output) for index, output in enumerate(outputs))


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
    return dask.compute(result, **scheduler_for(in_memory))[0]


def add_up(parts: Iterable[Any]) -> Any:
    """Sum in the order given."""
    return functools.reduce(operator.add, parts)


@dataclass(frozen=True)
class _Shared:
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    rows: tuple[int, ...] | None
    version: str = __version__


def _map_block(X: Any, shared: _Shared, block_id: tuple[int, ...] | None = None) -> Any:
    _check_version(shared.version)
    index = block_id[0] if block_id else 0
    rows = None if shared.rows is None else (shared.rows[index], shared.rows[index + 1])
    with single_threaded_blas, naming(index, rows):
        return shared.function(X, *shared.arguments)


def _work(work: Callable[..., Any], fold: Fold, inputs: list[Any], shared: tuple[Any, ...]) -> Any:
    version, *arguments = shared
    _check_version(version)
    with single_threaded_blas:
        return work(fold.blocks, dict(zip(fold.inputs, inputs, strict=True)), *arguments)


def _check_version(version: str) -> None:
    if version != __version__:
        raise RuntimeError(
            f"The driver has dask_igtm {version}, and {socket.gethostname()} has {__version__}; install the "
            "same version on every worker."
        )


def _sum(
    blocks: Sequence[Block], values: dict[Any, Any], function: Callable[..., Any], shared: tuple[Any, ...]
) -> Any:
    return add_up(_apply(function, held, shared) for held in _stretches(blocks, values))


def _write(
    blocks: Sequence[Block],
    values: dict[Any, Any],
    function: Callable[..., Any],
    sink: Any,
    shared: tuple[Any, ...],
) -> int:
    parts = []
    for block in blocks:
        X = block.read(values)[0]
        with naming(block.index, block.rows):
            parts.append(function(X, *shared))
    columns = tuple(np.concatenate(column) for column in zip(*parts, strict=True))
    rows = cast(tuple[int, int], span(blocks))
    sink(rows[0], columns)
    return len(columns[0])


def _stretches(
    blocks: Sequence[Block], values: dict[Any, Any]
) -> Iterator[list[tuple[Block, tuple[Any, ...]]]]:
    """Yield blocks and what they hold: small ones several at a time, so that a call is worth its cost."""
    held: list[tuple[Block, tuple[Any, ...]]] = []
    n_bytes = 0
    for block in blocks:
        arrays = block.read(values)
        if held and n_bytes + arrays[0].shape[0] * row_bytes(arrays[0]) > STRETCH_BYTES:
            yield held
            held, n_bytes = [], 0
        held.append((block, arrays))
        n_bytes += arrays[0].shape[0] * row_bytes(arrays[0])
    yield held


def _apply(
    function: Callable[..., Any], held: list[tuple[Block, tuple[Any, ...]]], shared: tuple[Any, ...]
) -> Any:
    blocks, arrays = zip(*held, strict=True)
    with naming(blocks[0].index, span(blocks)):
        columns = zip(*arrays, strict=True)
        return function(*(None if parts[0] is None else stack(parts) for parts in columns), *shared)
