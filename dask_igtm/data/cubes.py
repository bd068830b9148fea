"""Cubes: datasets of xarray whose variables share their dimensions. Each point of these is a row.

A variable is a column. Rows of a lazy cube come in its chunks, each in an order of its own, so that nothing
moves between chunks; what is found of them goes back to where they came from. No index of all rows is made.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from dask_igtm.data.block_shapes import ravelled, unravelled
from dask_igtm.data.opened_files import xarray_rows

READ_BYTES = 4 * 2**20  # of a block that is read from a file without chunks of Dask


def is_dataset(X: Any) -> bool:
    """Whether `X` is a Dataset of xarray, which need not be installed."""
    return type(X).__module__.startswith("xarray.") and type(X).__name__ == "Dataset"


def is_loaded(array: Any) -> bool:
    """Whether a DataArray holds its values."""
    loaded: bool = array.variable._in_memory
    return loaded


@dataclass(frozen=True)
class Grid:
    """Where the rows of a cube lie.

    Attributes
    ----------
    dims : tuple of str
        Dimensions, in the order of the first variable.
    shape : tuple of int
    chunks : tuple of tuples of int
        Sizes of the chunks along each dimension: one of all that is in memory.
    lazy : bool
        Whether some variable is not in memory.
    """

    dims: tuple[Any, ...]
    shape: tuple[int, ...]
    chunks: tuple[tuple[int, ...], ...]
    lazy: bool

    def spread(self, array: Any) -> Any:
        """Return a DataArray on some of the dimensions as an array (n,), repeated along the others.

        It is lazy where the array or the cube is.
        """
        dims = [dim for dim in self.dims if dim in array.dims]
        array = array.transpose(*dims)
        places = tuple(slice(None) if dim in dims else None for dim in self.dims)
        if is_loaded(array):
            values = np.broadcast_to(np.asarray(array.data)[places], self.shape)
            if not self.lazy:
                return values.reshape(-1)
            points = da.from_array(values, chunks=self.chunks, name=False)
        else:
            chunks = tuple(sizes for dim, sizes in zip(self.dims, self.chunks, strict=True) if dim in dims)
            points = _as_dask(array, chunks)
            if len(dims) < len(self.dims):
                grid = da.empty(self.shape, chunks=self.chunks, dtype=np.uint8)
                meta = np.empty((0,) * grid.ndim, points.dtype)
                points = da.map_blocks(
                    _repeated, points[places], grid, chunks=self.chunks, dtype=points.dtype, meta=meta
                )
        return points if len(self.dims) == 1 else ravelled(points, len(self.dims))

    def gather(self, values: Any) -> Any:
        """Return an array (n,) or (n, C), one row for each point, in the shape of the grid."""
        if not isinstance(values, da.Array):
            return values.reshape((*self.shape, *values.shape[1:]))
        if len(self.dims) == 1:
            return values
        return unravelled(values, self.chunks)


def grid_of(cube: Any) -> Grid:
    """Return where the rows of a cube lie; reads nothing.

    Raises
    ------
    ValueError
        If the dataset has no variables, or these have different dimensions or none.
    """
    arrays = list(cube.data_vars.values())
    dims = arrays[0].dims if arrays else ()
    if not dims or any(set(array.dims) != set(dims) for array in arrays):
        listed = ", ".join(f"{array.name!r} {tuple(map(str, array.dims))}" for array in arrays[:5])
        raise ValueError(
            "X is an xarray.Dataset, each of whose variables is a column, and these share no dimensions: "
            f"{listed or 'there are none'}. Give those that do, as in X[['u', 'v']], or repeat the others "
            "along the dimensions that they lack, with X.broadcast_like(X)."
        )
    lazy = any(not is_loaded(array) for array in arrays)
    shape = tuple(cube.sizes[dim] for dim in dims)
    chunks = _chunks(arrays, dims, shape) if lazy else ((n,) for n in shape)
    return Grid(dims, shape, tuple(chunks), lazy)


def cube_rows(cube: Any) -> Any:
    """Return the points of a cube as rows (n, D): an ndarray, or a dask array with a block for each chunk.

    Raises
    ------
    ValueError
        As `grid_of`, and if a variable holds no real numbers; the message names it.
    """
    grid = grid_of(cube)
    arrays = [array.transpose(*grid.dims) for array in cube.data_vars.values()]
    words = [repr(array.name) for array in arrays if array.dtype.kind not in "fiub"]
    if words:
        raise ValueError(
            f"X has variables that are not numeric: {', '.join(words)}; drop them, or make them numbers."
        )
    if not grid.lazy:
        return np.stack([np.asarray(array.data).reshape(-1) for array in arrays], axis=1)
    parts = [_as_dask(array, grid.chunks) for array in arrays]
    dtype = np.result_type(*(part.dtype for part in parts))
    points = da.map_blocks(
        _points,
        *parts,
        new_axis=len(grid.dims),
        chunks=(*grid.chunks, (len(parts),)),
        dtype=dtype,
        meta=_points(*(part._meta for part in parts)).astype(dtype),
    )
    return points if points.ndim == 2 else ravelled(points, len(grid.dims))


def _points(*blocks: NDArray[Any]) -> Any:
    """Return the blocks of variables as columns; masks stay, for rows that have one are refused."""
    masked = any(isinstance(block, np.ma.MaskedArray) for block in blocks)
    return np.ma.stack(blocks, axis=-1) if masked else np.stack(blocks, axis=-1)


def _repeated(values: NDArray[Any], grid: NDArray[Any]) -> NDArray[Any]:
    return np.broadcast_to(values, grid.shape)


def _as_dask(array: Any, chunks: tuple[tuple[int, ...], ...]) -> da.Array:
    """Return what a DataArray holds or promises as a dask array in these chunks."""
    if array.chunks is not None:
        return array.data.rechunk(chunks)
    if is_loaded(array):
        return da.from_array(np.asarray(array.data), chunks=chunks, name=False)
    rows = xarray_rows(array)
    return da.from_array(rows, chunks=chunks, meta=np.empty((0,) * rows.ndim, rows.dtype))


def _chunks(arrays: list[Any], dims: tuple[Any, ...], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return chunks that cut nowhere but where chunks of dask arrays end; of files whole stored ones."""
    of_dask = [dict(zip(array.dims, array.chunks, strict=True)) for array in arrays if array.chunks]
    if of_dask:
        return [_common([chunks[dim] for chunks in of_dask]) for dim in dims]
    first = next(array for array in arrays if not is_loaded(array))
    stored = first.encoding.get("preferred_chunks")
    # Files without chunks have the first dimension slowest.
    sizes = [stored.get(dim, 1) for dim in dims] if stored else [1, *shape[1:]]
    most = READ_BYTES // (len(arrays) * first.dtype.itemsize)
    for axis, n in enumerate(shape):
        sizes[axis] *= max(1, min(most // math.prod(sizes), math.ceil(n / sizes[axis])))
    return list(da.core.normalize_chunks(tuple(sizes), shape))


def _common(cuts: list[tuple[int, ...]]) -> tuple[int, ...]:
    """Return the chunk sizes that end wherever one of several chunkings does."""
    ends = sorted({0, *(end for sizes in cuts for end in np.cumsum(sizes).tolist())})
    return tuple(stop - start for start, stop in itertools.pairwise(ends))


def on_points(cube: Any, values: Any, name: str) -> Any:
    """Return a weight, value or label for each point of a cube, (n,) in the order of its rows.

    Parameters
    ----------
    cube : xarray.Dataset
    values : xarray.DataArray
        On some or all of its dimensions, along which it has the coordinates of the cube.
    name : str
        What the values are, for messages.

    Raises
    ------
    TypeError
        If they are no DataArray, which does not tell where they belong.
    ValueError
        If they have other dimensions, sizes or coordinates.
    """
    grid = grid_of(cube)
    on = f"X is an xarray.Dataset on {grid.dims}"
    if not (type(values).__module__.startswith("xarray.") and hasattr(values, "variable")):
        raise TypeError(
            f"{on}, and {name} is of type {type(values).__name__}; give an xarray.DataArray on some or all "
            "of these dimensions."
        )
    sizes = dict(zip(grid.dims, grid.shape, strict=True))
    if any(sizes.get(dim) != size for dim, size in values.sizes.items()):
        raise ValueError(
            f"{on} of sizes {grid.shape}, and {name} has sizes {dict(values.sizes)}; give it on some or all "
            "of these dimensions."
        )
    for dim in values.dims:
        mine, its = cube.indexes.get(dim), values.indexes.get(dim)
        if mine is not None and its is not None and not mine.equals(its):
            raise ValueError(
                f"{name} has other coordinates along {dim!r} than X, or another order of them; give "
                f"{name}.reindex({dim}=X[{str(dim)!r}])."
            )
    return grid.spread(values)
