"""Several arrays beside X as one, a record for each row, so that they travel with it in a single pass."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dask.array as da
import numpy as np

from dask_igtm.data.row_arrays import ids_of
from dask_igtm.passes.block_checks import Declared


def records_of(X: da.Array, names: Mapping[str, Any], remedy: str) -> da.Array:
    """Return the names of the rows of `X` as records, a field for each, in its chunks; raises as `ids_of`."""
    return side_by_side({name: ids_of(X, ids, remedy) for name, ids in names.items()})


def side_by_side(beside: Mapping[str, da.Array]) -> da.Array:
    """Return arrays of shape (n,) or (n, T), in the same chunks of rows, as records (n,) with a field each.

    Computed, it raises TypeError or ValueError where a block is not what its array says, or blocks differ in
    their numbers of rows.
    """
    declared = tuple(Declared.by(name, array) for name, array in beside.items())
    record = np.dtype([(name, _held(array.dtype), array.shape[1:]) for name, array in beside.items()])
    arrays = (part for array in beside.values() for part in (array, "ij"[: array.ndim]))
    return da.blockwise(
        _of_columns,
        "i",
        *arrays,
        names=tuple(beside),
        declared=declared,
        concatenate=True,
        align_arrays=False,
        dtype=record,
        meta=np.empty(0, record),
    )


def _of_columns(*columns: Any, names: tuple[str, ...], declared: tuple[Declared, ...]) -> Any:
    """Return the records of a block, in the types that it has: a string may be longer than was declared."""
    for column, says in zip(columns, declared, strict=True):
        says.check(column, None)
    sizes = [len(column) for column in columns]
    if min(sizes) < max(sizes):
        raise ValueError(f"Blocks of {', '.join(names)} have {sizes} rows; give them in the chunks of X.")
    kinds = zip(names, columns, strict=True)
    records = np.empty(sizes[0], [(name, _held(column.dtype), column.shape[1:]) for name, column in kinds])
    for name, column in zip(names, columns, strict=True):
        records[name] = column
    return records


def _held(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type in which a record has what is of this one: strings of any length as objects."""
    return np.dtype(object) if dtype.kind == "T" else dtype
