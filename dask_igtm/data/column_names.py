"""What the columns of a table are called, and tables whose columns have names."""

from __future__ import annotations

from typing import Any

import dask.array as da
import zarr

from dask_igtm.data.containers import is_xarray
from dask_igtm.data.frames import frame, is_dask_frame


def header(X: Any) -> Any:
    """Return a table without rows that names the columns of lazy `X`; None where they have no names."""
    if is_dask_frame(X):
        return X._meta
    names = _coordinate(X) if is_xarray(X) else None
    return None if names is None else frame([], names)


def column_names(table: Any) -> list[str] | None:
    """Return the names of the columns of a data frame or a DataArray of xarray; None where it has none."""
    names = _coordinate(table) if is_xarray(table) else getattr(table, "columns", None)
    return None if names is None else [str(name) for name in names]


def series_name(values: Any) -> str | None:
    """Return the name of a series, or of the only column of a frame.

    Those of dask and Zarr arrays say where they are, not what.
    """
    name = None if isinstance(values, (da.Array, zarr.Array)) else getattr(values, "name", None)
    columns = getattr(values, "columns", ())
    name = next(iter(columns)) if len(columns) == 1 else name
    return name if isinstance(name, str) else None


def named(X: Any) -> Any:
    """Return `X` in memory so that scikit-learn sees its names: a DataArray of xarray as a data frame."""
    if not is_xarray(X):
        return X
    names = _coordinate(X)
    return X.data if names is None else frame(X.data, names)


def _coordinate(X: Any) -> Any:
    """Values of the coordinate that labels the columns of a DataArray, if these are strings."""
    labels = X.coords.get(X.dims[1]) if X.ndim == 2 else None
    return labels.values if labels is not None and labels.dtype.kind in "OUT" else None
