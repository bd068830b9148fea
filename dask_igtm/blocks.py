"""Passes over the blocks of a dask array: sums up a tree, and rows mapped to rows.

A pass is one graph. Its leaves, the folds, each walk a few blocks one after the other and add up what
a function makes of them; a tree with a fixed fan-in adds the folds. The shape of both depends on the
shape, dtype and chunks of the data alone, so every scheduler and every number of workers gives the
same bits.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import operator
import socket
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.delayed import Delayed
from dask.optimization import cull
from dask.task_spec import Alias, DataNode, List, Task, TaskRef

from dask_igtm import __version__
from dask_igtm.blas import single_threaded_blas
from dask_igtm.inputs import RowBlocks, planned, row_bytes

FAN_IN = 8
FOLD_BYTES = 16 * 2**20
MIN_FOLDS = 32
STRETCH_BYTES = 2**20  # smaller blocks cost more in calls than in arithmetic


@dataclass(frozen=True)
class Piece:
    """One block of one array: the task that makes it, or the key under which it already lies."""

    key: Any
    task: Task | DataNode | None

    def dependencies(self) -> frozenset[Any]:
        """Keys of the graph whose values the call needs."""
        return frozenset((self.key,) if self.task is None else self.task.dependencies)

    def __call__(self, values: dict[Any, Any]) -> Any:
        """Return the block."""
        return values[self.key] if self.task is None else self.task(values)


@dataclass(frozen=True)
class Block:
    """The pieces of one block of rows: X, and its weights if any."""

    pieces: tuple[Piece, ...]
    index: int
    rows: tuple[int, int] | None

    def read(self, values: dict[Any, Any]) -> tuple[Any, ...]:
        """Return X and its weights."""
        with naming(self.index, self.rows):
            return tuple(piece(values) for piece in self.pieces)


@dataclass(frozen=True)
class Fold:
    """Blocks that one task walks, and the keys of the graph whose values it needs for that."""

    blocks: tuple[Block, ...]
    inputs: tuple[Any, ...]

    @property
    def rows(self) -> tuple[int, int]:
        """First row and the row after the last; only where sizes are known."""
        first, last = self.blocks[0].rows, self.blocks[-1].rows
        if first is None or last is None:
            raise ValueError("The rows of a fold are unknown where the chunk sizes of X are.")
        return first[0], last[1]


@dataclass(frozen=True)
class Source:
    """The graph of the data, prepared once and read in every pass."""

    graph: dict[Any, Any]
    folds: tuple[Fold, ...]
    in_memory: bool

    def only(self, folds: tuple[Fold, ...]) -> Source:
        """Return the part of the source that some of its folds need."""
        return dataclasses.replace(self, graph=_needed(self.graph, folds), folds=folds)


def prepare(rows: RowBlocks, blocks_per_fold: int | None = None) -> Source:
    """Optimise the graph of `rows` and gather their blocks into folds; reads nothing."""
    arrays = (rows.X,) if rows.sample_weight is None else (rows.X, rows.sample_weight)
    graph = _graph_of(arrays)
    if not planned(rows.X):
        arrays = dask.optimize(*arrays)
        graph |= _graph_of(arrays)  # added to the first, whose futures of persisted data it lacks
    keys = [list(_flat(array.__dask_keys__())) for array in arrays]
    blocks = [
        Block(tuple(_piece(graph, key) for key in block_keys), index, rows.span(index))
        for index, block_keys in enumerate(zip(*keys, strict=True))
    ]
    size = blocks_per_fold or fold_size(rows.X, row_bytes(rows.X))
    folds = tuple(_fold_of(tuple(blocks[i : i + size])) for i in range(0, len(blocks), size))
    return Source(_needed(graph, folds), folds, rows.in_memory)


def _needed(graph: dict[Any, Any], folds: tuple[Fold, ...]) -> dict[Any, Any]:
    keys = {key for fold in folds for key in fold.inputs}
    return dict(cull(graph, list(keys))[0]) if keys else {}


def keep(source: Source) -> Source:
    """Return `source` with its blocks in the memory of the workers, from where every pass takes them."""
    run = uuid.uuid4().hex
    n_blocks = sum(len(fold.blocks) for fold in source.folds)
    n_pieces = len(source.folds[0].blocks[0].pieces)
    names = [f"igtm-read-{piece}-{run}" for piece in range(n_pieces)]
    graph = dict(source.graph)
    for fold in source.folds:
        for block in fold.blocks:
            for name, piece in zip(names, block.pieces, strict=True):
                inputs = List(*(TaskRef(k) for k in piece.dependencies()))
                key = (name, block.index)
                graph[key] = Task(key, _read, block, piece, tuple(piece.dependencies()), inputs)
    # Arrays in name only: what holds the keys together while they are persisted.
    held = [da.Array(graph, name, chunks=((1,) * n_blocks,), dtype=np.float64) for name in names]
    kept = _graph_of(dask.persist(*held, optimize_graph=False, **_where(source.in_memory)))

    def at_hand(block: Block) -> Block:
        return dataclasses.replace(block, pieces=tuple(_piece(kept, (n, block.index)) for n in names))

    folds = tuple(_fold_of(tuple(at_hand(block) for block in fold.blocks)) for fold in source.folds)
    return dataclasses.replace(source, graph=kept).only(folds)


def _read(block: Block, piece: Piece, keys: tuple[Any, ...], inputs: list[Any]) -> Any:
    with naming(block.index, block.rows):
        return piece(dict(zip(keys, inputs, strict=True)))


def reduce(source: Source, function: Callable[..., Any], *shared: Any, label: str) -> Any:
    """Add up `function(X, sample_weight, *shared)` over all blocks, in one pass.

    Parameters
    ----------
    source : Source
    function : callable
        Takes the rows of a block and its weights (or None), returns something that adds to its like.
    *shared
        Further arguments, sent to each worker once.
    label : str
        What the tasks are called on a dashboard.

    Raises
    ------
    Exception
        Whatever reading or `function` raised, with a note of the block's rows.
    """
    return _walk(source, _sum, (function, shared), label)


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
    return int(_walk(source, _write, (function, sink, shared), label)) if source.folds else 0


def _walk(source: Source, work: Callable[..., Any], shared: tuple[Any, ...], label: str) -> Any:
    """Add up `work(fold, inputs, shared)` over all folds."""
    run = uuid.uuid4().hex
    graph = dict(source.graph)
    shared_key = f"igtm-shared-{run}"
    graph[shared_key] = DataNode(shared_key, (__version__, *shared))
    leaves = [(f"{label}-{run}", index) for index in range(len(source.folds))]
    for key, fold in zip(leaves, source.folds, strict=True):
        inputs = List(*(TaskRef(k) for k in fold.inputs))
        graph[key] = Task(key, _work, work, fold, inputs, TaskRef(shared_key))
    root = _grow_tree(graph, leaves, run)
    return Delayed(root, graph).compute(optimize_graph=False, **_where(source.in_memory))


def _grow_tree(graph: dict[Any, Any], layer: list[Any], run: str) -> Any:
    """Add to `graph` the tasks that sum `layer` with a fixed fan-in; return the key of the total."""
    level = 0
    while len(layer) > 1:
        level += 1
        groups = [layer[i : i + FAN_IN] for i in range(0, len(layer), FAN_IN)]
        layer = [(f"igtm-combine-{run}", level, index) for index in range(len(groups))]
        for key, group in zip(layer, groups, strict=True):
            graph[key] = Task(key, add_up, List(*(TaskRef(k) for k in group)))
    return layer[0]


def map_rows(rows: RowBlocks, function: Callable[..., Any], *shared: Any, width: int | None) -> da.Array:
    """Return the lazy array of `function(X, *shared)`, block by block.

    Parameters
    ----------
    rows : RowBlocks
    function : callable
        Takes the (n, D) rows of a block, returns (n, width), or (n,) if `width` is None.
    *shared
        Further arguments, one node of the graph.
    width : int or None
    """
    node: Any = _Shared(function, shared, rows.starts)
    if not planned(rows.X):
        node = dask.delayed(node, traverse=False, pure=False)
    if width is None:
        return rows.X.map_blocks(_map_block, node, drop_axis=1, dtype=np.float64, meta=np.empty(0))
    return rows.X.map_blocks(
        _map_block, node, chunks=(rows.X.chunks[0], (width,)), dtype=np.float64, meta=np.empty((0, 0))
    )


def apply(rows: Any, function: Callable[[Any], Any], *, width: int) -> Any:
    """Return `function(rows)`, (n, width): block by block, and lazy, of a dask array."""
    if not isinstance(rows, da.Array):
        return function(rows)
    chunks = (rows.chunks[0], (width,))
    return rows.map_blocks(function, chunks=chunks, dtype=np.float64, meta=np.empty((0, 0)))


def compute(result: Any, *, in_memory: bool) -> Any:
    """Compute results of `map_rows`, alone or in a dataclass, where their input belongs."""
    return dask.compute(result, **_where(in_memory))[0]


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
    return work(fold, dict(zip(fold.inputs, inputs, strict=True)), *arguments)


def _check_version(version: str) -> None:
    if version != __version__:
        raise RuntimeError(
            f"The driver has dask_igtm {version}, and {socket.gethostname()} has {__version__}; install the "
            "same version on every worker."
        )


def _sum(fold: Fold, values: dict[Any, Any], function: Callable[..., Any], shared: tuple[Any, ...]) -> Any:
    return add_up(_apply(function, held, shared) for held in _stretches(fold.blocks, values))


def _write(
    fold: Fold, values: dict[Any, Any], function: Callable[..., Any], sink: Any, shared: tuple[Any, ...]
) -> int:
    parts = []
    for block in fold.blocks:
        (X,) = block.read(values)
        with single_threaded_blas, naming(block.index, block.rows):
            parts.append(function(X, *shared))
    columns = tuple(np.concatenate(column) for column in zip(*parts, strict=True))
    sink(fold.rows[0], columns)
    return len(columns[0])


def _stretches(
    blocks: tuple[Block, ...], values: dict[Any, Any]
) -> Iterator[list[tuple[Block, tuple[Any, ...]]]]:
    """Yield blocks and what they hold: small ones several at a time, so that a call is worth its cost."""
    held: list[tuple[Block, tuple[Any, ...]]] = []
    n_bytes = 0
    for block in blocks:
        arrays = block.read(values)
        if held and n_bytes + arrays[0].nbytes > STRETCH_BYTES:
            yield held
            held, n_bytes = [], 0
        held.append((block, arrays))
        n_bytes += arrays[0].nbytes
    yield held


def _apply(
    function: Callable[..., Any], held: list[tuple[Block, tuple[Any, ...]]], shared: tuple[Any, ...]
) -> Any:
    first, last = held[0][0], held[-1][0]
    rows = None if first.rows is None or last.rows is None else (first.rows[0], last.rows[1])
    with single_threaded_blas, naming(first.index, rows):
        columns = zip(*(arrays for _, arrays in held), strict=True)
        X, *weights = (parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in columns)
        return function(X, weights[0] if weights else None, *shared)


def _fold_of(blocks: tuple[Block, ...]) -> Fold:
    keys = {key for block in blocks for piece in block.pieces for key in piece.dependencies()}
    return Fold(blocks, tuple(sorted(keys, key=str)))


@contextmanager
def naming(index: int, rows: tuple[int, int] | None) -> Iterator[None]:
    """Add a block's rows, or its index where they are unknown, to whatever error leaves it without them."""
    try:
        yield
    except Exception as error:
        if not any("of X." in note for note in getattr(error, "__notes__", ())):
            where = f"block {index}" if rows is None else f"rows {rows[0]}:{rows[1]}"
            error.add_note(f"This happened in {where} of X.")
        raise


