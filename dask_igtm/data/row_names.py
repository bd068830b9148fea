"""What the rows of a table are called: by its index, by columns that are ids, or by ids beside it.

Containers that name their rows themselves do so in `_own_names`; readers of further ones belong there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import dask.array as da
import numpy as np

from dask_igtm.data.column_names import SHOWN, series_name
from dask_igtm.data.containers import is_lazy, is_xarray, opened
from dask_igtm.data.cubes import grid_of, is_dataset
from dask_igtm.data.frames import arrow_frame, ids_in, is_dask_frame, is_pandas_frame
from dask_igtm.data.no_tables import refuse
from dask_igtm.data.row_arrays import id_array, ids_of, sizes_message, sizes_remedy, unknown
from dask_igtm.data.row_blocks import row_blocks
from dask_igtm.data.row_index import with_rows_of
from dask_igtm.data.table_columns import check_distinct
from dask_igtm.data.table_ids import table_ids
from dask_igtm.data.xarray_names import coordinates_of_rows

Names = dict[str, Any]

NUMBER = "row"  # the name of what has none


def named_rows(X: Any, ids: Any = None) -> tuple[Any, Names]:
    """Return a table without the columns that are ids, and the names of its rows; reads nothing lazy.

    Parameters
    ----------
    X : any container of rows
    ids : str, sequence of str, array or series of n, or None
        Names of columns of X that are ids, or an id for each row; by default the container's own, and row
        numbers where it has none.

    Returns
    -------
    X : container
    names : dict of str to arrays of shape (n,)
        In order. They are ndarrays, or of lazy X dask arrays in its chunks. Row numbers are called "row".

    Raises
    ------
    ValueError
        If X has no such columns, if there is not one id a row, or if lazy X without names has an unknown
        number of rows.
    """
    X, names = split_names(X, ids)
    return X, {NUMBER: _row_numbers(X)} if names is None else names


def split_names(X: Any, ids: Any = None) -> tuple[Any, Names | None]:
    """Return what `named_rows` does, but None for rows that have numbers alone."""
    return table_ids(X, ids) or _split(opened(X), ids)


def _split(X: Any, ids: Any) -> tuple[Any, Names | None]:
    if not (is_lazy(X) or is_dataset(X)):
        refuse(X)
    if ids is None:
        return X, _own_names(X)
    columns = id_columns(X, ids)
    if not columns:
        return X, {series_name(ids) or "id": _given(X, ids)}
    own = _own_names(X) or {}
    if set(columns) <= set(own):
        return X, {name: own[name] for name in columns}
    if is_pandas_frame(X) or is_dask_frame(X):
        return X.drop(columns=columns), {name: ids_in(X[name]) for name in columns}
    held = arrow_frame(X)
    return held.drop(columns).to_native(), {name: id_array(held[name].to_native()) for name in columns}


def id_columns(X: Any, ids: Any) -> list[str]:
    """Return the names among `ids` if they are those of columns of X, or of levels of its index; [] if ids.

    Raises
    ------
    ValueError
        If it is a name that X does not have.
    """
    named = isinstance(ids, str) or (
        isinstance(ids, (list, tuple)) and bool(ids) and all(isinstance(name, str) for name in ids)
    )
    wanted = [ids] if isinstance(ids, str) else list(ids) if named else []
    known = _known_names(X)
    missing = [name for name in wanted if name not in known]
    if wanted and not missing:
        check_distinct(wanted, "ids")
        return wanted
    if isinstance(ids, str) or len(missing) < len(wanted):
        columns = ", ".join(map(repr, known[:SHOWN])) + (", ..." if len(known) > SHOWN else "")
        raise ValueError(
            f"X has no column {', '.join(map(repr, missing))}, of ids, and its columns are "
            f"{columns or 'unnamed'}; give names of columns of X, or an array with an id for each row."
        )
    return []


def _known_names(X: Any) -> list[str]:
    """Return the names of the columns of a frame, and those of its index; none of others."""
    if is_pandas_frame(X) or is_dask_frame(X):
        return [name for name in (*X.columns, *(_own_names(X) or ())) if isinstance(name, str)]
    if is_xarray(X) or is_dataset(X):
        return list(_own_names(X) or ())
    held = arrow_frame(X)
    return [] if held is None else list(held.columns)


def _own_names(X: Any) -> Names | None:
    """Return the names that a container has for its rows; None where it has none."""
    if is_pandas_frame(X):
        return None if _is_numbering(X.index) else _of_levels(X.index, lambda level: _of_level(X, level))
    if is_dask_frame(X):
        index = X._meta.index
        # Such as Parquet without an index has: it begins anew in every partition.
        if _is_numbering(index) and not X.known_divisions:
            return None
        return _of_levels(
            index, lambda level: X.map_partitions(_of_level, level, meta=_of_level(X._meta, level))
        )
    if is_xarray(X) or is_dataset(X):
        return coordinates_of_rows(X) or None
    return None


def _is_numbering(index: Any) -> bool:
    """Whether an index of pandas is what it has where nobody gave one."""
    return type(index).__name__ == "RangeIndex" and index.name is None and (index.start, index.step) == (0, 1)


def _of_levels(index: Any, values: Callable[[int], Any]) -> Names:
    unnamed = "index" if index.nlevels == 1 else "level_{}"  # as pandas calls them
    names = [unnamed.format(i) if name in {None, ""} else str(name) for i, name in enumerate(index.names)]
    check_distinct(names, "The index of X")
    return {name: values(i) for i, name in enumerate(names)}


def _of_level(X: Any, level: int) -> Any:
    return ids_in(X.index.get_level_values(level))


def _given(X: Any, ids: Any) -> Any:
    """Return an id for each row of X: to where X is in memory, in the chunks of X where it is lazy."""
    ids = with_rows_of(X, ids, "ids")
    if is_lazy(X):
        return ids_of(row_blocks(X).X, ids, sizes_remedy(X, "X"))
    values, n_rows = id_array(ids, in_memory=True), _n_rows(X)
    if len(values) != n_rows:
        raise ValueError(f"X has {n_rows} rows, but ids has shape {values.shape}; give one id a row.")
    return values


def _row_numbers(X: Any) -> Any:
    if not is_lazy(X):
        return np.arange(_n_rows(X))
    blocks = row_blocks(X)
    if unknown(blocks.X.chunks[0]):
        raise ValueError(
            sizes_message("A number for each row", blocks.remedy, "give ids, such as ids='name'")
        )
    return da.arange(blocks.X.shape[0], chunks=(blocks.X.chunks[0],), dtype=np.int64)


def _n_rows(X: Any) -> int:
    if is_dataset(X):
        return math.prod(grid_of(X).shape)
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)
