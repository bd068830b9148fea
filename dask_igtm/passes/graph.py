"""The graph of the data, prepared once and read in every pass: its blocks, gathered into folds.

A fold is what one task walks. Which blocks it holds depends on the shape, dtype and chunks of the data
alone, and of sparse rows on how many entries they are known to have, so that every scheduler and every number
of workers gives the same bits.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
import math
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import cloudpickle
import dask
import dask.array as da
import numpy as np
from dask.optimization import cull
from dask.task_spec import Alias, DataNode, List, Task, TaskRef

from dask_igtm.data.planning import planned
from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.passes.block_checks import Declared
from dask_igtm.passes.blocks import Blocks, Computed, Cut, Held, Kept, Piece
from dask_igtm.passes.resources import scheduler_for

FOLD_BYTES = (16 * 2**20, 128 * 2**20)  # least and most, but for blocks that are larger
FOLDS = (32, 2048)  # enough to keep workers busy, and not more than a scheduler handles in seconds
KEPT_PICKLE_BYTES = 2**20


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
    def blocks(self) -> Blocks:
        """The blocks, unpickled anew each time where they were sent."""
        blocks: Blocks = self.parcel.open()
        return blocks


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
        numbered = (dataclasses.replace(fold.blocks, numbered=True) for fold in self.folds)
        return dataclasses.replace(self, folds=tuple(map(_fold_of, numbered)))

    def alone(self, chosen: Callable[[int], Iterable[int]]) -> Source:
        """Return the blocks that `chosen` picks by their numbers, of as many as it is told, one in a fold."""
        ends = list(itertools.accumulate(len(fold.blocks) for fold in self.folds))

        def one(index: int) -> Fold:
            fold = bisect.bisect_right(ends, index)
            blocks = self.folds[fold].blocks
            place = index - (ends[fold] - len(blocks))
            return _fold_of(blocks.part(place, place + 1))

        return self.only(tuple(map(one, chosen(ends[-1]))))


def prepare(rows: RowBlocks, blocks_per_fold: int | None = None) -> Source:
    """Gather the blocks of `rows` into folds; reads nothing.

    The graph of X is optimised, but rows of a store have none: it is one node, and each fold cuts from it.
    """
    stored = rows.stored
    others = [rows.sample_weight] if rows.y is None else [rows.sample_weight, rows.y]
    arrays = [None if stored else rows.X, *others]
    graph = _graph_of(arrays)
    if not planned(rows.X):
        arrays = list(dask.optimize(*arrays))
        graph |= _graph_of(arrays)  # added to the first, whose futures of persisted data it lacks
    read: list[Any] = [None if array is None else _computed(graph, array) for array in arrays]
    if stored:
        key = f"igtm-store-{uuid.uuid4().hex}"
        graph[key], read[0] = DataNode(key, stored), Cut(key)
    declared = tuple(
        None if array is None else Declared.by(name, array)
        for name, array in zip(("X", "sample_weight", "y"), [rows.X, *others], strict=False)
    )
    n_blocks = rows.X.numblocks[0]
    edges = rows.starts or (None,) * (n_blocks + 1)
    view = None
    if rows.view:
        view = f"igtm-view-{uuid.uuid4().hex}"
        graph[view] = DataNode(view, rows.view)
    blocks = Blocks(tuple(read), declared, 0, edges, skip_empty=rows.skip_empty, view=view)
    size = blocks_per_fold or fold_size(rows.X, rows.row_bytes)
    folds = tuple(_fold_of(blocks.part(start, start + size)) for start in range(0, n_blocks, size))
    return Source(_needed(graph, folds), folds, rows.in_memory)


def _needed(graph: dict[Any, Any], folds: tuple[Fold, ...]) -> dict[Any, Any]:
    keys = {key for fold in folds for key in fold.inputs}
    return dict(cull(graph, list(keys))[0]) if keys else {}


def keep(source: Source) -> Source:
    """Return `source` with its blocks in the memory of the workers, from where every pass takes them."""
    name, graph = f"igtm-kept-{uuid.uuid4().hex}", dict(source.graph)
    for number, fold in enumerate(source.folds):
        key = (name, number)
        graph[key] = Task(key, _hold, fold, List(*(TaskRef(k) for k in fold.inputs)))
    # An array in name only: what holds the keys together while they are persisted.
    held = da.Array(graph, name, chunks=((1,) * len(source.folds),), dtype=np.float64)
    kept = _graph_of(dask.persist(held, optimize_graph=False, **scheduler_for(source.in_memory)))

    def at_hand(number: int, blocks: Blocks) -> Blocks:
        key = _piece(kept, (name, number)).key
        if blocks.view is not None:
            return _seen(blocks, key, source.graph[blocks.view]().n_arrays)
        arrays = tuple(array and Kept(key, i) for i, array in enumerate(blocks.arrays))
        return dataclasses.replace(blocks, arrays=arrays)

    folds = tuple(_fold_of(at_hand(number, fold.blocks)) for number, fold in enumerate(source.folds))
    return dataclasses.replace(source, graph=kept).only(folds)


def _seen(blocks: Blocks, key: Any, n_arrays: int) -> Blocks:
    """Return blocks of which is kept what a view has made of them, and after that the numbers of the rows."""
    return dataclasses.replace(
        blocks,
        arrays=tuple(Kept(key, i) for i in range(n_arrays)),
        declared=(None,) * n_arrays,
        skip_empty=False,
        view=None,
        numbers=Kept(key, n_arrays),
    )


def _hold(fold: Fold, inputs: list[Any]) -> Held:
    values, blocks = dict(zip(fold.inputs, inputs, strict=True)), fold.blocks
    if blocks.view is None:
        blocks = dataclasses.replace(blocks, skip_empty=False)  # as declared, for every pass checks that
    else:
        blocks = dataclasses.replace(blocks, numbered=True)
    return Held(tuple(zip(*(held for _, held in blocks.read(values)), strict=True)))


def fold_size(X: da.Array, bytes_per_row: int) -> int:
    """Blocks that make a fold: many small ones, but few enough to keep many workers busy."""
    n_blocks: int = X.numblocks[0]
    by_count = n_blocks // FOLDS[0]
    if math.isnan(X.shape[0]):
        return max(1, by_count)
    total_bytes: int = X.shape[0] * bytes_per_row
    fold_bytes = min(max(FOLD_BYTES[0], total_bytes // FOLDS[1]), FOLD_BYTES[1])
    return max(1, min(by_count, fold_bytes * n_blocks // total_bytes))


def _fold_of(blocks: Blocks) -> Fold:
    return Fold(Parcel(blocks), tuple(sorted(blocks.needs(), key=str)))


def _graph_of(arrays: Iterable[da.Array | None]) -> dict[Any, Any]:
    graphs = [dict(array.__dask_graph__()) for array in arrays if array is not None]
    return {key: node for graph in graphs for key, node in graph.items()}


def _computed(graph: dict[Any, Any], array: da.Array) -> Computed:
    return Computed(tuple(_piece(graph, key) for key in _flat(array.__dask_keys__())))


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
