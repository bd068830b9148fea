"""Files of other kinds as Zarr tables, a chunk at a time: dense ones as arrays, sparse ones as CSR groups."""

from __future__ import annotations

import contextlib
import functools
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
from dask_igtm.data.csv_files import csv_rows, open_csv
from dask_igtm.data.disks import OTHER_THING
from dask_igtm.data.encodings import BY_ROWS, encoding_of
from dask_igtm.data.interrupts import heeding, uninterrupted
from dask_igtm.data.own_inputs import refuse_own_input
from dask_igtm.data.parquet_rows import open_parquet
from dask_igtm.data.places import CONVERTED, CSV, H5AD, MTX, NPY, NPZ, PARQUET
from dask_igtm.data.rechunk import Columns, rechunk
from dask_igtm.data.row_blocks import row_bytes
from dask_igtm.data.sparse_files import h5ad_rows, mtx_rows, npz_rows
from dask_igtm.data.stored_tables import ROWS, TEXT, as_text, check_id_names, id_type, ids_of, label
from dask_igtm.data.table_columns import Choice
from dask_igtm.data.whole_outputs import FILE, FOLDER, check_kind, is_url, real, without_scheme
from dask_igtm.data.whole_stores import whole_zarr
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
    drop: Sequence[str] = (),
    index: Sequence[str] | str = (),
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
        Where it is a symbolic link, what that leads to is made or replaced, and the link stays.
    columns : sequence of str, optional
        Columns of CSV or Parquet to take. By default all that hold numbers; a warning names the others.
    drop : sequence of str, optional
        Columns to leave out, instead of those to take.
    index : str or sequence of str, optional
        Columns that are the ids of the rows, and are kept beside them: numbers, dates and text of Parquet,
        of which dates become text; text of CSV as it stands there; "obs_names" of AnnData. The index that
        pandas writes to Parquet is chosen by its name, "index" if it has none.
    header : bool, optional
        Whether the first line of a CSV file names the columns. By default it does, and a line of numbers
        alone, which may be either, is refused.
    overwrite : bool
        Replace a Zarr array or CSR group at `target`, once the new one is whole; nothing else.
    codec : {"blosc-lz4", "blosc-zstd", "zstd", "none"}, default="blosc-lz4"
        The first is decoded fastest of those that compress. The second is smaller and takes longer to write,
        for storage slower than a disk. "zstd" is what Zarr does by itself. Both of Blosc have a checksum.

    Returns
    -------
    zarr.Array of shape (n, D), or zarr.Group
        In chunks of whole rows of about 16 MB. Its attribute "columns" has the names, which fits keep and
        compare. NPY keeps its dtype; tables become float64, float32 where all columns are, and their gaps
        NaN. Sparse rows become a CSR group of `data`, `indices` and `indptr`, as AnnData writes them.
        With an `index` a group, whose attribute "dask_igtm" says what it is: the rows are its `X`, and each
        id is an array beside that. It is taken as X wherever that may be a path or a group.

    Raises
    ------
    FileExistsError
        If something is at `target` that is not to be replaced, or another process puts something there.
    ValueError
        If `source` is of another kind, or holds no table of numbers, if files differ in the names of their
        columns or these are no names, if `target` is `source`, in it or around it, or if `codec` is none of
        those above.
    """
    source, target = without_scheme(source), without_scheme(target)
    if codec not in CODECS:
        raise ValueError(f"codec={codec!r}; give one of {', '.join(CODECS)}.")
    ids = (index,) if isinstance(index, str) else tuple(index)
    refuse_own_input(target, source)
    names, blocks = _table(source, Choice(columns, drop, ids), header)
    check_id_names(ids)
    check = functools.partial(_check_target, target, overwrite=overwrite)
    with whole_zarr(target, check) as new, uninterrupted():
        _write(new, heeding(blocks), {} if names is None else {ATTRIBUTE: names}, ids, codec)
    try:
        return open_zarr(target)
    except FileNotFoundError:
        raise FileExistsError(f"What was put at {target!r} is already being replaced.") from None


def _table(
    source: str, choice: Choice, header: bool | None
) -> tuple[Sequence[str] | None, Iterator[Columns]]:
    """Return the names of the columns, where they have some, and the rows with their ids, some at a time."""
    if source.endswith(CSV):
        table = open_csv(source, choice, header=header)
        return (None if header is False else table.columns), csv_rows(table)
    if source.endswith(PARQUET):
        return _parquet(source, choice)
    if source.endswith(NPY + NPZ + MTX) and (choice or header):
        raise ValueError(
            f"{source!r} has no names of columns; convert it without --columns, --drop, --index or --header."
        )
    if source.endswith(H5AD) and (choice.columns or choice.drop or header):
        raise ValueError(
            f"All columns of {source!r} are taken; convert it without --columns, --drop or --header."
        )
    if source.endswith(H5AD):
        return h5ad_rows(source, choice.index)
    for endings, read in ((NPY, _npy), (NPZ, npz_rows), (MTX, mtx_rows)):
        if source.endswith(endings):
            return None, ((rows,) for rows in read(source))
    known = ", ".join(CONVERTED)
    raise ValueError(f"{source!r} is of no kind that is known by its ending; give one of {known}.")


def _parquet(source: str, choice: Choice) -> tuple[Sequence[str], Iterator[Columns]]:
    rows = open_parquet(source, choice)
    ids = [rows.id_column(name) for name in choice.index]
    n_rows, height = rows.shape[0], max(1, CHUNK_BYTES // row_bytes(rows))
    edges = [*range(0, n_rows, height), n_rows]
    spans = itertools.pairwise(edges)
    parts = zip(rows.walk(edges), spans, strict=True)
    return rows.columns, ((part, *(column[(slice(*span),)] for column in ids)) for part, span in parts)


def _npy(source: str) -> Iterator[Rows]:
    if is_url(source):
        raise ValueError(f"{source!r} is a URL, and NPY is mapped from a disk; copy the file there first.")
    mapped = np.lib.format.open_memmap(source, mode="r")
    check_table(mapped)
    height = _height(mapped)
    return (np.asarray(mapped[start : start + height]) for start in range(0, len(mapped), height))


def _write(
    path: str, blocks: Iterator[Columns], attributes: dict[str, Any], ids: Sequence[str], codec: str
) -> None:
    first = next(filter(_n_rows, blocks), None)
    if first is None:
        raise ValueError("The file has no rows; give one with some.")
    place = f"{path}/{ROWS}" if ids else path
    if ids:
        zarr.create_group(path, zarr_format=3, attributes=label(ids))
    if is_sparse(first[0]):
        _write_sparse(path, place, itertools.chain([first], blocks), attributes, ids, codec)
        return
    arrays: list[zarr.Array[Any]] = []
    for pieces in rechunk(itertools.chain([first], filter(_n_rows, blocks)), _height(first[0])):
        if not arrays:
            paths = [place, *(f"{path}/{name}" for name in ids)]
            several = [attributes, *({} for _ in ids)]
            arrays = [_created(*facts, codec) for facts in zip(paths, pieces, several, strict=True)]
        for array, piece in zip(arrays, pieces, strict=True):
            array.append(_storable(piece))
        if arrays[0].shape[0] // len(pieces[0]) % 64 == 0:
            logger.info("%s rows are written", f"{arrays[0].shape[0]:,}")


def _write_sparse(
    path: str,
    place: str,
    blocks: Iterator[Columns],
    attributes: dict[str, Any],
    ids: Sequence[str],
    codec: str,
) -> None:
    """Write a CSR group, and then the ids, which wait in memory as the lengths of its rows do."""
    held: list[Columns] = []

    def sparse_rows() -> Iterator[Any]:
        for rows, *values in blocks:
            held.append(tuple(values))
            yield rows

    write_csr(place, sparse_rows(), attributes, codec=codec, chunk_bytes=CHUNK_BYTES)
    for name, parts in zip(ids, zip(*held, strict=True), strict=False):
        values = np.concatenate(parts)
        height = max(1, CHUNK_BYTES // 8)
        _created(f"{path}/{name}", values[:height], {}, codec).append(_storable(values))


def _created(path: str, rows: Rows, attributes: dict[str, Any], codec: str) -> zarr.Array[Any]:
    """Return an array with nothing in it, in chunks of the size of these rows."""
    return zarr.create_array(
        path,
        shape=(0, *rows.shape[1:]),
        chunks=rows.shape,
        dtype=id_type(rows.dtype) if rows.ndim == 1 else rows.dtype,
        compressors=compressors(codec, rows.nbytes) if rows.dtype != object else "auto",
        zarr_format=3,
        attributes=attributes,
        config={"write_empty_chunks": True},  # what is not stored passes for lost
    )


def _storable(rows: Rows) -> Rows:
    text = rows.ndim == 1 and id_type(rows.dtype) == TEXT
    return as_text(rows) if text else rows


def _n_rows(block: Columns) -> int:
    return int(block[0].shape[0])


def _height(rows: Rows) -> int:
    return max(1, CHUNK_BYTES // row_bytes(rows))


def _check_target(target: str, *, overwrite: bool) -> None:
    files, name = fsspec.core.url_to_fs(real(target))
    if not files.exists(name):
        return
    if not overwrite:
        raise FileExistsError(f"There is something at {target!r}; give another path, or --overwrite.")
    check_kind(target, FILE, FOLDER)
    there = _opened(target)
    table = isinstance(there, zarr.Group) and (encoding_of(there) == BY_ROWS or ids_of(there) is not None)
    if not (table or isinstance(there, zarr.Array)):
        raise FileExistsError(f"What is at {target!r} is no table in Zarr; give another path, or remove it.")


def _opened(path: str) -> Any:
    with contextlib.suppress(*OTHER_THING, ValueError):
        return open_zarr(path)
