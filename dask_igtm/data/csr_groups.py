"""Sparse rows written as a CSR group of Zarr, such as AnnData writes and reads."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
import zarr
from scipy.sparse import csr_array

from dask_igtm.data.codecs import compressors
from dask_igtm.data.csr_rows import INT32
from dask_igtm.data.encodings import BY_ROWS, VERSION
from dask_igtm.data.rechunk import Columns, rechunk

NAMES = ("data", "indices")  # of what each entry has

logger = logging.getLogger("dask_igtm")


def write_csr(
    path: str, parts: Iterator[csr_array], attributes: dict[str, Any], *, codec: str, chunk_bytes: int
) -> None:
    """Write neighbouring rows, one part after the other, of which there is at least one.

    A chunk has as many entries as take `chunk_bytes` with their columns, which are read together.
    """
    group, first = zarr.create_group(path, zarr_format=3), next(parts)
    n_columns, lengths = first.shape[1], [np.zeros(1, np.int64)]
    index = np.int32 if n_columns <= INT32 else np.int64
    height = max(1, chunk_bytes // (first.dtype.itemsize + np.dtype(index).itemsize))

    def entries(part: csr_array) -> Columns:
        lengths.append(np.diff(part.indptr))
        return part.data, part.indices.astype(index, copy=False)

    def all_entries() -> Iterator[Columns]:
        yield entries(first)
        yield from map(entries, parts)

    arrays: list[Any] = []
    for pieces in rechunk(all_entries(), height):
        if not arrays:
            arrays = [_array(group, name, piece, codec) for name, piece in zip(NAMES, pieces, strict=True)]
        for array, piece in zip(arrays, pieces, strict=True):
            array.append(piece)
        if arrays[0].shape[0] // height % 64 == 0:
            logger.info("%s entries are written", f"{arrays[0].shape[0]:,}")
    if not arrays:
        for name, dtype in zip(NAMES, (first.dtype, index), strict=True):
            _array(group, name, np.empty(0, dtype), codec)
    starts = np.cumsum(np.concatenate(lengths), dtype=np.int64)
    indptr = _array(group, "indptr", starts[: max(1, chunk_bytes // starts.itemsize)], codec)
    indptr.append(starts)
    shape = [len(starts) - 1, n_columns]
    group.attrs.update({"encoding-type": BY_ROWS, "encoding-version": VERSION, "shape": shape, **attributes})


def _array(group: zarr.Group, name: str, first: Any, codec: str) -> zarr.Array[Any]:
    """Return an array with nothing in it, in chunks of the size of the first."""
    return group.create_array(
        name,
        shape=(0,),
        chunks=(max(1, len(first)),),
        dtype=first.dtype,
        compressors=compressors(codec, first.nbytes),
        config={"write_empty_chunks": True},  # what is not stored passes for lost
    )
