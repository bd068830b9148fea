"""Whatever the user gives, as row blocks: a dask array with a single chunk along the columns."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import math
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np

from dask_igtm.data.containers import Stored, array_in, as_dask, check_table, is_lazy
from dask_igtm.data.csr_rows import CsrRows, csr_of_parts
from dask_igtm.data.parquet_rows import ParquetRows
from dask_igtm.data.planning import planned
from dask_igtm.data.row_arrays import sizes_message, sizes_remedy, unknown, values_of, weights_of
from dask_igtm.data.user_warnings import warn
from dask_igtm.posterior.tiles import check_sparse, is_sparse
from dask_igtm.statistics.region_shares import View

ROWS_PER_BLOCK = 5000  # ugtm's automatic block
READ_BYTES = 4 * 2**20  # smaller reads of a store waste most of their time
TINY_BYTES, TINY_COUNT = 2**18, 5000
HUGE_BYTES = 2**30
GROUP_BYTES = 64 * 2**20  # of a row group of Parquet that is read at once
INDEX_BYTES = 4  # of the column of an entry of sparse rows, as SciPy holds it


@dataclass(frozen=True)
class RowBlocks:
    """Rows to work on.

    Attributes
    ----------
    X : dask.array.Array of shape (n, D)
        One chunk along columns; its chunks along rows are the blocks.
    sample_weight : dask.array.Array of shape (n,) or None
        In the chunks of `X`.
    y : dask.array.Array of shape (n,) or (n, T), or None
        Values or labels of the rows, in the chunks of `X`.
    in_memory : bool
        Whether the user gave an array in memory, which is never sent to a cluster.
    first_row : int
        Number of the first row in the user's X, for messages.
    remedy : str
        How the user comes to know the number of rows where it is unknown, for messages.
    skip_empty : bool
        Whether sums leave out the rows in which every entry is NaN, and maps keep them so.
    origin : (str, object) or None
        Name of the dask array that was made of a store or of an array in memory, and that; it says nothing
        of another `X`.
    view : View or None
        What sums are made of instead: of the rows of a region, or of all with their shares of regions.
    """

    X: da.Array
    sample_weight: da.Array | None = None
    y: da.Array | None = None
    in_memory: bool = False
    first_row: int = 0
    remedy: str = ""
    skip_empty: bool = False
    origin: tuple[str, Any] | None = None
    view: View | None = None

    @property
    def n_rows(self) -> float:
        """How many rows there are, about, of a region; NaN where nobody knows."""
        return self.view.n_rows if self.view else self.X.shape[0]

    @property
    def stored(self) -> Stored | None:
        """Where the rows lie if a store has just those of `X`, to be read without its graph."""
        held = self._held
        return held if isinstance(held, Stored) else None

    @property
    def row_bytes(self) -> int:
        """Bytes of one row, of sparse rows in their mean; of lazy ones those of a dense row, the most."""
        return row_bytes(self._held)

    @property
    def _held(self) -> Any:
        return self.origin[1] if self.origin and self.origin[0] == self.X.name else self.X

    @functools.cached_property
    def starts(self) -> tuple[int, ...] | None:
        """Where in the user's X each block starts, and the last one ends; None when sizes are unknown."""
        sizes = self.X.chunks[0]
        return None if unknown(sizes) else tuple(np.cumsum((self.first_row, *sizes)).tolist())

    @property
    def layout(self) -> dict[str, Any]:
        """What of the rows, beside their values, decides how sums over them are rounded; for JSON."""
        sizes = hashlib.sha256(repr(self.X.chunks[0]).encode()).hexdigest()[:16]
        return {
            "shape": [None if math.isnan(n) else n for n in self.X.shape],
            "dtype": str(self.X.dtype),
            "chunks": f"{self.X.numblocks[0]} of sizes {sizes}",
            "weighted": self.sample_weight is not None,
            **({"within": self.view.shares.digest} if self.view else {}),
        }

    def span(self, index: int) -> tuple[int, int] | None:
        """First row of a block in the user's X, and the row after its last; None when sizes are unknown."""
        starts = self.starts
        return None if starts is None else (starts[index], starts[index + 1])

    def each(self) -> Iterator[RowBlocks]:
        """Yield one block after the other."""
        for index in range(self.X.numblocks[0]):
            span = self.span(index)
            first_row = span[0] if span else 0
            if span and planned(self.X):  # which has no `blocks`
                block = self.X[span[0] - self.first_row : span[1] - self.first_row]
            else:
                block = self.X.blocks[index]
            yield RowBlocks(block, in_memory=self.in_memory, first_row=first_row, skip_empty=self.skip_empty)

    def regular(self) -> RowBlocks:
        """Return rows in blocks of one size, the last one smaller; blocks of several sizes are re-divided."""
        *sizes, last = self.X.chunks[0]
        if unknown(self.X.chunks[0]):
            raise ValueError(sizes_message("A projection to Zarr", self.remedy, "store X in Zarr first"))
        if all(size == sizes[0] for size in sizes) and (not sizes or last <= sizes[0]):
            return self
        height = math.ceil(self.X.shape[0] / self.X.numblocks[0])
        if self.stored is not None:  # to be cut anew
            X = as_dask(self.stored, (height, self.X.shape[1]))
            return RowBlocks(X, skip_empty=self.skip_empty, origin=(X.name, self.stored))
        X = self.X.rechunk({0: height})
        return RowBlocks(X, in_memory=self.in_memory, skip_empty=self.skip_empty)

    def counted(self) -> RowBlocks:
        """Return the rows with sizes of blocks that are known; where they are not, the rows are computed."""
        if not unknown(self.X.chunks[0]):
            return self
        counts = self.X.map_blocks(_count, chunks=((1,) * self.X.numblocks[0], (1,)), dtype=np.int64)
        return dataclasses.replace(self, X=with_sizes(self.X, tuple(counts.compute()[:, 0].tolist())))

    def numbered(self, who: str) -> RowBlocks:
        """Return the rows with their numbers as `y`, by which some of them can be chosen.

        Raises
        ------
        ValueError
            If chunk sizes are unknown; `who` is for that message.
        """
        if self.starts is None:
            raise ValueError(sizes_message(who, self.remedy, "store X in Zarr first"))
        numbers = da.arange(self.X.shape[0], chunks=(self.X.chunks[0],), dtype=np.dtype(np.int64))
        return dataclasses.replace(self, y=numbers)


