"""Rows from Zarr that must be there."""

from __future__ import annotations

import itertools
import os
import socket
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
import zarr
from numpy.typing import NDArray

Rows = NDArray[Any]


@dataclass(frozen=True)
class StoredRows:
    """A Zarr array for `dask.array.from_array`, which refuses to make rows up.

    Zarr reads what was never written as the fill value. So a lost chunk, or all of them where a worker
    does not see the path, would pass for zeros.
    """

    array: zarr.Array[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, and columns of a table."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of an entry."""
        return self.array.dtype

    @property
    def ndim(self) -> int:
        """Of a table: 2."""
        return self.array.ndim

    def __getitem__(self, index: tuple[slice, ...]) -> Rows:
        """Return some rows.

        Raises
        ------
        FileNotFoundError
            If a chunk of them is not stored.
        """
        rows = np.asarray(self.array[index])
        if self._some_chunk_is_filled(rows, index[0].start or 0) and not self._stored(rows, index):
            raise FileNotFoundError(
                f"A chunk of these rows is not stored in {self.array.store_path} as {socket.gethostname()} "
                "sees it; give a path that every worker sees, and restore lost files. Zarr leaves chunks out "
                "that are all fill value: if these are, give dask.array.from_zarr(path) instead of the path."
            )
        return rows

    def _some_chunk_is_filled(self, rows: Rows, first_row: int) -> bool:
        height, *widths = self.array.chunks
        edges = [0, *range(height - first_row % height, len(rows), height), len(rows)]
        along_rows = [slice(*pair) for pair in itertools.pairwise(edges)]
        across = (
            [slice(start, start + width) for start in range(0, n, width)]
            for n, width in zip(rows.shape[1:], widths, strict=True)
        )
        cells = itertools.product(along_rows, *across)
        return any(_filled(rows[cell], self.array.fill_value) for cell in cells)

    def _stored(self, rows: Rows, index: tuple[slice, ...]) -> bool:
        """Whether the rows are the same under another fill value, seen only where nothing is stored."""
        metadata = {**self.array.metadata.to_dict(), "fill_value": _other(self.array.fill_value)}
        again = np.asarray(zarr.Array.from_dict(self.array.store_path, metadata)[index])
        return np.array_equal(rows, again, equal_nan=rows.dtype.kind == "f")


def _filled(rows: Rows, fill_value: Any) -> bool:
    """Whether all entries are the fill value; the first one says mostly that they are not."""
    if rows.size == 0:
        return False
    if fill_value != fill_value:  # noqa: PLR0124 - as NaN alone
        return bool(np.isnan(rows.flat[0]) and np.isnan(rows).all())
    return bool(rows.flat[0] == fill_value and (rows == fill_value).all())


def _other(fill_value: Any) -> Any:
    if isinstance(fill_value, str):
        return "" if fill_value else "?"
    if isinstance(fill_value, (bool, np.bool_)):
        return not fill_value
    return 0 if fill_value else 1


def open_zarr(path: str | os.PathLike[str]) -> zarr.Array[Any] | zarr.Group:
    """Open what is at a path or URL for reading; raise FileNotFoundError where nothing is."""
    name = os.fspath(path)
    try:
        return zarr.open(name, mode="r")
    except FileNotFoundError:
        raise FileNotFoundError(f"There is no Zarr array at {name!r}; give the path or URL of one.") from None


def stored_rows(array: zarr.Array[Any], chunks: tuple[int, ...]) -> da.Array:
    """Return a Zarr array as a dask array that refuses to make rows up."""
    return da.from_array(StoredRows(array), chunks=chunks, meta=np.empty((0,) * array.ndim, array.dtype))
