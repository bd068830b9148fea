"""Arrays that go with the rows of a dask array, in its chunks: a weight, values or labels for each."""

from __future__ import annotations

import math
from typing import Any

import dask.array as da
import numpy as np

from dask_igtm.data.containers import Stored, array_in, as_dask, check_columns_known, is_xarray
from dask_igtm.data.frames import ids_in, is_dask_frame, numbers_in, target_in


def weights_of(X: da.Array, sample_weight: Any, in_memory: bool, remedy: str) -> da.Array:
    """Return the weights (n,) of the rows of `X`, float64 in its chunks; raise ValueError unless they fit.

    Sparse ones are a TypeError.
    """
    weights = _array(numbers_in(sample_weight, "sample_weight"), "sample_weight", in_memory=in_memory)
    if weights.dtype.kind not in "fiub":
        raise ValueError(f"sample_weight has dtype {weights.dtype}, which is not numeric; give numbers >= 0.")
    if weights.ndim != 1:
        raise ValueError(f"sample_weight has shape {weights.shape}; give a 1D array, one weight a row.")
    # Sums of bools, small integers or float16 would overflow.
    own = sizes_remedy(sample_weight, "sample_weight")
    return _aligned(X, weights.astype(np.float64), "sample_weight", "weight", (remedy, own))


def values_of(X: da.Array, y: Any, in_memory: bool, remedy: str) -> da.Array:
    """Return the values or labels (n,) or (n, T) of the rows of `X` in its chunks.

    Raises
    ------
    ValueError
        If there is not one of them for each row, or several rows of them.
    TypeError
        If they are sparse.
    """
    values = _array(target_in(y), "y", in_memory=in_memory)
    check_columns_known(values, "y")
    if values.ndim not in (1, 2) or values.shape[1:] == (0,):
        raise ValueError(f"y has shape {values.shape}; give (n,), or (n, T) for several columns.")
    return _aligned(X, values, "y", "value", (remedy, sizes_remedy(y, "y")))


def ids_of(X: da.Array, ids: Any, remedy: str, name: str = "ids") -> da.Array:
    """Return the ids (n,) of the rows of `X` in its chunks; raises as `values_of`."""
    what = "id" if name == "ids" else "value"
    return _aligned(X, id_array(ids, name), name, what, (remedy, sizes_remedy(ids, name)))


def id_array(ids: Any, name: str = "ids", *, in_memory: bool = False) -> Any:
    """Return ids as an array of one dimension, strings as objects; raise ValueError of other shapes."""
    values = _array(ids_in(ids), name, in_memory=in_memory)
    if values.ndim != 1:
        what = (
            "one id a row, or names of columns of X" if name == "ids" else "one value a row, or a data frame"
        )
        raise ValueError(f"{name} has shape {values.shape}; give {what}.")
    return values.astype(object) if values.dtype.kind in "UT" else values


def sizes_remedy(given: Any, name: str) -> str:
    """Say how the chunk sizes of what a user gave become known, if it is lazy."""
    if is_dask_frame(given):
        return f"give {name}.to_dask_array(lengths=True)"
    return f"call {name}{'.data' if is_xarray(given) else ''}.compute_chunk_sizes()"


def sizes_message(who: str, remedy: str, otherwise: str) -> str:
    """Say that `who` needs to know how many rows X has."""
    return (
        f"{who} needs to know how many rows X has, and its chunk sizes are unknown; {remedy}, or {otherwise}."
    )


def unknown(sizes: tuple[float, ...]) -> bool:
    """Whether some of the chunk sizes are unknown."""
    return any(math.isnan(size) for size in sizes)


def _array(values: Any, name: str, *, in_memory: bool) -> Any:
    values = array_in(values, name, table=False)
    if isinstance(values, Stored):
        values = as_dask(values, values.piece)
    if in_memory and isinstance(values, da.Array):
        values = values.compute()  # to where X is
    if isinstance(values, da.Array):
        return values
    array = np.asarray(values)
    if isinstance(values, (list, tuple)) and array.dtype.kind in "US":
        return np.array(values, dtype=object)  # what stood beside a string was made one, gaps too
    return array


def _aligned(X: da.Array, values: Any, name: str, what: str, remedies: tuple[str, str]) -> da.Array:
    lazy = isinstance(values, da.Array)
    if not lazy and unknown(X.chunks[0]):
        otherwise = "give it as a dask array with the chunks of X"
        raise ValueError(sizes_message(f"{name} in memory", remedies[0], otherwise))
    if lazy and (unknown(X.chunks[0]) or unknown(values.chunks[0])):
        if X.numblocks[0] != values.numblocks[0]:
            both = zip((X, values), remedies, strict=True)
            needed = " and ".join(remedy for array, remedy in both if unknown(array.chunks[0]))
            raise ValueError(
                f"X has {X.numblocks[0]} blocks and {name} {values.numblocks[0]}, and some of their sizes "
                f"are unknown; {needed}."
            )
        return values.rechunk({1: -1}) if values.ndim > 1 else values
    if values.shape[0] != X.shape[0]:
        raise ValueError(
            f"X has {X.shape[0]} rows, but {name} has shape {values.shape}; give one {what} a row."
        )
    chunks = (X.chunks[0], *values.shape[1:])
    # Cut here, for a worker is to get the entries of its own blocks alone.
    return values.rechunk(chunks) if lazy else da.from_array(values, chunks=chunks, name=False)
