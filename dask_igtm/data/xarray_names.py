"""What the rows of an array or dataset of xarray are called: their coordinates."""

from __future__ import annotations

from typing import Any

from dask_igtm.data.containers import is_lazy
from dask_igtm.data.cubes import Grid, grid_of, is_dataset
from dask_igtm.data.row_blocks import row_blocks

Names = dict[str, Any]  # of columns, to arrays with an entry for each row


def coordinates_of_rows(X: Any) -> Names:
    """Return the coordinates of the rows of an xarray.DataArray or Dataset; reads nothing else.

    Parameters
    ----------
    X : xarray.DataArray of shape (n, D), or xarray.Dataset

    Returns
    -------
    dict of str to array of shape (n,)
        By the names of the coordinates; of a stacked one each level, and numbers along a dimension of a
        Dataset without coordinates. In the order of the rows: ndarrays, or dask arrays in the blocks of lazy
        X. Empty if a DataArray has no coordinates along its rows.
    """
    return _of_cube(X) if is_dataset(X) else _of_array(X)


def _of_array(X: Any) -> Names:
    dim, lazy = X.dims[0], is_lazy(X)
    levels = X.indexes[dim].names if dim in X.indexes else ()
    tuples = {dim} if len(levels) > 1 else set()  # of the levels, which are coordinates themselves
    along = {name: c for name, c in X.coords.items() if c.dims == (dim,) and name not in tuples}
    sizes = row_blocks(X).X.chunks[0] if lazy and along else X.shape[:1]
    return _spread(Grid((dim,), X.shape[:1], (sizes,), lazy), along)


def _of_cube(X: Any) -> Names:
    grid = grid_of(X)
    along = {dim: X[dim] for dim in grid.dims}  # numbers where there are no coordinates
    along |= {name: c for name, c in X.coords.items() if c.dims and set(c.dims) <= set(grid.dims)}
    return _spread(grid, along)


def _spread(grid: Grid, coordinates: Names) -> Names:
    values = {str(name): grid.spread(coordinate) for name, coordinate in coordinates.items()}
    return {name: each.astype(object) if each.dtype.kind in "UT" else each for name, each in values.items()}
