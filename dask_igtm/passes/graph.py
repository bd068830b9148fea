"""The graph of the data, prepared once and read in every pass: its blocks, gathered into folds.

A fold is what one task walks. Which blocks it holds depends on the shape, dtype and chunks of the data
alone, so that every scheduler and every number of workers gives the same bits.
"""

from __future__ import annotations

import dataclasses
import math
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cloudpickle
import dask
import dask.array as da
import numpy as np
from dask.optimization import cull
from dask.task_spec import Alias, DataNode, List, Task, TaskRef

from dask_igtm.data.row_blocks import RowBlocks, planned, row_bytes
from dask_igtm.passes.block_checks import Declared
from dask_igtm.passes.resources import scheduler_for

FOLD_BYTES = (16 * 2**20, 128 * 2**20)  # least and most, but for blocks that are larger
FOLDS = (32, 2048)  # enough to keep workers busy, and not more than a scheduler handles in seconds
KEPT_PICKLE_BYTES = 2**20


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
    """The pieces of one block of rows: X, its weights or None, and its values or labels if any."""

    pieces: tuple[Piece | None, ...]
    index: int
    declared: tuple[Declared | None, ...]
    rows: tuple[int, int] | None
    numbered: bool = False

    def read(self, values: dict[Any, Any]) -> tuple[Any, ...]:
        """Return what the pieces hold; of a block that is numbered the numbers of its rows too.

        Where the sizes of the blocks before are unknown, each block has numbers of its own.

        Raises
        ------
        TypeError or ValueError
            If a piece is not what was declared, or weights or values have other rows.
        """
        with naming(self.index, self.rows):
            held = tuple(None if piece is None else piece(values) for piece in self.pieces)
            for part, declared in zip(held, self.declared, strict=True):
                if declared is not None:
                    declared.check(part, self.rows if part is held[0] else None)
            sizes = [part.shape[0] for part in held if part is not None]
            if min(sizes) < max(sizes):
                raise ValueError(
                    f"A block of X has {sizes[0]} rows, and its weights or values are {sizes[1:]}; give them "
                    "in the chunks of X."
                )
            if self.numbered:
                first = self.index << 32 if self.rows is None else self.rows[0]
                return (*held, np.arange(first, first + sizes[0]))
            return held

    def needs(self) -> frozenset[Any]:
        """Keys of the graph whose values the block needs."""
        return frozenset().union(*(piece.dependencies() for piece in self.pieces if piece))


class Parcel:
    """Something that is pickled once, however often it is sent, and unpickled only where it is opened."""

    def __init__(self, content: Any) -> None:
        self._content, self._pickled = content, b""

    def open(self) -> Any:
        """Return the content."""
        return self._content if self._content is not None else cloudpickle.loads(self._pickled)

    def __getstate__(self) -> dict[str, Any]:
        """Return the pickle, and keep it unless it holds data."""
        pickled = self._pickled or cloudpickle.dumps(self._content)
        if len(pickled) <= KEPT_PICKLE_BYTES:
            self._pickled = pickled
        return {"_content": None, "_pickled": pickled}


