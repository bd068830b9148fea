"""Results for rows that lie on the dimensions of xarray: they go back there, with the coordinates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dask_igtm.data.containers import is_xarray
from dask_igtm.data.cubes import grid_of, is_dataset
from dask_igtm.posterior.row_outputs import OF_TOP, POSITIONS, Output

Labels = tuple[str, Sequence[Any]]  # a dimension, and the coordinates along it


def columns_of(output: Output) -> Labels | None:
    """Return the dimension of the columns of an output; None where it has one number a row."""
    if output.width is None:
        return None
    if output.name in POSITIONS:
        return "igtm", ("x1", "x2")
    return ("igtm_rank", range(1, output.width + 1)) if output.name in OF_TOP else _nodes(output.width)


def _nodes(n_nodes: int) -> Labels:
    return "igtm_node", range(n_nodes)


def labelled(X: Any, values: Any, name: str, columns: Labels | None = None) -> Any:
    """Return what was found of the rows of `X` in the way in which it holds them; reads nothing.

    Parameters
    ----------
    X : whatever a user may give
    values : ndarray or dask array of shape (n,) or (n, C)
    name : str
        Of a DataArray.
    columns : (str, sequence), optional
        Name of the dimension along the columns of the values, and its coordinates.

    Returns
    -------
    xarray.DataArray or array
        On the dimensions and coordinates of the rows, and that of the columns, if `X` is of xarray; lazy
        where the values are. Of all else the values as they are.
    """
    if not is_labelled(X):
        return values
    import xarray as xr  # noqa: PLC0415 - which whoever gave X has

    dims, values = _dims(X), grid_of(X).gather(values) if is_dataset(X) else values
    coords = _coordinates(X, dims)
    if columns is None:
        return xr.DataArray(values, coords, dims, name)
    found = xr.DataArray(values, coords, (*dims, columns[0]), name)
    along = np.asarray(columns[1])  # words as objects, which Zarr has a type for
    return found.assign_coords({columns[0]: along.astype(object) if along.dtype.kind == "U" else along})


def is_labelled(X: Any) -> bool:
    """Whether rows of `X` have dimensions and coordinates of xarray."""
    return is_xarray(X) or is_dataset(X)


def as_dataset(X: Any, columns: Mapping[str, Any]) -> Any:
    """Return arrays (n,), one value for each row of `X`, as the variables of an xarray.Dataset.

    Parameters
    ----------
    X : xarray.DataArray or xarray.Dataset
        Whose dimensions and coordinates these get.
    columns : dict of str to ndarray or dask array
        The variables by name; lazy ones stay lazy.
    """
    import xarray as xr  # noqa: PLC0415 - which whoever gave X has

    return xr.Dataset({name: labelled(X, values, name) for name, values in columns.items()})


def as_given(X: Any, values: Any) -> Any:
    """Return other values (n, D) in place of those of `X`: a DataArray or Dataset like it, or an array."""
    if is_xarray(X):
        return X.copy(data=values)
    if not is_dataset(X):
        return values
    grid = grid_of(X)
    columns = {
        name: (grid.dims, grid.gather(values[:, i]), array.attrs)
        for i, (name, array) in enumerate(X.data_vars.items())
    }
    return X.assign(columns)


def _dims(X: Any) -> tuple[Any, ...]:
    return grid_of(X).dims if is_dataset(X) else X.dims[:1]


def _coordinates(X: Any, dims: tuple[Any, ...]) -> Any:
    """Return the coordinates that lie along the rows, their indexes as they are."""
    others = [name for name, coordinate in X.coords.items() if not set(coordinate.dims) <= set(dims)]
    return X.coords.to_dataset().drop_vars(others).coords