def with_sizes(array: da.Array, sizes: tuple[int, ...]) -> da.Array:
    """Return an array whose blocks are said to have these numbers of rows."""
    chunks = (sizes, *array.chunks[1:])
    return array.map_blocks(_same, chunks=chunks, dtype=array.dtype, meta=array._meta)


def _same(block: Any) -> Any:
    return block


def _count(block: Any) -> Any:
    return np.full((1, 1), block.shape[0])


def row_bytes(X: Any) -> int:
    """Bytes of one row; of sparse rows, in memory or in a store, in their mean."""
    if is_sparse(X) or isinstance(X, CsrRows):
        entries: int = math.ceil(X.nnz / max(X.shape[0], 1))
        return max(1, entries) * (int(X.dtype.itemsize) + INDEX_BYTES)
    return int(X.dtype.itemsize * X.shape[1])


def row_blocks(
    X: Any, sample_weight: Any = None, y: Any = None, *, n_blocks: int = 0, n_rows: int | None = None
) -> RowBlocks:
    """Divide `X` into blocks of rows without reading any of them.

    Parameters
    ----------
    X : ndarray, sparse matrix, dask array or frame, DataArray, zarr.Array, h5py.Dataset, CSR group of these,
        path or URL; (n, D)
    sample_weight : array or dask array of shape (n,), optional
    y : array or dask array of shape (n,) or (n, T), optional
        Values or labels of the rows.
    n_blocks : int, optional
        Number of blocks; 0 keeps the chunks of lazy data (small chunks of a store are read several at a
        time) and takes 5,000 rows of an array in memory.
    n_rows : int, optional
        Rows of a block of an array in memory, and the least of a store; dask arrays have their own.

    Raises
    ------
    ValueError
        If `X` is not a table of numbers, or `n_blocks` does not fit it.
    """
    remedy = sizes_remedy(X, "X")
    held = array_in(X)
    check_table(held)
    if is_sparse(held):
        check_sparse(held)
        held = held.tocsr()  # of the sparse formats, the one that cuts rows fast
    array = _as_dask(held, n_blocks, n_rows, remedy)
    rows = RowBlocks(array, in_memory=not is_lazy(X), remedy=remedy, origin=(array.name, held))
    weights = None if sample_weight is None else weights_of(rows.X, sample_weight, rows.in_memory, remedy)
    values = None if y is None else values_of(rows.X, y, rows.in_memory, remedy)
    return dataclasses.replace(rows, sample_weight=weights, y=values)


