"""The containers in which users give data: which of them are lazy, and the array in each."""

from __future__ import annotations

import os
from typing import Any

import dask.array as da
import numpy as np
import zarr

from dask_igtm.data.frames import is_dask_frame, numbers_in
from dask_igtm.data.zarr_io import open_zarr


def is_lazy(X: Any) -> bool:
    """Whether `X` names or promises data instead of holding them."""
    if is_xarray(X):
        return is_lazy(X.data)
    return isinstance(X, (da.Array, zarr.Array, zarr.Group, str, os.PathLike)) or is_dask_frame(X)


def is_xarray(X: Any) -> bool:
    """Whether `X` is a DataArray of xarray, which need not be installed."""
    return type(X).__module__.startswith("xarray.") and type(X).__name__ == "DataArray"


def array_in(X: Any, name: str = "X") -> Any:
    """Return the array that a container holds, as it is where it is none; reads nothing.

    Parameters
    ----------
    X : path or URL of Zarr, xarray.DataArray, data frame or series of Dask, or anything else
    name : str
        What it is, for messages.

    Raises
    ------
    FileNotFoundError
        If nothing is at the path.
    TypeError
        If it is a Zarr group, or has a mask, which would be lost.
    ValueError
        If columns of a data frame of Dask hold no numbers.
    """
    if isinstance(X, (str, os.PathLike)):
        X = open_zarr(X)
    if isinstance(X, zarr.Group):
        inside = ", ".join(sorted(X.array_keys())) or "none"
        raise TypeError(
            f"{name} is the Zarr group {X.store_path}; give the path of one of its arrays: {inside}."
        )
    if is_xarray(X):
        X = X.data
    elif is_dask_frame(X):
        X = numbers_in(X, name)
    refuse_mask(X, name)
    return X


def refuse_mask(X: Any, name: str) -> None:
    """Raise TypeError if an array, or the chunks of a dask array, have a mask, which would be lost."""
    if isinstance(getattr(X, "_meta", X), np.ma.MaskedArray):
        raise TypeError(
            f"{name} is a masked array, and its mask would be lost; fill it, with {name}.filled(value) in "
            f"memory or da.ma.filled({name}, value)."
        )


def check_table(X: Any) -> None:
    """Raise ValueError or TypeError unless the array `X` is a table of real numbers with rows and columns."""
    held = getattr(X, "_meta", X)
    if hasattr(held, "todense") and not hasattr(held, "tocsr"):
        raise TypeError(
            f"X has chunks of {type(held).__name__}; give scipy.sparse or dense ones, with "
            "X.map_blocks(lambda block: block.todense())."
        )
    if X.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D array with shape {X.shape}. "
            "Reshape your data to (rows, columns)."
        )
    if X.dtype.kind == "c":
        raise ValueError(
            f"Complex data not supported: X has dtype {X.dtype}; give real columns, such as X.real, X.imag."
        )
    if X.dtype.kind not in "fiub":
        raise ValueError(
            f"X has dtype {X.dtype}, which is not numeric; convert it, for example with X.astype(float)."
        )
    if X.shape[1] == 0:
        raise ValueError(f"Found array with 0 feature(s) (shape={X.shape}) while a minimum of 1 is required.")
    if X.shape[0] == 0:
        raise ValueError(f"Found array with 0 sample(s) (shape={X.shape}) while a minimum of 1 is required.")
