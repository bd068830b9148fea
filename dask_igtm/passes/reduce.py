"""Sums over the blocks of a dask array, up a tree.

A pass is one graph. Its leaves, the folds, each walk a few blocks one after the other and add up what
a function makes of them; a tree with a fixed fan-in adds the folds. The shape of both depends on the
shape, dtype and chunks of the data alone (and of sparse rows on the number of their entries, where that
is known), so every scheduler and every number of workers gives the same bits.
"""

from __future__ import annotations

import functools
import operator
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import dask
from dask.delayed import Delayed
from dask.task_spec import DataNode, List, Task, TaskRef

from dask_igtm._version import __version__
from dask_igtm.data.row_blocks import row_bytes
from dask_igtm.passes.blocks import Block, Blocks, naming, span
from dask_igtm.passes.graph import Fold, Source
from dask_igtm.passes.resources import (
    check_version,
    scheduler_for,
    single_threaded_blas,
    telling_of_a_wait,
    workers,
)
from dask_igtm.posterior.tiles import stack

FAN_IN = 8
STRETCH_BYTES = 2**20  # smaller blocks cost more in calls than in arithmetic
TASKS_PER_THREAD = 16  # enough that no thread waits long for the last one


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
    return walk([source], _sum, (function, shared), label)[0]


def reduce_each(sources: Sequence[Source], function: Callable[..., Any], *shared: Any, label: str) -> Any:
    """Return what `reduce` does of each source, in one pass over all of them."""
    totals: dict[int, Any] = {}
    for in_memory in (True, False):  # what is in memory stays there
        chosen = [i for i, source in enumerate(sources) if source.in_memory == in_memory]
        if chosen:
            work = walk([sources[i] for i in chosen], _sum, (function, shared), label)
            totals |= dict(zip(chosen, work, strict=True))
    return [totals[i] for i in range(len(sources))]


def walk(
    sources: Sequence[Source], work: Callable[..., Any], shared: tuple[Any, ...], label: str
) -> tuple[Any, ...]:
    """Add up `work(blocks, values, *shared)` over all folds of each source, in one graph.

    What is one task for each source, on memory of this process, needs no graph and is done at once.
    """
    if all(source.in_memory and len(source.folds) == 1 for source in sources):
        return tuple(_work_here(source, work, shared) for source in sources)
    run = uuid.uuid4().hex
    shared_key = f"igtm-shared-{run}"
    graph: dict[Any, Any] = {shared_key: DataNode(shared_key, (__version__, *shared))}
    roots = []
    for number, source in enumerate(sources):
        graph |= source.graph
        size = folds_per_task(source)
        groups = [source.folds[i : i + size] for i in range(0, len(source.folds), size)]
        leaves = [(f"{label}-{run}", number, index) for index in range(len(groups))]
        for key, folds in zip(leaves, groups, strict=True):
            inputs = List(*(TaskRef(k) for k in folds[0].inputs))
            graph[key] = Task(key, _work_all, work, folds, inputs, TaskRef(shared_key))
        roots.append(_grow_tree(graph, leaves, f"igtm-combine-{run}", number))
    totals = [Delayed(root, graph) for root in roots]
    in_memory = sources[0].in_memory
    with telling_of_a_wait(in_memory):
        return tuple(dask.compute(*totals, optimize_graph=False, **scheduler_for(in_memory)))


def folds_per_task(source: Source) -> int:
    """Return how many folds a task walks: a branch of the tree where they are many and all need the same.

    One task adds a branch up in the order in which several do, so that bits are the same.
    """
    enough = TASKS_PER_THREAD * FAN_IN
    if source.in_memory or len(source.folds) < enough or len({fold.inputs for fold in source.folds}) > 1:
        return 1
    return FAN_IN if len(source.folds) >= enough * workers().n_threads else 1


def _work_here(source: Source, work: Callable[..., Any], shared: tuple[Any, ...]) -> Any:
    (fold,) = source.folds
    inputs = dask.core.get(source.graph, list(fold.inputs))
    return _work(work, fold, inputs, (__version__, *shared))


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


def add_up(parts: Iterable[Any]) -> Any:
    """Sum in the order given."""
    return functools.reduce(operator.add, parts)


def _work(work: Callable[..., Any], fold: Fold, inputs: list[Any], shared: tuple[Any, ...]) -> Any:
    version, *arguments = shared
    check_version(version)
    with single_threaded_blas:
        return work(fold.blocks, dict(zip(fold.inputs, inputs, strict=True)), *arguments)


def _work_all(
    work: Callable[..., Any], folds: Sequence[Fold], inputs: list[Any], shared: tuple[Any, ...]
) -> Any:
    return add_up(_work(work, fold, inputs, shared) for fold in folds)


def _sum(
    blocks: Blocks, values: dict[Any, Any], function: Callable[..., Any], shared: tuple[Any, ...]
) -> Any:
    return add_up(_apply(function, held, shared) for held in _stretches(blocks, values))


def _stretches(blocks: Blocks, values: dict[Any, Any]) -> Iterator[list[tuple[Block, tuple[Any, ...]]]]:
    """Yield blocks and what they hold: small ones several at a time, so that a call is worth its cost."""
    held: list[tuple[Block, tuple[Any, ...]]] = []
    n_bytes = 0
    for block, arrays in blocks.read(values):
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
    with naming(blocks[0].number, span(blocks)):
        columns = zip(*arrays, strict=True)
        return function(*(None if parts[0] is None else stack(parts) for parts in columns), *shared)
