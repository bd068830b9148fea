"""Labels of rows: what goes with the rows of X has theirs, in their order, wherever both have some."""

from __future__ import annotations

from collections import Counter
from typing import Any

from dask_igtm.data.containers import is_lazy, is_xarray
from dask_igtm.data.cubes import is_dataset, on_points
from dask_igtm.data.frames import is_dask_frame


def with_rows_of(X: Any, values: Any, name: str) -> Any:
    """Return `values` that go with the rows of `X`, compared by their index where both have one.

    Parameters
    ----------
    X, values : any containers
        Series and frames of pandas, and arrays of xarray with coordinates along their rows, are compared at
        once. Two lazy frames are compared block by block, when those are read. What goes with a Dataset of
        xarray is a DataArray on some of its dimensions, see `on_points`.
    name : str
        What the values are, for messages.

    Returns
    -------
    container
        The values; a frame of Dask beside X in memory is computed, to where X is.

    Raises
    ------
    ValueError
        If both have as many rows, and other labels or another order of them; of lazy frames when computed.
    TypeError
        If X is a Dataset of xarray, and the values no DataArray.
    """
    if is_dataset(X):
        return None if values is None else on_points(X, values, name)
    if is_dask_frame(X) and is_dask_frame(values):
        if X.npartitions != values.npartitions:
            return values  # refused by what cuts them into blocks
        return values.map_partitions(
            _same_block, X.index, name, meta=values._meta, align_dataframes=False, enforce_metadata=False
        )
    index = _index(X)
    if index is None:
        return values
    if is_dask_frame(values) and not is_lazy(X):
        values = values.compute()
    _check(index, _index(values), name)
    return values


def _index(values: Any) -> Any:
    """Return the pandas.Index of the rows; None where they have none that is in memory."""
    if is_xarray(values):
        return values.indexes.get(values.dims[0])
    return values.index if hasattr(values, "iloc") and not is_dask_frame(values) else None


def _same_block(values: Any, index: Any, name: str) -> Any:
    _check(index, values.index, name)
    return values


def _check(index: Any, other: Any, name: str) -> None:
    """Raise ValueError unless two indices are equal; other lengths are told by what cuts rows into blocks."""
    if other is None or len(index) != len(other) or index.equals(other):
        return
    pairs = enumerate(zip(index, other, strict=True))
    place = next((i for i, (one, two) in pairs if one != two), None)
    if place is None:  # the same labels, of other types
        return
    same = Counter(index) == Counter(other)
    how = "the rows of X in another order" if same else "other rows than X"
    remedy = f"{name}.reindex(X.index)" if same else "those of the rows of X"
    raise ValueError(
        f"{name} has {how}, by its index: row {place} is {other[place]}, and in X {index[place]}. Give "
        f"{remedy}, or {name}.to_numpy() if the rows go together as they are."
    )
