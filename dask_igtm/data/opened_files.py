"""Rows of files that the user has opened by h5py or xarray, read when a block of them is asked for."""

from __future__ import annotations

import os
import socket
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.plain_text import escaped

Rows = NDArray[Any]

ON_DISK = ("sec2", "stdio", "windows")  # drivers of HDF5 whose files other processes can open


@dataclass(frozen=True)
class Hdf5Rows:
    """A dataset of HDF5 for `dask.array.from_array`, by its name, for h5py does not pickle what it opens.

    Attributes
    ----------
    path, name : str
        Of the file, and of the dataset in it.
    shape : tuple of int
    dtype : numpy.dtype
    piece : tuple of int
        Shape of the least that can be read at once.
    """

    path: str
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    piece: tuple[int, ...]

    @property
    def ndim(self) -> int:
        """Of a table: 2."""
        return len(self.shape)

    def __getitem__(self, index: tuple[slice, ...]) -> Rows:
        """Return some rows; raise OSError where the file cannot be opened."""
        import h5py  # noqa: PLC0415 - not of this package, but of whoever gave the dataset

        try:
            file = h5py.File(self.path, "r")
        except OSError as error:
            error.add_note(
                f"{socket.gethostname()} cannot open {escaped(self.path)}; give a path that every worker "
                "sees, of a file that nobody has open for writing."
            )
            raise
        with file:
            dataset = file[self.name]
            words = self.dtype.kind == "O"  # which h5py would give as bytes
            return np.asarray((dataset.asstr() if words else dataset)[index])


@dataclass(frozen=True)
class XarrayRows:
    """A DataArray of xarray that is not loaded, for `dask.array.from_array`."""

    array: Any

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, and columns of a table; or that of a cube."""
        return tuple(self.array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of an entry."""
        dtype: np.dtype[Any] = self.array.dtype
        return dtype

    @property
    def ndim(self) -> int:
        """Of a table: 2."""
        return len(self.shape)

    @property
    def piece(self) -> tuple[int, ...]:
        """Shape of the least that can be read at once."""
        chunks = self.array.encoding.get("preferred_chunks", {})
        return tuple(chunks.get(name, 1) for name in self.array.dims)

    def __getitem__(self, index: tuple[slice, ...]) -> Rows:
        """Return some rows, and leave none of them loaded."""
        return np.asarray(self.array[index].values)

    def __dask_tokenize__(self) -> str:
        """Return a name of its own, for one made from the rows would load them."""
        return uuid.uuid4().hex


def xarray_rows(array: Any) -> XarrayRows:
    """Return a DataArray that is not loaded as rows, without coordinates, which may be as long as these."""
    return XarrayRows(array.drop_vars(list(array.coords)))


def hdf5_kind(X: Any) -> str | None:
    """Return "dataset" or "group" (a file is one) for objects of h5py, which need not be installed."""
    kinds = {"Dataset": "dataset", "Group": "group"}
    found = (kinds.get(cls.__name__) for cls in type(X).__mro__ if cls.__module__.startswith("h5py."))
    return next(filter(None, found), None)


def refuse_closed(X: Any, name: str) -> None:
    """Raise ValueError if an object of h5py belongs to a file that is closed."""
    if not X:
        raise ValueError(f"{name} is of h5py, and its file is closed; open the file again.")


def dataset_rows(dataset: Any, name: str) -> Hdf5Rows:
    """Return a dataset of h5py as rows that any process reads; raise TypeError where no file is on disk."""
    driver, path = dataset.file.driver, os.path.abspath(dataset.file.filename)
    if driver not in ON_DISK:
        raise TypeError(
            f"{name} is a dataset of h5py in a file of driver {driver!r}, which cannot be opened again by "
            f"its path; give {name}[...], which is in memory, or dask.array.from_array({name}, chunks=...), "
            "which only threads of this process can read."
        )
    shape = dataset.shape or ()  # None of one that was made without
    return Hdf5Rows(path, dataset.name, shape, dataset.dtype, dataset.chunks or (1,) * len(shape))
