"""The kinds of tables that users have: which are lazy, what is in them, what their columns are called."""

from __future__ import annotations

import os
from typing import Any

import dask
import dask.array as da
import numpy as np
import zarr


def is_lazy(X: Any) -> bool:
    """Whether `X` names or promises data instead of holding them."""
    if _is_xarray(X):
        return is_lazy(X.data)
    return isinstance(X, (da.Array, zarr.Array, zarr.Group, str, os.PathLike)) or _is_dask_frame(X)


def unwrapped(X: Any) -> Any:
    """Return the array in a data frame or series of Dask or a DataArray of xarray; all else as it is."""
    if _is_xarray(X):
        return X.data
    if not _is_dask_frame(X):
        return X
    if X.ndim == 1 and not isinstance(X.dtype, np.dtype):
        X = X.astype(object)  # a series of pandas' own types, such as strings
    return X.to_dask_array()


def header(X: Any) -> Any:
    """Return a table without rows that names the columns of lazy `X`; None where they have no names."""
    if _is_dask_frame(X):
        return X._meta
    names = _names(X) if _is_xarray(X) else None
    return None if names is None else frame([], names)


def column_names(table: Any) -> list[str] | None:
    """Return the names of the columns of a data frame or a DataArray of xarray; None where it has none."""
    names = _names(table) if _is_xarray(table) else getattr(table, "columns", None)
    return None if names is None else [str(name) for name in names]


def series_name(values: Any) -> str | None:
    """Return the name of a series; those of dask and Zarr arrays say where they are, not what."""
    name = None if isinstance(values, (da.Array, zarr.Array)) else getattr(values, "name", None)
    return name if isinstance(name, str) else None


def word_columns(X: Any) -> list[str]:
    """Names of the columns of a data frame that hold no numbers."""
    dtypes = getattr(X, "dtypes", None)
    if dtypes is None or isinstance(X, (da.Array, zarr.Array)):
        return []
    return [str(name) for name, dtype in dtypes.items() if getattr(dtype, "kind", "O") not in "biufc"]


def named(X: Any) -> Any:
    """Return `X` in memory so that scikit-learn sees its names: a DataArray of xarray as a data frame."""
    if not _is_xarray(X):
        return X
    names = _names(X)
    return X.data if names is None else frame(X.data, names)


def frame(values: Any, names: Any) -> Any:
    """Return a pandas.DataFrame with columns of these names; raise ImportError if pandas is not installed."""
    try:
        import pandas as pd  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise ImportError(
            "A data frame needs pandas, which is not installed; pip install 'dask_igtm[tables]'."
        ) from error
    return pd.DataFrame(values, columns=names)


def _names(X: Any) -> Any:
    """Values of the coordinate that labels the columns of a DataArray, if these are strings."""
    labels = X.coords.get(X.dims[1]) if X.ndim == 2 else None
    return labels.values if labels is not None and labels.dtype.kind in "OUT" else None


def _is_xarray(X: Any) -> bool:
    return type(X).__module__.startswith("xarray.") and type(X).__name__ == "DataArray"


def _is_dask_frame(X: Any) -> bool:
    return dask.is_dask_collection(X) and hasattr(X, "to_dask_array")
