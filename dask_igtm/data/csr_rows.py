"""Sparse rows on disk: groups of Zarr or HDF5 with the arrays of a CSR matrix, as AnnData writes them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from scipy.sparse import csr_array

from dask_igtm.data.opened_files import Hdf5Rows, dataset_rows
from dask_igtm.data.plain_text import escaped
from dask_igtm.data.zarr_io import StoredRows, stored_rows

PARTS = ("data", "indices", "indptr")
INT32 = np.iinfo(np.int32).max
ANEW = "write the group anew, for example by dask_igtm.convert"


@dataclass(frozen=True)
class CsrRows:
    """The rows of a CSR group for `dask.array.from_array`, read straight from row ranges of its arrays.

    Attributes
    ----------
    data, indices, indptr : StoredRows or Hdf5Rows
        Entries row by row, the column of each, and where in these two each row begins and the last one ends.
    shape : (int, int)
    nnz : int
        Number of entries, as scipy.sparse calls it.
    name : str
        Where the group is, for messages.
    """

    data: StoredRows | Hdf5Rows
    indices: StoredRows | Hdf5Rows
    indptr: StoredRows | Hdf5Rows
    shape: tuple[int, int]
    nnz: int
    name: str

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of an entry in memory: of those that are stored the one that SciPy knows."""
        stored = self.data.dtype
        return np.dtype(np.float32) if stored == np.float16 else stored.newbyteorder("=")

    @property
    def ndim(self) -> int:
        """Of a table: 2."""
        return 2

    @property
    def piece(self) -> tuple[int, int]:
        """Shape of the least that can be read at once: of as many rows as a chunk of entries has."""
        n_rows, n_columns = self.shape
        return max(1, min(n_rows, self.data.piece[0] * n_rows // max(self.nnz, 1))), n_columns

    def __getitem__(self, index: tuple[slice, ...]) -> csr_array:
        """Return some rows; raises as `walk` does."""
        rows, columns = (part.indices(n) for part, n in zip(index, self.shape, strict=True))
        (found,) = self.walk(rows[:2])
        whole = rows[2] == 1 and columns == (0, self.shape[1], 1)
        return found if whole else found[:: rows[2], slice(*columns)]

    def walk(self, edges: Sequence[int]) -> Iterator[csr_array]:
        """Yield the rows between neighbouring edges, which rise, and read each chunk once for all of them.

        Raises
        ------
        FileNotFoundError
            If a chunk is not stored.
        ValueError
            If the arrays are no CSR matrix of this shape.
        """
        starts = self._starts(edges[0], edges[-1])
        data, indices = np.empty(0, self.dtype), np.empty(0, np.int32)
        first = last = int(starts[0])  # of the entries at hand
        for start, stop in itertools.pairwise(edges):
            indptr = starts[start - edges[0] : stop - edges[0] + 1]
            if indptr[-1] > last:
                end = min(-(-int(indptr[-1]) // self.data.piece[0]) * self.data.piece[0], int(starts[-1]))
                more = (slice(max(last, int(indptr[0])), end),)
                used = slice(int(indptr[0]) - first, None)
                data = np.concatenate([data[used], self.data[more].astype(self.dtype, copy=False)])
                indices = np.concatenate([indices[used], self._columns(more)])
                first, last = int(indptr[0]), end
            part = slice(int(indptr[0]) - first, int(indptr[-1]) - first)
            yield csr_of_parts(data[part], indices[part], indptr - indptr[0], self.shape[1])

    def _starts(self, start: int, stop: int) -> NDArray[np.int64]:
        """Return where rows begin among the entries, and the last one ends."""
        starts = self.indptr[(slice(start, stop + 1),)].astype(np.int64)
        rising = (np.diff(starts) >= 0).all() and starts[0] >= 0 and starts[-1] <= self.nnz
        if not rising or (start == 0 and starts[0] > 0):
            raise ValueError(
                f"{self.name} is no CSR matrix: its indptr does not rise from 0 to {self.nnz} in rows "
                f"{start}:{stop}; {ANEW}."
            )
        return starts

    def _columns(self, entries: tuple[slice]) -> NDArray[Any]:
        indices, n_columns = self.indices[entries], self.shape[1]
        if len(indices) and not (indices.min() >= 0 and indices.max() < n_columns):
            wrong = indices.max() if indices.max() >= n_columns else indices.min()
            raise ValueError(
                f"{self.name} is no CSR matrix of shape {self.shape}: an entry is in column {wrong}; {ANEW}."
            )
        return indices.astype(np.int32 if n_columns <= INT32 else np.int64, copy=False)


def csr_of_parts(data: Any, indices: Any, indptr: Any, n_columns: int) -> csr_array:
    """Return CSR rows that share these arrays: SciPy would copy what is less than half of a larger one."""
    rows = csr_array((len(indptr) - 1, n_columns), dtype=data.dtype)
    kind = indices.dtype if indptr[-1] <= INT32 else np.dtype(np.int64)
    rows.data = data
    rows.indices, rows.indptr = (array.astype(kind, copy=False) for array in (indices, indptr))
    return rows


def csr_rows(group: Any, name: str, *, transposed: bool = False) -> CsrRows:
    """Return the rows of a CSR group of Zarr or h5py; reads the last entry of its indptr alone.

    What is `transposed` is a CSC group: its columns are returned as rows.

    Raises
    ------
    ValueError
        If its arrays and its shape do not fit each other; `name` is for that message.
    """
    where, parts = _place(group), [_part(group, part, name) for part in PARTS]
    data, indices, indptr = parts
    shape = tuple(int(n) for n in np.ravel(group.attrs.get("shape", ())))
    refused = f"{name} is {where}, which is no CSR matrix: "
    if len(shape) != 2:
        raise ValueError(f"{refused}its attribute shape is {shape}; {ANEW}.")
    shape = shape[::-1] if transposed else shape
    for part, array in zip(PARTS[1:], parts[1:], strict=True):
        if array.dtype.kind not in "iu":
            raise ValueError(f"{refused}{part} has dtype {array.dtype} and holds no whole numbers; {ANEW}.")
    (n_data,), (n_indices,), (n_starts,) = (part.shape for part in parts)
    if n_starts != shape[0] + 1:
        raise ValueError(f"{refused}indptr has {n_starts} entries, for {shape[0]} rows; {ANEW}.")
    if n_data != n_indices:
        raise ValueError(f"{refused}data has {n_data} entries and indices {n_indices}; {ANEW}.")
    nnz = int(indptr[(slice(n_starts - 1, n_starts),)][0])
    if not 0 <= nnz <= n_data:
        raise ValueError(f"{refused}indptr ends at {nnz}, and data has {n_data} entries; {ANEW}.")
    return CsrRows(data, indices, indptr, (shape[0], shape[1]), nnz, where)


def _part(group: Any, part: str, name: str) -> StoredRows | Hdf5Rows:
    found = group.get(part)
    if len(getattr(found, "shape", ())) != 1:
        raise ValueError(
            f"{name} is {_place(group)}, which is no CSR matrix: it has no {part} of one dimension; {ANEW}."
        )
    return stored_rows(found) if isinstance(found, zarr.Array) else dataset_rows(found, name)


def _place(group: Any) -> str:
    """Say where a group is."""
    if isinstance(group, zarr.Group):
        return f"the Zarr group {escaped(group.store_path)}"
    return f"the HDF5 group {escaped(group.name)} of {escaped(group.file.filename)}"