def _as_dask(X: Any, n_blocks: int, n_rows: int | None, remedy: str) -> da.Array:
    if isinstance(X, ParquetRows) and not n_blocks:
        return _from_row_groups(X, n_rows)
    if isinstance(X, Stored):
        return _from_store(X, _rows_per_block(X.shape[0], n_blocks) or _rows_per_read(X, n_rows))
    if not isinstance(X, da.Array):
        return _from_memory(X, _rows_per_block(X.shape[0], n_blocks) or n_rows or ROWS_PER_BLOCK)
    if X.numblocks[1] > 1:
        warn(
            f"X has {X.numblocks[1]} chunks along columns and was rechunked to one, which moves data "
            "between tasks in every pass; call X.rechunk({1: -1}) and store the result."
        )
        X = X.rechunk({1: -1})
    if n_blocks:
        if unknown(X.chunks[0]):
            raise ValueError(sizes_message(f"n_blocks={n_blocks}", remedy, "leave n_blocks=0"))
        return X.rechunk({0: _rows_per_block(X.shape[0], n_blocks)})
    if not is_sparse(X._meta):  # of whose entries nothing is known
        height = max(1, 16 * READ_BYTES // row_bytes(X))
        _warn_of_chunk_sizes(X, row_bytes(X), f"call X.rechunk({{0: {height}}})")
    return X


def _rows_per_block(n_rows: int, n_blocks: int) -> int:
    if n_blocks > n_rows:
        raise ValueError(
            f"n_blocks={n_blocks} is more than the {n_rows} rows of X; give at most {n_rows}, or 0."
        )
    return math.ceil(n_rows / n_blocks) if n_blocks else 0


def _from_memory(X: Any, rows: int) -> da.Array:
    """Wrap views of an array in memory, which da.from_array would copy."""
    starts = range(0, X.shape[0], rows)
    chunks = (tuple(min(rows, X.shape[0] - start) for start in starts), (X.shape[1],))
    wrapped = da.from_array(X[:0], chunks=-1, name=False)  # none of Dask's own choosing
    if planned(wrapped):
        return da.from_array(X, chunks=chunks, name=False)
    name = f"igtm-rows-{uuid.uuid4().hex}"
    graph = {(name, i, 0): _part(X, start, start + rows) for i, start in enumerate(starts)}
    return da.Array(graph, name, chunks, meta=X[:0])


def _part(X: Any, start: int, stop: int) -> Any:
    """Return some rows of an array in memory, which they share."""
    if not is_sparse(X):
        return X[start:stop]
    indptr = X.indptr[start : stop + 1]
    entries = slice(indptr[0], indptr[-1])
    return csr_of_parts(X.data[entries], X.indices[entries], indptr - indptr[0], X.shape[1])


def _from_row_groups(X: ParquetRows, n_rows: int | None) -> da.Array:
    """Take row groups as blocks: small ones several at a time, large ones divided, for others to work too."""
    largest = max(1, GROUP_BYTES // row_bytes(X))
    _warn_of_cut_pieces(
        X, min(largest, X.piece[0]), "write Parquet in row groups of fewer rows, or convert it"
    )
    sizes = tuple(divided(X.row_groups.sizes, n_rows or READ_BYTES // row_bytes(X), largest))
    return as_dask(X, (sizes, X.shape[1]))


def divided(sizes: Iterable[int], least: int, most: int) -> Iterator[int]:
    """Yield sizes of blocks: neighbours together up to `least` rows, what has more than `most` in parts."""
    held = 0
    for size in sizes:
        held += size if size <= most else 0
        if held and (held >= least or size > most):
            yield held
            held = 0
        if size > most:
            height = math.ceil(size / math.ceil(size / most))
            yield from (min(height, size - start) for start in range(0, size, height))
    if held:
        yield held


def _warn_of_cut_pieces(X: Stored, rows: int, remedy: str) -> None:
    stored = X.piece[0]
    if rows % stored and stored > 4 * rows and stored * row_bytes(X) > READ_BYTES:
        warn(
            f"Blocks of {rows} rows cut through stored chunks of {stored} rows, which are then read more "
            f"than once in every pass; {remedy}."
        )


def _from_store(X: Stored, rows: int) -> da.Array:
    _warn_of_cut_pieces(X, rows, "leave n_blocks=0, or store X in chunks of that size")
    array = as_dask(X, (rows, X.shape[1]))
    _warn_of_chunk_sizes(array, row_bytes(X), "store X in chunks of fewer rows")
    return array


def _rows_per_read(X: Stored, n_rows: int | None) -> int:
    """Whole pieces of a store to a good read size."""
    wanted = n_rows or READ_BYTES // row_bytes(X)
    return int(X.piece[0] * max(1, wanted // X.piece[0]))


def _warn_of_chunk_sizes(X: da.Array, bytes_per_row: int, remedy: str) -> None:
    if unknown(X.chunks[0]):
        return
    largest, average = max(X.chunks[0]) * bytes_per_row, X.shape[0] * bytes_per_row / X.numblocks[0]
    if largest > HUGE_BYTES:
        warn(f"X has a chunk of {largest / 2**30:.1f} GiB, and a worker holds several at once; {remedy}.")
    if X.numblocks[0] >= TINY_COUNT and average < TINY_BYTES:
        warn(
            f"X has {X.numblocks[0]} chunks of {average / 1024:.0f} KiB on average, and each costs the "
            f"scheduler time in every pass; {remedy}."
        )
