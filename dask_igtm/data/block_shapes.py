"""Blocks of a dask array in other shapes, each by itself: nothing moves between them, as reshape would do."""

from __future__ import annotations

import itertools
import math
from typing import Any

import dask.array as da
import numpy as np
from dask.base import tokenize
from dask.highlevelgraph import HighLevelGraph
from dask.task_spec import Task, TaskRef

from dask_igtm.data.planning import planned

Chunks = tuple[tuple[int, ...], ...]


def ravelled(values: da.Array, n_dims: int) -> da.Array:
    """Return the points of the first dimensions as rows: those of one chunk after those of the other."""
    columns = values.chunks[n_dims:]
    heights = tuple(math.prod(sizes) for sizes in itertools.product(*values.chunks[:n_dims]))
    if not planned(values):
        return _reshaped(values, (heights, *columns))
    places = da.core.slices_from_chunks(values.chunks[:n_dims])
    axes = {"drop_axis": list(range(n_dims)), "new_axis": 0}
    shape = values.shape[n_dims:]
    parts = [_of_one(values[place], (n, *shape), axes) for place, n in zip(places, heights, strict=True)]
    return da.concatenate(parts)


def unravelled(values: da.Array, chunks: Chunks) -> da.Array:
    """Return rows, of one chunk of columns, as the points of these chunks that `ravelled` made them of."""
    if not planned(values):
        return _reshaped(values, (*chunks, *values.chunks[1:]))
    ends = np.cumsum((0, *values.chunks[0])).tolist()
    axes = {"new_axis": list(range(len(chunks) - 1))}
    parts = [
        _of_one(values[start:stop], (*sizes, *values.shape[1:]), axes)
        for (start, stop), sizes in zip(itertools.pairwise(ends), itertools.product(*chunks), strict=True)
    ]
    for axis in reversed(range(len(chunks))):
        n = len(chunks[axis])
        parts = [da.concatenate(parts[i : i + n], axis) for i in range(0, len(parts), n)]
    return parts[0]


def _reshaped(values: da.Array, chunks: Chunks) -> da.Array:
    """Return an array whose blocks are those of `values`, in their order, with the shapes of these chunks."""
    name = f"igtm-reshaped-{tokenize(values.name, chunks)}"
    before = itertools.product(*map(range, values.numblocks))
    after = itertools.product(*(range(len(sizes)) for sizes in chunks))
    shapes = itertools.product(*chunks)
    graph = {
        (name, *key): Task((name, *key), np.reshape, TaskRef((values.name, *old)), shape)
        for old, key, shape in zip(before, after, shapes, strict=True)
    }
    layers = HighLevelGraph.from_collections(name, graph, [values])
    return da.Array(layers, name, chunks, meta=np.reshape(values._meta, (0,) * len(chunks)))


def _of_one(part: da.Array, shape: tuple[int, ...], axes: dict[str, Any]) -> da.Array:
    """Return an array of one block in another shape."""
    chunks, meta = tuple((n,) for n in shape), np.reshape(part._meta, (0,) * len(shape))
    return part.map_blocks(np.reshape, shape, chunks=chunks, dtype=part.dtype, meta=meta, **axes)