def _graph_of(arrays: tuple[da.Array, ...]) -> dict[Any, Any]:
    return {key: node for array in arrays for key, node in dict(array.__dask_graph__()).items()}


def _piece(graph: dict[Any, Any], key: Any) -> Piece:
    """Take the last task of a block into the fold, so that a fold holds one block at a time.

    Values that a block shares with others, or that Dask did not fuse with it, all wait for the fold.
    """
    node = graph.get(key)
    while isinstance(node, Alias):
        key = node.target
        node = graph.get(key)
    return Piece(key, node if isinstance(node, (Task, DataNode)) else None)


def fold_size(X: da.Array, bytes_per_row: int) -> int:
    """Blocks that make a fold: many small ones, but few enough to keep many workers busy."""
    n_blocks: int = X.numblocks[0]
    by_count = n_blocks // MIN_FOLDS
    if math.isnan(X.shape[0]):
        return max(1, by_count)
    total_bytes: int = X.shape[0] * bytes_per_row
    return max(1, min(by_count, FOLD_BYTES * n_blocks // total_bytes))


def _flat(keys: Any) -> Iterator[Any]:
    for key in keys:
        if isinstance(key, list):
            yield from _flat(key)
        else:
            yield key


def _where(in_memory: bool) -> dict[str, str]:
    """Scheduler of a compute: the user's choice, except that arrays in memory stay in this process."""
    if not in_memory:
        return {}
    chosen = dask.config.get("scheduler", None)
    synchronous = chosen in ("sync", "synchronous", "single-threaded")
    return {"scheduler": "synchronous" if synchronous else "threads"}
