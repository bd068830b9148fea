"""Rows from Zarr that must be there."""

from __future__ import annotations

import dataclasses
import itertools
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dask
import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.errors import ContainsArrayError

from dask_igtm.data.places import nothing_there
from dask_igtm.data.plain_text import escaped
from dask_igtm.data.whole_outputs import is_url

Rows = NDArray[Any]
Cell = tuple[slice, ...]

FILL_UNSTORED = "dask_igtm.fill_unstored"  # in the configuration of Dask


@dataclass(frozen=True)
class StoredRows:
    """A Zarr array for `dask.array.from_array`, which refuses to make rows up.

    Zarr reads what was never written as the fill value. So a lost chunk, or all of them where a worker
    does not see the path, would pass for zeros.

    Attributes
    ----------
    array : zarr.Array
    fill_unstored : bool
        Whether chunks that are not stored are the fill value after all.
    """

    array: zarr.Array[Any]
    fill_unstored: bool = False

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

    @property
    def piece(self) -> tuple[int, ...]:
        """Shape of the least that can be read at once: of a shard, or else a chunk."""
        return self.array.shards or self.array.chunks

    def __getitem__(self, index: tuple[slice, ...]) -> Rows:
        """Return some rows.

        Raises
        ------
        FileNotFoundError
            If a chunk of them is not stored.
        """
        rows = np.asarray(self.array[index])
        if self.fill_unstored:
            return rows
        first = [part.start or 0 for part in index]
        for cell in _cells(rows.shape, first, self.array.chunks):
            if _filled(rows[cell], self._fill_value):
                self._check_stored(_moved(cell, first))
        return rows

    @property
    def _fill_value(self) -> Any:
        metadata: Any = self.array.metadata
        null = metadata.fill_value is None  # of Zarr 2, which leaves open what to read
        return metadata.dtype.default_scalar() if null else metadata.fill_value

    def _check_stored(self, cell: Cell) -> None:
        """Raise where a part of a chunk is another one under another fill value."""
        other: Any = dataclasses.replace(self.array.metadata, fill_value=_other(self._fill_value, self.dtype))
        again = zarr.Array(zarr.AsyncArray(other, self.array.store_path))[cell]
        if not _filled(np.asarray(again), self._fill_value):
            raise FileNotFoundError(
                f"Chunk {self._key(cell)} (rows {cell[0].start}:{cell[0].stop}) is not stored in "
                f"{escaped(self.array.store_path)} as {socket.gethostname()} sees it; give a path that "
                "every worker sees, and restore lost files. Zarr leaves chunks out that are all fill "
                f"value: if this is one, read under dask.config.set({{{FILL_UNSTORED!r}: True}}), or by "
                "--fill-unstored on the command line."
            )

    def _key(self, cell: Cell) -> str:
        """Name of the chunk or shard in the store that has a cell."""
        place = tuple(part.start // size for part, size in zip(cell, self.piece, strict=True))
        return self.array.metadata.encode_chunk_key(place)


def _cells(shape: Sequence[int], first: Sequence[int], chunks: Sequence[int]) -> Iterator[Cell]:
    """Yield the parts of a region that are in one chunk each, as slices of the region."""
    along = (
        itertools.pairwise([0, *range(width - start % width, n, width), n])
        for n, start, width in zip(shape, first, chunks, strict=True)
    )
    return itertools.product(*([slice(*ends) for ends in axis] for axis in along))


def _moved(cell: Cell, by: Sequence[int]) -> Cell:
    return tuple(slice(part.start + n, part.stop + n) for part, n in zip(cell, by, strict=True))


def _filled(rows: Rows, fill_value: Any) -> bool:
    """Whether all entries are the fill value; the first one says mostly that they are not."""
    if rows.size == 0:
        return False
    if fill_value != fill_value:  # noqa: PLR0124 - as NaN and NaT alone
        return bool(rows.flat[0] != rows.flat[0] and (rows != rows).all())  # noqa: PLR0124
    return bool(rows.flat[0] == fill_value and (rows == fill_value).all())


def _other(fill_value: Any, dtype: np.dtype[Any]) -> Any:
    """Return a value of the type that is not the fill value."""
    words = isinstance(fill_value, str)  # which may be objects to NumPy
    one, other = ("", "?") if words else (np.zeros((), dtype)[()], np.ones((), dtype)[()])
    return other if fill_value == one else one


def open_zarr(path: str | os.PathLike[str]) -> zarr.Array[Any] | zarr.Group:
    """Open what is at a path or URL for reading, zipped too; raise FileNotFoundError where nothing is."""
    name = os.fspath(path)
    zipped = name.endswith(".zip") and not is_url(name) and not os.path.isdir(name)
    try:
        store = zarr.storage.ZipStore(name, mode="r") if zipped else name
        try:
            return zarr.open(store, mode="r")
        except ContainsArrayError:  # Zarr looks twice, and an array was put there in between
            return zarr.open(store, mode="r")
    except FileNotFoundError:
        raise FileNotFoundError(nothing_there(name)) from None


def stored_rows(array: zarr.Array[Any]) -> StoredRows:
    """Return a Zarr array that refuses to make rows up, unless the configuration of Dask says otherwise."""
    return StoredRows(array, fill_unstored=dask.config.get(FILL_UNSTORED, False))
