"""Rows in parts: drawn by their numbers or their groups, and the rows of some parts by themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.row_blocks import RowBlocks
from dask_igtm.passes.map_rows import compute
from dask_igtm.posterior.tiles import csr_of, is_sparse
from dask_igtm.statistics.row_subsets import Parts, draw, draw_groups


def in_parts(rows: RowBlocks, edges: Sequence[float], seed: int, who: str, groups: Any = None) -> RowBlocks:
    """Return `rows` with the part into which each is drawn as their `y`, lazily; see `row_subsets.draw`.

    Parameters
    ----------
    rows : RowBlocks
    edges : sequence of float
    seed : int
    who : str
        For messages.
    groups : dask.array.Array of shape (n,), optional
        In the chunks of X; rows of a group are drawn together, see `row_subsets.draw_groups`.

    Raises
    ------
    ValueError
        If chunk sizes are unknown, and with them the numbers of the rows, or there are fewer rows than parts.
    """
    numbers: Any = rows.numbered(who).y
    if rows.X.shape[0] <= len(edges):
        raise ValueError(
            f"X has n_samples={rows.X.shape[0]}, too few to be drawn into {len(edges) + 1} parts."
        )
    by, function = (numbers, draw) if groups is None else (groups, draw_groups)
    part = by.map_blocks(function, seed, tuple(edges), dtype=np.uint16, meta=np.empty(0, np.uint16))
    return dataclasses.replace(rows, y=part)


def in_given_parts(rows: RowBlocks, part: NDArray[Any], who: str) -> RowBlocks:
    """Return `rows` with the part to which each belongs, (n,), as their `y`."""
    chunks = (rows.numbered(who).X.chunks[0],)
    return dataclasses.replace(rows, y=da.from_array(part, chunks=chunks, name=False))


class Chosen:
    """The rows of some parts by themselves, of arrays that lie in the chunks of `rows`.

    In memory they are chosen at once. Lazy ones stay lazy, and how many each chunk has is counted first, from
    the parts alone, so that chunk sizes are known.
    """

    def __init__(self, rows: RowBlocks, n_parts: int) -> None:
        part: Any = rows.y
        self._part = part
        self._in_memory = rows.in_memory
        if rows.in_memory:
            self._parts = compute(part, in_memory=True)
        else:
            n_blocks = part.numblocks[0]
            counts = part.map_blocks(
                _counts,
                n_parts,
                new_axis=1,
                chunks=((1,) * n_blocks, (n_parts,)),
                dtype=np.int64,
                meta=np.empty((0, 0), np.int64),
            )
            self._counts: NDArray[np.int64] = compute(counts, in_memory=False)

    def places(self, parts: Parts) -> NDArray[np.intp]:
        """Return the numbers of the rows of some parts, which are in memory."""
        return np.flatnonzero(np.isin(self._parts, parts))

    def rows(self, array: Any, parts: Parts) -> Any:
        """Return the rows of some parts of a dask array: a dask array, or an ndarray where X is in memory."""
        if array is None:
            return None
        if self._in_memory:
            return compute(array, in_memory=True)[self.places(parts)]
        sizes = tuple(self._counts[:, list(parts)].sum(axis=1).tolist())
        part = self._part if array.ndim == 1 else self._part[:, None]
        return da.map_blocks(
            _choose,
            array,
            part,
            parts,
            dtype=array.dtype,
            chunks=(sizes, *array.chunks[1:]),
            meta=array._meta,
        )


def _counts(part: NDArray[Any], n_parts: int) -> NDArray[np.int64]:
    return np.bincount(part, minlength=n_parts)[None]


def _choose(rows: Any, part: NDArray[Any], parts: Parts) -> Any:
    rows = csr_of(rows) if is_sparse(rows) else rows
    return rows[np.isin(part.reshape(-1), parts)]
