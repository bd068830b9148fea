"""The containers in which users give data: which of them are lazy, and the array in each."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import Any

import dask.array as da
import numpy as np
import zarr
from scipy.sparse import csr_array

from dask_igtm.data.csr_rows import CsrRows, csr_rows
from dask_igtm.data.csv_files import CsvTable
from dask_igtm.data.cubes import cube_rows, is_dataset, is_loaded
from dask_igtm.data.encodings import BY_ROWS, encoding_of, is_backed
from dask_igtm.data.frames import is_dask_frame, numbers_in
from dask_igtm.data.named_columns import NamedColumns
from dask_igtm.data.no_tables import refuse
from dask_igtm.data.opened_files import (
    Hdf5Rows,
    XarrayRows,
    dataset_rows,
    hdf5_kind,
    refuse_closed,
    xarray_rows,
)
from dask_igtm.data.parquet_rows import ParquetRows
from dask_igtm.data.places import hdf5_group, zarr_group
from dask_igtm.data.stored_tables import rows_in
from dask_igtm.data.table_files import NamedTable, open_path
from dask_igtm.data.zarr_io import StoredRows, stored_rows

Stored = StoredRows | Hdf5Rows | XarrayRows | CsrRows | ParquetRows


def is_lazy(X: Any) -> bool:
    """Whether `X` names or promises data instead of holding them."""
    if is_xarray(X):
        return not is_loaded(X)
    if is_dataset(X):
        return any(not is_loaded(array) for array in X.data_vars.values())
    kinds = (da.Array, zarr.Array, zarr.Group, str, os.PathLike, Stored, CsvTable)
    return isinstance(X, kinds) or is_dask_frame(X) or hdf5_kind(X) is not None or is_backed(X)


def is_xarray(X: Any) -> bool:
    """Whether `X` is a DataArray of xarray, which need not be installed."""
    return type(X).__module__.startswith("xarray.") and type(X).__name__ == "DataArray"


def opened(X: Any, columns: Sequence[str] = ()) -> Any:
    """Return what is at a path or URL, the group of a backed matrix, everything else as it is.

    That is an array or group of Zarr, of which a table with ids gives its rows; ParquetRows; or a lazy data
    frame of CSV. Of rows in files that have all these columns, they alone are taken.
    """
    if is_backed(X):
        return X.group
    if isinstance(X, (str, os.PathLike)):
        X = open_path(os.fspath(X), columns)
    if isinstance(X, NamedTable):
        X = X.choose(columns)
    return X.numbers if isinstance(X, CsvTable) else rows_in(X)


def array_in(X: Any, name: str = "X", *, table: bool = True) -> Any:
    """Return the array that a container holds, as it is where it is none; reads nothing.

    Parameters
    ----------
    X : path or URL of Zarr, Parquet or CSV, zarr.Array, h5py.Dataset, CSR group of either, xarray.DataArray
        or Dataset, data frame or series of Dask, or anything else
    name : str
        What it is, for messages.
    table : bool
        Whether it has to have rows and columns, or can be one value a row.

    Returns
    -------
    dask.array.Array, Stored, or X itself

    Raises
    ------
    FileNotFoundError
        If nothing is at the path.
    TypeError
        If it is any other group, or of a kind that has no table in it, or has a mask, which would be lost.
    ValueError
        If columns of a data frame of Dask hold no numbers, the arrays of a CSR group do not fit, or an
        xarray.DataArray has more dimensions than rows and columns.
    """
    X = opened(X.array if isinstance(X, NamedColumns) else X)
    if isinstance(X, Stored):
        return X
    if table and is_dataset(X):
        X = cube_rows(X)
    if hdf5_kind(X):
        refuse_closed(X, name)
    if isinstance(X, zarr.Group) or hdf5_kind(X) == "group":
        if table and encoding_of(X) == BY_ROWS:
            return csr_rows(X, name)
        message = zarr_group if isinstance(X, zarr.Group) else hdf5_group
        raise TypeError(message(X, name, table=table))
    refuse(X, name, table=table)
    return _in_xarray(X, name, table) if is_xarray(X) else _array_of(X, name, table)


def _array_of(X: Any, name: str, table: bool) -> Any:
    if isinstance(X, zarr.Array):
        return stored_rows(X)
    if hdf5_kind(X) == "dataset":
        return dataset_rows(X, name)
    if is_dask_frame(X):
        return numbers_in(X, name)
    if is_xarray(X) and not (X.variable._in_memory or X.chunks is not None):
        return XarrayRows(X)
    if is_xarray(X):
        return array_in(X.data, name, table=table)
    if table and not isinstance(X, da.Array):
        _check_shape(getattr(X, "shape", (1, 1)))
    return X


def _in_xarray(X: Any, name: str, table: bool) -> Any:
    if table and X.ndim > 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D array with dimensions {X.dims}; give {name}.to_dataset(dim), "
            "with the dimension along which the columns lie."
        )
    loaded = is_loaded(X) or X.chunks is not None
    return array_in(X.data, name, table=table) if loaded else xarray_rows(X)


def as_dask(rows: Stored, chunks: tuple[Any, ...]) -> da.Array:
    """Return rows that are stored somewhere as a dask array in chunks of a size."""
    if isinstance(rows, CsrRows):
        return da.from_array(
            rows, chunks=chunks, asarray=False, meta=csr_array((0, rows.shape[1]), dtype=rows.dtype)
        )
    return da.from_array(rows, chunks=chunks, meta=np.empty((0,) * rows.ndim, rows.dtype))


def check_columns_known(X: Any, name: str) -> None:
    """Raise ValueError if it is unknown how many columns a dask array has, as where a mask chose them."""
    if X.ndim == 2 and math.isnan(X.shape[1]):
        raise ValueError(
            f"{name} has an unknown number of columns, shape {X.shape}; call {name}.compute_chunk_sizes(), "
            "or choose its columns by their numbers."
        )


def check_table(X: Any) -> None:
    """Raise ValueError or TypeError unless the array `X` is a table of real numbers with rows and columns."""
    held = getattr(X, "_meta", X)
    if hasattr(held, "todense") and not hasattr(held, "tocsr"):
        raise TypeError(
            f"X has chunks of {type(held).__name__}; give scipy.sparse or dense ones, with "
            "X.map_blocks(lambda block: block.todense())."
        )
    _check_shape(X.shape)
    check_columns_known(X, "X")
    if X.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: X has dtype {X.dtype}; give real columns, such as X.real, X.imag."
        )
    if X.dtype.kind not in "fiub":
        raise ValueError(
            f"X has dtype {X.dtype}, which is not numeric; convert it, for example with X.astype(float)."
        )


def _check_shape(shape: tuple[float, ...]) -> None:
    if len(shape) != 2:
        raise ValueError(
            f"Expected 2D array, got {len(shape)}D array with shape {shape}. "
            "Reshape your data to (rows, columns)."
        )
    for n, what in zip(reversed(shape), ("feature(s)", "sample(s)"), strict=True):
        if n == 0:
            raise ValueError(f"Found array with 0 {what} (shape={shape}) while a minimum of 1 is required.")
