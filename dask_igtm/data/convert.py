"""Files of other kinds as Zarr tables, a chunk at a time: dense ones as arrays, sparse ones as CSR groups."""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import Iterator, Sequence
from typing import Any

import fsspec
import numpy as np
import zarr
from numpy.typing import NDArray

from dask_igtm.data.codecs import CODEC, CODECS, compressors
from dask_igtm.data.column_names import ATTRIBUTE
from dask_igtm.data.containers import check_table
from dask_igtm.data.csr_groups import write_csr
from dask_igtm.data.encodings import BY_ROWS, encoding_of
from dask_igtm.data.places import CONVERTED, CSV, H5AD, MTX, NPY, NPZ, PARQUET
from dask_igtm.data.rechunk import rechunk
from dask_igtm.data.row_blocks import row_bytes
from dask_igtm.data.sparse_files import h5ad_rows, mtx_rows, npz_rows
from dask_igtm.data.table_files import csv_rows, parquet_rows
from dask_igtm.data.whole_outputs import is_url, whole_zarr
from dask_igtm.data.zarr_io import open_zarr
from dask_igtm.posterior.tiles import is_sparse

CHUNK_BYTES = 16 * 2**20  # read fastest, see benchmarks/README.md; and a worker can hold several

logger = logging.getLogger("dask_igtm")

Rows = NDArray[Any]


def convert(
    source: str,
    target: str,
    *,
    columns: Sequence[str] = (),
    header: bool | None = None,
    overwrite: bool = False,
    codec: str = CODEC,
) -> zarr.Array[Any] | zarr.Group:
    """Write a table of numbers to Zarr; what was cut short is never found under its name.

    Parameters
    ----------
    source : path or URL
        A `.npy` file, which is mapped from disk and never held in memory; or `.csv`, `.csv.gz` or
        `.parquet`, also a pattern of several such as `part-*.csv`. Columns of several files are put together
        by their names, in the order of the first file.
        Or a sparse matrix: `.npz` of `scipy.sparse.save_npz`, `.mtx` or `.mtx.gz` of Matrix Market, each read
        into memory, or the X of an `.h5ad` of AnnData, read by blocks with the extra `cells`. Rows are those
        of the file: transpose a matrix of 10x Genomics, whose columns are the cells, before it is written.
    target : path or URL
    columns : sequence of str, optional
        Columns of CSV or Parquet to take; all of them by default, which must be numbers then.
    header : bool, optional
        Whether the first line of a CSV file names the columns. By default it does, and a line of numbers
        alone, which may be either, is refused.
    overwrite : bool
        Replace a Zarr array or CSR group at `target`, once the new one is whole.
    codec : {"blosc-lz4", "blosc-zstd", "zstd", "none"}, default="blosc-lz4"
        The first is decoded fastest of those that compress. The second is smaller and takes longer to write,
        for storage slower than a disk. "zstd" is what Zarr does by itself. Both of Blosc have a checksum.

    Returns
    -------
    zarr.Array of shape (n, D), or zarr.Group
        In chunks of whole rows of about 16 MB. Its attribute "columns" has the names, which fits keep and
        compare. NPY keeps its dtype; tables become float64, float32 where all columns are, and their gaps
        NaN. Sparse rows become a CSR group of `data`, `indices` and `indptr`, as AnnData writes them.

    Raises
    ------
    FileExistsError
        If something is at `target` that is not to be replaced, or another process puts something there.
    ValueError
        If `source` is of another kind, or holds no table of numbers, if files differ in the names of their
        columns or these are no names, or if `codec` is none of those above.
    """
    if codec not in CODECS:
        raise ValueError(f"codec={codec!r}; give one of {', '.join(CODECS)}.")
    names, blocks = _table(source, columns, header)
    _check_target(target, overwrite=overwrite)
    with whole_zarr(target, overwrite=overwrite) as partial:
        _write(partial, blocks, {} if names is None else {ATTRIBUTE: names}, codec)
    try:
        return open_zarr(target)
    except FileNotFoundError:
        raise FileExistsError(f"What was put at {target!r} is already being replaced.") from None


def _table(
    source: str, columns: Sequence[str], header: bool | None
) -> tuple[list[str] | None, Iterator[Any]]:
    """Return the names of the columns, where they have some, and the rows, some at a time."""
    if source.endswith(CSV):
        return csv_rows(source, columns, header=header)
    if source.endswith(PARQUET):
        return parquet_rows(source, columns)
    if source.endswith(NPY + NPZ + MTX) and (columns or header):
        raise ValueError(f"{source!r} has no names of columns; convert it without --columns or --header.")
    if source.endswith(H5AD) and (columns or header):
        raise ValueError(f"All columns of {source!r} are taken; convert it without --columns or --header.")
    if source.endswith(H5AD):
        return h5ad_rows(source)
    for endings, read in ((NPY, _npy), (NPZ, npz_rows), (MTX, mtx_rows)):
        if source.endswith(endings):
            return None, read(source)
    known = ", ".join(CONVERTED)
    raise ValueError(f"{source!r} is of no kind that is known by its ending; give one of {known}.")


def _npy(source: str) -> Iterator[Rows]:
    if is_url(source):
        raise ValueError(f"{source!r} is a URL, and NPY is mapped from a disk; copy the file there first.")
    mapped = np.lib.format.open_memmap(source, mode="r")
    check_table(mapped)
    height = _height(mapped)
    return (np.asarray(mapped[start : start + height]) for start in range(0, len(mapped), height))


def _write(path: str, blocks: Iterator[Rows], attributes: dict[str, Any], codec: str) -> None:
    array, first = None, next(filter(_n_rows, blocks), None)
    if first is None:
        raise ValueError("The file has no rows; give one with some.")
    if is_sparse(first):
        write_csr(path, itertools.chain([first], blocks), attributes, codec=codec, chunk_bytes=CHUNK_BYTES)
        return
    for (rows,) in rechunk(_chain(first, blocks), _height(first)):
        if array is None:
            array = zarr.create_array(
                path,
                shape=(0, rows.shape[1]),
                chunks=rows.shape,
                dtype=rows.dtype,
                compressors=compressors(codec, rows.nbytes),
                zarr_format=3,
                attributes=attributes,
                config={"write_empty_chunks": True},  # what is not stored passes for lost
            )
        array.append(rows)
        if array.shape[0] // rows.shape[0] % 64 == 0:
            logger.info("%s rows are written", f"{array.shape[0]:,}")


def _chain(first: Rows, blocks: Iterator[Rows]) -> Iterator[tuple[Rows]]:
    yield (first,)
    yield from ((rows,) for rows in blocks if len(rows))


def _n_rows(rows: Any) -> int:
    return int(rows.shape[0])


def _height(rows: Rows) -> int:
    return max(1, CHUNK_BYTES // row_bytes(rows))


def _check_target(target: str, *, overwrite: bool) -> None:
    files, name = fsspec.core.url_to_fs(target)
    if not files.exists(name):
        return
    if not overwrite:
        raise FileExistsError(f"There is something at {target!r}; give another path, or --overwrite.")
    there = _opened(target)
    if not isinstance(there, zarr.Array) and not (there and encoding_of(there) == BY_ROWS):
        raise FileExistsError(f"What is at {target!r} is no table in Zarr; give another path, or remove it.")


def _opened(path: str) -> Any:
    with contextlib.suppress(FileNotFoundError, ValueError, OSError):
        return open_zarr(path)