@dataclass(frozen=True)
class Fold:
    """Blocks that one task walks, and the keys of the graph whose values it needs for that."""

    parcel: Parcel
    inputs: tuple[Any, ...]

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks, unpickled anew each time where they were sent."""
        blocks: tuple[Block, ...] = self.parcel.open()
        return blocks


def span(blocks: Sequence[Block]) -> tuple[int, int] | None:
    """First row of some neighbouring blocks, and the row after the last; None where sizes are unknown."""
    first, last = blocks[0].rows, blocks[-1].rows
    return None if first is None or last is None else (first[0], last[1])


@dataclass(frozen=True)
class Source:
    """The graph of the data, prepared once and read in every pass."""

    graph: dict[Any, Any]
    folds: tuple[Fold, ...]
    in_memory: bool

    def only(self, folds: tuple[Fold, ...]) -> Source:
        """Return the part of the source that some of its folds need."""
        return dataclasses.replace(self, graph=_needed(self.graph, folds), folds=folds)

    def numbered(self) -> Source:
        """Return the same rows, each with its number."""
        folds = (fold.blocks for fold in self.folds)
        numbered = ([dataclasses.replace(block, numbered=True) for block in blocks] for blocks in folds)
        return dataclasses.replace(self, folds=tuple(_fold_of(tuple(blocks)) for blocks in numbered))

    def alone(self, chosen: Callable[[int], Iterable[int]]) -> Source:
        """Return the blocks that `chosen` picks by their numbers, of as many as it is told, one in a fold."""
        blocks = [block for fold in self.folds for block in fold.blocks]
        return self.only(tuple(_fold_of((blocks[index],)) for index in chosen(len(blocks))))


def prepare(rows: RowBlocks, blocks_per_fold: int | None = None) -> Source:
    """Optimise the graph of `rows` and gather their blocks into folds; reads nothing."""
    arrays = [rows.X, rows.sample_weight] if rows.y is None else [rows.X, rows.sample_weight, rows.y]
    graph = _graph_of(arrays)
    if not planned(rows.X):
        arrays = list(dask.optimize(*arrays))
        graph |= _graph_of(arrays)  # added to the first, whose futures of persisted data it lacks
    n_blocks = rows.X.numblocks[0]
    keys = [[None] * n_blocks if a is None else list(_flat(a.__dask_keys__())) for a in arrays]
    declared = tuple(
        None if array is None else Declared.by(name, array)
        for name, array in zip(("X", "sample_weight", "y"), arrays, strict=False)
    )
    blocks = []
    for i, block_keys in enumerate(zip(*keys, strict=True)):
        pieces = tuple(None if key is None else _piece(graph, key) for key in block_keys)
        blocks.append(Block(pieces, i, declared, rows.span(i)))
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
    pieces = source.folds[0].blocks[0].pieces
    names = [None if piece is None else f"igtm-read-{i}-{run}" for i, piece in enumerate(pieces)]
    graph = dict(source.graph)
    for fold in source.folds:
        for block in fold.blocks:
            for name, piece in zip(names, block.pieces, strict=True):
                if piece is None:
                    continue
                inputs = List(*(TaskRef(k) for k in piece.dependencies()))
                key = (name, block.index)
                graph[key] = Task(key, _read, block, piece, tuple(piece.dependencies()), inputs)
    # Arrays in name only: what holds the keys together while they are persisted.
    held = [da.Array(graph, name, chunks=((1,) * n_blocks,), dtype=np.float64) for name in names if name]
    kept = _graph_of(dask.persist(*held, optimize_graph=False, **scheduler_for(source.in_memory)))

    def at_hand(block: Block) -> Block:
        pieces = tuple(None if name is None else _piece(kept, (name, block.index)) for name in names)
        return dataclasses.replace(block, pieces=pieces)

    folds = tuple(_fold_of(tuple(at_hand(block) for block in fold.blocks)) for fold in source.folds)
    return dataclasses.replace(source, graph=kept).only(folds)


def _read(block: Block, piece: Piece, keys: tuple[Any, ...], inputs: list[Any]) -> Any:
    with naming(block.index, block.rows):
        return piece(dict(zip(keys, inputs, strict=True)))


def fold_size(X: da.Array, bytes_per_row: int) -> int:
    """Blocks that make a fold: many small ones, but few enough to keep many workers busy."""
    n_blocks: int = X.numblocks[0]
    by_count = n_blocks // FOLDS[0]
    if math.isnan(X.shape[0]):
        return max(1, by_count)
    total_bytes: int = X.shape[0] * bytes_per_row
    fold_bytes = min(max(FOLD_BYTES[0], total_bytes // FOLDS[1]), FOLD_BYTES[1])
    return max(1, min(by_count, fold_bytes * n_blocks // total_bytes))


def _fold_of(blocks: tuple[Block, ...]) -> Fold:
    keys = {key for block in blocks for key in block.needs()}
    return Fold(Parcel(blocks), tuple(sorted(keys, key=str)))


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


def _graph_of(arrays: Iterable[da.Array | None]) -> dict[Any, Any]:
    graphs = [dict(array.__dask_graph__()) for array in arrays if array is not None]
    return {key: node for graph in graphs for key, node in graph.items()}


def _piece(graph: dict[Any, Any], key: Any) -> Piece:
    """Take the last task of a block into the fold, so that a fold holds one block at a time.

    Values that a block shares with others, or that Dask did not fuse with it, all wait for the fold.
    """
    node = graph.get(key)
    while isinstance(node, Alias):
        key = node.target
        node = graph.get(key)
    return Piece(key, node if isinstance(node, (Task, DataNode)) else None)


def _flat(keys: Any) -> Iterator[Any]:
    for key in keys:
        if isinstance(key, list):
            yield from _flat(key)
        else:
            yield key
